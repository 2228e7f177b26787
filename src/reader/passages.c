/* Cutting sentences. */
#include "reader/passages.h"

#include <string.h>

#include "base/utf8.h"

static bool is_space(uint32_t cp) { return cp == ' ' || cp == '\t' || cp == '\r' || cp == '\n' || cp == 0x3000 || cp == 0xA0; }

static bool one_of(uint32_t cp, const char *set)
{
    char s[5] = {0};
    utf8_encode(cp, s);
    return cp && strstr(set, s);
}

static bool ends_sentence(uint32_t cp) { return one_of(cp, "。！？…；!?;"); }
static bool closes(uint32_t cp) { return one_of(cp, "”’」』）》】\"')]"); }
static bool is_comma(uint32_t cp) { return one_of(cp, "，、：,:"); }

typedef struct cutter {
    const char *text;
    size_t bytes;
    size_t begin;      /* of the passage being read */
    int64_t chars;     /* in it so far */
    passage_list *out;
} cutter;

static cj_err push(passage_list *l, passage p, cj_diag *d)
{
    if (l->n == l->cap) {
        int64_t cap = l->cap ? l->cap * 2 : 256;
        passage *item = mem_grow(l->item, (size_t)l->n * sizeof *item, (size_t)cap * sizeof *item);
        if (!item) return diag_nomem(d, (size_t)cap * sizeof *item);
        l->item = item;
        l->cap = cap;
    }
    l->item[l->n++] = p;
    return CJ_OK;
}

/* Ends the passage before byte `end`; what is only white space is dropped. */
static cj_err cut(cutter *c, size_t end, cj_diag *d)
{
    size_t begin = c->begin;
    uint32_t cp;
    while (begin < end) {
        int n = utf8_decode(c->text + begin, end - begin, &cp);
        if (!is_space(cp)) break;
        begin += (size_t)n;
    }
    size_t last = begin, at = begin; /* last: after the last character that is no space */
    while (at < end) {
        at += (size_t)utf8_decode(c->text + at, end - at, &cp);
        if (!is_space(cp)) last = at;
    }
    c->begin = end;
    c->chars = 0;
    return last > begin ? push(c->out, (passage){begin, last}, d) : CJ_OK;
}

/* A character at a byte of the text; a Latin stop is one before white space only. */
static bool ends_here(const char *text, size_t bytes, size_t at, uint32_t cp)
{
    return ends_sentence(cp) || (cp == '.' && (at + 1 == bytes || is_space((unsigned char)text[at + 1])));
}

cj_err passages_cut(const char *text, size_t bytes, passage_list *out, cj_diag *d)
{
    cutter c = {text, bytes, 0, 0, out};
    bool ended = false; /* the sentence is over, closing marks may still follow */
    for (size_t at = 0; at < bytes;) {
        uint32_t cp;
        size_t n = (size_t)utf8_decode(text + at, bytes - at, &cp);
        if (ended && !closes(cp) && !ends_sentence(cp)) {
            if (c.chars >= PASSAGE_CHARS_MIN) TRY(cut(&c, at, d));
            ended = false;
        }
        if (cp == '\n') {
            TRY(cut(&c, at, d));
            ended = false;
        }
        if (ends_here(text, bytes, at, cp)) ended = true;
        at += n;
        c.chars++;
        if ((c.chars >= PASSAGE_CHARS_MAX && is_comma(cp)) || c.chars >= 2 * PASSAGE_CHARS_MAX) TRY(cut(&c, at, d));
    }
    return cut(&c, bytes, d);
}

size_t passages_whole(const char *text, size_t bytes)
{
    size_t whole = 0;
    uint32_t cp;
    for (size_t at = 0, n; at < bytes; at += n) {
        n = (size_t)utf8_decode(text + at, bytes - at, &cp);
        if (ends_here(text, bytes, at, cp) || (at && whole == at && closes(cp))) whole = at + n;
    }
    return whole;
}

void passages_deinit(passage_list *l)
{
    mem_free(l->item);
    *l = (passage_list){0};
}
