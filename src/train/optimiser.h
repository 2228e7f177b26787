/* AdamW over all parameters of a trainee, with what keeps a run from harm: gradients are clipped by their common norm, and a step whose gradients
 * are no numbers, or out of all proportion to those before, is left out.
 *
 * Parameters and moments are float32 whatever the arithmetic of the passes is.
 */
#ifndef TRAIN_OPTIMISER_H
#define TRAIN_OPTIMISER_H

#include "model/trainee.h"

typedef struct optimiser_options {
    double beta1, beta2, eps;
    double decay; /* of matrices */
    double clip;  /* largest norm; 0: any */
    double spike; /* a norm more than so many times the usual one is a spike; 0: none is */
} optimiser_options;
#define OPTIMISER_USUAL ((optimiser_options){.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .decay = 0.01, .clip = 1, .spike = 10})

enum { OPTIMISER_LEARN_USUAL = 20 /* steps before a norm can be a spike */, OPTIMISER_SKIPS_MAX = 10 /* in a row */ };

/* What goes on from step to step, besides the moments: all of 8 bytes, for it is written as it lies. */
typedef struct optimiser_state {
    int64_t updates, skipped, in_a_row; /* steps taken, left out, left out just now */
    double usual_norm;                  /* a running mean */
} optimiser_state;

typedef struct optimiser {
    trainee *t;
    optimiser_options opt;
    float *m, *v; /* device memory [t->size] */
    optimiser_state state;
} optimiser;

CJ_NODISCARD cj_err optimiser_open(optimiser *o, trainee *t, const optimiser_options *opt, cj_diag *d);
void optimiser_close(optimiser *o);
/* Takes a step against the trainee's gradients divided by `weight`, and sets them to zero. *norm: of the gradients, divided. *skipped: it was left out.
 * Gradients that are no numbers so often in a row that there is no hope are an error; a spike that lasts is taken for the truth. */
CJ_NODISCARD cj_err optimiser_step(optimiser *o, double rate, double weight, double *norm, bool *skipped, cj_diag *d);

#endif
