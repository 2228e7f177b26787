/* AdamW. See optimiser.h. */
#include "train/optimiser.h"

#include <math.h>

#include "base/mem.h"
#include "kernel/train.h"

static const double usual_keeps = 0.98; /* of the running mean, each step */

cj_err optimiser_open(optimiser *o, trainee *t, const optimiser_options *opt, cj_diag *d)
{
    const size_t bytes = (size_t)t->size * sizeof(float);
    *o = (optimiser){.t = t, .opt = *opt};
    o->m = kernel_alloc(t->ctx, bytes);
    o->v = o->m ? kernel_alloc(t->ctx, bytes) : NULL;
    if (o->v) return CJ_OK;
    optimiser_close(o);
    return diag_nomem(d, 2 * bytes);
}

void optimiser_close(optimiser *o)
{
    if (!o->t) return;
    kernel_free(o->t->ctx, o->m);
    kernel_free(o->t->ctx, o->v);
    *o = (optimiser){0};
}

/* Whether to leave this step out. */
static bool is_harm(const optimiser *o, double norm)
{
    const optimiser_state *s = &o->state;
    if (!isfinite(norm)) return true;
    const bool spike = o->opt.spike > 0 && s->updates >= OPTIMISER_LEARN_USUAL && norm > o->opt.spike * s->usual_norm;
    return spike && s->in_a_row < OPTIMISER_SKIPS_MAX;
}

static void update(optimiser *o, double rate, double scale)
{
    op_adamw_args a = {.lr = rate, .beta1 = o->opt.beta1, .beta2 = o->opt.beta2, .eps = o->opt.eps, .grad_scale = scale, .step = o->state.updates};
    for (int i = 0; i < o->t->n_params; i++) {
        const param *p = &o->t->params[i];
        a.decay = p->decay ? o->opt.decay : 0;
        op_adamw(o->t->ctx, o->t->w + p->at, o->t->g + p->at, o->m + p->at, o->v + p->at, p->rows * p->cols, &a);
    }
}

cj_err optimiser_step(optimiser *o, double rate, double weight, double *norm, bool *skipped, cj_diag *d)
{
    optimiser_state *s = &o->state;
    *norm = sqrt(op_sum_squares(o->t->ctx, o->t->g, o->t->size)) / weight;
    *skipped = is_harm(o, *norm);
    if (*skipped) {
        s->skipped++;
        s->in_a_row++;
    } else {
        const double clip = o->opt.clip > 0 ? fmin(1, o->opt.clip / (*norm + 1e-6)) : 1;
        s->usual_norm = s->updates ? usual_keeps * s->usual_norm + (1 - usual_keeps) * *norm : *norm;
        s->updates++;
        s->in_a_row = 0;
        update(o, rate, clip / weight);
    }
    op_zero(o->t->ctx, o->t->g, o->t->size);
    return s->in_a_row > OPTIMISER_SKIPS_MAX ? diag_fail(d, CJ_E_INPUT, MSG_TRAIN_DIVERGED, "%lld", (long long)s->in_a_row) : CJ_OK;
}
