/* Agreement: does sparse attention write what exact attention would? Both read the same text; at some depths the distributions of the next token
 * are compared, beside a control that sees only the first page and the near ones: what it cannot do needs what lies far behind. */
#ifndef EVAL_AGREEMENT_H
#define EVAL_AGREEMENT_H

#include "engine/engine.h"

enum { AGREEMENT_DEPTHS_MAX = 64 };

typedef enum agreement_way { AGREEMENT_EXACT, AGREEMENT_SPARSE, AGREEMENT_CONTROL, AGREEMENT_WAYS } agreement_way;

/* Over the rows of one depth. */
typedef struct agreement_sum {
    int64_t rows, led;           /* led: rows whose likeliest token leads by more than AGREEMENT_LEAD under exact attention */
    double kl, kl_max;           /* sum and largest of KL(exact || this); 0 for exact */
    int64_t same, same_led;      /* rows with the same likeliest token; of those led */
    double nll;                  /* sum over rows of -log p(the token that follows) */
} agreement_sum;
#define AGREEMENT_LEAD 0.1

typedef struct agreement_depth {
    int64_t at;                  /* tokens before the rows */
    agreement_sum way[AGREEMENT_WAYS];
} agreement_depth;

typedef struct agreement_options {
    int64_t keep;                /* of sparse attention */
    const int64_t *depths;       /* [n_depths] ascending, at least 1 */
    int n_depths;
    int64_t rows;                /* compared at each depth */
    bool (*on_progress)(void *arg, int64_t done, int64_t total); /* false cancels */
    void *arg;
} agreement_options;

/* ids[n], n > the last depth + rows. */
CJ_NODISCARD cj_err agreement_run(engine *e, const int32_t *ids, int64_t n, const agreement_options *opt, agreement_depth *out, cj_diag *d);

#endif
