/* Finding: from the attention of a question to the sentences it looks at. */
#ifndef READER_FIND_H
#define READER_FIND_H

#include "engine/engine.h"
#include "reader/passages.h"

typedef struct find_input {
    const float *const *mass;   /* [n_heads] attention to each token of the timeline, summed over the question's tokens */
    int n_heads;
    const token_span *spans;    /* of the timeline's tokens */
    int64_t text, text_end;     /* the tokens that are text; their spans are bytes of it */
    const passage *passages;    /* in order */
    int64_t n_passages;
} find_input;

/* score[n_passages]: the share of attention to the text that falls on each passage, averaged over the heads; sums to at most 1. */
void find_score(const find_input *in, float *score);
/* Indices of the `most` best scores, best first; returns how many. */
int find_best(const float *score, int64_t n, int64_t *best, int most);

#endif
