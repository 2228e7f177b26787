/* The second product of low-rank pairs. Ranks are small, so a row of y takes the rows of b one by one; columns are cut so that those of b stay in
 * the first-level cache while the rows of y go by. What a row gets does not depend on the other rows. */
#include "kernel/ctx.h"

enum { COLS = 512, ROWS = 32, WORTH_A_FORK = 16384 };

typedef struct low_rank_job {
    const vec_table *vec;
    const op_low_rank_part *parts;
    int64_t rows;
} low_rank_job;

static int64_t items_of(const low_rank_job *j, const op_low_rank_part *p) { return i64_ceil_div(p->n, COLS) * i64_ceil_div(j->rows, ROWS); }

static void add_row(const vec_table *vec, const op_low_rank_part *p, int64_t row, int64_t n0, int64_t n)
{
    float *y = p->y + row * p->ldy + n0;
    const float *t = p->t + row * p->ldt;
    for (int k = 0; k < p->rank; k++) {
        const int64_t at = k * p->n + n0;
        if (p->type == QUANT_BF16) vec->axpy_bf16(y, (const uint16_t *)p->b + at, p->scale * t[k], n);
        else vec->axpy(y, (const float *)p->b + at, p->scale * t[k], n);
    }
}

static void low_rank_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const low_rank_job *j = arg;
    const op_low_rank_part *p = j->parts;
    for (; item >= items_of(j, p); p++) item -= items_of(j, p);
    const int64_t blocks = i64_ceil_div(p->n, COLS), n0 = item % blocks * COLS, r0 = item / blocks * ROWS, r1 = i64_min(j->rows, r0 + ROWS);
    for (int64_t r = r0; r < r1; r++) add_row(j->vec, p, r, n0, i64_min(COLS, p->n - n0));
}

void op_low_rank(kernel_ctx *ctx, const op_low_rank_part *parts, int n_parts, int64_t rows)
{
    low_rank_job j = {&ctx->table.vec, parts, rows};
    int64_t items = 0, work = 0;
    for (int i = 0; i < n_parts; i++) {
        items += items_of(&j, &parts[i]);
        work += rows * parts[i].n * parts[i].rank;
    }
    pool_run(work >= WORTH_A_FORK ? ctx->pool : NULL, low_rank_item, &j, items);
}
