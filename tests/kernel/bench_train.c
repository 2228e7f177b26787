#include "bench_train.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "gemm_case.h"
#include "kernel/ceiling.h"
#include "kernel/train.h"

/* Of a model of 55M parameters (640 wide, vocabulary 6,400), and of Gemma 3 270M with LoRA of rank 16. A linear of `in` by `out` is three
 * products: forward b_t, by its input plain, by its weight a_t. */
static const struct {
    const char *what;
    int64_t in, out;
} shapes[] = {{"attention", 640, 640}, {"feed forward", 640, 1792}, {"back from it", 1708, 640}, {"queries", 640, 1024}, {"keys", 640, 256},
              {"Gemma's feed forward", 640, 2048}, {"head of 6,400", 640, 6400}, {"LoRA in", 640, 16}, {"LoRA out", 16, 2048}};
enum { SHAPES = sizeof shapes / sizeof *shapes };
static const int64_t row_counts[] = {64, 512, 4096};
enum { ROW_COUNTS = sizeof row_counts / sizeof *row_counts };

/* One thread is timed by what it used, so that a busy machine disturbs less. */
static double now(const kernel_ctx *ctx)
{
    struct timespec t;
    if (kernel_threads(ctx) > 1) return clock_now();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct bench {
    kernel_ctx *ctx, *exact, *fast; /* ctx: the one in use */
    double ceiling; /* operations a second */
    float *x, *y, *z;
    int64_t rows, in, out;
    kernel_weight w;
    double sum;
} bench;

typedef void (*bench_fn)(bench *b);

/* Seconds of one call: the best of several. */
static double seconds(bench *b, bench_fn fn)
{
    double best = 1e30, begin = now(b->ctx);
    do {
        double t = now(b->ctx);
        fn(b);
        t = now(b->ctx) - t;
        if (t < best) best = t;
    } while (now(b->ctx) - begin < 0.08);
    return best;
}

static void forward(bench *b)
{
    op_matmul(b->ctx, &(op_matmul_args){.c = b->z, .ldc = b->out, .a = b->x, .lda = b->in, .b = b->y, .ldb = b->in, .b_t = true, .m = b->rows, .n = b->out, .k = b->in});
}

static void by_input(bench *b)
{
    op_matmul(b->ctx, &(op_matmul_args){.c = b->z, .ldc = b->in, .a = b->x, .lda = b->out, .b = b->y, .ldb = b->in, .m = b->rows, .n = b->in, .k = b->out});
}

static void by_weight(bench *b)
{
    op_matmul(b->ctx, &(op_matmul_args){.c = b->z, .ldc = b->in, .add = true, .a = b->x, .lda = b->out, .a_t = true, .b = b->y, .ldb = b->in, .m = b->out, .n = b->in, .k = b->rows});
}

static void by_stored(bench *b) { op_linear_back(b->ctx, &b->w, b->x, b->out, b->z, b->in, b->rows, false); }

typedef struct ceiling_job {
    ceiling_fn fn;
    int64_t rounds;
    double ops;
} ceiling_job;

static void ceiling_item(void *arg, int64_t item, int worker)
{
    ceiling_job *j = arg;
    double ops = j->fn(j->rounds);
    if (item == 0) j->ops = ops;
}

/* The arithmetic there is on all threads, now: clocks and neighbours change from line to line. */
static void measure_ceiling(bench *b)
{
    enum { ROUNDS = 400000 };
    ceiling_job j = {kernel_table_of(b->ctx)->ceiling.f32, ROUNDS, 0};
    double best = 1e30;
    for (int i = 0; i < 5; i++) {
        double t = now(b->ctx);
        pool_run(kernel_pool(b->ctx), ceiling_item, &j, kernel_threads(b->ctx));
        t = now(b->ctx) - t;
        if (t < best) best = t;
    }
    b->ceiling = kernel_threads(b->ctx) * j.ops * ROUNDS / best;
}

static void print_share(bench *b, const char *what, bench_fn fn)
{
    const double work = 200 * (double)(b->rows * b->in * b->out) / b->ceiling;
    double exact = seconds(b, fn), fast;
    b->ctx = b->fast;
    fast = seconds(b, fn);
    b->ctx = b->exact;
    printf("  %s %.2f ms %.0f%%, %.2f ms %.0f%%;", what, 1e3 * exact, work / exact, 1e3 * fast, work / fast);
}

static void products(bench *b, const char *only)
{
    for (int i = 0; i < SHAPES * ROW_COUNTS; i++) {
        if (only && !strstr(shapes[i / ROW_COUNTS].what, only)) continue;
        b->in = shapes[i / ROW_COUNTS].in, b->out = shapes[i / ROW_COUNTS].out, b->rows = row_counts[i % ROW_COUNTS];
        printf("%-20s %4ld rows, %4ld to %4ld:", shapes[i / ROW_COUNTS].what, (long)b->rows, (long)b->in, (long)b->out);
        measure_ceiling(b);
        print_share(b, "forward", forward);
        print_share(b, "by input", by_input);
        print_share(b, "by weight", by_weight);
        gemm_case g;
        if (b->in % 256 == 0 && gemm_case_init(&g, QUANT_Q4_K, b->out, b->in, 1, 1, false)) {
            b->w = g.w;
            print_share(b, "by input, Q4_K", by_stored);
            gemm_case_deinit(&g);
        }
        printf("  of %.0f GFLOP/s\n", 1e-9 * b->ceiling);
    }
}

/* ---- rows ---- */

enum { ROWS = 512, COLS = 2048, VOCAB = 262144, SCORED = 16 };

static void norm_back(bench *b) { op_rms_norm_back(b->ctx, b->z, b->x, b->y, b->y, NULL, ROWS, COLS, 1e-6f, false); }
static void norm_back_dw(bench *b) { op_rms_norm_back(b->ctx, b->z, b->x, b->y, b->y, b->z + ROWS * COLS, ROWS, COLS, 1e-6f, false); }
static void silu_back(bench *b) { op_glu_back(b->ctx, b->z, b->z + ROWS * COLS, b->x, b->y, b->y, ROWS * COLS, VEC_SILU); }
static void gelu_back(bench *b) { op_glu_back(b->ctx, b->z, b->z + ROWS * COLS, b->x, b->y, b->y, ROWS * COLS, VEC_GELU_TANH); }
static void adamw(bench *b)
{
    op_adamw(b->ctx, b->z, b->x, b->y, b->y + ROWS * COLS, ROWS * COLS, &(op_adamw_args){.lr = 1e-6, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .grad_scale = 1, .step = 9});
}
static void squares(bench *b) { b->sum = op_sum_squares(b->ctx, b->x, ROWS * COLS); }
static void cross_entropy(bench *b)
{
    float loss[SCORED];
    int32_t targets[SCORED];
    for (int i = 0; i < SCORED; i++) targets[i] = 100 * i;
    op_cross_entropy(b->ctx, b->z, targets, NULL, loss, SCORED, VOCAB);
}

static void print_rate(bench *b, const char *what, bench_fn fn, int64_t n)
{
    double s = seconds(b, fn);
    printf("%-24s %.2f ns an element\n", what, 1e9 * s / (double)n);
}

static void rows_of(bench *b)
{
    print_rate(b, "rms_norm_back", norm_back, ROWS * COLS);
    print_rate(b, "the same, with weights", norm_back_dw, ROWS * COLS);
    print_rate(b, "glu_back, silu", silu_back, ROWS * COLS);
    print_rate(b, "glu_back, gelu", gelu_back, ROWS * COLS);
    print_rate(b, "cross_entropy", cross_entropy, SCORED * VOCAB);
    print_rate(b, "sum_squares", squares, ROWS * COLS);
    print_rate(b, "adamw", adamw, ROWS * COLS);
}

static float *numbers(int64_t n, uint64_t seed)
{
    float *v = mem_alloc((size_t)n * sizeof *v);
    for (int64_t i = 0; i < n; i++) v[i] = (float)(int64_t)(gemm_random(&seed) >> 40) * 0x1p-23f;
    return v;
}

int bench_train(const char *level_name, int threads, const char *only)
{
    enum { SIZE = 4096 * 6400 };
    bench b = {0};
    cj_diag d = {0};
    kernel_ceilings c;
    const kernel_limits limits = {.train_rows = 1};
    kernel_options o = {.level = kernel_level_by_name(level_name), .threads = threads, .exact = true};
    if (kernel_open(&b.exact, &o, &d) || kernel_reserve(b.exact, &limits, &d) || kernel_ceilings_measure(b.exact, &c, &d)) return 1;
    o.exact = false;
    if (kernel_open(&b.fast, &o, &d) || kernel_reserve(b.fast, &limits, &d)) return 1;
    b.ctx = b.exact;
    b.x = numbers(SIZE, 1), b.y = numbers(SIZE, 2), b.z = numbers(SIZE, 3);
    printf("%s, level %s, %d threads; ceilings: float32 %.0f GFLOP/s, reading %.1f GB/s; shares are of the first, measured again for each line; exact, fast\n", cpu_get()->name,
           kernel_level_name(kernel_table_of(b.ctx)->level), kernel_threads(b.ctx), c.f32_gflops, c.read_gbytes);
    products(&b, only);
    if (!only) rows_of(&b);
    mem_free(b.x);
    mem_free(b.y);
    mem_free(b.z);
    kernel_close(&b.exact);
    kernel_close(&b.fast);
    return 0;
}
