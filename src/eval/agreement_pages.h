/* The pages that some rows pay most to, and the pages that sparse attention looks at for them: for agreement.c. */
#ifndef EVAL_AGREEMENT_PAGES_H
#define EVAL_AGREEMENT_PAGES_H

#include "eval/agreement.h"

/* Rows that stand in different pages of positions choose apart from each other: each such page is a group. */
typedef struct agreement_pages {
    const agreement_head *heads; /* [n_heads] */
    int n_heads;
    int64_t rows;
    int64_t groups, pages;       /* at the depth looked at */
    float *mass;                 /* [heads][groups][pages] what exact attention pays */
    uint8_t *kept;               /* the same: 1 where sparse attention looked token by token */
} agreement_pages;

/* Room for rows after `deepest` tokens at most. */
CJ_NODISCARD cj_err agreement_pages_open(agreement_pages *p, const agreement_options *opt, int64_t deepest, cj_diag *d);
void agreement_pages_close(agreement_pages *p);

/* What the sessions that compute the rows after `at` are asked, exact and sparse; returns how many probes, SESSION_PROBES_MAX at most. */
int agreement_pages_ask_mass(agreement_pages *p, int64_t at, session_probe *probes);
int agreement_pages_ask_kept(agreement_pages *p, int64_t at, session_probe *probes);
/* Once both have been answered: best[n_heads]. */
void agreement_pages_compare(const agreement_pages *p, int64_t at, agreement_best *best);

#endif
