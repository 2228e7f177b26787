/* Headings. A line is a heading when it is short and begins as one; a table of contents (headings with nothing between them) is
 * left out. */
#include "document/chapters.h"

#include <string.h>

#include "base/utf8.h"

/* The next character of [s, end) into *cp; returns what follows it. */
static const char *next(const char *s, const char *end, uint32_t *cp)
{
    return s + utf8_decode(s, (size_t)(end - s), cp);
}

static bool is_space(uint32_t cp) { return cp == ' ' || cp == '\t' || cp == '\r' || cp == 0x3000 || cp == 0xA0; }

static bool is_numeral(uint32_t cp)
{
    static const char *const numerals = "零〇一二三四五六七八九十百千两廿卅壹贰叁肆伍陆柒捌玖拾";
    if ((cp >= '0' && cp <= '9') || (cp >= 0xFF10 && cp <= 0xFF19)) return true;
    char s[5] = {0};
    utf8_encode(cp, s);
    return cp > 0x7F && strstr(numerals, s);
}

static bool is_unit(uint32_t cp)
{
    static const char *const units = "回章卷节節部篇集编編条條";
    char s[5] = {0};
    utf8_encode(cp, s);
    return cp > 0x7F && strstr(units, s);
}

/* 第 numeral+ unit, and 卷 numeral+. */
static bool is_chinese_heading(const char *s, const char *end)
{
    uint32_t cp;
    const char *at = next(s, end, &cp);
    bool ordinal = cp == 0x7B2C, volume = cp == 0x5377; /* 第, 卷 */
    int numerals = 0;
    if (!ordinal && !volume) return false;
    while (at < end) {
        at = next(at, end, &cp);
        if (is_numeral(cp)) numerals++;
        else if (!is_space(cp)) break;
        cp = 0;
    }
    if (!numerals) return false;
    return ordinal ? is_unit(cp) : cp == 0;
}

static bool begins_with(const char *s, const char *end, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(end - s) > n && !memcmp(s, word, n);
}

static bool is_western_heading(const char *s, const char *end)
{
    static const char *const words[] = {"Chapter ", "CHAPTER ", "Part ", "PART ", "Book ", "BOOK "};
    if (*s == '#') {
        while (s < end && *s == '#') s++;
        return s < end && *s == ' ';
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (begins_with(s, end, words[i])) {
            char c = s[strlen(words[i])];
            return (c >= '0' && c <= '9') || strchr("IVXLC", c);
        }
    return false;
}

/* Takes spaces off both ends. */
static void trim(const char **s, const char **end)
{
    uint32_t cp;
    while (*s < *end) {
        const char *after = next(*s, *end, &cp);
        if (!is_space(cp)) break;
        *s = after;
    }
    while (*end > *s) {
        const char *last = *end - 1;
        while (last > *s && ((unsigned char)*last & 0xC0) == 0x80) last--;
        next(last, *end, &cp);
        if (!is_space(cp)) break;
        *end = last;
    }
}

typedef struct finder {
    document_chapter *list;
    int n, cap;
} finder;

static cj_err add(finder *f, const document_chapter *c, cj_diag *d)
{
    if (f->n == f->cap) {
        int cap = f->cap ? f->cap * 2 : 64;
        document_chapter *list = mem_grow(f->list, (size_t)f->n * sizeof *list, (size_t)cap * sizeof *list);
        if (!list) return diag_nomem(d, (size_t)cap * sizeof *list);
        f->list = list;
        f->cap = cap;
    }
    f->list[f->n++] = *c;
    return CJ_OK;
}

/* Sets the ends, and drops headings that have no text of their own before the next one. */
static int close_chapters(document_chapter *c, int n, const char *text, size_t bytes)
{
    int kept = 0;
    for (int i = 0; i < n; i++) {
        c[i].end = i + 1 < n ? c[i + 1].byte : bytes;
        const char *s = text + c[i].title_end, *end = text + c[i].end;
        while (s < end && (*s == '\n' || is_space((unsigned char)*s))) s++;
        if (s < end || i + 1 == n) c[kept++] = c[i];
    }
    return kept;
}

cj_err chapters_find(const char *text, size_t bytes, document_chapter **out, int *n, cj_diag *d)
{
    finder f = {0};
    for (const char *line = text, *stop = text + bytes; line < stop;) {
        const char *nl = memchr(line, '\n', (size_t)(stop - line)), *after = nl ? nl + 1 : stop;
        const char *s = line, *end = nl ? nl : stop;
        trim(&s, &end);
        bool candidate = s < end && (size_t)(end - s) <= DOCUMENT_TITLE_MAX * 4 && f.n < DOCUMENT_CHAPTERS_MAX;
        if (candidate && (is_chinese_heading(s, end) || is_western_heading(s, end)) && utf8_count(s, (size_t)(end - s)) <= DOCUMENT_TITLE_MAX) {
            document_chapter c = {.byte = (size_t)(line - text), .title_byte = (size_t)(s - text), .title_end = (size_t)(end - text)};
            cj_err e = add(&f, &c, d);
            if (e) {
                mem_free(f.list);
                return e;
            }
        }
        line = after;
    }
    *n = close_chapters(f.list, f.n, text, bytes);
    *out = f.list;
    return CJ_OK;
}
