/* Products of training over all threads: c = a . b in any orientation, and dy . w for a stored weight.
 *
 * Whatever way they lie, operands become panels of the exact form (gemm.h), whose tile does the arithmetic. K is cut into chunks of
 * K_CHUNK, which are added to c one after the other; rows of c into chunks whose rows of a fit into A_BYTES. For each chunk
 *   1. a is laid out once, over all threads;
 *   2. an item takes STRIP columns of c by some rows: for K_STEP elements at a time it lays its part of b out, and each panel of a goes
 *      over all of that while it is in the first-level cache. b's panels and the sums stay in the second.
 * So an element of c is the sum of its blocks of GEMM_BLOCK products in order, chunk by chunk, whoever computes it.
 * Scratch: the panels of a, then for each thread its sums and its panels of b.
 */
#include <assert.h>
#include <string.h>

#include "kernel/ctx.h"
#include "kernel/train.h"

enum {
    A_BYTES = 8 << 20,
    K_CHUNK = 4096,
    K_STEP = 256,
    STRIP = GEMM_BLOCK,
    ROWS_STEP = 256,  /* rows of an item, at most */
    ITEMS = 4,        /* wanted for each thread, for balance */
    TURN_TILES = 8,   /* rows of a that are turned at a time: whole squares of 16 at every level */
};

typedef struct matmul_job {
    const gemm_form *form;
    const gemm_turned *turned;
    const vec_table *vec;
    const op_matmul_args *p;
    const kernel_weight *w;     /* instead of b */
    char *a_panels, *threads;
    int64_t r0, rows, k0, k;    /* the chunk */
    int64_t step;               /* rows of an item: a multiple of mr */
    size_t a_panel;
} matmul_job;

static size_t b_panel_bytes(const gemm_form *f) { return K_STEP / GEMM_BLOCK * f->w_block; }
static int64_t panels_of(const gemm_form *f, int64_t cols) { return i64_ceil_div(cols, f->nr); }
static size_t sums_bytes(const gemm_form *f) { return (size_t)i64_ceil_div(ROWS_STEP, f->mr) * (size_t)f->mr * STRIP * sizeof(float); }
static size_t strip_bytes(const gemm_form *f) { return STRIP * (size_t)f->mr * sizeof(float); }
static size_t thread_bytes(const gemm_form *f) { return sums_bytes(f) + strip_bytes(f) + (size_t)panels_of(f, STRIP) * b_panel_bytes(f); }

size_t op_matmul_scratch(const kernel_ctx *ctx, const kernel_limits *l)
{
    const gemm_form *f = &ctx->table.gemm.exact;
    return l->train_rows ? A_BYTES + (size_t)kernel_threads(ctx) * size_round_up(thread_bytes(f), MEM_ALIGN) : 0;
}

/* ---- a ---- */

static void pack_item(void *arg, int64_t item, int worker)
{
    const matmul_job *j = arg;
    const op_matmul_args *p = j->p;
    const int64_t group = p->a_t ? TURN_TILES : 1, r = item * group * j->form->mr;
    const int rows = (int)i64_min(group * j->form->mr, j->rows - r);
    char *to = j->a_panels + (size_t)(item * group) * j->a_panel;
    if (p->a_t) j->turned->pack_x(to, j->a_panel, p->a + j->k0 * p->lda + j->r0 + r, p->lda, rows, j->k);
    else j->form->pack_x(to, p->a + (j->r0 + r) * p->lda + j->k0, p->lda, rows, j->k);
}

/* ---- items ---- */

/* Elements [k0, k0 + k) of b for columns [n0, n0 + cols). */
static void pack_b(const matmul_job *j, char *panels, int64_t n0, int64_t cols, int64_t k0, int64_t k)
{
    const gemm_form *f = j->form;
    const op_matmul_args *p = j->p;
    if (j->w) {
        j->turned->pack_w[j->w->type](panels, b_panel_bytes(f), kernel_weight_row(j->w, k0), quant_row_bytes(j->w->type, j->w->cols), n0,
                                      p->n - n0, k);
    } else if (!p->b_t) {
        j->turned->pack_w[QUANT_F32](panels, b_panel_bytes(f), p->b + k0 * p->ldb, (size_t)p->ldb * sizeof *p->b, n0, p->n - n0, k);
    } else
        for (int64_t c = 0; c < cols; c += f->nr, panels += b_panel_bytes(f))
            f->pack_w[QUANT_F32](panels, p->b + (n0 + c) * p->ldb, (size_t)p->ldb * sizeof *p->b, (int)i64_min(f->nr, cols - c), k0, k);
}

/* A row of tiles to its rows of c. */
static void write_tiles(const matmul_job *j, int64_t r0, int64_t rows, int64_t n0, int64_t cols, const float *sums, float *strip)
{
    const gemm_form *f = j->form;
    const bool add = j->p->add || j->k0;
    for (int64_t r = 0; r < rows; r++) {
        float *c = j->p->c + (r0 + r) * j->p->ldc + n0, *to = add ? strip : c;
        for (int64_t n = 0; n < cols; n += f->nr)
            memcpy(to + n, sums + (n / f->nr * f->mr + r) * f->nr, (size_t)i64_min(f->nr, cols - n) * sizeof *to);
        if (add) j->vec->add(c, strip, cols);
    }
}

/* To the second-level cache while the arithmetic goes on. */
static void bring_near(const char *from, size_t bytes)
{
    enum { LINE = 64 };
    for (size_t i = 0; i < bytes; i += LINE) __builtin_prefetch(from + i, 0, 3);
}

static void product_item(void *arg, int64_t item, int worker)
{
    const matmul_job *j = arg;
    const gemm_form *f = j->form;
    const int64_t steps = i64_ceil_div(j->rows, j->step), r0 = item % steps * j->step, rows = i64_min(j->step, j->rows - r0);
    const int64_t n0 = item / steps * STRIP, cols = i64_min(STRIP, j->p->n - n0), columns = panels_of(f, cols), line = columns * f->mr * f->nr;
    float *all = (float *)(void *)(j->threads + (size_t)worker * size_round_up(thread_bytes(f), MEM_ALIGN)), *strip = all + sums_bytes(f) / sizeof *all;
    char *panels = (char *)strip + strip_bytes(f);
    for (int64_t k0 = 0; k0 < j->k; k0 += K_STEP) {
        const int64_t k = i64_min(K_STEP, j->k - k0);
        pack_b(j, panels, n0, cols, j->k0 + k0, k);
        float *sums = all;
        const char *a = j->a_panels + (size_t)(r0 / f->mr) * j->a_panel + (size_t)(k0 / GEMM_BLOCK) * f->x_block;
        const size_t share = (size_t)i64_ceil_div(k, GEMM_BLOCK) * f->x_block / (size_t)columns;
        for (int64_t r = 0; r < rows; r += f->mr, a += j->a_panel)
            for (int64_t c = 0; c < columns; c++, sums += f->mr * f->nr) {
                bring_near(a + j->a_panel + (size_t)c * share, share);
                f->tile(sums, a, panels + (size_t)c * b_panel_bytes(f), k, (int)i64_min(f->mr, rows - r), k0 == 0);
            }
    }
    for (int64_t r = 0; r < rows; r += f->mr, all += line) write_tiles(j, j->r0 + r0 + r, i64_min(f->mr, rows - r), n0, cols, all, strip);
}

/* ---- chunks ---- */

/* Rows of an item: few enough that all threads have work, and as many as possible. */
static int64_t rows_step(const matmul_job *j, int64_t threads)
{
    const int64_t mr = j->form->mr, strips = i64_ceil_div(j->p->n, STRIP), tiles = i64_ceil_div(j->rows, mr);
    int64_t steps = i64_ceil_div(j->rows, ROWS_STEP / mr * mr);
    if (threads > 1) steps = i64_max(steps, i64_ceil_div(ITEMS * threads, strips));
    return i64_ceil_div(tiles, steps) * mr;
}

static void run_chunk(kernel_ctx *ctx, matmul_job *j)
{
    const gemm_form *f = j->form;
    j->step = rows_step(j, kernel_threads(ctx));
    pool_run(ctx->pool, pack_item, j, i64_ceil_div(j->rows, f->mr * (j->p->a_t ? TURN_TILES : 1)));
    pool_run(ctx->pool, product_item, j, i64_ceil_div(j->p->n, STRIP) * i64_ceil_div(j->rows, j->step));
}

static void run_product(kernel_ctx *ctx, const op_matmul_args *p, const kernel_weight *w)
{
    const gemm_form *f = &ctx->table.gemm.exact;
    matmul_job j = {.form = f, .turned = &ctx->table.gemm.turned, .vec = &ctx->table.vec, .p = p, .w = w, .a_panels = ctx->matmul.block};
    assert(ctx->limits.train_rows && p->k > 0);
    if (p->m == 0 || p->n == 0) return;
    j.threads = j.a_panels + A_BYTES;
    for (j.k0 = 0; j.k0 < p->k; j.k0 += K_CHUNK) {
        j.k = i64_min(K_CHUNK, p->k - j.k0);
        j.a_panel = (size_t)i64_ceil_div(j.k, GEMM_BLOCK) * f->x_block;
        const int64_t fit = (int64_t)(A_BYTES / j.a_panel) * f->mr, chunks = i64_ceil_div(p->m, fit);
        const int64_t rows = i64_ceil_div(i64_ceil_div(p->m, f->mr), chunks) * f->mr;
        for (j.r0 = 0; j.r0 < p->m; j.r0 += rows) {
            j.rows = i64_min(rows, p->m - j.r0);
            run_chunk(ctx, &j);
        }
    }
}

void op_matmul(kernel_ctx *ctx, const op_matmul_args *p) { run_product(ctx, p, NULL); }

void op_linear_back(kernel_ctx *ctx, const kernel_weight *w, const float *dy, int64_t ldy, float *dx, int64_t ldx, int64_t rows, bool add)
{
    op_matmul_args p = {.c = dx, .ldc = ldx, .add = add, .a = dy, .lda = ldy, .m = rows, .n = w->cols, .k = w->rows};
    run_product(ctx, &p, w);
}
