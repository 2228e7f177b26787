/* Reads tokenizer.json into a tokenizer_desc. The file describes a pipeline of normalizer, pre-tokenizer, model and
 * post-processor; what this tokenizer does is accepted in the forms that published models use, and anything else is refused by
 * name, because a pipeline that is nearly right gives a model text that it has never seen. */
#include "token/tokenizer_json.h"

#include <limits.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "token/json_lists.h"
#include "token/pretokenize.h"

#define SPACE_MARK "\xE2\x96\x81" /* U+2581 */
#define PATTERN_GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

enum { PATTERNS_MAX = 8 };

typedef struct json_reader {
    const char *name;
    cj_diag *d;
    tokenizer_desc desc;
    token_text *tokens;
    uint8_t *types, *strips;
    json_lists lists;
    const char *patterns[PATTERNS_MAX]; /* of the pre-tokenizer */
    size_t pattern_count;
    bool byte_level, marks_spaces;
} json_reader;

/* ---- reading JSON ---- */

static json_object *get(json_object *o, const char *key)
{
    json_object *value = NULL;
    return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &value) ? value : NULL;
}

static bool is_true(json_object *o, const char *key) { return json_object_get_boolean(get(o, key)); }

/* NULL when it is no string. */
static const char *string_at(json_object *o, const char *key)
{
    json_object *s = get(o, key);
    return json_object_is_type(s, json_type_string) ? json_object_get_string(s) : NULL;
}

static size_t length_of(json_object *array) { return array ? json_object_array_length(array) : 0; }

static bool says(json_object *o, const char *key, const char *value)
{
    const char *s = string_at(o, key);
    return s && strcmp(s, value) == 0;
}

static token_text text_of(json_object *s)
{
    return (token_text){json_object_get_string(s), (size_t)json_object_get_string_len(s)};
}

static cj_err malformed(const json_reader *r, const char *what)
{
    return diag_fail(r->d, CJ_E_INPUT, MSG_TOKEN_JSON_FORM, "%s" ARG "%s", r->name, what);
}

static cj_err unsupported(const json_reader *r, const char *what, json_object *part)
{
    const char *type = string_at(part, "type");
    return diag_fail(r->d, CJ_E_UNSUPPORTED, MSG_TOKEN_JSON_PART, "%s" ARG "%s" ARG "%.60s", r->name, what, type ? type : "?");
}

/* ---- normalizer ---- */

static cj_err read_normalizer(json_reader *r, json_object *n, int depth)
{
    if (!n) return CJ_OK;
    json_object *list = get(n, "normalizers");
    if (says(n, "type", "Sequence") && json_object_is_type(list, json_type_array) && depth < 4) {
        for (size_t i = 0; i < json_object_array_length(list); i++)
            TRY(read_normalizer(r, json_object_array_get_idx(list, i), depth + 1));
        return CJ_OK;
    }
    if (says(n, "type", "NFC")) r->desc.nfc = true;
    else if (says(n, "type", "Prepend") && says(n, "prepend", SPACE_MARK)) r->desc.add_space_prefix = TOKEN_YES;
    else if (says(n, "type", "Replace") && says(get(n, "pattern"), "String", " ") && says(n, "content", SPACE_MARK)) r->marks_spaces = true;
    else return unsupported(r, "normalizer", n);
    return CJ_OK;
}

/* ---- pre-tokenizer ---- */

static cj_err add_pattern(json_reader *r, const char *pattern, json_object *part)
{
    if (r->pattern_count == PATTERNS_MAX) return unsupported(r, "pre-tokenizer", part);
    r->patterns[r->pattern_count++] = pattern;
    return CJ_OK;
}

static cj_err read_split(json_reader *r, json_object *p)
{
    json_object *pattern = get(p, "pattern");
    const char *regex = string_at(pattern, "Regex");
    bool isolated = says(p, "behavior", "Isolated") || (says(p, "behavior", "Removed") && is_true(p, "invert"));
    if (regex && isolated) return add_pattern(r, regex, p);
    if (says(pattern, "String", " ") && r->marks_spaces) return CJ_OK; /* no space is left to split at */
    return unsupported(r, "pre-tokenizer", p);
}

static cj_err read_pre_tokenizer(json_reader *r, json_object *p, int depth)
{
    if (!p) return CJ_OK;
    json_object *list = get(p, "pretokenizers");
    if (says(p, "type", "Sequence") && json_object_is_type(list, json_type_array) && depth < 4) {
        for (size_t i = 0; i < json_object_array_length(list); i++)
            TRY(read_pre_tokenizer(r, json_object_array_get_idx(list, i), depth + 1));
        return CJ_OK;
    }
    if (r->byte_level) return unsupported(r, "pre-tokenizer", p); /* nothing can follow ByteLevel */
    if (says(p, "type", "Split")) return read_split(r, p);
    if (says(p, "type", "Digits")) return add_pattern(r, is_true(p, "individual_digits") ? "\\p{N}" : "\\p{N}+", p);
    if (!says(p, "type", "ByteLevel") || is_true(p, "add_prefix_space")) return unsupported(r, "pre-tokenizer", p);
    r->byte_level = true;
    json_object *use_regex = get(p, "use_regex"); /* true unless it says no */
    return !use_regex || json_object_get_boolean(use_regex) ? add_pattern(r, PATTERN_GPT2, p) : CJ_OK;
}

static cj_err choose_kind(json_reader *r, json_object *model)
{
    r->desc.kind = r->byte_level ? TOKEN_BPE_BYTES : TOKEN_BPE_CHARS;
    if (!r->byte_level) {
        if (!r->marks_spaces) return unsupported(r, "normalizer", NULL);
        if (r->pattern_count) return diag_fail(r->d, CJ_E_UNSUPPORTED, MSG_TOKEN_PRE_UNKNOWN, "%s" ARG "%.80s", r->name, r->patterns[0]);
        if (r->desc.add_space_prefix != TOKEN_YES) r->desc.add_space_prefix = TOKEN_NO;
        return CJ_OK;
    }
    r->desc.pre = pre_tokenizer_recognise(r->patterns, r->pattern_count);
    if (!r->desc.pre)
        return diag_fail(r->d, CJ_E_UNSUPPORTED, MSG_TOKEN_PRE_UNKNOWN, "%s" ARG "%.80s", r->name, r->pattern_count ? r->patterns[0] : "");
    r->desc.ignore_merges = is_true(model, "ignore_merges") ? TOKEN_YES : TOKEN_NO;
    return CJ_OK;
}

/* ---- model ---- */

static bool id_in_range(json_object *id, int64_t *value)
{
    if (!json_object_is_type(id, json_type_int)) return false;
    *value = json_object_get_int64(id);
    return *value >= 0 && *value < TOKEN_COUNT_MAX;
}

/* The number of tokens: one more than the largest id. */
static cj_err count_tokens(json_reader *r, json_object *added)
{
    int64_t id, count = 0;
    for (size_t i = 0; i < r->lists.vocab_count; i++) count = i64_max(count, r->lists.vocab[i].id + 1);
    if (count > TOKEN_COUNT_MAX) return malformed(r, "model.vocab");
    for (size_t i = 0; i < length_of(added); i++) {
        if (!id_in_range(get(json_object_array_get_idx(added, i), "id"), &id)) return malformed(r, "added_tokens");
        count = i64_max(count, id + 1);
    }
    r->desc.count = (size_t)count;
    r->tokens = mem_array(r->desc.count, sizeof *r->tokens);
    r->types = mem_array(r->desc.count, 1);
    r->strips = mem_array(r->desc.count, 1);
    return r->tokens && r->types && r->strips ? CJ_OK : diag_nomem(r->d, r->desc.count * sizeof *r->tokens);
}

static bool reads_as_byte(token_text s) { return s.size == 6 && memcmp(s.data, "<0x", 3) == 0 && s.data[5] == '>'; }

static int shown(token_text s) { return s.size < 40 ? (int)s.size : 40; }

static cj_err set_token(json_reader *r, int64_t id, token_text text, token_type type)
{
    token_text *slot = &r->tokens[id];
    if (slot->data && (slot->size != text.size || memcmp(slot->data, text.data, text.size) != 0))
        return diag_fail(r->d, CJ_E_INPUT, MSG_TOKEN_JSON_ID_TWICE, "%s" ARG "%lld" ARG "%.*s" ARG "%.*s", r->name, (long long)id,
                         shown(*slot), slot->data, shown(text), text.data);
    *slot = text;
    r->types[id] = (uint8_t)type;
    return CJ_OK;
}

/* Marks of structure that some vendors forgot to call special: nothing that a user writes may be taken for them. */
static bool looks_special(token_text s)
{
    static const char *const brackets[][2] = {{"<|", "|>"}, {"<｜", "｜>"}};
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(brackets[i][0]);
        if (s.size > 2 * n && memcmp(s.data, brackets[i][0], n) == 0 && memcmp(s.data + s.size - n, brackets[i][1], n) == 0) return true;
    }
    return false;
}

static cj_err read_added(json_reader *r, json_object *token)
{
    json_object *content = get(token, "content");
    if (!json_object_is_type(content, json_type_string)) return malformed(r, "added_tokens");
    if (is_true(token, "single_word")) return unsupported(r, "single_word token", token);
    token_text text = text_of(content);
    int64_t id = json_object_get_int64(get(token, "id"));
    TRY(set_token(r, id, text, is_true(token, "special") || looks_special(text) ? TOKEN_CONTROL : TOKEN_USER));
    r->strips[id] = (uint8_t)((is_true(token, "lstrip") ? TOKEN_STRIP_LEFT : 0) | (is_true(token, "rstrip") ? TOKEN_STRIP_RIGHT : 0));
    return CJ_OK;
}

static cj_err read_tokens(json_reader *r, json_object *root, json_object *model)
{
    json_object *added = get(root, "added_tokens");
    if (!json_object_is_type(get(model, "vocab"), json_type_object)) return malformed(r, "model.vocab");
    if (added && !json_object_is_type(added, json_type_array)) return malformed(r, "added_tokens");
    TRY(count_tokens(r, added));
    bool bytes = is_true(model, "byte_fallback");
    for (size_t i = 0; i < r->lists.vocab_count; i++) {
        const json_vocab_entry *e = &r->lists.vocab[i];
        TRY(set_token(r, e->id, e->text, bytes && reads_as_byte(e->text) ? TOKEN_BYTE : TOKEN_NORMAL));
    }
    for (size_t i = 0; i < length_of(added); i++) TRY(read_added(r, json_object_array_get_idx(added, i)));
    for (size_t i = 0; i < r->desc.count; i++)
        if (!r->tokens[i].data) r->types[i] = TOKEN_UNUSED; /* a number that the file gives to nothing */
    r->desc.tokens = r->tokens;
    r->desc.types = r->types;
    r->desc.strips = r->strips;
    return CJ_OK;
}

static bool blank(json_object *o, const char *key)
{
    const char *s = string_at(o, key);
    return !s || !*s;
}

static cj_err read_model(json_reader *r, json_object *root)
{
    json_object *model = get(root, "model");
    if (!json_object_is_type(model, json_type_object)) return malformed(r, "model");
    const char *type = string_at(model, "type");
    if (type && strcmp(type, "BPE") != 0)
        return diag_fail(r->d, CJ_E_UNSUPPORTED, MSG_TOKEN_MODEL_UNKNOWN, "%s" ARG "%.40s", r->name, type);
    if (!blank(model, "continuing_subword_prefix") || !blank(model, "end_of_word_suffix")) return unsupported(r, "model", model);
    TRY(read_normalizer(r, get(root, "normalizer"), 0));
    TRY(read_pre_tokenizer(r, get(root, "pre_tokenizer"), 0));
    TRY(choose_kind(r, model));
    TRY(read_tokens(r, root, model));
    const bool none = !r->lists.merge_count, may = r->desc.kind == TOKEN_BPE_CHARS && json_object_is_type(get(model, "merges"), json_type_array);
    if (none && !may) return malformed(r, "model.merges"); /* single characters may be all there is */
    r->desc.merges = r->lists.merges;
    r->desc.merge_count = r->lists.merge_count;
    return CJ_OK;
}

/* ---- which tokens begin and end a text ---- */

/* The id of a token named by a string or by {"content": string}; -1: not named, or not in the vocabulary. */
static int32_t id_named(const json_reader *r, json_object *name)
{
    if (json_object_is_type(name, json_type_object)) name = get(name, "content");
    if (!json_object_is_type(name, json_type_string)) return -1;
    token_text text = text_of(name);
    for (size_t i = r->desc.count; i-- > 0;) /* added tokens come last, and they it is mostly */
        if (r->tokens[i].data && r->tokens[i].size == text.size && memcmp(r->tokens[i].data, text.data, text.size) == 0) return (int32_t)i;
    return -1;
}

/* Does the post-processor put a token first (last: at the end)? */
static json_object *processor_token(json_object *processor, bool last)
{
    json_object *single = get(processor, "single");
    if (!says(processor, "type", "TemplateProcessing") || !json_object_is_type(single, json_type_array)) return NULL;
    size_t n = json_object_array_length(single);
    return n ? get(get(json_object_array_get_idx(single, last ? n - 1 : 0), "SpecialToken"), "id") : NULL;
}

static token_setting setting_at(json_object *config, const char *key, int32_t id, int32_t processor_id)
{
    json_object *o = get(config, key);
    bool wanted = json_object_is_type(o, json_type_boolean) ? json_object_get_boolean(o) : processor_id >= 0;
    return wanted && id >= 0 ? TOKEN_YES : TOKEN_NO;
}

static void read_ids(json_reader *r, json_object *root, json_object *config)
{
    json_object *processor = get(root, "post_processor");
    int32_t first = id_named(r, processor_token(processor, false)), last = id_named(r, processor_token(processor, true));
    tokenizer_desc *desc = &r->desc;
    desc->bos = id_named(r, get(config, "bos_token"));
    desc->eos = id_named(r, get(config, "eos_token"));
    desc->pad = id_named(r, get(config, "pad_token"));
    desc->unk = id_named(r, get(get(root, "model"), "unk_token"));
    desc->eot = -1;
    if (desc->bos < 0) desc->bos = first;
    if (desc->eos < 0) desc->eos = last;
    desc->add_bos = setting_at(config, "add_bos_token", desc->bos, first);
    desc->add_eos = setting_at(config, "add_eos_token", desc->eos, last);
}

/* ---- opening ---- */

/* The file without its two long lists, which are in r->lists. */
static cj_err read_file(json_reader *r, const char *json, size_t size, json_object **root)
{
    buf rest;
    bool read;
    buf_init(&rest, TOKENIZER_JSON_BYTES_MAX);
    cj_err e = json_lists_read(&r->lists, json, size, &rest, &read, r->d);
    if (!e && (!read || json_parse(rest.data, rest.len, r->name, root, NULL))) {
        e = json_parse(json, size, r->name, root, r->d); /* says what is wrong with it, and where */
        if (!e) e = malformed(r, r->lists.damaged ? r->lists.damaged : "model");
    }
    buf_deinit(&rest);
    return e;
}

cj_err tokenizer_json_parse(tokenizer **out, const char *name, const char *json, size_t size, const char *config,
                            size_t config_size, cj_diag *d)
{
    json_object *root = NULL, *settings = NULL;
    json_reader r = {.name = name, .d = d, .desc = {.name = name, .add_space_prefix = TOKEN_AS_USUAL}};
    cj_err e = read_file(&r, json, size, &root);
    if (!e && config) e = json_parse(config, config_size, "tokenizer_config.json", &settings, d);
    if (!e) e = read_model(&r, root);
    if (!e) {
        read_ids(&r, root, settings);
        e = tokenizer_open(out, &r.desc, d);
    }
    void *const blocks[] = {r.tokens, r.types, r.strips};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) mem_free(blocks[i]);
    json_lists_deinit(&r.lists);
    json_object_put(root);
    json_object_put(settings);
    return e;
}

/* Reads folder/name if it is there. */
static cj_err read_beside(const char *folder, const char *name, bool required, buf *out, cj_diag *d)
{
    char *path = file_join(folder, name);
    if (!path) return diag_nomem(d, strlen(folder));
    cj_err e = required || file_exists(path) ? file_read_regular(path, TOKENIZER_JSON_BYTES_MAX, out, d) : CJ_OK;
    mem_free(path);
    return e;
}

bool tokenizer_json_here(const char *path)
{
    size_t n = strlen(path);
    if (!file_is_dir(path)) return n > 5 && strcmp(path + n - 5, ".json") == 0 && file_exists(path);
    char *inside = file_join(path, "tokenizer.json");
    bool here = inside && file_exists(inside);
    mem_free(inside);
    return here;
}

cj_err tokenizer_json_open(tokenizer **out, const char *path, cj_diag *d)
{
    const char *slash = strrchr(path, '/');
    bool is_folder = file_is_dir(path);
    char *folder = is_folder ? mem_strdup(path) : slash ? mem_strndup(path, (size_t)(slash - path) + 1) : mem_strdup(".");
    if (!folder) return diag_nomem(d, strlen(path));
    buf json = {0}, config = {0};
    cj_err e = is_folder ? read_beside(folder, "tokenizer.json", true, &json, d) : file_read(path, TOKENIZER_JSON_BYTES_MAX, &json, d);
    if (!e) e = read_beside(folder, "tokenizer_config.json", false, &config, d);
    if (!e) e = tokenizer_json_parse(out, path, json.data, json.len, config.data, config.len, d);
    buf_deinit(&json);
    buf_deinit(&config);
    mem_free(folder);
    return e;
}
