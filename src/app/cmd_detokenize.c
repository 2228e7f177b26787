/* juan detokenize: token ids to text, byte for byte. */
#include <stdio.h>

#include "app/commands.h"

enum { IDS_BYTES_MAX = 1 << 30, TEXT_MAX = 1 << 30 };

/* The id in an item of the array: a number, or what `tokenize --spans` writes. */
static bool id_of(json_object *item, int32_t *id)
{
    if (json_object_is_type(item, json_type_array) && json_object_array_length(item) == 3) item = json_object_array_get_idx(item, 0);
    if (!json_object_is_type(item, json_type_int)) return false;
    int64_t v = json_object_get_int64(item);
    *id = (int32_t)v;
    return v >= 0 && v <= INT32_MAX;
}

static cj_err read_ids(const char *path, int32_t **out, size_t *n, cj_diag *d)
{
    buf text;
    json_object *array = NULL;
    TRY(file_read(path, IDS_BYTES_MAX, &text, d));
    cj_err e = json_parse(text.data ? text.data : "", text.len, path, &array, d);
    buf_deinit(&text);
    TRY(e);
    *out = NULL;
    if (!json_object_is_type(array, json_type_array)) e = diag_fail(d, CJ_E_INPUT, MSG_IDS_NO_ARRAY, "%s", path);
    if (!e) {
        *n = json_object_array_length(array);
        *out = mem_array(*n, sizeof **out);
        if (!*out) e = diag_nomem(d, *n * sizeof **out);
    }
    for (size_t i = 0; !e && i < *n; i++)
        if (!id_of(json_object_array_get_idx(array, i), *out + i)) e = diag_fail(d, CJ_E_INPUT, MSG_IDS_BAD_ITEM, "%s" ARG "%zu", path, i);
    json_object_put(array);
    if (e) mem_free(*out);
    return e;
}

int cmd_detokenize(cli *c)
{
    bool special = false;
    const cli_option options[] = {{"special", 0, CLI_FLAG, &special, NULL, MSG_OPT_DETOKENIZE_SPECIAL}};
    const cli_help help = {"MODEL [FILE|-] [--special]", MSG_CMD_DETOKENIZE_ABOUT,
                           "detokenize {0} ids.json\n"
                           "detokenize {0} < ids.json > text.txt", 1, 2};
    int code = cli_parse_plain(c, &help, options, 1);
    if (code) return code;
    tokenizer *t = NULL;
    int32_t *ids = NULL;
    size_t n = 0;
    buf text;
    cj_diag d = {0};
    code = cli_vocabulary_open(c, c->argv[0], NULL, &t);
    if (code) return code;
    buf_init(&text, TEXT_MAX);
    cj_err e = read_ids(c->argc > 1 ? c->argv[1] : "-", &ids, &n, &d);
    if (!e) {
        e = tokenizer_decode(t, ids, n, special ? TOKEN_SHOW_SPECIAL : 0, &text, &d);
        mem_free(ids);
    }
    if (e) code = cli_fail(c, &d);
    else if (text.len) fwrite(text.data, 1, text.len, stdout);
    buf_deinit(&text);
    tokenizer_close(&t);
    return code;
}
