/* Products of which an operand, or the result, is narrow, as those of an adapter's pairs are: read where they lie (gemm.h, gemm_narrow), the same
 * bits as by the exact form. An item is either some rows of c or some of its columns; it has all of K, a chunk of K_CHUNK after another. */
#include "kernel/ctx.h"
#include "kernel/train.h"

enum {
    NARROW = 64,      /* fewer than this */
    K_CHUNK = 2048,   /* as in op_matmul.c: the sums of a chunk are added to c */
    ROWS = 48,        /* of an item: whole tiles at every level */
    COLS = 64,        /* of an item */
    TURN = 64,        /* rows or columns of b that are turned at a time */
};

typedef struct narrow_job {
    const gemm_narrow *t;
    const op_matmul_args *p;
    const float *b;          /* [k][ldb] of the chunk */
    float *turned;
    int64_t ldb, k0, k, n0, n; /* the chunk; columns of c at a time */
} narrow_job;

/* ---- some rows of c ---- */

static void turn_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const narrow_job *j = arg;
    const op_matmul_args *p = j->p;
    const bool wide = j->n > j->k;
    const int64_t at = item * TURN, n0 = wide ? at : 0, k0 = wide ? 0 : at, n = wide ? i64_min(TURN, j->n - at) : j->n, k = wide ? j->k : i64_min(TURN, j->k - at);
    j->t->turn(j->turned + k0 * j->ldb + n0, j->ldb, p->b + (j->n0 + n0) * p->ldb + j->k0 + k0, p->ldb, n, k);
}

static void rows_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const narrow_job *j = arg;
    const op_matmul_args *p = j->p;
    const int64_t r = item * ROWS;
    j->t->product(&(gemm_narrow_args){.c = p->c + r * p->ldc + j->n0, .ldc = p->ldc, .add = p->add || j->k0, .a = p->a + r * p->lda + j->k0, .lda = p->lda,
                                      .b = j->b, .ldb = j->ldb, .m = i64_min(ROWS, p->m - r), .n = j->n, .k = j->k});
}

static void by_rows(kernel_ctx *ctx, narrow_job *j)
{
    const op_matmul_args *p = j->p;
    const int64_t room = (int64_t)(ctx->matmul.bytes / sizeof(float));
    for (j->k0 = 0; j->k0 < p->k; j->k0 += K_CHUNK) {
        j->k = i64_min(K_CHUNK, p->k - j->k0);
        const int64_t most = p->b_t ? room / j->k / TURN * TURN : p->n;
        for (j->n0 = 0; j->n0 < p->n; j->n0 += most) {
            j->n = i64_min(most, p->n - j->n0);
            j->ldb = p->b_t ? i64_ceil_div(j->n, 16) * 16 : p->ldb;
            j->b = p->b_t ? j->turned : p->b + j->k0 * p->ldb + j->n0;
            if (p->b_t) pool_run(ctx->pool, turn_item, j, i64_ceil_div(i64_max(j->n, j->k), TURN));
            pool_run(ctx->pool, rows_item, j, i64_ceil_div(p->m, ROWS));
        }
    }
}

/* ---- some columns of c, or of c turned ---- */

static void columns_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const narrow_job *j = arg;
    const op_matmul_args *p = j->p;
    const bool turned = p->m > p->n;
    const int64_t at = item * COLS, rows = turned ? p->n : p->m, cols = i64_min(COLS, (turned ? p->m : p->n) - at);
    const float *a = turned ? p->b : p->a, *b = (turned ? p->a : p->b) + at;
    const int64_t lda = turned ? p->ldb : p->lda, ldb = turned ? p->lda : p->ldb;
    float sums[NARROW][COLS];
    for (int64_t k0 = 0; k0 < p->k; k0 += K_CHUNK) {
        const bool add = p->add || k0;
        gemm_narrow_args q = {.c = turned ? sums[0] : p->c + at, .ldc = turned ? COLS : p->ldc, .add = add && !turned, .a = a + k0 * lda, .lda = lda, .a_t = true,
                              .b = b + k0 * ldb, .ldb = ldb, .m = rows, .n = cols, .k = i64_min(K_CHUNK, p->k - k0)};
        j->t->product(&q);
        for (int64_t c = 0; turned && c < cols; c++)
            for (int64_t r = 0; r < rows; r++) {
                float *to = p->c + (at + c) * p->ldc + r;
                *to = add ? *to + sums[r][c] : sums[r][c];
            }
    }
}

bool op_matmul_narrow(kernel_ctx *ctx, const op_matmul_args *p)
{
    narrow_job j = {.t = &ctx->table.gemm.narrow, .p = p, .turned = ctx->matmul.block};
    const bool rows = !p->a_t && i64_min(p->n, p->k) < NARROW, columns = p->a_t && !p->b_t && i64_min(p->m, p->n) < NARROW;
    if (!j.t->product || (!rows && !columns)) return false;
    if (rows) by_rows(ctx, &j);
    else pool_run(ctx->pool, columns_item, &j, i64_ceil_div(i64_max(p->m, p->n), COLS));
    return true;
}
