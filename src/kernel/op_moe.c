/* Mixture of experts: choosing, and adding back what the experts computed. */
#include <math.h>
#include <string.h>

#include "kernel/ctx.h"

/* The `used` largest of p[n], largest first (the lower index wins a tie), into idx. */
static void top_indices(const float *p, int n, int used, int32_t *idx)
{
    for (int k = 0; k < used; k++) {
        int best = -1;
        for (int i = 0; i < n; i++) {
            bool taken = false;
            for (int j = 0; j < k; j++) taken |= idx[j] == i;
            if (!taken && (best < 0 || p[i] > p[best])) best = i;
        }
        idx[k] = best;
    }
}

static void choose_rows(void *arg, int64_t begin, int64_t end)
{
    const moe_choice *c = arg;
    for (int64_t r = begin; r < end; r++) {
        float *p = c->logits + r * c->experts, max = -INFINITY, sum = 0, kept = 0;
        for (int i = 0; i < c->experts; i++) max = fmaxf(max, p[i]);
        for (int i = 0; i < c->experts; i++) sum += p[i] = expf(p[i] - max);
        int32_t *idx = c->idx + r * c->used;
        float *w = c->weights + r * c->used;
        top_indices(p, c->experts, c->used, idx);
        for (int k = 0; k < c->used; k++) kept += w[k] = p[idx[k]] / sum;
        for (int k = 0; k < c->used; k++) w[k] *= c->scale / (c->normalise ? kept : 1);
    }
}

void op_moe_choose(kernel_ctx *ctx, const moe_choice *c, int64_t rows)
{
    kernel_rows_run(ctx, choose_rows, (void *)c, rows, (int64_t)c->experts * c->used);
}

typedef struct scatter_job {
    const vec_table *t;
    float *y;
    const float *x, *weights;
    const int32_t *idx;
    int64_t cols;
} scatter_job;

static void scatter_rows(void *arg, int64_t begin, int64_t end)
{
    scatter_job *j = arg;
    for (int64_t r = begin; r < end; r++) j->t->axpy(j->y + j->idx[r] * j->cols, j->x + r * j->cols, j->weights[r], j->cols);
}

void op_scatter_add(kernel_ctx *ctx, float *y, const float *x, const int32_t *idx, const float *weights, int64_t rows, int64_t cols)
{
    scatter_job j = {&ctx->table.vec, y, x, weights, idx, cols};
    kernel_rows_run(ctx, scatter_rows, &j, rows, cols);
}
