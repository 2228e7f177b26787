/* Putting a text together. Invariant: the text ends in a word, or is empty, or (in verbatim text) ends in what was given. */
#include "document/draft.h"

#include <string.h>

#include "base/utf8.h"

void draft_init(draft *t)
{
    *t = (draft){.heading = SIZE_MAX};
    buf_init(&t->text, DOCUMENT_TEXT_MAX);
}

void draft_deinit(draft *t)
{
    buf_deinit(&t->text);
    mem_free(t->headings);
    mem_free(t->pages);
    *t = (draft){.heading = SIZE_MAX};
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static bool line_is_empty(const draft *t) { return !t->text.len || t->text.data[t->text.len - 1] == '\n'; }

void draft_break(draft *t, draft_gap gap)
{
    if (gap == DRAFT_LINE && t->heading != SIZE_MAX) gap = DRAFT_SPACE;
    if (gap == DRAFT_CELL || gap > t->gap) t->gap = gap;
}

/* Whether the character that ends the text, and the one that s begins with, are both wide: a line end of the source between two
 * Chinese characters is no space. */
static bool between_wide(const draft *t, const char *s, size_t n)
{
    size_t at = t->text.len - 1;
    uint32_t before, after;
    while (at && ((unsigned char)t->text.data[at] & 0xC0) == 0x80) at--;
    utf8_decode(t->text.data + at, t->text.len - at, &before);
    utf8_decode(s, n, &after);
    return utf8_width(before) == 2 && utf8_width(after) == 2;
}

/* Writes the gap that is due before s. */
static cj_err close_gap(draft *t, const char *s, size_t n, cj_diag *d)
{
    static const char *const written[] = {"", " ", " ", " | ", "\n"};
    draft_gap gap = t->gap;
    t->gap = DRAFT_NONE;
    if (line_is_empty(t)) return CJ_OK;
    if (gap == DRAFT_SOFT_SPACE && between_wide(t, s, n)) return CJ_OK;
    return buf_puts(&t->text, written[gap], d);
}

cj_err draft_words(draft *t, const char *s, size_t n, cj_diag *d)
{
    for (size_t i = 0; i < n;) {
        if (is_space(s[i])) {
            draft_break(t, s[i] == '\n' ? DRAFT_SOFT_SPACE : DRAFT_SPACE);
            i++;
            continue;
        }
        size_t end = i;
        while (end < n && !is_space(s[end])) end++;
        TRY(close_gap(t, s + i, n - i, d));
        TRY(buf_append(&t->text, s + i, end - i, d));
        i = end;
    }
    return CJ_OK;
}

cj_err draft_verbatim(draft *t, const char *s, size_t n, cj_diag *d)
{
    if (!n) return CJ_OK;
    TRY(close_gap(t, s, n, d));
    return buf_append(&t->text, s, n, d);
}

void draft_heading_begin(draft *t)
{
    t->heading = SIZE_MAX;
    draft_break(t, DRAFT_LINE);
    t->heading = t->text.len; /* the gap before it is still to come */
}

cj_err draft_heading_end(draft *t, cj_diag *d)
{
    size_t begin = t->heading;
    t->heading = SIZE_MAX;
    if (begin == SIZE_MAX || begin == t->text.len) return CJ_OK;
    draft_break(t, DRAFT_LINE);
    if (t->text.data[begin] == '\n') begin++;
    return draft_heading_at(t, begin, t->text.len, d);
}

/* Makes room for one more in a growing list. */
static cj_err room_for(void **list, int n, int *cap, size_t size, cj_diag *d)
{
    if (n < *cap) return CJ_OK;
    int more = *cap ? *cap * 2 : 64;
    void *grown = mem_grow(*list, (size_t)n * size, (size_t)more * size);
    if (!grown) return diag_nomem(d, (size_t)more * size);
    *list = grown;
    *cap = more;
    return CJ_OK;
}

cj_err draft_heading_at(draft *t, size_t byte, size_t end, cj_diag *d)
{
    if (t->n_headings >= DOCUMENT_CHAPTERS_MAX) return CJ_OK;
    size_t cut = byte;
    for (int chars = 0; cut < end && chars < DOCUMENT_TITLE_MAX; chars++) {
        uint32_t cp;
        cut += (size_t)utf8_decode(t->text.data + cut, end - cut, &cp);
    }
    void *list = t->headings;
    TRY(room_for(&list, t->n_headings, &t->cap_headings, sizeof *t->headings, d));
    t->headings = list;
    t->headings[t->n_headings++] = (document_chapter){.byte = byte, .title_byte = byte, .title_end = cut};
    return CJ_OK;
}

cj_err draft_page(draft *t, cj_diag *d)
{
    if (t->n_pages >= DOCUMENT_PAGES_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "pages", DOCUMENT_PAGES_MAX);
    if (!line_is_empty(t)) TRY(buf_puts(&t->text, "\n", d));
    t->gap = DRAFT_NONE;
    void *list = t->pages;
    TRY(room_for(&list, t->n_pages, &t->cap_pages, sizeof *t->pages, d));
    t->pages = list;
    t->pages[t->n_pages++] = t->text.len;
    return CJ_OK;
}

/* Whether two texts say the same, white space aside. */
static bool same_words(const char *a, size_t n, const char *b)
{
    for (const char *end = a + n;;) {
        while (a < end && is_space(*a)) a++;
        while (is_space(*b)) b++;
        if (a == end || !*b) return a == end && !*b;
        if (*a++ != *b++) return false;
    }
}

cj_err draft_append(draft *t, const draft *part, const char *label, cj_diag *d)
{
    const char *text = part->text.data;
    size_t n = part->text.len;
    if (!n) return CJ_OK;
    while (n && text[n - 1] == '\n') n--;
    const char *nl = memchr(text, '\n', n);
    size_t first_line = nl ? (size_t)(nl - text) : n;
    bool unnamed = !part->n_headings && label && *label, named_by_line = unnamed && same_words(text, first_line, label);
    if (unnamed && !named_by_line) {
        draft_heading_begin(t);
        TRY(draft_words(t, label, strlen(label), d));
        TRY(draft_heading_end(t, d));
    }
    draft_break(t, DRAFT_LINE);
    TRY(close_gap(t, text, n, d));
    size_t at = t->text.len;
    TRY(buf_append(&t->text, text, n, d));
    if (named_by_line) TRY(draft_heading_at(t, at, at + first_line, d));
    for (int i = 0; i < part->n_headings; i++)
        TRY(draft_heading_at(t, at + part->headings[i].title_byte, at + part->headings[i].title_end, d));
    draft_break(t, DRAFT_LINE);
    return CJ_OK;
}
