/* Answers that quote, in the form of data/qa_form.h: a stretch of what was read, letter for letter, between quotation marks, and on the next line the
 * answer, a piece of that quote; or the words that say there is none. A writer whose every token is asked about here cannot misquote.
 *
 * What may be quoted lies in pieces, and a quote lies in one of them. It may be any bytes of it, marks like its own and line ends included; an
 * answer is one line.
 */
#ifndef READER_QUOTING_H
#define READER_QUOTING_H

#include "data/qa_form.h"

enum { QUOTING_QUOTE_MAX = 768 /* bytes; what is longer is closed */ };

typedef struct quoting_piece {
    const char *text;
    size_t bytes;
} quoting_piece;

/* A quote that begins in bytes [at, end) of a piece is so much less likely: what is added to its logit, 0 or less. */
typedef struct quoting_lean {
    int piece;
    size_t at, end;
    float lean;
} quoting_lean;

typedef struct quoting {
    const quoting_piece *pieces;
    int n;
    const qa_words *words;
    const quoting_lean *leans; /* [n_leans]; NULL: any quote is as good as another */
    int64_t n_leans;
    float weight;              /* of the leans */
} quoting;

/* Whether text[0..n) can still become an answer in the form, or when `ended`, is one. */
bool quoting_fits(const quoting *q, const char *text, size_t n, bool ended);
/* For generate_options.weigh: -INFINITY for what does not fit, else the weight times the lean of the best place where its quote can begin. */
float quoting_weigh(const quoting *q, const char *text, size_t n, bool ended);

typedef struct quoted {
    int piece;
    size_t at, end;  /* of the quote, bytes of its piece: where it stands first */
    size_t answer;   /* where the answer begins in the text; it goes on to its end */
} quoted;

/* Whether the quote in text[0..n) is closed, and what it is; `ended`: the answer is there too. */
bool quoting_closed(const quoting *q, const char *text, size_t n, bool ended, quoted *out);
/* Whether the text says, or begins to say, that there is no answer. */
bool quoting_refuses(const quoting *q, const char *text, size_t n);

#endif
