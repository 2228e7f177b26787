/* Products with weights over all threads. */
#include "kernel/ctx.h"

size_t op_linear_scratch(const kernel_ctx *ctx, const kernel_limits *l)
{
    return (size_t)kernel_threads(ctx) * (size_t)l->cols * sizeof(float);
}

typedef struct linear_job {
    kernel_ctx *ctx;
    const op_linear_out *out;
    const float *x;
    int64_t ldx, rows;
} linear_job;

static void linear_row(void *arg, int64_t n, int worker)
{
    linear_job *j = arg;
    const kernel_weight *w = j->out->w;
    float *row = (float *)j->ctx->linear.block + (int64_t)worker * j->ctx->limits.cols;
    quant_info_get(w->type)->decode(kernel_weight_row(w, n), row, w->cols);
    for (int64_t r = 0; r < j->rows; r++) {
        float *y = &j->out->y[r * j->out->ldy + n];
        float v = j->ctx->table.gemm.dot(j->x + r * j->ldx, row, w->cols) + (j->out->bias ? j->out->bias[n] : 0);
        *y = j->out->add ? *y + v : v;
    }
}

void op_linear(kernel_ctx *ctx, const op_linear_out *outs, int n_outs, const float *x, int64_t ldx, int64_t rows)
{
    for (int i = 0; i < n_outs; i++) {
        linear_job j = {ctx, &outs[i], x, ldx, rows};
        pool_run(ctx->pool, linear_row, &j, outs[i].w->rows);
    }
}

void op_embed(kernel_ctx *ctx, float *y, const kernel_weight *w, const int32_t *ids, int64_t rows, float scale)
{
    for (int64_t r = 0; r < rows; r++) {
        quant_info_get(w->type)->decode(kernel_weight_row(w, ids[r]), y + r * w->cols, w->cols);
        if (scale != 1.0f) ctx->table.vec.scale(y + r * w->cols, scale, w->cols);
    }
}
