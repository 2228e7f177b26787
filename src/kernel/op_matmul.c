/* Products of training over all threads. */
#include <string.h>

#include "kernel/ctx.h"
#include "kernel/train.h"

typedef struct matmul_job {
    const vec_table *vec;
    const op_matmul_args *p;
    const kernel_weight *w; /* instead of b */
} matmul_job;

static float element_a(const op_matmul_args *p, int64_t r, int64_t i) { return p->a_t ? p->a[i * p->lda + r] : p->a[r * p->lda + i]; }

static void product_rows(void *arg, int64_t begin, int64_t end)
{
    enum { PIECE = 256 }; /* columns at a time: whole blocks of every stored type */
    const matmul_job *j = arg;
    const op_matmul_args *p = j->p;
    float piece[PIECE];
    for (int64_t r = begin; r < end && !p->add; r++) memset(p->c + r * p->ldc, 0, (size_t)p->n * sizeof *p->c);
    for (int64_t c = 0; c < p->n; c += PIECE)
        for (int64_t i = 0; i < p->k; i++) {
            int64_t n = i64_min(PIECE, p->n - c);
            const float *b = piece;
            if (j->w) quant_info_get(j->w->type)->decode((const char *)kernel_weight_row(j->w, i) + quant_row_bytes(j->w->type, c), piece, n);
            else if (p->b_t)
                for (int64_t x = 0; x < n; x++) piece[x] = p->b[(c + x) * p->ldb + i];
            else b = p->b + i * p->ldb + c;
            for (int64_t r = begin; r < end; r++) j->vec->axpy(p->c + r * p->ldc + c, b, element_a(p, r, i), n);
        }
}

void op_matmul(kernel_ctx *ctx, const op_matmul_args *p)
{
    matmul_job j = {.vec = &ctx->table.vec, .p = p};
    kernel_rows_run(ctx, product_rows, &j, p->m, p->n * p->k);
}

void op_linear_back(kernel_ctx *ctx, const kernel_weight *w, const float *dy, int64_t ldy, float *dx, int64_t ldx, int64_t rows, bool add)
{
    op_matmul_args p = {.c = dx, .ldc = ldx, .add = add, .a = dy, .lda = ldy, .m = rows, .n = w->cols, .k = w->rows};
    kernel_rows_run(ctx, product_rows, &(matmul_job){.vec = &ctx->table.vec, .p = &p, .w = w}, rows, w->rows * w->cols);
}
