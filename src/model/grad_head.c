/* The top of the model: logits of a few scored rows at a time, their losses, and the way back to the stream. */
#include "model/grad_inner.h"

#include "base/mem.h"

/* ---- what the loss is taken over ---- */

/* Rows of the head, and of its bias, one after another. */
static cj_err copy_rows(grad_job *job, const int32_t *tokens, int64_t n, cj_diag *d)
{
    const model_linear *from = &job->spec->head;
    const size_t row = quant_row_bytes(from->w.type, from->w.cols), bytes = (size_t)n * row;
    if (!(job->head_data = kernel_alloc(job->ctx, bytes))) return diag_nomem(d, bytes);
    for (int64_t i = 0; i < n; i++) kernel_upload(job->ctx, (char *)job->head_data + (size_t)i * row, kernel_weight_row(&from->w, tokens[i]), row);
    job->bytes += bytes;
    job->head.w = (kernel_weight){.data = job->head_data, .type = from->w.type, .rows = n, .cols = from->w.cols};
    if (!from->bias) return CJ_OK;
    if (!(job->head.bias = kernel_alloc(job->ctx, (size_t)n * sizeof(float)))) return diag_nomem(d, (size_t)n * sizeof(float));
    op_gather(job->ctx, job->head.bias, from->bias, tokens, n, 1);
    return CJ_OK;
}

cj_err grad_head_open(grad_job *job, const grad_options *o, cj_diag *d)
{
    const int64_t vocab = job->spec->vocab;
    job->head = job->spec->head;
    if (!o->vocabulary) return CJ_OK;
    if (job->t->head || job->t->head_bias || o->n_vocabulary < 1) return diag_fail(d, CJ_E_INTERNAL, MSG_INTERNAL, "%s", "a part of the vocabulary");
    if (!(job->column = mem_array((size_t)vocab, sizeof *job->column))) return diag_nomem(d, (size_t)vocab * sizeof *job->column);
    for (int64_t i = 0; i < vocab; i++) job->column[i] = -1;
    for (int64_t i = 0; i < o->n_vocabulary; i++) {
        const int32_t token = o->vocabulary[i];
        if (token < 0 || token >= vocab || (i && token <= o->vocabulary[i - 1])) return diag_fail(d, CJ_E_INPUT, MSG_TOKEN_RANGE, "%d" ARG "%lld", token, (long long)vocab);
        job->column[token] = (int32_t)i;
    }
    return copy_rows(job, o->vocabulary, o->n_vocabulary, d);
}

void grad_head_close(grad_job *job)
{
    if (job->head.bias != job->spec->head.bias) kernel_free(job->ctx, job->head.bias);
    kernel_free(job->ctx, job->head_data);
    mem_free(job->column);
}

cj_err grad_head_column(const grad_job *job, int32_t target, int32_t *column, cj_diag *d)
{
    const int64_t vocab = job->spec->vocab;
    *column = target;
    if (target >= vocab) return diag_fail(d, CJ_E_INPUT, MSG_TOKEN_RANGE, "%d" ARG "%lld", target, (long long)vocab);
    if (target < 0 || !job->column) return CJ_OK;
    *column = job->column[target];
    return *column >= 0 ? CJ_OK : diag_fail(d, CJ_E_INTERNAL, MSG_INTERNAL, "target %d is not scored against", target);
}

/* ---- logits and losses ---- */

/* From the logits' gradient, or what a softcap made of them, to the stream's. */
static void head_back(grad_job *job, int64_t first, int64_t rows)
{
    const model_spec *m = job->spec;
    const trainee *t = job->t;
    const linear_grads g = {.w = t->head, .bias = t->head_bias};
    if (job->capped) op_softcap_back(job->ctx, job->logits, job->capped, m->logit_softcap, rows * job->head.w.rows);
    grad_product_back(job, &job->head, &g, job->head_norm, job->logits, rows, job->dhead, false);
    op_rms_norm_back(job->ctx, job->dhead, job->dhead, job->head_in, m->final_norm, t->final_norm, rows, m->hidden, m->norm_eps, false);
    op_scatter_add(job->ctx, job->dx, job->dhead, job->idx + first, job->ones, rows, m->hidden);
}

void grad_head(grad_job *job, int64_t first, int64_t rows)
{
    const model_spec *m = job->spec;
    const int64_t n = rows * job->head.w.rows;
    op_gather(job->ctx, job->head_in, job->x[m->n_layers], job->idx + first, rows, m->hidden);
    op_rms_norm(job->ctx, job->head_norm, job->head_in, m->final_norm, rows, m->hidden, m->norm_eps);
    grad_product(job, &job->head, job->head_norm, rows, job->logits);
    if (m->logit_softcap > 0) op_softcap(job->ctx, job->logits, m->logit_softcap, n);
    if (job->capped) {
        op_zero(job->ctx, job->capped, n);
        op_axpy(job->ctx, job->capped, job->logits, 1, n);
    }
    op_cross_entropy(job->ctx, job->logits, job->targets + first, job->weights + first, job->losses + first, rows, job->head.w.rows);
    if (!job->batch.only_loss) head_back(job, first, rows);
}
