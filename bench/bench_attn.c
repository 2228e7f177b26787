/* Attention alone: prefill in GFLOP/s and decode in GB/s beside what this machine can do, measured in the same run.
 *
 *     bench_attn [level [threads [shape [type [prefill|decode|store]]]]]      e.g. bench_attn avx2 1 0.5B bf16 p
 *
 * A line is one call of op_attention, or of op_kv_store, for one layer. FLOPs count the pairs of query and key that are visible, four times the length of a
 * head for each; bytes are those of the visible keys and values. A decode goes round several layers' pages, as large together as a
 * real context's, so that it finds them in memory and not in a cache.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kernel/ceiling.h"

typedef struct shape {
    const char *name;
    int heads, kv_heads, d;
    int64_t window;
} shape;

static const shape shapes[] = {
    {"0.5B 14/2/64", 14, 2, 64, 0},
    {"270M full 4/1/256", 4, 1, 256, 0},
    {"270M window 4/1/256", 4, 1, 256, 512},
    {"0.6B 16/8/128", 16, 8, 128, 0},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

typedef struct setting {
    const shape *s;
    kv_type type;
    int64_t depth, rows;
    int seqs, layers; /* layers: how many sets of pages the calls go round */
} setting;

/* With one thread, processor time: what else the machine does disturbs it less. */
static double now(bool single)
{
    struct timespec t;
    if (!single || clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t)) return clock_now();
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

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

static attn_seq *make_sequences(kernel_ctx *ctx, const setting *b, const kv_layout *kv)
{
    int64_t end = b->depth + b->rows, pages = i64_ceil_div(end, KV_PAGE);
    attn_seq *seqs = mem_array((size_t)(b->seqs * b->layers), sizeof *seqs);
    float *k = noise_array(KV_PAGE * kv->heads * kv->dk), *v = noise_array(KV_PAGE * kv->heads * kv->dv);
    for (int i = 0; i < b->seqs * b->layers; i++) {
        uint8_t **list = mem_array((size_t)pages, sizeof *list), *block = mem_alloc((size_t)pages * kv_page_bytes(kv));
        for (int64_t p = 0; p < pages; p++) {
            list[p] = block + (size_t)p * kv_page_bytes(kv);
            op_kv_store(ctx, kv, &(attn_seq){.count = KV_PAGE, .pos = p * KV_PAGE, .pages = list}, 1, k, v);
        }
        seqs[i] = (attn_seq){.row = (i % b->seqs) * b->rows, .count = b->rows, .pos = b->depth, .pages = list};
    }
    mem_free(k);
    mem_free(v);
    return seqs;
}

static double best_time(kernel_ctx *ctx, op_attn_args *a, attn_seq *seqs, const setting *b)
{
    bool single = kernel_threads(ctx) == 1;
    double best = 1e9, start = now(single);
    for (int n = 0; n < 3 || now(single) - start < 0.3; n++) {
        double t = now(single);
        for (int layer = 0; layer < b->layers; layer++) {
            a->seqs = seqs + layer * b->seqs;
            op_attention(ctx, a);
        }
        best = fmin(best, (now(single) - t) / b->layers);
    }
    return best;
}

static void run(kernel_ctx *ctx, setting b, const kernel_ceilings *c)
{
    const shape *s = b.s;
    kv_layout kv = {b.type, s->kv_heads, s->d, s->d};
    int64_t rows = b.rows * b.seqs, end = b.depth + b.rows;
    if (kernel_reserve(ctx, &(kernel_limits){.rows = rows, .cols = 64, .heads = s->heads, .dk = s->d, .dv = s->d}, NULL)) exit(1);
    attn_seq *seqs = make_sequences(ctx, &b, &kv);
    float *q = noise_array(rows * s->heads * s->d), *out = noise_array(rows * s->heads * s->d);
    op_attn_args a = {.kv = &kv, .heads = s->heads, .scale = 1 / sqrtf((float)s->d), .window = s->window, .q = q, .out = out, .n_seqs = b.seqs};
    double t = best_time(ctx, &a, seqs, &b), pairs = 0;
    for (int64_t i = b.depth; i < end; i++) pairs += (double)(s->window ? i64_min(s->window, i + 1) : i + 1);
    double keys = (double)(s->window ? i64_min(s->window + b.rows, end) : end);
    double flops = pairs * b.seqs * s->heads * 4 * s->d / t / 1e9;
    double bytes = keys * b.seqs * (double)kv_page_bytes(&kv) / KV_PAGE / t / 1e9;
    printf("%-20s %-4s depth %6lld  %2d x %3lld rows  %9.3f ms  %7.1f GFLOP/s %3.0f%%  %6.2f GB/s %3.0f%%\n", s->name, kv_type_name(b.type),
           (long long)b.depth, b.seqs, (long long)b.rows, t * 1e3, flops, 100 * flops / c->f32_gflops, bytes, 100 * bytes / c->read_gbytes);
    for (int i = 0; i < b.seqs * b.layers; i++) {
        mem_free(seqs[i].pages[0]);
        mem_free((void *)seqs[i].pages);
    }
    mem_free(seqs);
    mem_free(q);
    mem_free(out);
}

/* Writing keys and values of some rows into pages that stay near. */
static void run_store(kernel_ctx *ctx, const shape *s, kv_type type, int64_t rows)
{
    kv_layout kv = {type, s->kv_heads, s->d, s->d};
    attn_seq *seq = make_sequences(ctx, &(setting){s, type, 0, rows, 1, 1}, &kv);
    float *k = noise_array(rows * s->kv_heads * s->d), *v = noise_array(rows * s->kv_heads * s->d);
    bool single = kernel_threads(ctx) == 1;
    double best = 1e9, start = now(single);
    for (int n = 0; n < 3 || now(single) - start < 0.3; n++) {
        double t = now(single);
        op_kv_store(ctx, &kv, seq, 1, k, v);
        best = fmin(best, now(single) - t);
    }
    printf("%-20s %-4s store           %3lld rows  %9.3f ms  %7.1f ns a token\n", s->name, kv_type_name(type), (long long)rows, best * 1e3,
           best * 1e9 / (double)rows);
    mem_free(seq->pages[0]);
    mem_free((void *)seq->pages);
    mem_free(seq);
    mem_free(k);
    mem_free(v);
}

static void run_shape(kernel_ctx *ctx, const shape *s, kv_type type, const char *what, const kernel_ceilings *c)
{
    if (!*what || *what == 's') {
        run_store(ctx, s, type, 512);
        run_store(ctx, s, type, 1);
    }
    if (!*what || *what == 'p') {
        run(ctx, (setting){s, type, 0, 512, 1, 1}, c);
        run(ctx, (setting){s, type, 8192, 256, 1, 1}, c);
    }
    if (!*what || *what == 'd') {
        run(ctx, (setting){s, type, 8192, 1, 1, 12}, c);
        run(ctx, (setting){s, type, 32768, 1, 1, 4}, c);
        run(ctx, (setting){s, type, 2048, 1, 16, 4}, c);
    }
}

int main(int argc, char **argv)
{
    kernel_ctx *ctx = NULL;
    kernel_options opt = {.level = argc > 1 ? kernel_level_by_name(argv[1]) : KERNEL_AUTO, .threads = argc > 2 ? atoi(argv[2]) : 0};
    const char *shape_name = argc > 3 ? argv[3] : "", *type = argc > 4 ? argv[4] : "", *what = argc > 5 ? argv[5] : "";
    kernel_ceilings c;
    if (opt.level == KERNEL_LEVELS || kernel_open(&ctx, &opt, NULL) || kernel_ceilings_measure(ctx, &c, NULL)) {
        fprintf(stderr, "bench_attn: this processor has no such level\n");
        return 1;
    }
    printf("%s, level %s, %d threads: float32 %.1f GFLOP/s, reading %.1f GB/s\n", cpu_get()->name, kernel_level_name(kernel_table_of(ctx)->level),
           kernel_threads(ctx), c.f32_gflops, c.read_gbytes);
    for (int s = 0; s < SHAPES; s++)
        for (kv_type t = KV_F32; t < KV_TYPES; t++)
            if (kv_type_name(t) && strstr(shapes[s].name, shape_name) && strstr(kv_type_name(t), type)) run_shape(ctx, &shapes[s], t, what, &c);
    kernel_close(&ctx);
    return 0;
}
