/* Products of training over all threads: c = a . b in any orientation, and dy . w for a stored weight.
 *
 * Whatever way they lie, operands become panels of a form (gemm.h), whose tile does the arithmetic. K is cut into chunks of K_CHUNK,
 * which are added to c one after the other; rows of c into chunks whose panels of a fit into A_BYTES. For each chunk
 *   1. a is laid out once, over all threads;
 *   2. an item takes STRIP columns of c by some rows: for K_STEP elements at a time it lays its part of b out, and each panel of a goes
 *      over all of that while it is in the first-level cache. b's panels and the sums stay in the second.
 * So an element of c is the sum of its blocks of GEMM_BLOCK products in order, chunk by chunk, whoever computes it.
 * The exact form has packers for operands that lie the other way round (gemm_turned). For another form they are laid out by these first,
 * a block of K at a time, and its own packers take it from there.
 * Scratch: the panels of a, then for each thread what thread_memory names.
 */
#include <assert.h>
#include <string.h>

#include "kernel/ctx.h"
#include "kernel/train.h"

enum {
    A_BYTES = 4 << 20,
    K_CHUNK = 2048,
    K_STEP = 256,
    STRIP = GEMM_BLOCK,
    ROWS_STEP = 512,  /* rows of an item, at most */
    ITEMS = 4,        /* wanted for each thread, for balance */
    SQUARE = 16,      /* what is turned at a time */
    TURNED_MAX = 128, /* rows of a that are turned for one item: whole squares and whole tiles of every form */
    EXACT_BELOW = 64, /* of any size (op_matmul_narrow.c takes most of these): laying out for fast mode takes longer than it saves, as in products of low rank */
};

/* What a thread owns. */
typedef struct thread_memory {
    size_t strip, panels, laid, turned, bytes; /* where they begin, after the sums */
} thread_memory;

typedef struct matmul_job {
    const gemm_form *form, *exact;
    const gemm_turned *turned;
    const vec_table *vec;
    const op_matmul_args *p;
    const kernel_weight *w;     /* instead of b */
    char *a_panels, *threads;
    thread_memory memory;       /* of each */
    int64_t r0, rows, k0, k;    /* the chunk */
    int64_t step;               /* rows of an item: a multiple of mr */
    size_t a_panel;
} matmul_job;

static size_t b_panel_bytes(const gemm_form *f) { return K_STEP / GEMM_BLOCK * f->w_block; }
static int64_t panels_of(const gemm_form *f, int64_t cols) { return i64_ceil_div(cols, f->nr); }

static thread_memory memory_of(const gemm_form *f)
{
    const size_t line = (size_t)f->mr * STRIP * sizeof(float), square = STRIP * GEMM_BLOCK * sizeof(float);
    thread_memory m = {.strip = (size_t)i64_ceil_div(ROWS_STEP, f->mr) * line};
    m.panels = size_round_up(m.strip + line, MEM_ALIGN);
    m.laid = m.panels + (size_t)panels_of(f, STRIP) * b_panel_bytes(f);
    m.turned = m.laid + square;
    m.bytes = m.turned + square;
    return m;
}

size_t op_matmul_scratch(const kernel_ctx *ctx, const kernel_limits *l)
{
    const size_t exact = memory_of(&ctx->table.gemm.exact).bytes, fast = memory_of(&ctx->table.gemm.fast).bytes;
    return l->train_rows ? A_BYTES + (size_t)kernel_threads(ctx) * (exact > fast ? exact : fast) : 0;
}

static char *memory_at(const matmul_job *j, int worker, size_t part) { return j->threads + (size_t)worker * j->memory.bytes + part; }

/* ---- a ---- */

/* Panels of a that an item lays out: when they are turned, so many that their rows are whole squares. */
static int64_t panels_turned(const matmul_job *j)
{
    int64_t panels = 1;
    while (j->p->a_t && panels * j->form->mr % SQUARE) panels++;
    return panels;
}

static void turn_a(const matmul_job *j, char *to, const float *from, int64_t ld, int rows, float *turned)
{
    const gemm_form *f = j->form;
    if (f == j->exact) {
        j->turned->pack_x(to, j->a_panel, from, ld, rows, j->k);
        return;
    }
    for (int64_t k0 = 0; k0 < j->k; k0 += GEMM_BLOCK, to += f->x_block) {
        const int64_t k = i64_min(GEMM_BLOCK, j->k - k0);
        j->turned->pack_x(turned, j->exact->x_block, from + k0 * ld, ld, rows, k); /* one panel after the other: rows of GEMM_BLOCK */
        for (int r = 0; r < rows; r += f->mr)
            f->pack_x(to + (size_t)(r / f->mr) * j->a_panel, turned + r * GEMM_BLOCK, GEMM_BLOCK, (int)i64_min(f->mr, rows - r), k);
    }
}

static void pack_item(void *arg, int64_t item, int worker)
{
    const matmul_job *j = arg;
    const op_matmul_args *p = j->p;
    const int64_t panels = panels_turned(j), r = item * panels * j->form->mr;
    const int rows = (int)i64_min(panels * j->form->mr, j->rows - r);
    char *to = j->a_panels + (size_t)(item * panels) * j->a_panel;
    float *turned = (float *)(void *)memory_at(j, worker, j->memory.turned);
    if (p->a_t) turn_a(j, to, p->a + j->k0 * p->lda + j->r0 + r, p->lda, rows, turned);
    else j->form->pack_x(to, p->a + (j->r0 + r) * p->lda + j->k0, p->lda, rows, j->k);
}

/* ---- b ---- */

/* Columns [n0, n0 + cols) of c by rows [r0, r0 + rows) of the chunk. */
typedef struct matmul_item {
    int64_t r0, rows, n0, cols, columns; /* columns of tiles */
    float *sums, *strip, *laid, *turned;
    char *panels;
} matmul_item;

/* Exact panels of the rows [k0, k0 + k) of b, or of the weight. */
static void lay_b(const matmul_job *j, void *panels, size_t panel_bytes, int64_t n0, int64_t k0, int64_t k)
{
    const op_matmul_args *p = j->p;
    const quant_type type = j->w ? j->w->type : QUANT_F32;
    const size_t row_bytes = j->w ? quant_row_bytes(type, j->w->cols) : (size_t)p->ldb * sizeof *p->b;
    const char *b = j->w ? j->w->data : (const void *)p->b;
    j->turned->pack_w[type](panels, panel_bytes, b + (size_t)k0 * row_bytes, row_bytes, n0, p->n - n0, k);
}

/* Rows [0, cols) of `from` (rows of GEMM_BLOCK, or of b itself) from element k0 on. */
static void pack_b_rows(const matmul_job *j, const matmul_item *it, char *to, const float *from, int64_t ld, int64_t k0, int64_t k)
{
    const gemm_form *f = j->form;
    for (int64_t c = 0; c < it->cols; c += f->nr, to += b_panel_bytes(f))
        f->pack_w[QUANT_F32](to, from + c * ld, (size_t)ld * sizeof *from, (int)i64_min(f->nr, it->cols - c), k0, k);
}

/* Elements [k0, k0 + k) of the item's columns of b. */
static void pack_b(const matmul_job *j, const matmul_item *it, int64_t k0, int64_t k)
{
    const op_matmul_args *p = j->p;
    const gemm_form *f = j->form, *e = j->exact;
    if (p->b_t && !j->w) {
        pack_b_rows(j, it, it->panels, p->b + it->n0 * p->ldb, p->ldb, k0, k);
        return;
    }
    if (f == e) {
        lay_b(j, it->panels, b_panel_bytes(f), it->n0, k0, k);
        return;
    }
    for (int64_t at = 0; at < k; at += GEMM_BLOCK) {
        const int64_t part = i64_min(GEMM_BLOCK, k - at);
        lay_b(j, it->laid, e->w_block, it->n0, k0 + at, part);
        char *to = it->panels + (size_t)(at / GEMM_BLOCK) * f->w_block;
        for (int64_t c = 0; c < it->cols; c += e->nr) {
            const float *laid = it->laid + c * GEMM_BLOCK;
            if (j->turned->fast_w) j->turned->fast_w(to + (size_t)(c / f->nr) * b_panel_bytes(f), laid, part);
            else j->turned->pack_x(it->turned + c * GEMM_BLOCK, e->x_block, laid, e->nr, e->nr, part);
        }
        if (!j->turned->fast_w) pack_b_rows(j, it, to, it->turned, GEMM_BLOCK, 0, part);
    }
}

/* Memory that is wanted soon, while the arithmetic goes on. */
static inline void bring_near(const char *from, size_t bytes)
{
    enum { LINE = 64 };
    for (size_t i = 0; i < bytes; i += LINE) __builtin_prefetch(from + i, 0, 3);
}

/* A part of the elements [k0, k0 + k) of b, as they are stored. */
static void bring_b(const matmul_job *j, const matmul_item *it, int64_t k0, int64_t k, int64_t part, int64_t parts)
{
    const op_matmul_args *p = j->p;
    const bool along = p->b_t && !j->w;
    const int64_t rows = along ? it->cols : k, begin = rows * part / parts, end = rows * (part + 1) / parts;
    if (k <= 0) return;
    if (j->w) {
        const size_t row = quant_row_bytes(j->w->type, j->w->cols), from = row * (size_t)it->n0 / (size_t)j->w->cols;
        for (int64_t i = begin; i < end; i++) bring_near((const char *)kernel_weight_row(j->w, j->k0 + k0 + i) + from, row * (size_t)it->cols / (size_t)j->w->cols);
    } else if (along)
        for (int64_t c = begin; c < end; c++) bring_near((const char *)(p->b + (it->n0 + c) * p->ldb + j->k0 + k0), (size_t)k * sizeof *p->b);
    else
        for (int64_t i = begin; i < end; i++) bring_near((const char *)(p->b + (j->k0 + k0 + i) * p->ldb + it->n0), (size_t)it->cols * sizeof *p->b);
}

static void bring_c(const matmul_job *j, const matmul_item *it, int64_t r0, int64_t rows)
{
    for (int64_t r = 0; r < rows; r++) bring_near((const char *)(j->p->c + (j->r0 + r0 + r) * j->p->ldc + it->n0), (size_t)it->cols * sizeof *j->p->c);
}

/* ---- items ---- */

/* A row of tiles to its rows of c. */
static void write_tiles(const matmul_job *j, const matmul_item *it, int64_t r0, int64_t rows, const float *sums)
{
    const gemm_form *f = j->form;
    const int64_t ld = it->columns * f->nr;
    for (int64_t c = 0; c < it->columns; c++, sums += f->mr * f->nr) {
        if (f->unpack) f->unpack(it->strip + c * f->nr, ld, sums, (int)rows);
        else
            for (int64_t r = 0; r < rows; r++) memcpy(it->strip + r * ld + c * f->nr, sums + r * f->nr, (size_t)f->nr * sizeof *sums);
    }
    for (int64_t r = 0; r < rows; r++) {
        float *c = j->p->c + (j->r0 + r0 + r) * j->p->ldc + it->n0;
        if (j->p->add || j->k0) j->vec->add(c, it->strip + r * ld, it->cols);
        else memcpy(c, it->strip + r * ld, (size_t)it->cols * sizeof *c);
    }
}

/* The sums of elements [k0, k0 + K_STEP); the last ones go to c while they are near. */
static void add_step(const matmul_job *j, const matmul_item *it, int64_t k0)
{
    const gemm_form *f = j->form;
    const int64_t k = i64_min(K_STEP, j->k - k0), next = i64_min(K_STEP, j->k - k0 - k), tiles = i64_ceil_div(it->rows, f->mr);
    const size_t share = (size_t)i64_ceil_div(k, GEMM_BLOCK) * f->x_block / (size_t)it->columns;
    const char *a = j->a_panels + (size_t)(it->r0 / f->mr) * j->a_panel + (size_t)(k0 / GEMM_BLOCK) * f->x_block;
    float *sums = it->sums;
    pack_b(j, it, j->k0 + k0, k);
    for (int64_t t = 0; t < tiles; t++, a += j->a_panel, sums += it->columns * f->mr * f->nr) {
        const int64_t r = t * f->mr, rows = i64_min(f->mr, it->rows - r);
        bring_b(j, it, k0 + k, next, t, tiles);
        if (next <= 0) bring_c(j, it, it->r0 + r, rows);
        for (int64_t c = 0; c < it->columns; c++) {
            bring_near(a + j->a_panel + (size_t)c * share, share);
            f->tile(sums + c * f->mr * f->nr, a, it->panels + (size_t)c * b_panel_bytes(f), k, (int)rows, k0 == 0);
        }
        if (next <= 0) write_tiles(j, it, it->r0 + r, rows, sums);
    }
}

static void product_item(void *arg, int64_t item, int worker)
{
    const matmul_job *j = arg;
    const gemm_form *f = j->form;
    const int64_t steps = i64_ceil_div(j->rows, j->step), r0 = item % steps * j->step, n0 = item / steps * STRIP;
    matmul_item it = {.r0 = r0, .rows = i64_min(j->step, j->rows - r0), .n0 = n0, .cols = i64_min(STRIP, j->p->n - n0)};
    it.columns = panels_of(f, it.cols);
    it.sums = (float *)(void *)memory_at(j, worker, 0);
    it.strip = (float *)(void *)memory_at(j, worker, j->memory.strip);
    it.panels = memory_at(j, worker, j->memory.panels);
    it.laid = (float *)(void *)memory_at(j, worker, j->memory.laid);
    it.turned = (float *)(void *)memory_at(j, worker, j->memory.turned);
    if (f->enter) f->enter();
    for (int64_t k0 = 0; k0 < j->k; k0 += K_STEP) add_step(j, &it, k0);
    if (f->leave) f->leave();
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
    pool_run(ctx->pool, pack_item, j, i64_ceil_div(j->rows, f->mr * panels_turned(j)));
    pool_run(ctx->pool, product_item, j, i64_ceil_div(j->p->n, STRIP) * i64_ceil_div(j->rows, j->step));
}

static const gemm_form *form_of(const kernel_ctx *ctx, const op_matmul_args *p)
{
    const gemm_table *t = &ctx->table.gemm;
    const bool small = i64_min(p->m, i64_min(p->n, p->k)) < EXACT_BELOW;
    return ctx->exact || small || t->fast.tile == t->exact.tile ? &t->exact : &t->fast;
}

static void run_product(kernel_ctx *ctx, const op_matmul_args *p, const kernel_weight *w)
{
    const gemm_form *f = form_of(ctx, p);
    matmul_job j = {.form = f, .exact = &ctx->table.gemm.exact, .turned = &ctx->table.gemm.turned, .vec = &ctx->table.vec, .p = p, .w = w,
                    .a_panels = ctx->matmul.block, .memory = memory_of(f)};
    assert(ctx->limits.train_rows && p->k > 0 && panels_turned(&j) * f->mr <= TURNED_MAX);
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

void op_matmul(kernel_ctx *ctx, const op_matmul_args *p)
{
    if (!op_matmul_narrow(ctx, p)) run_product(ctx, p, NULL);
}

void op_linear_back(kernel_ctx *ctx, const kernel_weight *w, const float *dy, int64_t ldy, float *dx, int64_t ldx, int64_t rows, bool add)
{
    op_matmul_args p = {.c = dx, .ldc = ldx, .add = add, .a = dy, .lda = ldy, .m = rows, .n = w->cols, .k = w->rows};
    run_product(ctx, &p, w);
}
