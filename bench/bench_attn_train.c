/* Attention for training alone: both passes in GFLOP/s beside what this machine can do, measured in the same run.
 *
 *     bench_attn_train [level [threads [shape]]]      e.g. bench_attn_train avx2 2 4/1/256
 *
 * FLOPs count the pairs of query and key that are visible: 4 times the length of a head for each forward (two products), and backward 10 times
 * (five), or 6 times for keys of the prefix, which get no gradient (three).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kernel/attn_train.h"
#include "kernel/ceiling.h"

typedef struct shape {
    const char *name;
    int heads, kv_heads, d;
    int64_t window;
    int seqs;
    int64_t rows, prefix;
} shape;

static const shape shapes[] = {
    {"10/10/64", 10, 10, 64, 0, 8, 512, 0},        {"10/10/64 window 512", 10, 10, 64, 512, 8, 512, 0}, {"10/2/64", 10, 2, 64, 0, 8, 512, 0},
    {"4/1/256", 4, 1, 256, 0, 8, 512, 0},          {"4/1/256 window 512", 4, 1, 256, 512, 8, 512, 0},   {"4/1/256 after 512", 4, 1, 256, 0, 1, 40, 512},
    {"4/1/256 after 4096", 4, 1, 256, 0, 1, 40, 4096}, {"4/1/256 after 131072", 4, 1, 256, 0, 1, 40, 131072},
};
enum { SHAPES = sizeof shapes / sizeof *shapes, LENT_PAGES = 512 };

static float *noise_array(int64_t n)
{
    uint32_t noise = 1;
    float *x = mem_alloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        noise = noise * 1664525u + 1013904223u;
        x[i] = (float)(noise >> 8) / 8388608.0f - 1;
    }
    return x;
}

typedef struct batch {
    const shape *s;
    kv_layout kv;
    attn_seq seqs[8];
    uint8_t **pages, *block;
    rope_spec spec;
    rope_tables tables;
    op_attn_train t;
    float *dout, *dq, *dk, *dv;
} batch;

/* Some hundred pages of a long prefix stand for all of them: more than a cache holds. */
static void make_prefix(batch *b, kernel_ctx *ctx)
{
    int64_t pages = i64_ceil_div(b->s->prefix, KV_PAGE), there = i64_min(pages, LENT_PAGES);
    size_t bytes = kv_page_bytes(&b->kv);
    float *k = noise_array(KV_PAGE * b->kv.heads * b->kv.dk), *v = noise_array(KV_PAGE * b->kv.heads * b->kv.dv);
    b->pages = mem_array((size_t)pages + 1, sizeof *b->pages);
    b->block = mem_alloc((size_t)there * bytes);
    for (int64_t p = 0; p < pages; p++) {
        b->pages[p] = b->block + (size_t)(p % LENT_PAGES) * bytes;
        if (p < there) op_kv_store(ctx, &b->kv, &(attn_seq){.count = KV_PAGE, .pos = p * KV_PAGE, .pages = b->pages}, 1, k, v);
    }
    mem_free(k);
    mem_free(v);
}

static void make_positions(batch *b, kernel_ctx *ctx, int64_t rows)
{
    b->spec = (rope_spec){.dims = b->s->d, .magnitude = 1, .stride = 24576, .window = 32768};
    for (int i = 0; i < b->s->d / 2; i++) b->spec.inv_freq[i] = pow(10000, -2.0 * i / b->s->d);
    int64_t *at = mem_array((size_t)rows, sizeof *at);
    for (int64_t r = 0; r < rows; r++) at[r] = b->s->prefix + r % b->s->rows;
    float *near = mem_array((size_t)(rope_near(&b->spec) * rows * b->s->d), sizeof *near), *far = mem_array((size_t)b->s->d, sizeof *far);
    op_rope_tables(ctx, &b->spec, at, rows, near, far);
    b->tables = (rope_tables){&b->spec, rows, near, far};
    mem_free(at);
}

static void make(batch *b, kernel_ctx *ctx, const shape *s)
{
    *b = (batch){.s = s, .kv = {KV_Q8, s->kv_heads, s->d, s->d}};
    int64_t rows = s->seqs * s->rows, q = rows * s->heads * s->d, k = rows * s->kv_heads * s->d;
    if (kernel_reserve(ctx, &(kernel_limits){.rows = rows, .cols = 64, .heads = s->heads, .dk = s->d, .dv = s->d, .train_rows = rows}, NULL)) exit(1);
    make_prefix(b, ctx);
    make_positions(b, ctx, rows);
    for (int i = 0; i < s->seqs; i++) b->seqs[i] = (attn_seq){.row = i * s->rows, .count = s->rows, .pos = s->prefix, .pages = s->prefix ? b->pages : NULL};
    b->t = (op_attn_train){.a = {.kv = &b->kv, .heads = s->heads, .scale = 1 / sqrtf((float)s->d), .window = s->window, .rope = &b->tables, .q = noise_array(q),
                                 .out = noise_array(q), .seqs = b->seqs, .n_seqs = s->seqs},
                           .k = noise_array(k), .v = noise_array(k), .lse = noise_array(rows * s->heads)};
    b->dout = noise_array(q), b->dq = noise_array(q), b->dk = noise_array(k), b->dv = noise_array(k);
}

static void unmake(batch *b)
{
    const void *all[] = {b->pages, b->block, b->tables.near, b->tables.far, b->t.a.q, b->t.a.out, b->t.k, b->t.v, b->t.lse, b->dout, b->dq, b->dk, b->dv};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) mem_free((void *)(uintptr_t)all[i]);
}

static double best_time(kernel_ctx *ctx, batch *b, bool backward)
{
    double best = 1e9, start = clock_now();
    for (int n = 0; n < 3 || clock_now() - start < 0.4; n++) {
        double t = clock_now();
        if (backward) op_attention_train_back(ctx, &b->t, b->dout, b->dq, b->dk, b->dv);
        else op_attention_train(ctx, &b->t);
        best = fmin(best, clock_now() - t);
    }
    return best;
}

static void run(kernel_ctx *ctx, const shape *s, double ceiling)
{
    batch b;
    make(&b, ctx, s);
    double own = 0, prefix = 0;
    for (int64_t i = 0; i < s->rows; i++) {
        double seen = (double)(s->window ? i64_min(s->window, s->prefix + i + 1) : s->prefix + i + 1), of_own = fmin(seen, (double)(i + 1));
        own += of_own;
        prefix += seen - of_own;
    }
    double each = (double)s->seqs * s->heads * s->d * 1e-9, forward = best_time(ctx, &b, false), backward = best_time(ctx, &b, true);
    double f = 4 * each * (own + prefix) / forward, g = each * (10 * own + 6 * prefix) / backward;
    printf("%-22s %2d x %3lld rows  forward %9.3f ms  %6.1f GFLOP/s %3.0f%%   backward %9.3f ms  %6.1f GFLOP/s %3.0f%%\n", s->name, s->seqs, (long long)s->rows,
           forward * 1e3, f, 100 * f / ceiling, backward * 1e3, g, 100 * g / ceiling);
    unmake(&b);
}

int main(int argc, char **argv)
{
    kernel_ctx *ctx = NULL;
    kernel_options opt = {.level = argc > 1 ? kernel_level_by_name(argv[1]) : KERNEL_AUTO, .threads = argc > 2 ? atoi(argv[2]) : 0};
    const char *name = argc > 3 ? argv[3] : "";
    kernel_ceilings c;
    if (opt.level == KERNEL_LEVELS || kernel_open(&ctx, &opt, NULL) || kernel_ceilings_measure(ctx, &c, NULL)) {
        fprintf(stderr, "bench_attn_train: this processor has no such level\n");
        return 1;
    }
    printf("%s, level %s, %d threads: float32 %.1f GFLOP/s\n", cpu_get()->name, kernel_level_name(kernel_table_of(ctx)->level), kernel_threads(ctx), c.f32_gflops);
    for (int s = 0; s < SHAPES; s++)
        if (strstr(shapes[s].name, name)) run(ctx, &shapes[s], c.f32_gflops);
    kernel_close(&ctx);
    return 0;
}
