/* Text: classes of characters, cutting, searching, splitting. Nothing here copies but change of case, escapes and replacement. */
#include "token/jinja_text.h"

#include <stdio.h>
#include <utf8proc.h>

/* ---- characters ---- */

bool jinja_is_space(uint32_t cp)
{
    if (cp < 0x80) return cp == ' ' || (cp >= 9 && cp <= 13) || (cp >= 0x1C && cp <= 0x1F);
    return cp == 0x85 || cp == 0xA0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 ||
           cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

static utf8proc_category_t category(uint32_t cp) { return utf8proc_category((utf8proc_int32_t)cp); }

bool jinja_is_letter(uint32_t cp)
{
    if (cp < 0x80) return (cp | 32) >= 'a' && (cp | 32) <= 'z';
    utf8proc_category_t c = category(cp);
    return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

/* Letters that come in upper and lower case: Chinese characters are letters, but have none. */
static bool is_cased(uint32_t cp)
{
    return jinja_is_letter(cp) && (cp < 0x80 || category(cp) <= UTF8PROC_CATEGORY_LT);
}

bool jinja_is_digit(uint32_t cp)
{
    if (cp < 0x80) return cp >= '0' && cp <= '9';
    return category(cp) == UTF8PROC_CATEGORY_ND;
}

bool jinja_is_printable(uint32_t cp)
{
    if (cp < 0x80) return cp >= ' ' && cp < 0x7F;
    utf8proc_category_t c = category(cp);
    return c != UTF8PROC_CATEGORY_CN && c < UTF8PROC_CATEGORY_ZS;
}

/* The character that ends at s + n. */
static int decode_last(const char *s, size_t n, uint32_t *cp)
{
    size_t back = 1;
    while (back < n && back < 4 && ((unsigned char)s[n - back] & 0xC0) == 0x80) back++;
    return utf8_decode(s + n - back, back, cp);
}

size_t jinja_space_prefix(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n) {
        uint32_t cp;
        int len = utf8_decode(s + i, n - i, &cp);
        if (!jinja_is_space(cp)) break;
        i += (size_t)len;
    }
    return i;
}

size_t jinja_space_suffix(const char *s, size_t n)
{
    size_t left = n;
    while (left) {
        uint32_t cp;
        int len = decode_last(s, left, &cp);
        if (!jinja_is_space(cp)) break;
        left -= (size_t)len;
    }
    return n - left;
}

/* ---- measuring and cutting ---- */

size_t jinja_length(jinja_value text)
{
    size_t n = 0; /* bytes that begin a character */
    for (size_t i = 0; i < text.size; i++) n += ((unsigned char)text.text[i] & 0xC0) != 0x80;
    return n;
}

size_t jinja_offset(jinja_value text, size_t character)
{
    for (size_t i = 0; i < text.size; i++)
        if (((unsigned char)text.text[i] & 0xC0) != 0x80 && character-- == 0) return i;
    return text.size;
}

jinja_value jinja_cut(jinja_value text, size_t from, size_t to)
{
    text.text += from;
    text.size = to - from;
    return text;
}

static bool in_set(uint32_t cp, const jinja_value *set)
{
    if (!set) return jinja_is_space(cp);
    for (size_t i = 0; i < set->size;) {
        uint32_t other;
        i += (size_t)utf8_decode(set->text + i, set->size - i, &other);
        if (other == cp) return true;
    }
    return false;
}

jinja_value jinja_strip(jinja_value text, const jinja_value *set, bool left, bool right)
{
    uint32_t cp;
    while (left && text.size) {
        int len = utf8_decode(text.text, text.size, &cp);
        if (!in_set(cp, set)) break;
        text = jinja_cut(text, (size_t)len, text.size);
    }
    while (right && text.size) {
        int len = decode_last(text.text, text.size, &cp);
        if (!in_set(cp, set)) break;
        text.size -= (size_t)len;
    }
    return text;
}

size_t jinja_find(jinja_value text, jinja_value what, size_t from, size_t to, bool last)
{
    if (from > to || to - from < what.size) return SIZE_MAX;
    if (!last) {
        const char *at = memmem(text.text + from, to - from, what.text, what.size);
        return at ? (size_t)(at - text.text) : SIZE_MAX;
    }
    for (size_t at = to - what.size + 1; at-- > from;)
        if (!memcmp(text.text + at, what.text, what.size)) return at;
    return SIZE_MAX;
}

bool jinja_starts(jinja_value text, jinja_value with)
{
    return text.size >= with.size && !memcmp(text.text, with.text, with.size);
}

bool jinja_ends(jinja_value text, jinja_value with)
{
    return text.size >= with.size && !memcmp(text.text + text.size - with.size, with.text, with.size);
}

/* ---- writing ---- */

cj_err jinja_write(jinja_writer *out, const char *s, size_t n)
{
    jinja_work *w = out->work;
    if (out->capacity - out->size < n) {
        size_t want = (out->size + n) * 2; /* both are below the memory's cap */
        if (out->data && out->data + out->capacity == w->top && (size_t)(w->end - w->top) >= want - out->capacity) {
            w->top += want - out->capacity;
        } else {
            char *p;
            TRY(jinja_take_text(w, want, &p));
            if (out->size) memcpy(p, out->data, out->size);
            out->data = p;
        }
        out->capacity = want;
    }
    if (n) memcpy(out->data + out->size, s, n);
    out->size += n;
    return CJ_OK;
}

cj_err jinja_write_char(jinja_writer *out, uint32_t cp)
{
    char s[4];
    int n = utf8_encode(cp, s);
    return jinja_write(out, s, (size_t)n);
}

jinja_value jinja_written(jinja_writer *out)
{
    if (out->data && out->data + out->capacity == out->work->top) out->work->top = out->data + out->size;
    return jinja_text(out->data ? out->data : "", out->size);
}

static bool begins_word(jinja_case to, uint32_t before, bool first)
{
    if (first) return true;
    if (to == JINJA_TITLE) return !is_cased(before);
    return to == JINJA_TITLE_FILTER && (jinja_is_space(before) || (before < 0x80 && strchr("-({[<", (int)before)));
}

cj_err jinja_change_case(jinja_work *w, jinja_value text, jinja_case to, jinja_value *out)
{
    jinja_writer o = {.work = w};
    uint32_t cp, before = 0;
    for (size_t i = 0; i < text.size; before = cp) {
        bool first = i == 0;
        i += (size_t)utf8_decode(text.text + i, text.size - i, &cp);
        bool upper = to == JINJA_UPPER || (to != JINJA_LOWER && begins_word(to, before, first));
        uint32_t changed = (uint32_t)(upper ? utf8proc_toupper((utf8proc_int32_t)cp) : utf8proc_tolower((utf8proc_int32_t)cp));
        if (upper && cp == 0xDF) TRY(jinja_write(&o, to == JINJA_UPPER ? "SS" : "Ss", 2)); /* sharp s has no capital in Unicode's simple mapping */
        else TRY(jinja_write_char(&o, changed));
    }
    uint8_t mark = text.mark;
    *out = jinja_written(&o);
    out->mark = mark;
    return CJ_OK;
}

cj_err jinja_escape(jinja_work *w, jinja_value text, jinja_value *out)
{
    static const char from[] = "&<>'\"", *const to[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    jinja_writer o = {.work = w};
    for (size_t i = 0; i < text.size; i++) {
        const char *at = text.text[i] ? strchr(from, text.text[i]) : NULL;
        if (at) TRY(jinja_write(&o, to[at - from], strlen(to[at - from])));
        else TRY(jinja_write(&o, text.text + i, 1));
    }
    *out = jinja_written(&o);
    return CJ_OK;
}

cj_err jinja_replace(jinja_work *w, jinja_value text, jinja_value old, jinja_value with, int64_t limit, jinja_value *out)
{
    jinja_writer o = {.work = w};
    size_t at = 0;
    uint8_t mark = text.mark;
    for (int64_t done = 0; limit < 0 || done < limit; done++) {
        size_t found = jinja_find(text, old, at, text.size, false);
        if (found == SIZE_MAX) break;
        TRY(jinja_write(&o, text.text + at, found - at));
        TRY(jinja_write(&o, with.text, with.size));
        at = found + old.size;
        if (old.size) continue;
        if (at == text.size) break; /* an empty `old` matches before each character and at the end */
        uint32_t cp;
        int len = utf8_decode(text.text + at, text.size - at, &cp);
        TRY(jinja_write(&o, text.text + at, (size_t)len));
        at += (size_t)len;
    }
    if (at == 0 && !o.size) { /* nothing replaced, nothing copied */
        *out = text;
        return CJ_OK;
    }
    TRY(jinja_write(&o, text.text + at, text.size - at));
    *out = jinja_written(&o);
    out->mark = mark;
    return CJ_OK;
}

/* ---- splitting ---- */

static cj_err split_at(jinja_work *w, jinja_value text, jinja_value separator, int64_t limit, bool from_end, jinja_list *list)
{
    while (limit != 0) {
        size_t at = jinja_find(text, separator, 0, text.size, from_end);
        if (at == SIZE_MAX) break;
        TRY(jinja_list_add(w, list, from_end ? jinja_cut(text, at + separator.size, text.size) : jinja_cut(text, 0, at)));
        text = from_end ? jinja_cut(text, 0, at) : jinja_cut(text, at + separator.size, text.size);
        if (limit > 0) limit--;
    }
    return jinja_list_add(w, list, text);
}

static cj_err split_blanks(jinja_work *w, jinja_value text, int64_t limit, bool from_end, jinja_list *list)
{
    for (;; limit -= limit > 0) {
        text = jinja_strip(text, NULL, !from_end, from_end);
        if (!text.size) return CJ_OK;
        if (limit == 0) return jinja_list_add(w, list, text);
        size_t n = 0;
        while (n < text.size) {
            uint32_t cp;
            int len = from_end ? decode_last(text.text, text.size - n, &cp) : utf8_decode(text.text + n, text.size - n, &cp);
            if (jinja_is_space(cp)) break;
            n += (size_t)len;
        }
        size_t at = text.size - n;
        TRY(jinja_list_add(w, list, from_end ? jinja_cut(text, at, text.size) : jinja_cut(text, 0, n)));
        text = from_end ? jinja_cut(text, 0, at) : jinja_cut(text, n, text.size);
    }
}

cj_err jinja_split(jinja_work *w, jinja_value text, const jinja_value *separator, int64_t limit, bool from_end, jinja_list **out)
{
    jinja_list *list;
    TRY(jinja_list_new(w, 4, JINJA_PLAIN, &list));
    if (separator) TRY(split_at(w, text, *separator, limit, from_end, list));
    else TRY(split_blanks(w, text, limit, from_end, list));
    if (from_end)
        for (size_t i = 0, j = list->count; i + 1 < j; i++) {
            jinja_value v = list->items[i];
            list->items[i] = list->items[--j];
            list->items[j] = v;
        }
    *out = list;
    return CJ_OK;
}

static bool ends_line(uint32_t cp)
{
    return (cp >= 10 && cp <= 13) || (cp >= 0x1C && cp <= 0x1E) || cp == 0x85 || cp == 0x2028 || cp == 0x2029;
}

cj_err jinja_split_lines(jinja_work *w, jinja_value text, bool keep_ends, jinja_list **out)
{
    jinja_list *list;
    TRY(jinja_list_new(w, 4, JINJA_PLAIN, &list));
    size_t from = 0;
    for (size_t i = 0; i < text.size;) {
        uint32_t cp;
        size_t at = i;
        i += (size_t)utf8_decode(text.text + i, text.size - i, &cp);
        if (!ends_line(cp)) continue;
        if (cp == '\r' && i < text.size && text.text[i] == '\n') i++;
        TRY(jinja_list_add(w, list, jinja_cut(text, from, keep_ends ? i : at)));
        from = i;
    }
    if (from < text.size) TRY(jinja_list_add(w, list, jinja_cut(text, from, text.size)));
    *out = list;
    return CJ_OK;
}

/* ---- string literals ---- */

static int hex_digits(const char *s, size_t n, int want, uint32_t *out)
{
    uint32_t v = 0;
    for (int i = 0; i < want; i++) {
        if ((size_t)i >= n) return 0;
        char c = s[i];
        int d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (d < 0) return 0;
        v = v << 4 | (uint32_t)d;
    }
    *out = v;
    return want;
}

/* Resolves the escape at s (a backslash): its length, 0 when it is malformed. Writes nothing for an escaped line break. */
static cj_err unescape_one(jinja_writer *o, const char *s, size_t n, size_t *used)
{
    static const char from[] = "abfnrtv\\'\"", to[] = "\a\b\f\n\r\t\v\\'\"";
    char c = n > 1 ? s[1] : 0;
    const char *at = c ? strchr(from, c) : NULL;
    *used = 2;
    if (at) return jinja_write(o, to + (at - from), 1);
    if (c == '\n') return CJ_OK;
    uint32_t v = 0;
    if (c >= '0' && c <= '7') {
        size_t i = 1;
        for (; i < 4 && i < n && s[i] >= '0' && s[i] <= '7'; i++) v = v << 3 | (uint32_t)(s[i] - '0');
        *used = i;
        return jinja_write_char(o, v);
    }
    int want = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (want) {
        bool good = hex_digits(s + 2, n - 2, want, &v) && v <= 0x10FFFF && (v < 0xD800 || v > 0xDFFF);
        *used = good ? 2 + (size_t)want : 0;
        return good ? jinja_write_char(o, v) : CJ_OK;
    }
    if (c == 'N') { /* characters by name */
        *used = 0;
        return CJ_OK;
    }
    *used = 1; /* any other backslash stands for itself; before a character beyond ASCII, Python spells that one out */
    TRY(jinja_write(o, s, 1));
    if ((unsigned char)c < 0x80) return CJ_OK;
    char spelled[16];
    *used += (size_t)utf8_decode(s + 1, n - 1, &v);
    int len = snprintf(spelled, sizeof spelled, v < 0x100 ? "x%02x" : v < 0x10000 ? "u%04x" : "U%08x", v);
    return jinja_write(o, spelled, (size_t)len);
}

cj_err jinja_unescape(jinja_work *w, const char *s, size_t n, jinja_value *out)
{
    const char *slash = memchr(s, '\\', n);
    if (!slash) {
        *out = jinja_text(s, n);
        return CJ_OK;
    }
    jinja_writer o = {.work = w};
    for (size_t i = 0, used; i < n; i += used) {
        slash = memchr(s + i, '\\', n - i);
        size_t plain = slash ? (size_t)(slash - (s + i)) : n - i;
        TRY(jinja_write(&o, s + i, plain));
        i += plain;
        used = 0;
        if (i == n) break;
        TRY(unescape_one(&o, s + i, n - i, &used));
        if (!used) return jinja_fail(w, CJ_E_INPUT, MSG_TEMPLATE_LITERAL, "%.*s", JINJA_SHOW(s + i, n - i));
    }
    *out = jinja_written(&o);
    return CJ_OK;
}
