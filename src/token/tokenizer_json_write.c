/* tokenizer.json, member by member in the order in which its readers expect them: what is found in a text first, how text is prepared and cut, the
 * vocabulary and its merges, how pieces become text again. */
#include "token/tokenizer_json_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/utf8.h"
#include "token/tokenizer_json.h"
#include "token/vocab.h"

#define SPACE_MARK "\xE2\x96\x81" /* U+2581 */

typedef struct json_writer {
    const tokenizer_desc *desc;
    const tokenizer *t;
    buf *out;
    cj_diag *d;
} json_writer;

static cj_err put(const json_writer *w, const char *text) { return buf_puts(w->out, text, w->d); }

static cj_err unwritable(const json_writer *w, const char *what) { return diag_fail(w->d, CJ_E_UNSUPPORTED, MSG_TOKEN_JSON_UNSAYABLE, "%s" ARG "%s", w->desc->name, what); }

/* A JSON string, quotes and all. */
static cj_err put_string(const json_writer *w, token_text s)
{
    size_t plain = 0;
    if (utf8_valid_prefix(s.data ? s.data : "", s.size) != s.size) return unwritable(w, "UTF-8");
    TRY(put(w, "\""));
    for (size_t i = 0; i < s.size; i++) {
        const unsigned char c = (unsigned char)s.data[i];
        if (c >= ' ' && c != '"' && c != '\\') continue;
        TRY(buf_append(w->out, s.data + plain, i - plain, w->d));
        TRY(c < ' ' ? buf_printf(w->out, w->d, "\\u%04x", c) : buf_printf(w->out, w->d, "\\%c", c));
        plain = i + 1;
    }
    if (s.size) TRY(buf_append(w->out, s.data + plain, s.size - plain, w->d));
    return put(w, "\"");
}

static cj_err put_text(const json_writer *w, const char *s) { return put_string(w, (token_text){s, strlen(s)}); }
static cj_err put_token(const json_writer *w, int32_t id) { return put_string(w, w->desc->tokens[id]); }

static const char *truth(bool yes) { return yes ? "true" : "false"; }

/* ---- found in a text first ---- */

static bool is_found_first(const json_writer *w, int32_t id)
{
    const token_type type = tokenizer_type(w->t, id);
    return w->desc->tokens[id].size && (type == TOKEN_CONTROL || type == TOKEN_USER || type == TOKEN_UNKNOWN);
}

static cj_err put_added(const json_writer *w)
{
    const char *between = "\n";
    TRY(put(w, "  \"added_tokens\": ["));
    for (int32_t id = 0; id < tokenizer_size(w->t); id++) {
        const uint8_t strips = w->desc->strips ? w->desc->strips[id] : 0;
        if (!is_found_first(w, id)) continue;
        TRY(buf_printf(w->out, w->d, "%s    {\"id\": %d, \"content\": ", between, id));
        TRY(put_token(w, id));
        TRY(buf_printf(w->out, w->d, ", \"single_word\": false, \"lstrip\": %s, \"rstrip\": %s, \"normalized\": false, \"special\": %s}",
                       truth(strips & TOKEN_STRIP_LEFT), truth(strips & TOKEN_STRIP_RIGHT), truth(tokenizer_type(w->t, id) != TOKEN_USER)));
        between = ",\n";
    }
    return put(w, "\n  ],\n");
}

/* ---- how text is prepared, cut, and put together again ---- */

static cj_err put_spaces(const json_writer *w)
{
    static const char mark[] = "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"" SPACE_MARK "\"}";
    static const char unmark[] = "{\"type\": \"Replace\", \"pattern\": {\"String\": \"" SPACE_MARK "\"}, \"content\": \" \"}, "
                                 "{\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}";
    const bool first = w->t->space_prefix;
    TRY(put(w, "  \"normalizer\": "));
    TRY(buf_printf(w->out, w->d, first ? "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": \"" SPACE_MARK "\"}, %s]}" : "%s", mark));
    return buf_printf(w->out, w->d, ",\n  \"pre_tokenizer\": null,\n  \"decoder\": {\"type\": \"Sequence\", \"decoders\": [%s%s]},\n", unmark,
                      first ? ", {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}" : "");
}

static cj_err put_bytes(const json_writer *w)
{
    static const char level[] = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": false}";
    const char *const *patterns = pre_tokenizer_patterns(w->t->pre);
    if (!patterns) return unwritable(w, w->desc->pre ? w->desc->pre : "default");
    TRY(put(w, w->t->nfc ? "  \"normalizer\": {\"type\": \"NFC\"},\n" : "  \"normalizer\": null,\n"));
    TRY(put(w, "  \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [\n"));
    for (int i = 0; i < PRE_PASSES_MAX && patterns[i]; i++) {
        TRY(put(w, "    {\"type\": \"Split\", \"pattern\": {\"Regex\": "));
        TRY(put_text(w, patterns[i]));
        TRY(put(w, "}, \"behavior\": \"Isolated\", \"invert\": false},\n"));
    }
    return buf_printf(w->out, w->d, "    %s]},\n  \"decoder\": %s,\n", level, level);
}

static cj_err put_special(const json_writer *w, int32_t id, const char *before, const char *after)
{
    TRY(put(w, before));
    TRY(put_token(w, id));
    return put(w, after);
}

static cj_err put_sides(const json_writer *w, const char *sequence, int type)
{
    const token_specials *s = tokenizer_specials(w->t);
    char close[32], part[64];
    snprintf(close, sizeof close, ", \"type_id\": %d}}", type);
    snprintf(part, sizeof part, "{\"Sequence\": {\"id\": \"%s\", \"type_id\": %d}}", sequence, type);
    if (s->add_bos) {
        TRY(put_special(w, s->bos, "{\"SpecialToken\": {\"id\": ", close));
        TRY(put(w, ", "));
    }
    TRY(put(w, part));
    return s->add_eos ? put_special(w, s->eos, ", {\"SpecialToken\": {\"id\": ", close) : CJ_OK;
}

static cj_err put_named(const json_writer *w, int32_t id)
{
    TRY(put_special(w, id, "", ": {\"id\": "));
    TRY(put_token(w, id));
    TRY(buf_printf(w->out, w->d, ", \"ids\": [%d], \"tokens\": [", id));
    return put_special(w, id, "", "]}");
}

/* What is put around a text. */
static cj_err put_around(const json_writer *w)
{
    const token_specials *s = tokenizer_specials(w->t);
    if (!s->add_bos && !s->add_eos) return put(w, "  \"post_processor\": null,\n");
    TRY(put(w, "  \"post_processor\": {\"type\": \"TemplateProcessing\",\n    \"single\": ["));
    TRY(put_sides(w, "A", 0));
    TRY(put(w, "],\n    \"pair\": ["));
    TRY(put_sides(w, "A", 0));
    TRY(put(w, ", "));
    TRY(put_sides(w, "B", 1));
    TRY(put(w, "],\n    \"special_tokens\": {"));
    if (s->add_bos) TRY(put_named(w, s->bos));
    if (s->add_bos && s->add_eos && s->bos != s->eos) TRY(put(w, ", "));
    if (s->add_eos && !(s->add_bos && s->bos == s->eos)) TRY(put_named(w, s->eos));
    return put(w, "}},\n");
}

/* ---- vocabulary and merges ---- */

static cj_err put_vocabulary(const json_writer *w)
{
    const char *between = "\n";
    TRY(put(w, "    \"vocab\": {"));
    for (int32_t id = 0; id < tokenizer_size(w->t); id++) {
        if (!w->desc->tokens[id].size) continue;
        TRY(put(w, between));
        TRY(put_special(w, id, "      ", ": "));
        TRY(buf_printf(w->out, w->d, "%d", id));
        between = ",\n";
    }
    return put(w, "\n    },\n    \"merges\": [");
}

static cj_err put_merge(const json_writer *w, bool *some, token_text left, token_text right)
{
    TRY(put(w, *some ? ",\n      [" : "\n      ["));
    *some = true;
    TRY(put_string(w, left));
    TRY(put(w, ", "));
    TRY(put_string(w, right));
    return put(w, "]");
}

/* All ways in which two pieces make this one. */
static cj_err put_splits(const json_writer *w, int32_t id, bool *some, bool *any)
{
    const token_text piece = vocab_piece(w->t, id);
    *any = false;
    if (vocab_find(w->t, piece.data, piece.size) != id) return CJ_OK; /* not made by merging */
    for (size_t n = 1; n < piece.size; n++) {
        const int32_t left = vocab_find(w->t, piece.data, n), right = left < 0 ? -1 : vocab_find(w->t, piece.data + n, piece.size - n);
        if (right < 0) continue;
        TRY(put_merge(w, some, w->desc->tokens[left], w->desc->tokens[right]));
        *any = true;
    }
    return CJ_OK;
}

static int compare_priorities(const void *a, const void *b, void *priority)
{
    const uint32_t *p = priority, x = p ? p[*(const int32_t *)a] : 0, y = p ? p[*(const int32_t *)b] : 0;
    if (x != y) return x < y ? -1 : 1;
    return (*(const int32_t *)a > *(const int32_t *)b) - (*(const int32_t *)a < *(const int32_t *)b);
}

/* Where merges are found by what pieces are worth (or by their ids): the best first. Two of the same worth would have an order here that they have not. */
static cj_err put_found_merges(const json_writer *w)
{
    const int32_t n = tokenizer_size(w->t);
    int32_t *order = mem_array((size_t)n, sizeof *order), last = -1;
    bool some = false, any;
    cj_err e = order ? CJ_OK : diag_nomem(w->d, (size_t)n * sizeof *order);
    for (int32_t i = 0; order && i < n; i++) order[i] = i;
    if (order) qsort_r(order, (size_t)n, sizeof *order, compare_priorities, w->t->priority);
    for (int32_t i = 0; !e && i < n; i++) {
        e = put_splits(w, order[i], &some, &any);
        if (e || !any) continue;
        if (w->t->priority && last >= 0 && w->t->priority[last] == w->t->priority[order[i]]) e = unwritable(w, "scores");
        last = order[i];
    }
    mem_free(order);
    return e;
}

static cj_err put_listed_merges(const json_writer *w)
{
    bool some = false;
    for (size_t i = 0; i < w->desc->merge_count; i++) TRY(put_merge(w, &some, w->desc->merges[i].left, w->desc->merges[i].right));
    return CJ_OK;
}

static cj_err put_model(const json_writer *w)
{
    const int32_t unknown = tokenizer_specials(w->t)->unk;
    TRY(put(w, "  \"model\": {\n    \"type\": \"BPE\", \"dropout\": null, \"unk_token\": "));
    TRY(unknown < 0 ? put(w, "null") : put_token(w, unknown));
    TRY(buf_printf(w->out, w->d, ", \"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, \"fuse_unk\": false,\n"
                   "    \"byte_fallback\": %s, \"ignore_merges\": %s,\n", truth(w->t->spaces), truth(w->t->ignore_merges)));
    TRY(put_vocabulary(w));
    TRY(w->desc->merge_count ? put_listed_merges(w) : put_found_merges(w));
    return put(w, "\n    ]\n  }\n}\n");
}

/* ---- the files ---- */

static cj_err write_pipeline(const json_writer *w)
{
    TRY(put(w, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"));
    TRY(put_added(w));
    TRY(w->t->spaces ? put_spaces(w) : put_bytes(w));
    TRY(put_around(w));
    return put_model(w);
}

static cj_err write_settings(const json_writer *w)
{
    const token_specials *s = tokenizer_specials(w->t);
    const struct {
        const char *name;
        int32_t id;
    } named[] = {{"bos_token", s->bos}, {"eos_token", s->eos}, {"unk_token", s->unk}, {"pad_token", s->pad}};
    TRY(put(w, "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n  \"clean_up_tokenization_spaces\": false"));
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        if (named[i].id < 0 || !w->desc->tokens[named[i].id].size) continue;
        TRY(buf_printf(w->out, w->d, ",\n  \"%s\": ", named[i].name));
        TRY(put_token(w, named[i].id));
    }
    return buf_printf(w->out, w->d, ",\n  \"add_bos_token\": %s,\n  \"add_eos_token\": %s\n}\n", truth(s->add_bos), truth(s->add_eos));
}

static cj_err write_one(const json_writer *w, const char *folder, const char *name, cj_err (*what)(const json_writer *w))
{
    char *path = file_join(folder, name);
    buf_clear(w->out);
    cj_err e = path ? what(w) : diag_nomem(w->d, strlen(folder));
    if (!e) e = file_write(path, w->out->data, w->out->len, w->d);
    mem_free(path);
    return e;
}

cj_err tokenizer_json_write(const tokenizer_desc *desc, const tokenizer *t, const char *folder, cj_diag *d)
{
    buf text;
    const json_writer w = {desc, t, &text, d};
    buf_init(&text, TOKENIZER_JSON_BYTES_MAX);
    cj_err e = write_one(&w, folder, "tokenizer.json", write_pipeline);
    if (!e) e = write_one(&w, folder, "tokenizer_config.json", write_settings);
    buf_deinit(&text);
    return e;
}
