/* Where a timeline says again what it said before: for attention that looks at how it went on then (op_repeats). */
#ifndef ENGINE_REPEATS_H
#define ENGINE_REPEATS_H

#include "base/err.h"
#include "kernel/ops.h"

/* Positions in chains: those with the same key, each linked to the one before. */
typedef struct repeats_chain {
    int32_t *before; /* [cap] of repeats; -1: none */
    int32_t *last;   /* [keys] the last position of each key among the first n */
    int64_t keys;
} repeats_chain;

typedef struct repeats {
    repeats_chain token; /* by the token */
    repeats_chain pair;  /* by a hash of the token and the one before it: others may be in the same chain */
    int64_t n, cap;      /* positions linked, room */
    /* Of the last repeats_collect. */
    int32_t *at;
    int64_t *begin, at_cap, begin_cap;
} repeats;

void repeats_deinit(repeats *r);
/* Forgets the positions from n on; ids are still those that were linked. */
void repeats_cut(repeats *r, const int32_t *ids, int64_t n);
/* Links ids[r->n .. n). An id that is none of the vocabulary is left out. On failure what was linked before stands. */
CJ_NODISCARD cj_err repeats_link(repeats *r, const int32_t *ids, int64_t n, int64_t vocab, cj_diag *d);
/* What the rows [pos, pos + count), all linked, look back at: each at the tokens that follow an earlier occurrence of its own token, the `most`
 * nearest, and of its own and the one before it, again the `most` nearest; of tokens in a row's `near` last pages or in the first, none. *out
 * points into r until the next call. */
CJ_NODISCARD cj_err repeats_collect(repeats *r, const int32_t *ids, int64_t pos, int64_t count, int64_t near, int64_t most, op_repeats *out, cj_diag *d);

#endif
