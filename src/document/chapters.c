/* Headings and articles. A line is a heading when it is short, begins as one and goes on as one; a table of contents (headings with nothing
 * between them) is left out. An article's number is followed by its text, on the same line or the next. */
#include "document/chapters.h"

#include <string.h>

#include "base/utf8.h"

/* The next character of [s, end) into *cp; returns what follows it. */
static const char *next(const char *s, const char *end, uint32_t *cp)
{
    return s + utf8_decode(s, (size_t)(end - s), cp);
}

static bool is_space(uint32_t cp) { return cp == ' ' || cp == '\t' || cp == '\r' || cp == 0x3000 || cp == 0xA0; }

static bool one_of(uint32_t cp, const char *set)
{
    char s[5] = {0};
    utf8_encode(cp, s);
    return cp && strstr(set, s);
}

static bool is_numeral(uint32_t cp)
{
    return (cp >= '0' && cp <= '9') || (cp >= 0xFF10 && cp <= 0xFF19) || one_of(cp, "零〇一二三四五六七八九十百千两廿卅壹贰叁肆伍陆柒捌玖拾");
}

static bool is_unit(uint32_t cp) { return one_of(cp, "回章卷节節部篇集编編"); }

/* Whether a character of the set stands in [s, end); *last is the last character. */
static bool has_any(const char *s, const char *end, const char *set, uint32_t *last)
{
    bool any = false;
    while (s < end) {
        s = next(s, end, last);
        any |= one_of(*last, set);
    }
    return any;
}

/* What stands behind a number is a title rather than a sentence of the text that happens to begin so: a title stands apart from the number or is
 * short, and neither ends nor pauses as a sentence does. */
static bool is_chinese_title(const char *s, const char *end)
{
    enum { RUNNING_ON = 30 };
    uint32_t first, last = 0;
    if (s == end) return true;
    next(s, end, &first);
    if (has_any(s, end, "。", &last) || one_of(last, "，；,;")) return false;
    if (is_space(first) || one_of(first, "：:．.、·—-《（(「【〔")) return true;
    return !has_any(s, end, "，；！？,;!?", &last) && utf8_count(s, (size_t)(end - s)) <= RUNNING_ON;
}

/* "Chapter 4 shows this." is a sentence, "Chapter 4. This." is not. */
static bool is_western_title(const char *s, const char *end)
{
    while (s < end && strchr("0123456789IVXLCDM", *s)) s++;
    return s == end || *s != ' ' || !strchr(".,;", end[-1]);
}

/* After `first` and numerals, spaces between them allowed: what follows, and in *cp the character there (0: the end). NULL when s is not so. */
static const char *after_number(const char *s, const char *end, uint32_t first, uint32_t *cp)
{
    const char *at = next(s, end, cp);
    if (*cp != first) return NULL;
    for (int numerals = 0;;) {
        if (at == end) *cp = 0;
        else if (next(at, end, cp) && (is_numeral(*cp) || is_space(*cp))) {
            numerals += is_numeral(*cp);
            at = next(at, end, cp);
            continue;
        }
        return numerals ? at : NULL;
    }
}

enum { ORDINAL = 0x7B2C, VOLUME = 0x5377, AFTER = 0x4E4B, ARTICLE = 0x6761, ARTICLE_OLD = 0x689D }; /* 第 卷 之 条 條 */

/* 第 numeral+ unit, and 卷 numeral+. */
static bool is_chinese_heading(const char *s, const char *end)
{
    uint32_t cp;
    const char *at = after_number(s, end, ORDINAL, &cp);
    if (at) return is_unit(cp) && is_chinese_title(next(at, end, &cp), end);
    return after_number(s, end, VOLUME, &cp) && cp == 0;
}

/* 第 numeral+ 条, and 之 numeral+ after it: the end of that, when a space, a line end or a mark follows. NULL: no article. */
static const char *chinese_article(const char *s, const char *end)
{
    static const char *const marks = "：:．.、（(【[*";
    uint32_t cp;
    const char *at = after_number(s, end, ORDINAL, &cp), *more;
    if (!at || (cp != ARTICLE && cp != ARTICLE_OLD)) return NULL;
    at = next(at, end, &cp);
    if (at < end && (more = after_number(at, end, AFTER, &cp))) {
        while (is_space((unsigned char)more[-1]) || !memcmp(more - 3, "\xE3\x80\x80", 3)) more -= is_space((unsigned char)more[-1]) ? 1 : 3;
        at = more;
    }
    if (at == end) return at;
    char c[5] = {0};
    next(at, end, &cp);
    utf8_encode(cp, c);
    return is_space(cp) || strstr(marks, c) ? at : NULL;
}

/* "Article 12" and what may end its number. */
static const char *western_article(const char *s, const char *end)
{
    if (end - s < 9 || (memcmp(s, "Article ", 8) && memcmp(s, "ARTICLE ", 8))) return NULL;
    const char *at = s + 8;
    while (at < end && *at >= '0' && *at <= '9') at++;
    if (at == s + 8) return NULL;
    return at == end || strchr(" .:,(-\t\r", *at) ? at : NULL;
}

static bool begins_with(const char *s, const char *end, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(end - s) > n && !memcmp(s, word, n);
}

static bool is_western_heading(const char *s, const char *end)
{
    static const char *const words[] = {"Chapter ", "CHAPTER ", "Part ", "PART ", "Book ", "BOOK "};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (begins_with(s, end, words[i])) {
            char c = s[strlen(words[i])];
            return ((c >= '0' && c <= '9') || strchr("IVXLC", c)) && is_western_title(s + strlen(words[i]), end);
        }
    return false;
}

bool chapters_is_heading(const char *s, const char *end)
{
    return s < end && (is_chinese_heading(s, end) || is_western_heading(s, end) || chinese_article(s, end) || western_article(s, end));
}

static bool is_markdown_heading(const char *s, const char *end)
{
    if (*s != '#') return false;
    while (s < end && *s == '#') s++;
    return s < end && *s == ' ';
}

/* A line that begins or ends code. */
static bool is_fence(const char *s, const char *end) { return end - s >= 3 && (!memcmp(s, "```", 3) || !memcmp(s, "~~~", 3)); }

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

int chapters_close(document_chapter *c, int n, const char *text, size_t bytes)
{
    int kept = 0;
    for (int i = 0; i < n; i++) {
        c[i].end = i + 1 < n ? c[i + 1].byte : bytes;
        const char *s = text + c[i].title_end, *end = text + c[i].end;
        while (s < end && (*s == '\n' || is_space((unsigned char)*s))) s++;
        if (s < end || i + 1 == n) c[kept++] = c[i];
    }
    for (int i = 0; i + 1 < kept; i++) c[i].end = c[i + 1].byte;
    return kept;
}

/* The next line of *at without spaces around it; *at goes on behind it. */
static void next_line(const char **at, const char *stop, const char **s, const char **end)
{
    const char *nl = memchr(*at, '\n', (size_t)(stop - *at));
    *s = *at;
    *end = nl ? nl : stop;
    *at = nl ? nl + 1 : stop;
    trim(s, end);
}

cj_err chapters_find(const char *text, size_t bytes, bool markdown, document_chapter **out, int *n, cj_diag *d)
{
    finder f = {0};
    bool in_code = false;
    for (const char *line = text, *stop = text + bytes; line < stop;) {
        const char *s, *end, *begin = line;
        next_line(&line, stop, &s, &end);
        in_code ^= markdown && is_fence(s, end);
        bool candidate = s < end && !in_code && (size_t)(end - s) <= DOCUMENT_TITLE_MAX * 4 && f.n < DOCUMENT_CHAPTERS_MAX;
        if (candidate && (is_chinese_heading(s, end) || is_western_heading(s, end) || (markdown && is_markdown_heading(s, end))) && utf8_count(s, (size_t)(end - s)) <= DOCUMENT_TITLE_MAX) {
            document_chapter c = {.byte = (size_t)(begin - text), .title_byte = (size_t)(s - text), .title_end = (size_t)(end - text)};
            cj_err e = add(&f, &c, d);
            if (e) {
                mem_free(f.list);
                return e;
            }
        }
    }
    *n = chapters_close(f.list, f.n, text, bytes);
    *out = f.list;
    return CJ_OK;
}

cj_err articles_find(const char *text, size_t bytes, document_article **out, int *n, cj_diag *d)
{
    document_article *list = NULL;
    int cap = 0;
    *n = 0;
    for (const char *line = text, *stop = text + bytes; line < stop && *n < DOCUMENT_ARTICLES_MAX;) {
        const char *s, *end, *label_end;
        next_line(&line, stop, &s, &end);
        while (s < end && (*s == '*' || *s == '#' || *s == ' ')) s++; /* Markdown */
        if (s == end || (!(label_end = chinese_article(s, end)) && !(label_end = western_article(s, end)))) continue;
        if (*n == cap) {
            int more = cap ? cap * 2 : 64;
            document_article *grown = mem_grow(list, (size_t)cap * sizeof *list, (size_t)more * sizeof *list);
            if (!grown) {
                mem_free(list);
                return diag_nomem(d, (size_t)more * sizeof *list);
            }
            list = grown;
            cap = more;
        }
        list[(*n)++] = (document_article){(size_t)(s - text), (size_t)(label_end - text)};
    }
    *out = list;
    return CJ_OK;
}
