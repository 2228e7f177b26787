/* A cursor goes over the file once. It descends into the one object "model" and into the two lists, which it reads strictly; of
 * everything else it only finds the end, since json-c reads that again. */
#include "token/json_lists.h"

#include <string.h>

#include "base/utf8.h"

typedef struct json_cursor {
    const char *at, *end;
    json_lists *lists;
    size_t vocab_room, merge_room;
    char *unescaped_at;
    const char *cuts[2][2]; /* where the lists begin and end */
    int cut_count;
    bool in_model, no_memory;
} json_cursor;

static void skip_space(json_cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t')) c->at++;
}

static bool next_is(json_cursor *c, char what)
{
    skip_space(c);
    return c->at < c->end && *c->at == what;
}

static bool take(json_cursor *c, char what)
{
    if (!next_is(c, what)) return false;
    c->at++;
    return true;
}

/* ---- strings ---- */

static bool take_hex(json_cursor *c, uint32_t *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++, c->at++) {
        if (c->at == c->end) return false;
        char h = *c->at;
        int digit = h >= '0' && h <= '9' ? h - '0' : (h | 32) >= 'a' && (h | 32) <= 'f' ? (h | 32) - 'a' + 10 : -1;
        if (digit < 0) return false;
        *unit = *unit << 4 | (uint32_t)digit;
    }
    return true;
}

/* What follows a backslash, appended to what is unescaped. */
static bool take_escape(json_cursor *c)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (c->at == c->end) return false;
    char kind = *c->at++;
    const char *simple = kind ? strchr(names, kind) : NULL;
    if (simple) {
        *c->unescaped_at++ = meant[simple - names];
        return true;
    }
    uint32_t cp, low;
    if (kind != 'u' || !take_hex(c, &cp)) return false;
    if (cp >= 0xD800 && cp < 0xDC00) { /* half of a pair */
        if (c->end - c->at < 6 || c->at[0] != '\\' || c->at[1] != 'u') return false;
        c->at += 2;
        if (!take_hex(c, &low) || low < 0xDC00 || low > 0xDFFF) return false;
        cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
    } else if (cp >= 0xDC00 && cp < 0xE000)
        return false;
    c->unescaped_at += utf8_encode(cp, c->unescaped_at);
    return true;
}

/* Room for all that the file can still unescape from here on: what an escape means is never longer than the escape. */
static bool begin_unescaped(json_cursor *c, const char *from)
{
    if (c->unescaped_at) return true;
    c->lists->unescaped = c->unescaped_at = mem_alloc((size_t)(c->end - from) + 1);
    c->no_memory = !c->unescaped_at;
    return !c->no_memory;
}

/* The end of the run of plain characters at the cursor; *ascii false: some are not. */
static const char *plain_end(const json_cursor *c, bool *ascii)
{
    const char *p = c->at;
    unsigned char high = 0;
    while (p < c->end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20) high |= (unsigned char)*p++;
    *ascii = high < 0x80;
    return p;
}

static bool take_string(json_cursor *c, token_text *out)
{
    if (!take(c, '"')) return false;
    char *copy = NULL;
    for (;;) {
        bool ascii;
        const char *from = c->at, *to = plain_end(c, &ascii);
        size_t n = (size_t)(to - from);
        if (to == c->end || (unsigned char)*to < 0x20 || (!ascii && utf8_valid_prefix(from, n) != n)) return false;
        c->at = to + 1;
        if (*to == '"' && !copy) {
            *out = (token_text){from, n};
            return true;
        }
        if (!copy && !begin_unescaped(c, from)) return false;
        if (!copy) copy = c->unescaped_at;
        memcpy(c->unescaped_at, from, n);
        c->unescaped_at += n;
        if (*to == '"') {
            *out = (token_text){copy, (size_t)(c->unescaped_at - copy)};
            return true;
        }
        if (!take_escape(c)) return false;
    }
}

/* ---- values ---- */

static bool skip_string(json_cursor *c)
{
    for (c->at++; c->at < c->end; c->at++) {
        if (*c->at == '"') {
            c->at++;
            return true;
        }
        if (*c->at == '\\' && c->at + 1 < c->end) c->at++;
    }
    return false;
}

/* Goes behind a value, whatever it is. */
static bool skip_value(json_cursor *c)
{
    int64_t depth = 0;
    skip_space(c);
    for (const char *begin = c->at; c->at < c->end;) {
        char ch = *c->at;
        bool closes = ch == '}' || ch == ']', ends = closes || ch == ',';
        if (depth == 0 && ends) return c->at > begin;
        if (ch == '"') {
            if (!skip_string(c)) return false;
        } else
            c->at++;
        depth += (ch == '{' || ch == '[') - closes;
        if (depth == 0 && (closes || ch == '"')) return true;
    }
    return false;
}

typedef bool (*json_member)(json_cursor *c, token_text key);

static bool take_object(json_cursor *c, json_member member)
{
    token_text key;
    if (!take(c, '{')) return false;
    if (take(c, '}')) return true;
    do {
        if (!take_string(c, &key) || !take(c, ':') || !member(c, key)) return false;
    } while (take(c, ','));
    return take(c, '}');
}

/* ---- the lists ---- */

/* Makes room for one more in an array of `count`; NULL when there is no memory. */
static void *grown(json_cursor *c, void *array, size_t count, size_t *room, size_t item)
{
    if (count < *room) return array;
    size_t more = *room ? 2 * *room : 1024;
    void *to = mem_grow(array, count * item, more * item);
    c->no_memory = !to;
    if (to) *room = more;
    return to;
}

static bool take_vocab_entry(json_cursor *c, token_text key)
{
    enum { DIGITS_MAX = 10 };
    int64_t id = 0;
    skip_space(c);
    const char *first = c->at;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9' && c->at - first < DIGITS_MAX; c->at++) id = 10 * id + (*c->at - '0');
    if (c->at == first || (*first == '0' && c->at - first > 1)) return false;
    json_lists *l = c->lists;
    json_vocab_entry *to = grown(c, l->vocab, l->vocab_count, &c->vocab_room, sizeof *to);
    if (!to) return false;
    l->vocab = to;
    to[l->vocab_count++] = (json_vocab_entry){key, id};
    return true;
}

/* "left right", or in newer files ["left", "right"]. */
static bool take_merge(json_cursor *c, token_merge *out)
{
    token_text whole;
    if (next_is(c, '"')) return take_string(c, &whole) && token_merge_split(whole, out);
    return take(c, '[') && take_string(c, &out->left) && take(c, ',') && take_string(c, &out->right) && take(c, ']');
}

static bool take_merges(json_cursor *c)
{
    json_lists *l = c->lists;
    if (!take(c, '[')) return false;
    if (take(c, ']')) return true;
    do {
        token_merge *to = grown(c, l->merges, l->merge_count, &c->merge_room, sizeof *to);
        if (!to) return false;
        l->merges = to;
        if (!take_merge(c, &to[l->merge_count++])) return false;
    } while (take(c, ','));
    return take(c, ']');
}

static bool is(token_text s, const char *word) { return s.size == strlen(word) && memcmp(s.data, word, s.size) == 0; }

static bool take_model_member(json_cursor *c, token_text key)
{
    bool vocab = is(key, "vocab") && next_is(c, '{'), merges = is(key, "merges") && next_is(c, '[');
    if (!vocab && !merges) return skip_value(c);
    if (vocab ? c->vocab_room : c->merge_room) return false; /* twice */
    const char **cut = c->cuts[c->cut_count];
    cut[0] = c->at;
    c->lists->damaged = vocab ? "model.vocab" : "model.merges";
    if (!(vocab ? take_object(c, take_vocab_entry) : take_merges(c))) return false;
    c->lists->damaged = NULL;
    cut[1] = c->at;
    c->cut_count += (vocab ? c->vocab_room : c->merge_room) > 0; /* an empty one stays where it is */
    return true;
}

static bool take_member(json_cursor *c, token_text key)
{
    if (!is(key, "model") || !next_is(c, '{')) return skip_value(c);
    if (c->in_model) return false; /* twice */
    c->in_model = true;
    return take_object(c, take_model_member);
}

static cj_err write_rest(const json_cursor *c, const char *json, size_t n, buf *rest, cj_diag *d)
{
    const char *done = json;
    for (int i = 0; i < c->cut_count; i++) {
        TRY(buf_append(rest, done, (size_t)(c->cuts[i][0] - done), d));
        TRY(buf_puts(rest, *c->cuts[i][0] == '{' ? "{}" : "[]", d));
        done = c->cuts[i][1];
    }
    return buf_append(rest, done, (size_t)(json + n - done), d);
}

cj_err json_lists_read(json_lists *l, const char *json, size_t n, buf *rest, bool *read, cj_diag *d)
{
    *l = (json_lists){0};
    json_cursor c = {.at = json, .end = json + n, .lists = l};
    *read = take_object(&c, take_member);
    if (c.no_memory) return diag_nomem(d, n);
    return *read ? write_rest(&c, json, n, rest, d) : CJ_OK;
}

void json_lists_deinit(json_lists *l)
{
    mem_free(l->vocab);
    mem_free(l->merges);
    mem_free(l->unescaped);
    *l = (json_lists){0};
}
