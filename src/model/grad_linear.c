/* Products with weights, forward and backward: stored in any type, or float32 that is trained, with a pair of an adapter or without. */
#include "model/grad_inner.h"

/* c (=, +=) a . b, counted. */
static void product(grad_job *job, const op_matmul_args *p)
{
    op_matmul(job->ctx, p);
    job->operations += 2 * (double)p->m * (double)p->n * (double)p->k;
}

void grad_product(grad_job *job, const model_linear *l, const float *x, int64_t rows, float *y)
{
    const kernel_weight *w = &l->w;
    if (w->type != QUANT_F32) {
        op_linear(job->ctx, &(op_linear_out){.w = w, .bias = l->bias, .y = y, .ldy = w->rows}, 1, x, w->cols, rows);
        job->operations += 2 * (double)rows * (double)w->rows * (double)w->cols;
        return;
    }
    if (l->bias) op_matmul(job->ctx, &(op_matmul_args){.c = y, .ldc = w->rows, .a = job->ones, .lda = 1, .b = l->bias, .ldb = w->rows, .m = rows, .n = w->rows, .k = 1});
    product(job, &(op_matmul_args){.c = y, .ldc = w->rows, .add = l->bias != NULL, .a = x, .lda = w->cols, .b = w->data, .ldb = w->cols, .b_t = true,
                                   .m = rows, .n = w->rows, .k = w->cols});
}

void grad_product_back(grad_job *job, const model_linear *l, const linear_grads *g, const float *x, const float *dy, int64_t rows, float *dx, bool add)
{
    const kernel_weight *w = &l->w;
    if (g->w)
        product(job, &(op_matmul_args){.c = g->w, .ldc = w->cols, .add = true, .a = dy, .lda = w->rows, .a_t = true, .b = x, .ldb = w->cols,
                                       .m = w->rows, .n = w->cols, .k = rows});
    if (g->bias) op_bias_back(job->ctx, g->bias, dy, w->rows, rows, w->rows);
    if (!dx) return;
    op_linear_back(job->ctx, w, dy, w->rows, dx, w->cols, rows, add);
    job->operations += 2 * (double)rows * (double)w->rows * (double)w->cols;
}

static const adapter_pair *pair_of(const grad_job *job, int layer, adapter_target t)
{
    const adapter_pair *p = job->t->adapter ? adapter_pair_of(job->t->adapter, layer, t) : NULL;
    return p && p->a.data ? p : NULL;
}

void grad_linear(grad_job *job, int layer, adapter_target t, const float *x, float *y, float *low)
{
    const model_linear *l = layer_linear(&job->spec->layers[layer], t);
    const adapter_pair *p = pair_of(job, layer, t);
    if (y) grad_product(job, l, x, job->rows, y);
    if (!p) return;
    const int64_t rank = p->a.rows, rows = l->w.rows, cols = l->w.cols;
    product(job, &(op_matmul_args){.c = low, .ldc = rank, .a = x, .lda = cols, .b = p->a.data, .ldb = cols, .b_t = true, .m = job->rows, .n = rank, .k = cols});
    op_scale(job->ctx, low, job->t->adapter->scale, job->rows * rank);
    if (y)
        product(job, &(op_matmul_args){.c = y, .ldc = rows, .add = true, .a = low, .lda = rank, .b = p->b.data, .ldb = rank, .b_t = true,
                                       .m = job->rows, .n = rows, .k = rank});
}

void grad_linear_back(grad_job *job, int layer, adapter_target t, const float *x, const float *dy, const float *low, float *dx, bool add)
{
    const model_linear *l = layer_linear(&job->spec->layers[layer], t);
    const linear_grads *g = &job->t->layers[layer].linears[t];
    const adapter_pair *p = pair_of(job, layer, t);
    grad_product_back(job, l, g, x, dy, job->rows, dx, add);
    if (!p) return;
    const int64_t rank = p->a.rows, rows = l->w.rows, cols = l->w.cols;
    product(job, &(op_matmul_args){.c = g->b, .ldc = rank, .add = true, .a = dy, .lda = rows, .a_t = true, .b = low, .ldb = rank, .m = rows, .n = rank, .k = job->rows});
    product(job, &(op_matmul_args){.c = job->dlow, .ldc = rank, .a = dy, .lda = rows, .b = p->b.data, .ldb = rank, .m = job->rows, .n = rank, .k = rows});
    op_scale(job->ctx, job->dlow, job->t->adapter->scale, job->rows * rank);
    product(job, &(op_matmul_args){.c = g->a, .ldc = cols, .add = true, .a = job->dlow, .lda = rank, .a_t = true, .b = x, .ldb = cols, .m = rank, .n = cols, .k = job->rows});
    if (dx)
        product(job, &(op_matmul_args){.c = dx, .ldc = cols, .add = true, .a = job->dlow, .lda = rank, .b = p->a.data, .ldb = cols, .m = job->rows, .n = cols, .k = rank});
}
