/* A picture of agreement: figures against depth, each with what is aimed at. */
#ifndef EVAL_AGREEMENT_SVG_H
#define EVAL_AGREEMENT_SVG_H

#include "eval/agreement.h"
#include "eval/svg.h"

typedef struct agreement_picture {
    svg_head head;
    const char *sparse, *control, *exact, *aim;     /* names of the lines */
    const char *kl, *likeliest, *copied, *best;     /* of what is shown; the last two only where there is something to show */
} agreement_picture;

CJ_NODISCARD cj_err agreement_draw(const agreement_depth *depth, int n, int n_heads, const agreement_picture *p, buf *out, cj_diag *d);

#endif
