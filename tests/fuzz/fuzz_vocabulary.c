/* Any vocabulary: built or refused with a sentence, and what is built can be used. The first bytes are settings; then one token
 * a line, its first byte the type; a line that begins with '>' is a merge. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "token/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES_MAX = 600 };

static void use(tokenizer *t, const char *text, size_t n)
{
    token_list l;
    buf out;
    token_list_init(&l);
    buf_init(&out, 1 << 26);
    for (unsigned flags = 0; flags < 8; flags++) assert(tokenizer_encode(t, text, n, flags, &l, NULL) == CJ_OK);
    assert(tokenizer_decode(t, l.ids, l.count, TOKEN_SHOW_SPECIAL, &out, NULL) == CJ_OK);
    for (int32_t id = -1; id <= tokenizer_size(t); id++) {
        token_text p = tokenizer_piece(t, id);
        assert(tokenizer_find(t, p.data, p.size) >= -1 && tokenizer_type(t, id) <= TOKEN_BYTE);
    }
    token_list_deinit(&l);
    buf_deinit(&out);
    tokenizer_close(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const pre[] = {"gpt-2", "qwen2", "deepseek-v3", "gpt-4o", "deepseek-llm", "no such thing", NULL, "minicpm5"};
    static token_text tokens[LINES_MAX];
    static token_merge merges[LINES_MAX];
    static uint8_t types[LINES_MAX];
    static float scores[LINES_MAX];
    if (size < 8) return 0;
    const uint8_t *set = data;
    tokenizer_desc desc = {.name = "fuzz", .kind = (token_kind)(set[0] % 3), .pre = pre[set[1] & 7], .tokens = tokens, .types = types,
                           .scores = scores, .merges = merges, .bos = (int8_t)set[2], .eos = (int8_t)set[3], .unk = (int8_t)set[4],
                           .eot = -1, .pad = -1, .add_bos = (token_setting)((set[5] & 3) % 3 - 1),
                           .add_eos = (token_setting)((set[5] >> 2 & 3) % 3 - 1), .add_space_prefix = (token_setting)((set[5] >> 4 & 3) % 3 - 1),
                           .ignore_merges = (token_setting)((set[5] >> 6) % 3 - 1), .nfc = set[6] & 1};
    for (const char *line = (const char *)data + 7, *end = (const char *)data + size; line < end && desc.count + desc.merge_count < LINES_MAX;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop) stop = end;
        token_text text = {line + 1, stop > line ? (size_t)(stop - line) - 1 : 0};
        if (*line == '>') desc.merge_count += token_merge_split(text, &merges[desc.merge_count]);
        else {
            tokens[desc.count] = text;
            scores[desc.count] = (float)(int8_t)set[desc.count % 7];
            types[desc.count++] = (uint8_t)(*line & 7);
        }
        line = stop + 1;
    }
    tokenizer *t = NULL;
    cj_diag d = {0};
    if (tokenizer_open(&t, &desc, &d)) {
        char text[512];
        assert(!t && d.code < 0 && cj_diag_text(&d, CJ_LANG_ZH, text, sizeof text) > 0);
    } else
        use(t, (const char *)data, size);
    return 0;
}
