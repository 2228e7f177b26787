/* Cutting a text into pieces.
 *
 * A pair is told once its right half is there, before the right half itself: so it is still at the place of its left half, and an
 * index that counts places counts one for each character. */
#include "shelf/text_pieces.h"

#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"

enum { FOLDED_MAX = 32, UTF8_MAX = 4 };

typedef struct cutter {
    int (*visit)(void *arg, const text_piece *p);
    void *arg;
    size_t from, end;           /* the character of the text that is being looked at */
    char word[TEXT_PIECE_MAX];
    int word_length;
    size_t word_from, word_end;
    char left[UTF8_MAX];        /* the CJK character before, if it touches this one */
    int left_length;
    size_t left_from;
} cutter;

static bool is_cjk(uint32_t c)
{
    static const struct { uint32_t first, last; } ranges[] = {
        {0x2E80, 0x2FDF}, {0x3005, 0x3007}, {0x3041, 0x3096}, {0x309D, 0x309F}, {0x30A1, 0x30FA}, {0x30FC, 0x312F}, /* radicals, kana */
        {0x3400, 0x4DBF}, {0x4E00, 0x9FFF}, {0xAC00, 0xD7A3}, {0xF900, 0xFAFF}, {0x20000, 0x3FFFF},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (c >= ranges[i].first && c <= ranges[i].last) return true;
    return false;
}

static int end_word(cutter *c)
{
    text_piece p = {c->word, c->word_length, false, c->word_from, c->word_end};
    if (!c->word_length) return 0;
    c->word_length = 0;
    return c->visit(c->arg, &p);
}

static int add_cjk(cutter *c, uint32_t cp)
{
    char both[2 * UTF8_MAX];
    int r = end_word(c);
    if (r) return r;
    memcpy(both, c->left, (size_t)c->left_length);
    int length = utf8_encode(cp, both + c->left_length);
    if (c->left_length) {
        text_piece pair = {both, c->left_length + length, true, c->left_from, c->end};
        r = c->visit(c->arg, &pair);
        if (r) return r;
    }
    memcpy(c->left, both + c->left_length, (size_t)length);
    c->left_length = length;
    c->left_from = c->from;
    text_piece one = {c->left, length, false, c->from, c->end};
    return c->visit(c->arg, &one);
}

static void add_letter(cutter *c, uint32_t cp)
{
    char bytes[UTF8_MAX];
    int length = utf8_encode(cp, bytes);
    c->left_length = 0;
    if (!c->word_length) c->word_from = c->from;
    c->word_end = c->end;
    if (c->word_length + length > TEXT_PIECE_MAX) return;
    memcpy(c->word + c->word_length, bytes, (size_t)length);
    c->word_length += length;
}

static int part(cutter *c)
{
    c->left_length = 0;
    return end_word(c);
}

/* One character that is already folded. */
static int add(cutter *c, uint32_t cp)
{
    if (is_cjk(cp)) return add_cjk(c, cp);
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LL: case UTF8PROC_CATEGORY_LT: case UTF8PROC_CATEGORY_LM: case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND: case UTF8PROC_CATEGORY_NL: case UTF8PROC_CATEGORY_NO: add_letter(c, cp); return 0;
    case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ME: return 0; /* accents */
    default: return part(c);
    }
}

/* ß becomes ss. */
static int lower(cutter *c, utf8proc_int32_t cp)
{
    utf8proc_int32_t folded[FOLDED_MAX];
    int last = 0, r = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char(cp, folded, FOLDED_MAX, UTF8PROC_CASEFOLD, &last);
    for (utf8proc_ssize_t i = 0; !r && i < n && i < FOLDED_MAX; i++) r = add(c, (uint32_t)folded[i]);
    return r;
}

static int fold(cutter *c, uint32_t cp)
{
    utf8proc_int32_t plain[FOLDED_MAX];
    int last = 0;
    if (cp == UTF8_INVALID) return part(c);
    if (cp < 0x80) {
        if (cp >= 'A' && cp <= 'Z') cp += 'a' - 'A';
        if ((cp >= 'a' && cp <= 'z') || (cp >= '0' && cp <= '9')) {
            add_letter(c, cp);
            return 0;
        }
        return part(c);
    }
    if ((cp >= 0x3400 && cp <= 0x9FFF) || (cp >= 0xAC00 && cp <= 0xD7A3)) return add(c, cp); /* Hangul would fall apart into its letters */
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)cp, plain, FOLDED_MAX, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_IGNORE, &last);
    for (utf8proc_ssize_t i = 0; i < n && i < FOLDED_MAX; i++) {
        int r = lower(c, plain[i]);
        if (r) return r;
    }
    return n < 0 ? part(c) : 0;
}

int text_pieces(const char *text, size_t n, int (*visit)(void *arg, const text_piece *p), void *arg)
{
    cutter c = {.visit = visit, .arg = arg};
    uint32_t cp;
    for (size_t at = 0; at < n; at = c.end) {
        c.from = at;
        c.end = at + (size_t)utf8_decode(text + at, n - at, &cp);
        int r = fold(&c, cp);
        if (r) return r;
    }
    return end_word(&c);
}
