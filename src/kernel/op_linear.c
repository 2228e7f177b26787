/* Products with weights over all threads.
 *
 * x is laid out as panels once for all outputs of a call. The work is then cut into items, each of which computes its part of y from
 * beginning to end, so that nothing depends on which thread takes it:
 *   few rows:  some rows of w against all rows of x, straight from the stored blocks
 *   many rows: one tile column (nr rows of w) against up to ROWS_STEP rows of x; w is laid out GEMM_K_STEP elements at a time
 * Scratch: the x panels, then for each thread a w panel and the sums of its item.
 */
#include <assert.h>
#include <string.h>

#include "kernel/ctx.h"

enum {
    ROWS_STEP = 512,       /* rows of x for each laying out of a w panel */
    FEW_BYTES = 32 * 1024, /* of w in an item of few rows */
    FEW_COLS = 256,        /* rows of w in such an item, at most */
};

static const gemm_form *form_of(const kernel_ctx *ctx) { return ctx->exact ? &ctx->table.gemm.exact : &ctx->table.gemm.fast; }

static int64_t blocks_of(int64_t k) { return i64_ceil_div(k, GEMM_BLOCK); }
static size_t x_panel_bytes(const gemm_form *f, int64_t k) { return (size_t)blocks_of(k) * f->x_block; }
static size_t w_panel_bytes(const gemm_form *f) { return GEMM_K_STEP / GEMM_BLOCK * f->w_block; }

static size_t sums_bytes(const gemm_form *f)
{
    int64_t tiles = (ROWS_STEP + f->mr - 1) / f->mr * f->mr * f->nr, few = GEMM_TILE_MAX * FEW_COLS;
    return size_round_up((size_t)i64_max(tiles, few) * sizeof(float), MEM_ALIGN);
}

size_t op_linear_scratch(const kernel_ctx *ctx, const kernel_limits *l)
{
    const gemm_form *f = form_of(ctx);
    size_t x = (size_t)i64_ceil_div(l->rows, f->mr) * x_panel_bytes(f, l->cols);
    return x + (size_t)kernel_threads(ctx) * (w_panel_bytes(f) + sums_bytes(f));
}

typedef struct linear_job {
    const gemm_table *gemm;
    const gemm_form *form;
    const op_linear_out *outs;
    int n_outs;
    const float *x;
    int64_t ldx, rows, k;
    char *x_panels, *thread_memory;
    size_t x_panel, thread_bytes;
    int64_t rows_step; /* rows of x in an item: a multiple of mr */
} linear_job;

static float *item_sums(const linear_job *j, int worker) { return (float *)(void *)(j->thread_memory + (size_t)worker * j->thread_bytes); }

/* y (=, +=) c + bias for `rows` rows and `cols` columns from (r0, n0) on. */
static void write_out(const op_linear_out *o, int64_t r0, int64_t rows, int64_t n0, int64_t cols, const float *c, int64_t ldc)
{
    for (int64_t r = 0; r < rows; r++, c += ldc) {
        float *y = o->y + (r0 + r) * o->ldy + n0;
        const float *bias = o->bias ? o->bias + n0 : NULL;
        if (o->add && bias)
            for (int64_t i = 0; i < cols; i++) y[i] += c[i] + bias[i];
        else if (o->add)
            for (int64_t i = 0; i < cols; i++) y[i] += c[i];
        else if (bias)
            for (int64_t i = 0; i < cols; i++) y[i] = c[i] + bias[i];
        else memcpy(y, c, (size_t)cols * sizeof *y);
    }
}

static void pack_item(void *arg, int64_t item, int worker)
{
    const linear_job *j = arg;
    int64_t r = item * j->form->mr;
    j->form->pack_x(j->x_panels + (size_t)item * j->x_panel, j->x + r * j->ldx, j->ldx, (int)i64_min(j->form->mr, j->rows - r), j->k);
}

/* ---- many rows ---- */

static int64_t tile_items(const linear_job *j, int out)
{
    return i64_ceil_div(j->outs[out].w->rows, j->form->nr) * i64_ceil_div(j->rows, j->rows_step);
}

static void tile_item(void *arg, int64_t item, int worker)
{
    const linear_job *j = arg;
    const gemm_form *f = j->form;
    int out = 0;
    for (; item >= tile_items(j, out); out++) item -= tile_items(j, out);
    const op_linear_out *o = &j->outs[out];
    const kernel_weight *w = o->w;

    int64_t steps = i64_ceil_div(j->rows, j->rows_step);
    int64_t n0 = item / steps * f->nr, cols = i64_min(f->nr, w->rows - n0);
    int64_t r0 = item % steps * j->rows_step, rows = i64_min(j->rows_step, j->rows - r0);
    int64_t tiles = i64_ceil_div(rows, f->mr), tile_size = (int64_t)f->mr * f->nr;
    float *sums = item_sums(j, worker);
    void *panel = (char *)sums + sums_bytes(f);
    memset(sums, 0, (size_t)(tiles * tile_size) * sizeof *sums);
    for (int64_t k0 = 0; k0 < j->k; k0 += GEMM_K_STEP) {
        int64_t k = i64_min(GEMM_K_STEP, j->k - k0);
        f->pack_w[w->type](panel, kernel_weight_row(w, n0), quant_row_bytes(w->type, w->cols), (int)cols, k0, k);
        const char *x = j->x_panels + (size_t)(r0 / f->mr) * j->x_panel + (size_t)(k0 / GEMM_BLOCK) * f->x_block;
        for (int64_t t = 0; t < tiles; t++, x += j->x_panel)
            f->tile(sums + t * tile_size, x, panel, k, (int)i64_min(f->mr, rows - t * f->mr));
    }
    write_out(o, r0, rows, n0, cols, sums, f->nr);
}

static void run_tiles(kernel_ctx *ctx, linear_job *j)
{
    enum { ITEMS_A_THREAD = 4 }; /* for balance */
    int64_t columns = 0, want = ITEMS_A_THREAD * (int64_t)kernel_threads(ctx), tiles = i64_ceil_div(j->rows, j->form->mr);
    for (int i = 0; i < j->n_outs; i++) columns += i64_ceil_div(j->outs[i].w->rows, j->form->nr);
    int64_t steps = i64_max(i64_ceil_div(j->rows, ROWS_STEP), kernel_threads(ctx) > 1 ? i64_ceil_div(want, columns) : 1);
    j->rows_step = i64_ceil_div(tiles, steps) * j->form->mr;
    int64_t items = 0;
    for (int i = 0; i < j->n_outs; i++) items += tile_items(j, i);
    pool_run(ctx->pool, tile_item, j, items);
}

/* ---- few rows ---- */

/* Rows of w in an item. */
static int64_t few_cols(const kernel_weight *w)
{
    int64_t fit = FEW_BYTES / (int64_t)quant_row_bytes(w->type, w->cols);
    return i64_min(FEW_COLS, i64_max(fit, 4));
}

static int64_t few_items(const kernel_weight *w) { return i64_ceil_div(w->rows, few_cols(w)); }

static void few_item(void *arg, int64_t item, int worker)
{
    const linear_job *j = arg;
    int out = 0;
    for (; item >= few_items(j->outs[out].w); out++) item -= few_items(j->outs[out].w);
    const op_linear_out *o = &j->outs[out];
    const kernel_weight *w = o->w;
    int64_t n0 = item * few_cols(w), n = i64_min(few_cols(w), w->rows - n0);
    float *sums = item_sums(j, worker);
    j->gemm->few[w->type](sums, n, kernel_weight_row(w, n0), quant_row_bytes(w->type, w->cols), n, j->x_panels, j->x, j->ldx,
                          (int)j->rows, j->k);
    write_out(o, 0, j->rows, n0, n, sums, n);
}

static void run_few(kernel_ctx *ctx, linear_job *j)
{
    int64_t items = 0;
    for (int i = 0; i < j->n_outs; i++) items += few_items(j->outs[i].w);
    pool_run(ctx->pool, few_item, j, items);
}

/* Fills the x panels, over all threads when that is worth a fork. */
static void pack_rows(kernel_ctx *ctx, linear_job *j)
{
    enum { WORTH_A_FORK = 16384 };
    bool fork = j->rows * j->k >= WORTH_A_FORK;
    pool_run(fork ? ctx->pool : NULL, pack_item, j, i64_ceil_div(j->rows, j->form->mr));
}

void op_linear(kernel_ctx *ctx, const op_linear_out *outs, int n_outs, const float *x, int64_t ldx, int64_t rows)
{
    if (n_outs == 0 || rows == 0) return;
    const gemm_form *f = form_of(ctx);
    int64_t k = outs[0].w->cols;
    assert(rows <= ctx->limits.rows && k <= ctx->limits.cols);
    for (int i = 1; i < n_outs; i++) assert(outs[i].w->cols == k);
    linear_job j = {
        .gemm = &ctx->table.gemm, .form = f, .outs = outs, .n_outs = n_outs, .x = x, .ldx = ldx, .rows = rows, .k = k,
        .x_panels = ctx->linear.block, .x_panel = x_panel_bytes(f, k), .thread_bytes = w_panel_bytes(f) + sums_bytes(f),
    };
    j.thread_memory = j.x_panels + (size_t)i64_ceil_div(ctx->limits.rows, f->mr) * x_panel_bytes(f, ctx->limits.cols);
    pack_rows(ctx, &j);
    if (!ctx->exact && rows <= ctx->table.gemm.few_rows) run_few(ctx, &j);
    else run_tiles(ctx, &j);
}

void op_embed(kernel_ctx *ctx, float *y, const kernel_weight *w, const int32_t *ids, int64_t rows, float scale)
{
    for (int64_t r = 0; r < rows; r++) {
        quant_info_get(w->type)->decode(kernel_weight_row(w, ids[r]), y + r * w->cols, w->cols);
        if (scale != 1.0f) ctx->table.vec.scale(y + r * w->cols, scale, w->cols);
    }
}
