/* The top of the model: logits of a few scored rows at a time, their losses, and the way back to the stream. */
#include "model/grad_inner.h"

/* From the logits' gradient, or what a softcap made of them, to the stream's. */
static void head_back(grad_job *job, int64_t first, int64_t rows)
{
    const model_spec *m = job->spec;
    const trainee *t = job->t;
    const linear_grads g = {.w = t->head, .bias = t->head_bias};
    if (job->capped) op_softcap_back(job->ctx, job->logits, job->capped, m->logit_softcap, rows * m->vocab);
    grad_product_back(job, &m->head, &g, job->head_norm, job->logits, rows, job->dhead, false);
    op_rms_norm_back(job->ctx, job->dhead, job->dhead, job->head_in, m->final_norm, t->final_norm, rows, m->hidden, m->norm_eps, false);
    op_scatter_add(job->ctx, job->dx, job->dhead, job->idx + first, job->ones, rows, m->hidden);
}

void grad_head(grad_job *job, int64_t first, int64_t rows)
{
    const model_spec *m = job->spec;
    const int64_t n = rows * m->vocab;
    op_gather(job->ctx, job->head_in, job->x[m->n_layers], job->idx + first, rows, m->hidden);
    op_rms_norm(job->ctx, job->head_norm, job->head_in, m->final_norm, rows, m->hidden, m->norm_eps);
    grad_product(job, &m->head, job->head_norm, rows, job->logits);
    if (m->logit_softcap > 0) op_softcap(job->ctx, job->logits, m->logit_softcap, n);
    if (job->capped) {
        op_zero(job->ctx, job->capped, n);
        op_axpy(job->ctx, job->capped, job->logits, 1, n);
    }
    op_cross_entropy(job->ctx, job->logits, job->targets + first, job->weights + first, job->losses + first, rows, m->vocab);
    if (!job->batch.only_loss) head_back(job, first, rows);
}
