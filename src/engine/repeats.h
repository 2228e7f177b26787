/* Where each token of a timeline occurred last before: for attention that looks at what followed then (op_sparse). */
#ifndef ENGINE_REPEATS_H
#define ENGINE_REPEATS_H

#include "base/err.h"

typedef struct repeats {
    int32_t *before;    /* [cap] for each position the last one before with the same token, -1: none */
    int32_t *last;      /* [vocab] the last position of each token among the first n */
    int64_t n, cap, vocab;
} repeats;

void repeats_deinit(repeats *r);
/* Forgets the positions from n on; ids are still those that were linked. */
void repeats_cut(repeats *r, const int32_t *ids, int64_t n);
/* Links ids[r->n .. n). An id that is none of the vocabulary is left out. */
CJ_NODISCARD cj_err repeats_link(repeats *r, const int32_t *ids, int64_t n, int64_t vocab, cj_diag *d);

#endif
