/* Finding: from the attention of a question to the sentences it looks at. */
#ifndef READER_FIND_H
#define READER_FIND_H

#include "engine/engine.h"
#include "reader/passages.h"

/* A text in a timeline of tokens, cut into passages. */
typedef struct find_text {
    const token_span *spans;  /* of the timeline's tokens */
    int64_t begin, end;       /* the tokens that are text; their spans are bytes of it */
    const passage *passages;  /* [n_passages], in order */
    int64_t n_passages;
} find_text;

/* Attention by bins of tokens instead of by token: bin b is the tokens [b * bin, (b + 1) * bin) of the timeline. A bin that lies in several
 * passages is shared out by tokens. */
void find_share_bins(const find_text *t, const float *mass, int64_t bin, float *share);
/* share[n_passages]: what part of the attention that falls on the text falls on each passage; they sum to at most 1. mass: attention to
 * each token of the timeline. */
void find_share(const find_text *t, const float *mass, float *share);
/* Adds to score[n] weight times what a share is beyond the usual one. With `root` (of heads that find) the root of what it is beyond FIND_USUAL times the usual
 * one or, where that is more, of a part in FIND_LITTLE of what it is beyond it once, since in a short text every passage has much of it: then a
 * passage that several words of a question look at wins over one that a single word, a name say, looks at. */
enum { FIND_USUAL = 3, FIND_LITTLE = 100 };
void find_add(float *score, const float *share, const float *usual, int64_t n, float weight, bool root);
/* Indices of the `most` best scores, best first; returns how many. */
int find_best(const float *score, int64_t n, int64_t *best, int most);

#endif
