/* Pieces of a text: what a text index remembers and what a question is looked up by.
 *
 * A piece is a CJK character, a pair of CJK characters that stand side by side, or a word (a run of letters and digits of other scripts).
 * Compatibility forms, case and accents are folded away: Ａ is a, ㎏ is kg, É is e. The same text always gives the same pieces.
 */
#ifndef SHELF_TEXT_PIECES_H
#define SHELF_TEXT_PIECES_H

#include <stdbool.h>
#include <stddef.h>

enum { TEXT_PIECE_MAX = 64 }; /* bytes; what goes beyond in a longer word is not looked at */

typedef struct text_piece {
    const char *bytes; /* folded UTF-8, of that length; not terminated */
    int length;
    bool pair;         /* begins where the piece before it began: a character and its right neighbour */
    size_t from, end;  /* bytes of the text */
} text_piece;

/* Visits the pieces of text[0..n) in order. What `visit` returns, if not 0, ends it and is returned. Invalid bytes part pieces. */
int text_pieces(const char *text, size_t n, int (*visit)(void *arg, const text_piece *p), void *arg);

#endif
