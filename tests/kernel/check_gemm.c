/* Products with weights at every level, and at levels this processor lacks through the plain-C vocabulary, against double precision:
 * every type, odd shapes, 1 to 40 rows. `check_gemm --bench [LEVEL [THREADS]]` times them instead (bench_gemm.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/skip.h"
#include "base/mem.h"
#include "bench_gemm.h"
#include "gemm_case.h"
#include "kernel/ctx.h"

#ifndef CHECK_LEVELS_ONLY /* a build for another processor, under an emulator of it (check_neon.py), has no need of ours */
void gemm_fill_avx512_emulated(gemm_table *t);
void gemm_fill_amx_emulated(gemm_table *t);

/* As table.c does: the form for many rows over the level below. */
static void fill_amx_emulated(gemm_table *t)
{
    gemm_fill_avx512_emulated(t);
    gemm_fill_amx_emulated(t);
}
#endif

#ifdef CHECK_LEVELS_ONLY
enum { NARROW = true }; /* an emulated processor takes its time */
#else
enum { NARROW = false };
#endif

/* One set of kernels under test: a level of the table, or a fill of its own over the reference's other families. */
typedef struct subject {
    const char *name;
    kernel_level level;
    void (*fill)(gemm_table *t);
    double fast_error; /* of a fast product, relative to the root of the sum of squared products */
    bool slow;         /* plain C: fewer sizes */
} subject;

static const subject subjects[] = {
    {"ref", KERNEL_REF, NULL, 1e-5, true},
#if defined(__x86_64__)
    {"avx2", KERNEL_AVX2, NULL, 2e-3, false},
    {"avx512", KERNEL_AVX512, NULL, 2e-3, false},
    {"avx512 without VNNI", KERNEL_AVX512, gemm_fill_avx512, 2e-3, false},
    {"amx", KERNEL_AMX, NULL, 2e-2, false}, /* both factors rounded to bfloat16, 2^-8 each at most, and a product that stands alone has no average */
#elif defined(__aarch64__)
    {"neon", KERNEL_NEON, NULL, 2e-3, NARROW},
#endif
#ifndef CHECK_LEVELS_ONLY
    {"avx512 emulated", KERNEL_REF, gemm_fill_avx512_emulated, 2e-3, true},
    {"amx emulated", KERNEL_REF, fill_amx_emulated, 2e-2, true},
#endif
};
enum { SUBJECTS = sizeof subjects / sizeof *subjects };

static kernel_ctx *open_subject(const subject *s, int threads, bool exact)
{
    kernel_ctx *ctx = NULL;
    if (kernel_open(&ctx, &(kernel_options){.level = s->level, .threads = threads, .exact = exact}, NULL)) fail_msg("%s does not open", s->name);
    if (s->fill) s->fill(&ctx->table.gemm);
    if (kernel_reserve(ctx, &(kernel_limits){.rows = 700, .cols = 5000}, NULL)) fail_msg("no scratch");
    return ctx;
}

static bool runs(const subject *s) { return kernel_level_runs(s->level, cpu_get()); }

static void multiply(kernel_ctx *ctx, const gemm_case *c, float *y)
{
    op_linear_out out = {.w = &c->w, .y = y, .ldy = c->w.rows};
    op_linear(ctx, &out, 1, c->x, c->w.cols, c->rows);
}

static void compare(const gemm_case *c, const float *y, double tolerance, const char *what)
{
    for (int64_t i = 0; i < c->rows * c->w.rows; i++) {
        double error = fabs((double)y[i] - c->y[i]) / (c->norm[i] + 1e-30);
        if (!(error <= tolerance))
            fail_msg("%s, %s %ldx%ld, row %ld of %ld, output %ld: %.9g, not %.9g (%.2g of the norm)", what,
                     quant_info_get(c->w.type)->name, (long)c->w.rows, (long)c->w.cols, (long)(i / c->w.rows), (long)c->rows,
                     (long)(i % c->w.rows), (double)y[i], c->y[i], error);
    }
}

static const int64_t shapes[][2] = {{1, 32}, {5, 64}, {33, 96}, {17, 160}, {70, 1280}, {35, 256}, {16, 768}, {3, 24}, {37, 331}, {20, 1}};
enum { SHAPES = sizeof shapes / sizeof *shapes };
static const int64_t row_counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 15, 17, 31, 40};
enum { ROW_COUNTS = sizeof row_counts / sizeof *row_counts };

static void check_subject(const subject *s, bool exact)
{
    kernel_ctx *ctx = open_subject(s, 2, exact);
    for (int t = 0; t < GEMM_TYPES; t++)
        for (int i = 0; i < SHAPES * ROW_COUNTS; i++) {
            if (s->slow && (i % ROW_COUNTS) % 3 != i / ROW_COUNTS % 3) continue;
            gemm_case c;
            int64_t n = shapes[i / ROW_COUNTS][0], k = shapes[i / ROW_COUNTS][1], rows = row_counts[i % ROW_COUNTS];
            if (!gemm_case_init(&c, gemm_types[t], n, k, rows, (uint64_t)(100 * t + i), true)) continue;
            float *y = mem_alloc((size_t)(rows * n) * sizeof *y);
            multiply(ctx, &c, y);
            compare(&c, y, exact ? 4e-6 : s->fast_error, s->name);
            mem_free(y);
            gemm_case_deinit(&c);
        }
    kernel_close(&ctx);
}

static void products_are_right(void **state)
{
    const subject *s = *state;
    check_subject(s, true);
    check_subject(s, false);
}

/* Exact mode has one meaning: the same bits at every level, for any number of rows at once. */
static void exact_is_exact(void **state)
{
    (void)state;
    for (int t = 0; t < GEMM_TYPES; t++) {
        enum { ROWS = 19, N = 50, K = 1024 };
        gemm_case c;
        assert_true(gemm_case_init(&c, gemm_types[t], N, K, ROWS, (uint64_t)t, false));
        static float expected[ROWS * N], got[ROWS * N];
        for (int s = 0; s < SUBJECTS; s++) {
            if (!runs(&subjects[s])) continue;
            kernel_ctx *ctx = open_subject(&subjects[s], 2, true);
            multiply(ctx, &c, s ? got : expected);
            if (s && memcmp(got, expected, sizeof got)) fail_msg("%s, %s: not the reference's bits", subjects[s].name, quant_info_get(gemm_types[t])->name);
            for (int64_t r = 0; r < ROWS; r++) {
                op_linear_out out = {.w = &c.w, .y = got, .ldy = N};
                op_linear(ctx, &out, 1, c.x + r * K, K, 1);
                if (memcmp(got, expected + r * N, N * sizeof *got)) fail_msg("%s: row %ld alone differs", subjects[s].name, (long)r);
            }
            kernel_close(&ctx);
        }
        gemm_case_deinit(&c);
    }
}

#ifndef CHECK_LEVELS_ONLY
static const subject *subject_named(const char *name)
{
    const subject *s = subjects;
    while (strcmp(s->name, name)) s++;
    return s;
}

/* What the emulation computes is what the processor computes, bit by bit. */
static void check_emulation(const char *native, const char *emulated)
{
    enum { ROWS = 16, N = 40, K = 768 };
    if (!kernel_level_runs(kernel_level_by_name(native), cpu_get())) skip_because("this processor has no level %s to compare its emulation with", native);
    const subject *pair[] = {subject_named(native), subject_named(emulated)};
    static float y[2][ROWS * N];
    for (int rows = 1; rows <= ROWS; rows += 5)
        for (int t = 0; t < GEMM_TYPES; t++) {
            gemm_case c;
            assert_true(gemm_case_init(&c, gemm_types[t], N, K, rows, (uint64_t)t, false));
            for (int i = 0; i < 2; i++) {
                kernel_ctx *ctx = open_subject(pair[i], 1, false);
                multiply(ctx, &c, y[i]);
                kernel_close(&ctx);
            }
            assert_memory_equal(y[0], y[1], sizeof(float) * (size_t)rows * N);
            gemm_case_deinit(&c);
        }
}

static void avx512_emulation_is_faithful(void **state) { check_emulation("avx512", "avx512 emulated"); }
static void amx_emulation_is_faithful(void **state) { check_emulation("amx", "amx emulated"); }
#endif

static void threads_do_not_matter(void **state)
{
    const subject *s = *state;
    for (int t = 0; t < GEMM_TYPES; t++)
        for (int64_t rows = 1; rows <= 601; rows += 300) {
            gemm_case c;
            enum { N = 45, K = 512 };
            assert_true(gemm_case_init(&c, gemm_types[t], N, K, rows, (uint64_t)t, false));
            float *one = mem_alloc((size_t)(rows * N) * sizeof *one), *many = mem_alloc((size_t)(rows * N) * sizeof *many);
            for (int threads = 1; threads <= 5; threads += 2) {
                kernel_ctx *ctx = open_subject(s, threads, false);
                multiply(ctx, &c, threads == 1 ? one : many);
                if (threads > 1) assert_memory_equal(one, many, (size_t)(rows * N) * sizeof *one);
                kernel_close(&ctx);
            }
            mem_free(one);
            mem_free(many);
            gemm_case_deinit(&c);
        }
}

/* Several outputs at once, with bias, added to what is there, into wider rows. */
static void outputs_are_placed(void **state)
{
    const subject *s = *state;
    kernel_ctx *ctx = open_subject(s, 2, true);
    enum { K = 256, ROWS = 21, LDY = 90 };
    for (int rows = 1; rows <= ROWS; rows += 20) {
        gemm_case a, b;
        assert_true(gemm_case_init(&a, QUANT_Q4_K, 40, K, rows, 1, true) && gemm_case_init(&b, QUANT_BF16, 33, K, rows, 2, false));
        memcpy(b.x, a.x, sizeof(float) * (size_t)rows * K);
        float alone[ROWS * 40], bias[40], y[ROWS * LDY], z[ROWS * 33], z_alone[ROWS * 33];
        multiply(ctx, &a, alone);
        multiply(ctx, &b, z_alone);
        for (int i = 0; i < 40; i++) bias[i] = (float)i;
        for (int i = 0; i < ROWS * LDY; i++) y[i] = -3;
        op_linear_out outs[] = {{.w = &a.w, .bias = bias, .y = y, .ldy = LDY, .add = true}, {.w = &b.w, .y = z, .ldy = 33}};
        op_linear(ctx, outs, 2, a.x, K, rows);
        for (int r = 0; r < rows; r++)
            for (int i = 0; i < LDY; i++) {
                float want = i < 40 ? -3 + (alone[r * 40 + i] + bias[i]) : -3;
                if (y[r * LDY + i] != want) fail_msg("%s: row %d column %d: %g, not %g", s->name, r, i, (double)y[r * LDY + i], (double)want);
            }
        assert_memory_equal(z, z_alone, sizeof(float) * (size_t)rows * 33);
        gemm_case_deinit(&a);
        gemm_case_deinit(&b);
    }
    kernel_close(&ctx);
}

/* A gated output is what the two products and the activation make one after the other. */
static void outputs_are_gated(void **state)
{
    const subject *s = *state;
    enum { K = 256, N = 75, ROWS = 33, LDY = 80 };
    static float gate[ROWS * N], up[ROWS * N], want[N], y[ROWS * LDY];
    float bias[N], up_bias[N];
    for (int i = 0; i < N; i++) {
        bias[i] = 0.01f * (float)i;
        up_bias[i] = -bias[i];
    }
    for (int exact = 0; exact < 2; exact++)
        for (int rows = 1; rows <= ROWS; rows += 4) {
            kernel_ctx *ctx = open_subject(s, 2, exact);
            gemm_case a, b;
            assert_true(gemm_case_init(&a, QUANT_Q4_K, N, K, rows, 1, true) && gemm_case_init(&b, QUANT_Q6_K, N, K, rows, 2, true));
            op_linear_out alone[] = {{.w = &a.w, .bias = bias, .y = gate, .ldy = N}, {.w = &b.w, .bias = up_bias, .y = up, .ldy = N}};
            op_linear_out gated = {.w = &a.w, .bias = bias, .y = y, .ldy = LDY, .up = &b.w, .up_bias = up_bias, .act = VEC_SILU};
            op_linear(ctx, alone, 2, a.x, K, rows);
            for (int i = 0; i < ROWS * LDY; i++) y[i] = -3;
            op_linear(ctx, &gated, 1, a.x, K, rows);
            for (int r = 0; r < rows; r++) {
                ctx->table.vec.glu(want, gate + r * N, up + r * N, N, VEC_SILU);
                if (memcmp(want, y + r * LDY, sizeof want)) fail_msg("%s: row %d of %d", s->name, r, rows);
                for (int i = N; i < LDY; i++) assert_true(y[r * LDY + i] == -3);
            }
            gemm_case_deinit(&a);
            gemm_case_deinit(&b);
            kernel_close(&ctx);
        }
}

/* A row that holds a NaN or an infinity spoils itself only. */
static void bad_rows_stay_alone(void **state)
{
    const subject *s = *state;
    for (int exact = 0; exact < 2; exact++) {
        kernel_ctx *ctx = open_subject(s, 1, exact);
        for (int t = 0; t < GEMM_TYPES; t++)
            for (int rows = 3; rows <= 18; rows += 15) {
                enum { N = 20, K = 256, BAD = 1 };
                gemm_case c;
                assert_true(gemm_case_init(&c, gemm_types[t], N, K, rows, (uint64_t)t, false));
                static float clean[18 * N], spoilt[18 * N];
                multiply(ctx, &c, clean);
                c.x[BAD * K + 77] = t & 1 ? NAN : INFINITY;
                multiply(ctx, &c, spoilt);
                for (int i = 0; i < rows * N; i++) {
                    bool same = !memcmp(&clean[i], &spoilt[i], sizeof *clean);
                    if (i / N == BAD ? isfinite(spoilt[i]) : !same)
                        fail_msg("%s: %s, row %d: %g", s->name, quant_info_get(gemm_types[t])->name, i / N, (double)spoilt[i]);
                }
                gemm_case_deinit(&c);
            }
        kernel_close(&ctx);
    }
}

static void rows_are_embedded(void **state)
{
    const subject *s = *state;
    kernel_ctx *ctx = open_subject(s, 1, false);
    for (int t = 0; t < GEMM_TYPES; t++) {
        enum { N = 9, K = 512 };
        gemm_case c;
        assert_true(gemm_case_init(&c, gemm_types[t], N, K, 1, (uint64_t)t, false));
        const int32_t ids[] = {8, 0, 3};
        float y[3 * K], row[K];
        op_embed(ctx, y, &c.w, ids, 3, 2.0f);
        for (int r = 0; r < 3; r++) {
            quant_info_get(c.w.type)->decode(kernel_weight_row(&c.w, ids[r]), row, K);
            for (int i = 0; i < K; i++) assert_true(y[r * K + i] == 2.0f * row[i]);
        }
        gemm_case_deinit(&c);
    }
    kernel_close(&ctx);
}

static void level_runs(void **state)
{
    const subject *s = *state;
    skip_because("this processor has no level %s; its arithmetic is checked in plain C", s->name);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--bench")) return bench_gemm(argc > 2 ? argv[2] : NULL, argc > 3 ? atoi(argv[3]) : 0);
    static const struct {
        const char *name;
        CMUnitTestFunction run;
    } each[] = {{"products_are_right", products_are_right}, {"threads_do_not_matter", threads_do_not_matter},
                {"outputs_are_placed", outputs_are_placed}, {"outputs_are_gated", outputs_are_gated}, {"bad_rows_stay_alone", bad_rows_stay_alone},
                {"rows_are_embedded", rows_are_embedded}};
    enum { EACH = sizeof each / sizeof *each };
    static char names[SUBJECTS * EACH][64];
    static const struct CMUnitTest once[] = {
        cmocka_unit_test(exact_is_exact),
#ifndef CHECK_LEVELS_ONLY
        cmocka_unit_test(avx512_emulation_is_faithful), cmocka_unit_test(amx_emulation_is_faithful),
#endif
    };
    enum { ONCE = sizeof once / sizeof *once };
    static struct CMUnitTest tests[SUBJECTS * EACH + ONCE];
    memcpy(tests, once, sizeof once);
    size_t n = ONCE;
    for (int i = 0; i < SUBJECTS * EACH; i++) {
        const subject *s = &subjects[i / EACH];
        bool can = runs(s);
        if ((!can && i % EACH) || (NARROW && s->level == KERNEL_REF)) continue;
        snprintf(names[i], sizeof names[i], "%s: %s", s->name, can ? each[i % EACH].name : "level_runs");
        tests[n++] = (struct CMUnitTest){.name = names[i], .test_func = can ? each[i % EACH].run : level_runs, .initial_state = (void *)s};
    }
    return _cmocka_run_group_tests("gemm", tests, n, NULL, NULL);
}
