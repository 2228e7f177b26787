/* Kernels with their operands directly after, then directly before, memory that may not be touched: a vector load or store one element
 * too far ends here. Sanitizers do not see the vector kernels (src/kernel/meson.build), so this does, at every level that runs here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "attn_case.h"
#include "gemm_case.h"
#include "kernel/attn_train.h"
#include "kernel/ctx.h"
#include "kernel/train.h"

/* ---- guarded memory ---- */

enum { AREAS = 11, AREA_BYTES = 1 << 20 };
static char *areas[AREAS]; /* an unreadable page lies before and after each */

static void make_areas(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < AREAS; i++) {
        char *block = mmap(NULL, AREA_BYTES + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED || mprotect(block + page, AREA_BYTES, PROT_READ | PROT_WRITE)) abort();
        areas[i] = block + page;
    }
}

/* Room for `bytes` at the beginning or at the very end of area i, holding a copy of `from` if there is one. */
static void *place(int i, bool end, const void *from, size_t bytes)
{
    assert_true(bytes <= AREA_BYTES);
    char *at = end ? areas[i] + AREA_BYTES - bytes : areas[i];
    return from ? memcpy(at, from, bytes) : at;
}

/* ---- what is run is named when it faults ---- */

static sigjmp_buf back;
static char running[160];
static void fault(int sig) { siglongjmp(back, sig); }

/* Threads: one, so that a fault is this thread's. */
static kernel_ctx *open_level(kernel_level level, bool exact)
{
    kernel_ctx *ctx = NULL;
    if (kernel_open(&ctx, &(kernel_options){.level = level, .threads = 1, .exact = exact}, NULL)) fail();
    return ctx;
}

typedef void (*check_fn)(kernel_level level, bool exact, bool end);

static void each_level(check_fn fn)
{
    struct sigaction act = {.sa_handler = fault, .sa_flags = SA_NODEFER}, before[2];
    sigaction(SIGSEGV, &act, &before[0]);
    sigaction(SIGBUS, &act, &before[1]);
    bool faulted = sigsetjmp(back, 1);
    for (int level = 0; !faulted && level < KERNEL_LEVELS; level++)
        for (int way = 0; kernel_level_runs((kernel_level)level, cpu_get()) && way < 4; way++) fn((kernel_level)level, way & 1, way & 2);
    sigaction(SIGSEGV, &before[0], NULL);
    sigaction(SIGBUS, &before[1], NULL);
    if (faulted) fail_msg("touched memory that is not its own: %s", running);
}

#define NAME(level, exact, end, ...)                                                                                                    \
    do {                                                                                                                                \
        int n_ = snprintf(running, sizeof running, "%s%s, memory %s is closed: ", kernel_level_name(level), (exact) ? ", exact" : "",    \
                          (end) ? "behind" : "before");                                                                                 \
        snprintf(running + n_, sizeof running - (size_t)n_, __VA_ARGS__);                                                               \
    } while (0)

/* ---- the guard itself ---- */

static void over_the_end(kernel_level level, bool exact, bool end)
{
    NAME(level, exact, end, "on purpose");
    volatile char *at = end ? areas[0] + AREA_BYTES : areas[0] - 1;
    *at = 1;
}

static void a_fault_is_noticed(void **state)
{
    struct sigaction act = {.sa_handler = fault, .sa_flags = SA_NODEFER}, before;
    sigaction(SIGSEGV, &act, &before);
    volatile int noticed = 0;
    for (volatile int end = 0; end < 2; end++) {
        if (sigsetjmp(back, 1)) noticed++;
        else over_the_end(KERNEL_REF, false, end);
    }
    sigaction(SIGSEGV, &before, NULL);
    assert_int_equal(noticed, 2);
}

/* ---- rows ---- */

static void check_rows(kernel_level level, bool exact, bool end)
{
    kernel_ctx *ctx = open_level(level, exact);
    const vec_table *v = &kernel_table_of(ctx)->vec;
    float ones[96], max;
    for (int i = 0; i < 96; i++) ones[i] = 1;
    for (int n = 1; n < 90; n++) {
        size_t bytes = (size_t)n * sizeof(float);
        float *y = place(0, end, ones, bytes), *x = place(1, end, ones, bytes), *w = place(2, end, ones, bytes);
        const uint16_t *half = place(3, end, NULL, (size_t)n * sizeof *half);
        NAME(level, exact, end, "a row of %d", n);
        v->rms_norm(y, x, w, n, 1e-6f);
        v->rms_norm(y, x, NULL, n, 1e-6f);
        v->rms_norm_add(y, x, w, n, 1e-6f);
        v->add(y, x, n);
        v->scale(y, 0.5f, n);
        v->axpy(y, x, 0.5f, n);
        v->axpy_bf16(y, half, 0.5f, n);
        for (int act = VEC_SILU; act <= VEC_SIGMOID; act++) v->glu(y, x, w, n, (vec_act)act);
        v->softcap(y, 30, n);
        v->softmax_part(y, n, &max);
        if (n % 2) continue;
        NAME(level, exact, end, "positions of %d elements", n);
        v->rope(y, w, n, false);
        v->rope(y, w, n, true);
    }
    kernel_close(&ctx);
}

static void rows_stay_inside(void **state) { each_level(check_rows); }

/* ---- products ---- */

static void check_product(kernel_ctx *ctx, const gemm_case *c, bool end)
{
    int64_t n = c->w.rows, k = c->w.cols;
    kernel_weight w = c->w;
    w.data = place(0, end, c->bytes, (size_t)n * quant_row_bytes(w.type, k));
    float *x = place(1, end, c->x, (size_t)(c->rows * k) * sizeof *x), *y = place(2, end, NULL, (size_t)(c->rows * n) * sizeof *y);
    op_linear(ctx, &(op_linear_out){.w = &w, .y = y, .ldy = n}, 1, x, k, c->rows);
}

static void check_products(kernel_level level, bool exact, bool end)
{
    static const int64_t shapes[][2] = {{1, 32}, {5, 64}, {33, 96}, {17, 160}, {16, 768}, {3, 24}, {37, 331}, {20, 1}, {70, 256}};
    static const int64_t rows[] = {1, 2, 3, 5, 8, 13, 17};
    kernel_ctx *ctx = open_level(level, exact);
    if (kernel_reserve(ctx, &(kernel_limits){.rows = 64, .cols = 1024}, NULL)) fail();
    for (int t = 0; t < GEMM_TYPES; t++)
        for (int i = 0; i < 9 * 7; i++) {
            gemm_case c;
            const int64_t *shape = shapes[i / 7];
            if (!gemm_case_init(&c, gemm_types[t], shape[0], shape[1], rows[i % 7], (uint64_t)i, false)) continue;
            NAME(level, exact, end, "%s %dx%d by %d rows", quant_info_get(c.w.type)->name, (int)shape[0], (int)shape[1], (int)c.rows);
            check_product(ctx, &c, end);
            gemm_case_deinit(&c);
        }
    kernel_close(&ctx);
}

static void products_stay_inside(void **state) { each_level(check_products); }

/* ---- training ---- */

static void check_training_rows(kernel_level level, bool exact, bool end)
{
    kernel_ctx *ctx = open_level(level, exact);
    const train_table *t = &kernel_table_of(ctx)->train;
    const train_adamw step = {.grad_scale = 1, .rate = 0.1f, .root = 1, .eps = 1, .keep_w = 1};
    float ones[96];
    for (int i = 0; i < 96; i++) ones[i] = 1;
    for (int n = 1; n < 90; n++) {
        float *v[5];
        for (int i = 0; i < 5; i++) v[i] = place(i, end, ones, (size_t)n * sizeof(float));
        NAME(level, exact, end, "a row of %d in training", n);
        t->rms_factor(v[0], n, 1e-6f);
        t->rms_norm_back(v[0], v[1], v[2], v[3], n, 1e-6f, true);
        t->rms_norm_back(v[0], v[1], v[2], NULL, n, 1e-6f, false);
        t->rms_norm_dw(v[0], v[1], v[2], ones, 1, n, n);
        for (int act = VEC_SILU; act <= VEC_SIGMOID; act++) t->glu_back(v[0], v[1], v[2], v[3], v[4], n, (vec_act)act);
        t->softcap_back(v[0], v[1], 30, n);
        t->sum_squares(v[0], n);
        t->adamw(v[0], v[1], v[2], v[3], n, &step);
    }
    kernel_close(&ctx);
}

static void training_rows_stay_inside(void **state) { each_level(check_training_rows); }

static void check_training_products(kernel_level level, bool exact, bool end)
{
    static const int64_t sizes[][3] = {{1, 1, 1}, {5, 7, 3}, {17, 33, 20}, {70, 130, 64}, {66, 300, 131}, {130, 65, 260}};
    kernel_ctx *ctx = open_level(level, exact);
    if (kernel_reserve(ctx, &(kernel_limits){.train_rows = 1}, NULL)) fail();
    for (int i = 0; i < 6 * 8; i++) {
        const int64_t m = sizes[i / 8][0], n = sizes[i / 8][1], k = sizes[i / 8][2];
        const bool a_t = i & 1, b_t = i & 2;
        float *a = place(0, end, NULL, (size_t)(m * k) * sizeof *a), *b = place(1, end, NULL, (size_t)(n * k) * sizeof *b);
        float *c = place(2, end, NULL, (size_t)(m * n) * sizeof *c);
        for (int64_t x = 0; x < m * k; x++) a[x] = 1;
        for (int64_t x = 0; x < n * k; x++) b[x] = 1;
        for (int64_t x = 0; x < m * n; x++) c[x] = 1;
        NAME(level, exact, end, "a product of %dx%dx%d, form %d", (int)m, (int)n, (int)k, i & 7);
        op_matmul(ctx, &(op_matmul_args){.c = c, .ldc = n, .add = i & 4, .a = a, .lda = a_t ? m : k, .a_t = a_t, .b = b, .ldb = b_t ? k : n, .b_t = b_t,
                                         .m = m, .n = n, .k = k});
    }
    for (int t = 0; t < GEMM_TYPES; t++)
        for (int i = 0; i < 4; i++) {
            static const int64_t shapes[][3] = {{5, 256, 3}, {70, 96, 65}, {33, 331, 7}, {129, 768, 64}}; /* outputs, inputs, rows */
            gemm_case c;
            if (!gemm_case_init(&c, gemm_types[t], shapes[i][0], shapes[i][1], 1, 1, false)) continue;
            kernel_weight w = c.w;
            w.data = place(0, end, c.bytes, (size_t)w.rows * quant_row_bytes(w.type, w.cols));
            float *dy = place(1, end, NULL, (size_t)(w.rows * shapes[i][2]) * sizeof *dy), *dx = place(2, end, NULL, (size_t)(w.cols * shapes[i][2]) * sizeof *dx);
            NAME(level, exact, end, "back from %s %dx%d", quant_info_get(w.type)->name, (int)w.rows, (int)w.cols);
            op_linear_back(ctx, &w, dy, w.rows, dx, w.cols, shapes[i][2], false);
            gemm_case_deinit(&c);
        }
    kernel_close(&ctx);
}

static void training_products_stay_inside(void **state) { each_level(check_training_products); }

/* ---- attention ---- */

/* Their last pages are full: what follows the last token is closed. */
static const attn_shape shapes[] = {
    {KV_F32, 14, 2, 64, 64, .n_seqs = 1, .pos = {127}, .count = {1}},
    {KV_F32, 3, 1, 20, 36, .n_seqs = 1, .pos = {206}, .count = {50}},
    {KV_F32, 2, 1, 8, 4, .n_seqs = 1, .pos = {119}, .count = {9}},
    {KV_F32, 4, 1, 256, 256, .window = 50, .n_seqs = 1, .pos = {249}, .count = {7}},
};

/* Two pages in two areas: the second sequence of bytes that a kernel walks along, and the one it brings near, both end at a guard. */
static void check_attention_shape(kernel_ctx *ctx, const attn_shape *shape, bool end)
{
    attn_case c;
    attn_case_make(&c, shape);
    attn_case_store(&c, ctx);
    attn_case_run(&c, ctx);
    size_t q_bytes = (size_t)(c.rows * shape->heads * shape->dk) * sizeof(float), out_bytes = (size_t)(c.rows * shape->heads * shape->dv) * sizeof(float);
    uint8_t *pages[2] = {NULL};
    for (int p = 0; p < 2 && p * KV_PAGE < c.end[0]; p++) pages[p] = place(p, end, c.pages[0][p], kv_page_bytes(&c.kv));
    c.seqs[0].pages = pages;
    c.args.q = place(2, end, c.q, q_bytes);
    c.args.out = place(3, end, NULL, out_bytes);
    op_attention(ctx, &c.args);
    assert_memory_equal(c.args.out, c.out, out_bytes);
    attn_seq all = c.seqs[0]; /* storing into closed-in pages, from closed-in rows */
    all.row = 0;
    float *k = place(4, end, c.k[0] + all.pos * c.kv.heads * c.kv.dk, (size_t)(all.count * c.kv.heads * c.kv.dk) * sizeof *k);
    float *v = place(5, end, c.v[0] + all.pos * c.kv.heads * c.kv.dv, (size_t)(all.count * c.kv.heads * c.kv.dv) * sizeof *v);
    op_kv_store(ctx, &c.kv, &all, 1, k, v);
    attn_case_free(&c);
}

/* Both passes of training, the pages those of the prefix. */
static void check_training_shape(kernel_ctx *ctx, const attn_shape *shape, bool end)
{
    attn_case c;
    attn_case_make(&c, shape);
    attn_case_store_prefix(&c, ctx);
    attn_case_reserve(&c, ctx);
    const size_t one = sizeof(float) * (size_t)c.rows, heads = (size_t)shape->heads, kv_heads = (size_t)shape->kv_heads, dk = (size_t)shape->dk, dv = (size_t)shape->dv;
    uint8_t *pages[2] = {NULL};
    for (int p = 0; p < 2 && p * KV_PAGE < c.seqs[0].pos; p++) pages[p] = place(p, end, c.pages[0][p], kv_page_bytes(&c.kv));
    c.seqs[0].pages = pages;
    c.args.q = place(2, end, c.q, one * heads * dk);
    c.args.out = place(3, end, NULL, one * heads * dv);
    op_attn_train t = {.a = c.args, .k = place(4, end, c.k[0] + c.seqs[0].pos * c.kv.heads * c.kv.dk, one * kv_heads * dk),
                       .v = place(5, end, c.v[0] + c.seqs[0].pos * c.kv.heads * c.kv.dv, one * kv_heads * dv), .lse = place(6, end, NULL, one * heads)};
    op_attention_train(ctx, &t);
    const float *dout = place(7, end, c.args.out, one * heads * dv);
    op_attention_train_back(ctx, &t, dout, place(8, end, NULL, one * heads * dk), place(9, end, NULL, one * kv_heads * dk), place(10, end, NULL, one * kv_heads * dv));
    attn_case_free(&c);
}

static void check_attention(kernel_level level, bool exact, bool end)
{
    kernel_ctx *ctx = open_level(level, exact);
    for (int i = 0; i < 4; i++)
        for (kv_type type = KV_F32; type < KV_TYPES; type++) {
            attn_shape shape = shapes[i];
            const char *pages = kv_type_name(type);
            if (!pages) continue;
            shape.type = type;
            NAME(level, exact, end, "attention, shape %d over %s pages", i, pages);
            check_attention_shape(ctx, &shape, end);
            NAME(level, exact, end, "attention for training, shape %d over %s pages", i, pages);
            check_training_shape(ctx, &shape, end);
        }
    kernel_close(&ctx);
}

static void attention_stays_inside(void **state) { each_level(check_attention); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_is_noticed), cmocka_unit_test(rows_stay_inside), cmocka_unit_test(products_stay_inside),
        cmocka_unit_test(training_rows_stay_inside), cmocka_unit_test(training_products_stay_inside), cmocka_unit_test(attention_stays_inside),
    };
    make_areas();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
