/* Reads the tokenizer.ggml keys into a tokenizer_desc. Whether they make sense together is for tokenizer_open to say; here only
 * their kinds and counts are checked. */
#include "model/vocab_gguf.h"

#include <string.h>

#include "base/utf8.h"

#define KEY(name) "tokenizer.ggml." name

static bool same(gguf_str s, const char *name) { return s.len == strlen(name) && memcmp(s.data, name, s.len) == 0; }

bool vocab_gguf_present(const gguf *g)
{
    gguf_str model = {0};
    if (gguf_string(g, KEY("model"), GGUF_OPTIONAL, &model, NULL) || !model.data) return false;
    return !same(model, "none") && !same(model, "no_vocab");
}

void vocab_gguf_deinit(vocab_gguf *v)
{
    void *const blocks[] = {v->tokens, v->merges, v->types, v->scores, v->pre};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) mem_free(blocks[i]);
    *v = (vocab_gguf){0};
}

static token_text text_of(gguf_str s) { return (token_text){s.data, s.len}; }

static cj_err read_tokens(const gguf *g, tokenizer_desc *desc, vocab_gguf *p, cj_diag *d)
{
    gguf_array a;
    TRY(gguf_array_get(g, KEY("tokens"), GGUF_REQUIRED, GGUF_STRINGS, &a, d));
    desc->count = (size_t)a.count;
    desc->tokens = p->tokens = mem_array(desc->count, sizeof *p->tokens);
    if (!p->tokens) return diag_nomem(d, desc->count * sizeof *p->tokens);
    for (int64_t i = 0; i < a.count; i++) p->tokens[i] = text_of(gguf_array_string(&a, i));
    return CJ_OK;
}

/* An array that says something about each token. a->count is 0 when the file has none. */
static cj_err get_per_token(const gguf *g, const char *key, gguf_kind kind, size_t count, gguf_array *a, cj_diag *d)
{
    *a = (gguf_array){0};
    TRY(gguf_array_get(g, key, GGUF_OPTIONAL, kind, a, d));
    if (a->count && (size_t)a->count < count)
        return diag_fail(d, CJ_E_INPUT, MSG_VOCAB_SHORT, "%s" ARG "%s" ARG "%lld" ARG "%zu", gguf_path(g), key, (long long)a->count, count);
    return CJ_OK;
}

static cj_err read_scores(const gguf *g, tokenizer_desc *desc, vocab_gguf *p, cj_diag *d)
{
    gguf_array a;
    TRY(get_per_token(g, KEY("scores"), GGUF_FLOATS, desc->count, &a, d));
    if (!a.count) return CJ_OK;
    desc->scores = p->scores = mem_array(desc->count, sizeof *p->scores);
    if (!p->scores) return diag_nomem(d, desc->count * sizeof *p->scores);
    for (size_t i = 0; i < desc->count; i++) p->scores[i] = (float)gguf_array_float(&a, (int64_t)i);
    return CJ_OK;
}

static cj_err read_types(const gguf *g, tokenizer_desc *desc, vocab_gguf *p, cj_diag *d)
{
    gguf_array a;
    TRY(get_per_token(g, KEY("token_type"), GGUF_INTS, desc->count, &a, d));
    if (!a.count) return CJ_OK;
    desc->types = p->types = mem_array(desc->count, 1);
    if (!p->types) return diag_nomem(d, desc->count);
    for (size_t i = 0; i < desc->count; i++) {
        int64_t type = gguf_array_int(&a, (int64_t)i);
        p->types[i] = type < 0 || type > UINT8_MAX ? UINT8_MAX : (uint8_t)type;
    }
    return CJ_OK;
}

static cj_err read_merges(const gguf *g, tokenizer_desc *desc, vocab_gguf *p, cj_diag *d)
{
    gguf_array a = {0};
    TRY(gguf_array_get(g, KEY("merges"), GGUF_REQUIRED, GGUF_STRINGS, &a, d));
    desc->merge_count = (size_t)a.count;
    desc->merges = p->merges = mem_array(desc->merge_count, sizeof *p->merges);
    if (!p->merges) return diag_nomem(d, desc->merge_count * sizeof *p->merges);
    for (int64_t i = 0; i < a.count; i++)
        if (!token_merge_split(text_of(gguf_array_string(&a, i)), &p->merges[i]))
            return diag_fail(d, CJ_E_INPUT, MSG_VOCAB_MERGE_FORM, "%s" ARG "%lld", gguf_path(g), (long long)i);
    return CJ_OK;
}

/* An id, or -1, which some files write as 2^32 - 1. */
static cj_err read_id(const gguf *g, const char *key, int32_t usual, int32_t *id, cj_diag *d)
{
    int64_t value = usual;
    TRY(gguf_int(g, key, GGUF_OPTIONAL, -1, UINT32_MAX, &value, d));
    *id = value == UINT32_MAX ? -1 : value > INT32_MAX ? INT32_MAX : (int32_t)value;
    return CJ_OK;
}

static cj_err read_ids(const gguf *g, tokenizer_desc *desc, cj_diag *d)
{
    bool spm = desc->kind == TOKEN_SPM && desc->count > 2; /* <unk> <s> </s>, unless it says otherwise */
    TRY(read_id(g, KEY("bos_token_id"), spm ? 1 : -1, &desc->bos, d));
    TRY(read_id(g, KEY("eos_token_id"), spm ? 2 : -1, &desc->eos, d));
    TRY(read_id(g, KEY("unknown_token_id"), spm ? 0 : -1, &desc->unk, d));
    TRY(read_id(g, KEY("eot_token_id"), -1, &desc->eot, d));
    return read_id(g, KEY("padding_token_id"), -1, &desc->pad, d);
}

static cj_err read_setting(const gguf *g, const char *key, token_setting *setting, cj_diag *d)
{
    bool value = false;
    *setting = TOKEN_AS_USUAL;
    if (!gguf_key_find(g, key)) return CJ_OK;
    TRY(gguf_bool(g, key, GGUF_REQUIRED, &value, d));
    *setting = value ? TOKEN_YES : TOKEN_NO;
    return CJ_OK;
}

static cj_err read_kind(const gguf *g, tokenizer_desc *desc, vocab_gguf *p, cj_diag *d)
{
    gguf_str model, pre = {0};
    if (!vocab_gguf_present(g)) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_VOCAB_NONE, "%s", gguf_path(g));
    TRY(gguf_string(g, KEY("model"), GGUF_REQUIRED, &model, d));
    if (!token_kind_named(text_of(model), &desc->kind))
        return diag_fail(d, CJ_E_UNSUPPORTED, MSG_TOKEN_MODEL_UNKNOWN, "%s" ARG "%.*s", gguf_path(g),
                         (int)utf8_valid_prefix(model.data, model.len < 40 ? model.len : 40), model.data);
    TRY(gguf_string(g, KEY("pre"), GGUF_OPTIONAL, &pre, d));
    if (pre.data && !(p->pre = mem_strndup(pre.data, pre.len))) return diag_nomem(d, pre.len);
    desc->pre = p->pre;
    return CJ_OK;
}

static cj_err read_all(const gguf *g, tokenizer_desc *desc, vocab_gguf *p, cj_diag *d)
{
    TRY(read_kind(g, desc, p, d));
    TRY(read_tokens(g, desc, p, d));
    TRY(read_types(g, desc, p, d));
    if (desc->kind == TOKEN_SPM) TRY(read_scores(g, desc, p, d));
    else TRY(read_merges(g, desc, p, d));
    TRY(read_ids(g, desc, d));
    TRY(read_setting(g, KEY("add_bos_token"), &desc->add_bos, d));
    TRY(read_setting(g, KEY("add_eos_token"), &desc->add_eos, d));
    return read_setting(g, KEY("add_space_prefix"), &desc->add_space_prefix, d);
}

cj_err vocab_gguf_read(vocab_gguf *v, const gguf *g, cj_diag *d)
{
    *v = (vocab_gguf){.desc = {.name = gguf_path(g), .ignore_merges = TOKEN_AS_USUAL}};
    return read_all(g, &v->desc, v, d);
}

cj_err vocab_gguf_open(tokenizer **out, const gguf *g, cj_diag *d)
{
    vocab_gguf v;
    cj_err e = vocab_gguf_read(&v, g, d);
    if (!e) e = tokenizer_open(out, &v.desc, d);
    vocab_gguf_deinit(&v);
    return e;
}
