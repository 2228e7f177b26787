/* Agreement: does sparse attention write what exact attention would? Both read the same text; at some depths they are compared, beside a control
 * that sees only the first page and the near ones: what it cannot do needs what lies far behind. Three things are looked at:
 *
 *   the next tokens   distributions of the text's own next tokens;
 *   copies            earlier text said again, which is predicted by looking back at it;
 *   the best pages    whether heads that find get the pages they pay most to.
 *
 * Either each way reads the text by itself (opt->entry NULL), or all go on from the pages of one entry of the shelf. Then exact and sparse *rows* are
 * compared, at depths where reading exactly would take days; what an exact prefix would have been is not known there.
 */
#ifndef EVAL_AGREEMENT_H
#define EVAL_AGREEMENT_H

#include "engine/engine.h"

enum {
    AGREEMENT_DEPTHS_MAX = 64,
    AGREEMENT_COPIES_MAX = 16,
    AGREEMENT_COPY = 128,     /* tokens of a copy */
    AGREEMENT_COPY_SKIP = 16, /* its first tokens, by which it is recognised: not counted */
    AGREEMENT_FAR = 102400,   /* a copy is of text so far behind, where the depth allows, else of the first fifth */
    AGREEMENT_HEADS_MAX = 8,
    AGREEMENT_BEST = 16,      /* pages */
};

typedef enum agreement_way { AGREEMENT_EXACT, AGREEMENT_SPARSE, AGREEMENT_CONTROL, AGREEMENT_WAYS } agreement_way;

/* Over the rows of one depth. */
typedef struct agreement_sum {
    int64_t rows, led;           /* led: rows whose likeliest token leads by more than AGREEMENT_LEAD under exact attention */
    double kl, kl_max;           /* sum and largest of KL(exact || this); 0 for exact */
    int64_t same, same_led;      /* rows with the same likeliest token; of those led */
    double nll;                  /* sum over rows of -log p(the token that follows) */
} agreement_sum;
#define AGREEMENT_LEAD 0.1

/* Stretches of earlier text, each from where a line begins, put behind the text one at a time. */
typedef struct agreement_copies {
    int n;                              /* 0: none were asked for, or the depth is too small */
    int64_t from[AGREEMENT_COPIES_MAX]; /* where the stretches lie */
    int64_t tokens;                     /* counted, of all */
    double nll[AGREEMENT_WAYS];         /* sums over these */
} agreement_copies;

/* The AGREEMENT_BEST pages that a head pays most to with all rows of a page together, under exact attention; those that sparse attention looked at
 * token by token. Far ones are not looked at whatever happens. And what the head pays to all far pages, best or not, and to those looked at. */
typedef struct agreement_best {
    int64_t pages, kept, far, far_kept;
    double paid, paid_kept;
} agreement_best;

typedef struct agreement_depth {
    int64_t at;                  /* tokens before the rows */
    agreement_sum way[AGREEMENT_WAYS];
    agreement_copies copies;
    agreement_best best[AGREEMENT_HEADS_MAX];
} agreement_depth;

typedef struct agreement_head {
    int layer, head;
} agreement_head;

typedef struct agreement_options {
    int64_t keep;                /* of sparse attention */
    const int64_t *depths;       /* [n_depths] ascending, at least 1, farther apart than rows */
    int n_depths;
    int64_t rows;                /* compared at each depth, ENGINE_CHUNK at most */
    int copies;                  /* at each depth; 0: none */
    uint64_t seed;               /* chooses them */
    const agreement_head *heads; /* [n_heads] of layers without a window; NULL: none */
    int n_heads;
    shelf_entry *entry;          /* NULL: every way reads the text */
    bool (*on_progress)(void *arg, int64_t done, int64_t total); /* false cancels */
    void *arg;
} agreement_options;

/* ids[n], n > the last depth + rows; of an entry its own tokens. out [n_depths]. */
CJ_NODISCARD cj_err agreement_run(engine *e, const int32_t *ids, int64_t n, const agreement_options *opt, agreement_depth *out, cj_diag *d);

#endif
