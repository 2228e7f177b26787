#include "bench_gemm.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "gemm_case.h"
#include "kernel/ceiling.h"

static const quant_type bench_types[] = {QUANT_Q8_0, QUANT_Q4_0, QUANT_Q5_0, QUANT_Q4_K, QUANT_Q6_K, QUANT_BF16, QUANT_F32};
enum { TYPES = sizeof bench_types / sizeof *bench_types };
static const int64_t shapes[][2] = {{2048, 640}, {4864, 896}, {896, 4864}, {151936, 896}};
enum { SHAPES = sizeof shapes / sizeof *shapes };
static const int64_t rows[] = {1, 2, 4, 6, 8, 16, 32, 64, 512};
enum { ROWS = sizeof rows / sizeof *rows };

/* One thread is timed by what it used, so that a busy machine disturbs less. */
static double now(const kernel_ctx *ctx)
{
    struct timespec t;
    if (kernel_threads(ctx) > 1) return clock_now();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of one product, the best of several in about `budget` seconds. */
static double time_product(kernel_ctx *ctx, const gemm_case *c, float *y, double budget)
{
    double best = 1e30, begin = now(ctx);
    op_linear_out out = {.w = &c->w, .y = y, .ldy = c->w.rows};
    do {
        double t = now(ctx);
        op_linear(ctx, &out, 1, c->x, c->w.cols, c->rows);
        t = now(ctx) - t;
        if (t < best) best = t;
    } while (now(ctx) - begin < budget);
    return best;
}

int bench_gemm(const char *level_name, int threads)
{
    kernel_ctx *ctx = NULL;
    cj_diag d = {0};
    kernel_level level = kernel_level_by_name(level_name);
    if (kernel_open(&ctx, &(kernel_options){.level = level, .threads = threads}, &d) || kernel_reserve(ctx, &(kernel_limits){.rows = 512, .cols = 4864}, &d))
        return 1;
    kernel_ceilings c;
    if (kernel_ceilings_measure(ctx, &c, &d)) return 1;
    printf("%s, level %s, %d threads; ceilings: float32 %.0f GFLOP/s, bfloat16 %.0f, int8 %.0f GOP/s, reading %.1f GB/s\n", cpu_get()->name,
           kernel_level_name(kernel_table_of(ctx)->level), kernel_threads(ctx), c.f32_gflops, c.bf16_gflops, c.int8_gops, c.read_gbytes);
    printf("rows: GOP/s (GB/s of weights)\n");
    for (int s = 0; s < SHAPES; s++)
        for (int t = 0; t < TYPES; t++) {
            int64_t n = shapes[s][0], k = shapes[s][1];
            if (s == SHAPES - 1 && t) break;
            if (!quant_row_bytes(bench_types[t], k)) continue;
            printf("%6ldx%-5ld %-5s", (long)k, (long)n, quant_info_get(bench_types[t])->name);
            gemm_case g;
            gemm_case_init(&g, bench_types[t], n, k, 512, 1, false);
            float *y = mem_alloc((size_t)(n * 512) * sizeof *y);
            for (int r = 0; r < ROWS; r++) {
                g.rows = rows[r];
                double sec = time_product(ctx, &g, y, 0.03), bytes = (double)n * (double)quant_row_bytes(bench_types[t], k);
                printf("  %ld: %.0f", (long)rows[r], 2e-9 * (double)(n * k * rows[r]) / sec);
                if (rows[r] <= 8) printf(" (%.1f)", 1e-9 * bytes / sec);
            }
            printf("\n");
            mem_free(y);
            gemm_case_deinit(&g);
        }
    kernel_close(&ctx);
    return 0;
}
