/* Products with weights over all threads.
 *
 * x is laid out as panels once for all outputs of a call. The work is then cut into items, each of which computes its part of y from
 * beginning to end, so that nothing depends on which thread takes it:
 *   few rows:  some rows of w against all rows of x, straight from the stored blocks
 *   many rows: some tile columns (nr rows of w each) against some rows of x, cut as the form likes it (gemm_blocking). For k_step
 *              elements at a time w is laid out; then a tile of x stays in the first-level cache while the w panels come from the second
 * A gated output takes both its weights through the same item, so that neither product goes to memory.
 * Scratch: the x panels, then for each thread the sums of its item and its w panels.
 */
#include <assert.h>
#include <string.h>

#include "kernel/ctx.h"

enum {
    FEW_BYTES = 256 * 1024, /* of w in an item of few rows: long reads are quick reads */
    FEW_COLS = 1024,        /* rows of w in such an item, at most */
};

static const gemm_form *form_of(const kernel_ctx *ctx) { return ctx->exact ? &ctx->table.gemm.exact : &ctx->table.gemm.fast; }

static int64_t blocks_of(int64_t k) { return i64_ceil_div(k, GEMM_BLOCK); }
static size_t x_panel_bytes(const gemm_form *f, int64_t k) { return (size_t)blocks_of(k) * f->x_block; }
static size_t w_panel_bytes(const gemm_form *f) { return (size_t)(f->blocking.k_step / GEMM_BLOCK) * f->w_block; }

static size_t sums_bytes(const gemm_form *f)
{
    int64_t tiles = i64_ceil_div(f->blocking.rows, f->mr) * f->mr * f->nr * f->blocking.columns, few = 2 * GEMM_FEW_MAX * FEW_COLS;
    return size_round_up((size_t)i64_max(tiles, few) * sizeof(float), MEM_ALIGN);
}

static size_t thread_bytes(const gemm_form *f) { return sums_bytes(f) + (size_t)f->blocking.columns * w_panel_bytes(f); }

/* Of the x panels, whichever kind they are. */
static size_t x_bytes(const kernel_ctx *ctx, const kernel_limits *l)
{
    const gemm_form *f = form_of(ctx);
    size_t many = (size_t)i64_ceil_div(l->rows, f->mr) * x_panel_bytes(f, l->cols), few = (size_t)blocks_of(l->cols) * ctx->table.gemm.few.x_block;
    return many > few ? many : few;
}

size_t op_linear_scratch(const kernel_ctx *ctx, const kernel_limits *l)
{
    const gemm_form *f = form_of(ctx);
    return x_bytes(ctx, l) + (size_t)kernel_threads(ctx) * thread_bytes(f);
}

typedef struct linear_job {
    const gemm_few *few;
    const gemm_form *form;
    const vec_table *vec;
    const op_linear_out *outs;
    int n_outs;
    const float *x;
    int64_t ldx, rows, k;
    int threads;
    char *x_panels, *thread_memory;
    size_t x_panel;
    int64_t rows_step, cols_step; /* rows of x and of w in an item: multiples of mr and nr */
} linear_job;

static float *item_sums(const linear_job *j, int worker) { return (float *)(void *)(j->thread_memory + (size_t)worker * thread_bytes(j->form)); }

/* y (=, +=) c + bias for n columns of a row. */
static inline void write_columns(float *restrict y, const float *restrict c, const float *restrict bias, bool add, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = (add ? y[i] : 0) + (c[i] + (bias ? bias[i] : 0));
}

/* The same for `rows` rows and `cols` columns from (r0, n0) on. */
static void write_out(const op_linear_out *o, int64_t r0, int64_t rows, int64_t n0, int64_t cols, const float *c, int64_t ldc)
{
    for (int64_t r = 0; r < rows; r++, c += ldc) {
        float *y = o->y + (r0 + r) * o->ldy + n0;
        if (o->add || o->bias) write_columns(y, c, o->bias ? o->bias + n0 : NULL, o->add, cols);
        else memcpy(y, c, (size_t)cols * sizeof *y);
    }
}

/* ---- many rows ---- */

static void pack_item(void *arg, int64_t item, int worker)
{
    const linear_job *j = arg;
    int64_t r = item * j->form->mr;
    j->form->pack_x(j->x_panels + (size_t)item * j->x_panel, j->x + r * j->ldx, j->ldx, (int)i64_min(j->form->mr, j->rows - r), j->k);
}

/* Fills the x panels, over all threads when that is worth a fork. */
static void pack_rows(kernel_ctx *ctx, linear_job *j)
{
    enum { WORTH_A_FORK = 16384 };
    bool fork = j->rows * j->k >= WORTH_A_FORK;
    pool_run(fork ? ctx->pool : NULL, pack_item, j, i64_ceil_div(j->rows, j->form->mr));
}

/* Rows of w in an item; one with a gate has as many of the other weight. */
static int64_t cols_step(const linear_job *j, const op_linear_out *o)
{
    const int nr = j->form->nr;
    return o->up ? i64_max(1, j->cols_step / nr / 2) * nr : j->cols_step;
}

static int64_t tile_items(const linear_job *j, int out)
{
    const op_linear_out *o = &j->outs[out];
    return i64_ceil_div(o->w->rows, cols_step(j, o)) * i64_ceil_div(j->rows, j->rows_step);
}

/* Elements [k0, k0 + k) of rows [n0, n1), to the second-level cache while the arithmetic goes on. */
static void bring_near(const kernel_weight *w, int64_t n0, int64_t n1, int64_t k0, int64_t k)
{
    enum { LINE = 64 };
    if (k <= 0) return;
    const size_t row = quant_row_bytes(w->type, w->cols), begin = row * (size_t)k0 / (size_t)w->cols, end = row * (size_t)(k0 + k) / (size_t)w->cols;
    const char *from = (const char *)w->data + row * (size_t)n0;
    for (; n0 < n1; n0++, from += row)
        for (size_t i = begin; i < end; i += LINE) __builtin_prefetch(from + i, 0, 2);
}

/* sums[tile of x][column of tiles] += for elements [k0, k0 + k). */
static void add_step(const linear_job *j, const kernel_weight *w, int64_t n0, int64_t cols, int64_t r0, int64_t rows, int64_t k0, float *sums,
                     char *panels)
{
    const gemm_form *f = j->form;
    int64_t k = i64_min(f->blocking.k_step, j->k - k0), columns = i64_ceil_div(cols, f->nr);
    for (int64_t c = 0; c < cols; c += f->nr) {
        bring_near(w, n0 + i64_min(cols, c + f->nr), n0 + i64_min(cols, c + 2 * f->nr), k0, k);
        f->pack_w[w->type](panels + (size_t)(c / f->nr) * w_panel_bytes(f), kernel_weight_row(w, n0 + c), quant_row_bytes(w->type, w->cols),
                           (int)i64_min(f->nr, cols - c), k0, k);
    }
    const char *x = j->x_panels + (size_t)(r0 / f->mr) * j->x_panel + (size_t)(k0 / GEMM_BLOCK) * f->x_block;
    const int64_t tiles = i64_ceil_div(rows, f->mr);
    for (int64_t t = 0; t < tiles; t++, x += j->x_panel) {
        bring_near(w, n0 + cols * t / tiles, n0 + cols * (t + 1) / tiles, k0 + k, i64_min(f->blocking.k_step, j->k - k0 - k));
        for (int64_t c = 0; c < columns; c++, sums += f->mr * f->nr)
            f->tile(sums, x, panels + (size_t)c * w_panel_bytes(f), k, (int)i64_min(f->mr, rows - t * f->mr), k0 == 0);
    }
}

/* A row of tiles as rows of `columns` times nr. */
static void unpack_tiles(const gemm_form *f, float *to, const float *sums, int64_t columns, int64_t rows)
{
    const int64_t tile = f->mr * f->nr, ld = columns * f->nr;
    for (int64_t c = 0; c < columns; c++, to += f->nr, sums += tile) {
        if (f->unpack) f->unpack(to, ld, sums, (int)rows);
        else
            for (int64_t r = 0; r < rows; r++) memcpy(to + r * ld, sums + r * f->nr, (size_t)f->nr * sizeof *to);
    }
}

/* y = act(gate) * up for rows of ld floats, each with its bias still to come. */
static void write_gated(const linear_job *j, const op_linear_out *o, int64_t r0, int64_t rows, int64_t n0, int64_t cols, float *gate, float *up, int64_t ld)
{
    for (int64_t r = 0; r < rows; r++, gate += ld, up += ld) {
        for (int64_t i = 0; i < cols && o->bias; i++) gate[i] += o->bias[n0 + i];
        for (int64_t i = 0; i < cols && o->up_bias; i++) up[i] += o->up_bias[n0 + i];
        j->vec->glu(o->y + (r0 + r) * o->ldy + n0, gate, up, cols, o->act);
    }
}

/* A row of tiles (and one of the other weight's) to y, whole rows of it at a time: short stretches far apart take longer to write. */
static void write_tiles(const linear_job *j, const op_linear_out *o, int64_t r0, int64_t rows, int64_t n0, int64_t cols, const float *sums,
                        const float *up_sums, float *strip)
{
    const gemm_form *f = j->form;
    const int64_t columns = i64_ceil_div(cols, f->nr), ld = columns * f->nr;
    float *up = strip + f->mr * ld;
    unpack_tiles(f, strip, sums, columns, rows);
    if (o->up) {
        unpack_tiles(f, up, up_sums, columns, rows);
        write_gated(j, o, r0, rows, n0, cols, strip, up, ld);
    } else write_out(o, r0, rows, n0, cols, strip, ld);
}

static void tile_item(void *arg, int64_t item, int worker)
{
    const linear_job *j = arg;
    const gemm_form *f = j->form;
    int out = 0;
    for (; item >= tile_items(j, out); out++) item -= tile_items(j, out);
    const op_linear_out *o = &j->outs[out];

    int64_t steps = i64_ceil_div(j->rows, j->rows_step), step = cols_step(j, o);
    int64_t n0 = item / steps * step, cols = i64_min(step, o->w->rows - n0), line = i64_ceil_div(cols, f->nr) * f->mr * f->nr;
    int64_t r0 = item % steps * j->rows_step, rows = i64_min(j->rows_step, j->rows - r0);
    float *sums = item_sums(j, worker), *up_sums = sums + i64_ceil_div(rows, f->mr) * line;
    char *panels = (char *)sums + sums_bytes(f);
    if (f->enter) f->enter();
    for (int64_t k0 = 0; k0 < j->k; k0 += f->blocking.k_step) {
        add_step(j, o->w, n0, cols, r0, rows, k0, sums, panels);
        if (o->up) add_step(j, o->up, n0, cols, r0, rows, k0, up_sums, panels);
    }
    if (f->leave) f->leave();
    float *strip = (float *)(void *)panels; /* which are done with, and larger */
    for (int64_t r = 0; r < rows; r += f->mr, sums += line, up_sums += line)
        write_tiles(j, o, r0 + r, i64_min(f->mr, rows - r), n0, cols, sums, up_sums, strip);
}

/* Cuts the job into items large enough to reuse what they lay out, and enough of them for balance. */
static void run_tiles(kernel_ctx *ctx, linear_job *j)
{
    const gemm_form *f = j->form;
    int64_t columns = 0, threads = kernel_threads(ctx), want = threads > 1 ? f->blocking.items * threads : 1;
    for (int i = 0; i < j->n_outs; i++) columns += i64_ceil_div(j->outs[i].w->rows, f->nr) * (j->outs[i].up ? 2 : 1);
    int64_t steps = i64_max(i64_ceil_div(j->rows, f->blocking.rows), i64_ceil_div(want, columns));
    j->rows_step = i64_ceil_div(i64_ceil_div(j->rows, f->mr), steps) * f->mr;
    j->cols_step = i64_max(1, i64_min(f->blocking.columns, columns * steps / want)) * f->nr;
    int64_t items = 0;
    for (int i = 0; i < j->n_outs; i++) items += tile_items(j, i);
    pack_rows(ctx, j);
    pool_run(ctx->pool, tile_item, j, items);
}

/* ---- few rows ---- */

/* Rows of w in an item: as many as read well, but enough items for balance. */
static int64_t few_cols(const linear_job *j, const kernel_weight *w)
{
    int64_t fit = FEW_BYTES / (int64_t)quant_row_bytes(w->type, w->cols), fair = w->rows / (4 * j->threads);
    return i64_max(4, i64_min(FEW_COLS, i64_min(fit, fair)));
}

static int64_t few_items(const linear_job *j, const kernel_weight *w) { return i64_ceil_div(w->rows, few_cols(j, w)); }

static void few_product(const linear_job *j, float *sums, const kernel_weight *w, int64_t n0, int64_t n)
{
    j->few->product[w->type](sums, n, kernel_weight_row(w, n0), quant_row_bytes(w->type, w->cols), n, j->x_panels, j->x, j->ldx, (int)j->rows, j->k);
}

static void few_item(void *arg, int64_t item, int worker)
{
    const linear_job *j = arg;
    int out = 0;
    for (; item >= few_items(j, j->outs[out].w); out++) item -= few_items(j, j->outs[out].w);
    const op_linear_out *o = &j->outs[out];
    int64_t n0 = item * few_cols(j, o->w), n = i64_min(few_cols(j, o->w), o->w->rows - n0);
    float *sums = item_sums(j, worker), *up = sums + j->rows * n;
    few_product(j, sums, o->w, n0, n);
    if (o->up) {
        few_product(j, up, o->up, n0, n);
        write_gated(j, o, 0, j->rows, n0, n, sums, up, n);
    } else write_out(o, 0, j->rows, n0, n, sums, n);
}

static void run_few(kernel_ctx *ctx, linear_job *j)
{
    int64_t items = 0;
    j->few->pack_x(j->x_panels, j->x, j->ldx, (int)j->rows, j->k);
    for (int i = 0; i < j->n_outs; i++) items += few_items(j, j->outs[i].w);
    pool_run(ctx->pool, few_item, j, items);
}

void op_linear(kernel_ctx *ctx, const op_linear_out *outs, int n_outs, const float *x, int64_t ldx, int64_t rows)
{
    if (n_outs == 0 || rows == 0) return;
    const gemm_form *f = form_of(ctx);
    int64_t k = outs[0].w->cols;
    assert(rows <= ctx->limits.rows && k <= ctx->limits.cols);
    for (int i = 0; i < n_outs; i++) {
        const kernel_weight *up = outs[i].up;
        assert(outs[i].w->cols == k && (!up || (up->cols == k && up->rows == outs[i].w->rows && !outs[i].add)));
    }
    linear_job j = {
        .few = &ctx->table.gemm.few, .form = f, .vec = &ctx->table.vec, .outs = outs, .n_outs = n_outs, .x = x, .ldx = ldx, .rows = rows, .k = k,
        .threads = kernel_threads(ctx),
        .x_panels = ctx->linear.block, .x_panel = x_panel_bytes(f, k),
    };
    j.thread_memory = j.x_panels + x_bytes(ctx, &ctx->limits);
    if (!ctx->exact && rows <= j.few->rows) run_few(ctx, &j);
    else run_tiles(ctx, &j);
}

void op_embed(kernel_ctx *ctx, float *y, const kernel_weight *w, const int32_t *ids, int64_t rows, float scale)
{
    for (int64_t r = 0; r < rows; r++) {
        quant_info_get(w->type)->decode(kernel_weight_row(w, ids[r]), y + r * w->cols, w->cols);
        if (scale != 1.0f) ctx->table.vec.scale(y + r * w->cols, scale, w->cols);
    }
}
