/* Sparse attention alone: how long a row takes, and how much of that goes into choosing pages.
 *
 *     bench_sparse [keep [threads [level [depth ...]]]]      e.g. bench_sparse 128 2 avx2 131072
 *
 * A line is one layer of the default model's shape (4 query heads over 1 of keys, of 256; q8 pages) at one level and depth: a batch as reading has
 * them. "choosing" is all that decides which pages are looked at (scores with the means, their softmax, the sums, the selection), measured by
 * itself; beside it stands what remains, of which it is a share. "exact" is a row of op_attention over all pages.
 *
 * There are no more pages in memory than DISTINCT, over and over: more than any cache holds. Summaries are all there. What the pages say is noise, so
 * as many are kept as may be; each row has REPEATS repeats, as was counted in 红楼梦.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kernel/ops.h"
#include "kernel/summary.h"

enum { HEADS = 4, KV_HEADS = 1, DIM = 256, ROWS = 512, EXACT_ROWS = 32, NEAR = 5, OPEN = 2048, REPEATS = 145, DISTINCT = 1024, STRIDE = 24576, TRAINED = 32768 };

typedef struct scene {
    kernel_ctx *ctx;
    kv_layout kv;
    int64_t depth, pages;
    uint8_t *block, **page, *summaries, *groups;
    int64_t *begin;  /* of the repeats */
    int32_t *at;
    float *q, *out, *near, *far;
    rope_spec spec;
    rope_tables tables;
    attn_seq seq;
    op_attn_args args;
    op_sparse sparse;
} scene;

static void *room(size_t n, size_t size)
{
    void *p = mem_array(n, size);
    if (!p) exit(1);
    return p;
}

static float *noise(int64_t n, uint32_t state)
{
    float *x = room((size_t)n, sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) / 8388608.0f - 1;
    }
    return x;
}

static void make_pages(scene *s)
{
    const kv_layout y = summary_layout(&s->kv);
    const int64_t distinct = i64_min(s->pages, DISTINCT);
    float *x = noise(2 * (distinct + KV_PAGE) * DIM, 1); /* a page's keys begin one token after those of the page before */
    s->block = room((size_t)distinct, kv_page_bytes(&s->kv));
    s->page = room((size_t)s->pages, sizeof *s->page);
    s->summaries = room((size_t)i64_ceil_div(s->pages, KV_PAGE), kv_page_bytes(&y));
    s->groups = room((size_t)i64_ceil_div(s->pages, KV_PAGE * SUMMARY_GROUP), kv_page_bytes(&y));
    for (int64_t p = 0; p < s->pages; p++) {
        s->page[p] = s->block + (size_t)(p % distinct) * kv_page_bytes(&s->kv);
        if (p == p % distinct)
            op_kv_store(s->ctx, &s->kv, &(attn_seq){.count = KV_PAGE, .pos = p * KV_PAGE, .pages = s->page}, 1, x + p * DIM, x + (distinct + KV_PAGE + p) * DIM);
        summary_make(&s->kv, s->page[p], s->summaries, p);
    }
    for (int64_t g = 0; g < s->pages / SUMMARY_GROUP; g++) summary_make_group(&s->kv, s->summaries, s->groups, g);
    mem_free(x);
}

/* Spread evenly over what lies far behind. */
static void make_repeats(scene *s)
{
    const int64_t end = (s->depth / KV_PAGE + 1 - NEAR) * KV_PAGE, step = (end - KV_PAGE) / REPEATS;
    s->begin = room(ROWS + 1, sizeof *s->begin);
    s->at = room((size_t)ROWS * REPEATS, sizeof *s->at);
    for (int64_t r = 0, n = 0; r < ROWS; r++) {
        for (int i = 0; i < REPEATS; i++) s->at[n++] = (int32_t)(KV_PAGE + i * step + (r * 37) % step);
        s->begin[r + 1] = n;
    }
}

static void make_positions(scene *s)
{
    int64_t positions[ROWS];
    s->spec = (rope_spec){.dims = DIM, .magnitude = 1, .stride = STRIDE, .window = TRAINED};
    for (int i = 0; i < DIM / 2; i++) s->spec.inv_freq[i] = pow(1e6, -2.0 * i / DIM);
    s->near = room((size_t)rope_near(&s->spec) * ROWS * DIM, sizeof *s->near);
    s->far = room(DIM, sizeof *s->far);
    for (int i = 0; i < ROWS; i++) positions[i] = s->depth + i;
    op_rope_tables(s->ctx, &s->spec, positions, ROWS, s->near, s->far);
    s->tables = (rope_tables){&s->spec, ROWS, s->near, s->far};
}

static void open_scene(scene *s, kernel_ctx *ctx, int64_t depth, int64_t keep, op_repeats *repeats)
{
    *s = (scene){.ctx = ctx, .kv = {KV_Q8, KV_HEADS, DIM, DIM}, .depth = depth, .pages = i64_ceil_div(depth + ROWS, KV_PAGE)};
    if (kernel_reserve(ctx, &(kernel_limits){.rows = ROWS, .cols = 64, .heads = HEADS, .dk = DIM, .dv = DIM, .sparse_pages = s->pages}, NULL)) exit(1);
    make_pages(s);
    make_repeats(s);
    make_positions(s);
    s->q = noise(ROWS * HEADS * DIM, 7);
    s->out = room(ROWS * HEADS * DIM, sizeof *s->out);
    s->seq = (attn_seq){.count = ROWS, .pos = depth, .pages = s->page};
    s->args = (op_attn_args){.kv = &s->kv, .heads = HEADS, .scale = 1.0f / 16, .rope = &s->tables, .q = s->q, .out = s->out, .seqs = &s->seq, .n_seqs = 1};
    *repeats = (op_repeats){s->begin, s->at};
    s->sparse = (op_sparse){.summaries = s->summaries, .groups = s->groups, .open = OPEN, .keep = keep, .near = NEAR, .repeats = repeats};
}

static void close_scene(scene *s)
{
    void *all[] = {s->block, s->page, s->summaries, s->groups, s->begin, s->at, s->q, s->out, s->near, s->far};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) mem_free(all[i]);
}

static void attend(scene *s) { op_attention_sparse(s->ctx, &s->args, &s->sparse); }

static void choose(scene *s)
{
    uint8_t *kept = room((size_t)(s->pages * (ROWS / KV_PAGE + 1)), 1);
    for (int h = 0; h < HEADS; h++) op_sparse_choice(s->ctx, &s->args, &s->sparse, &(op_choice){.head = h, .ld = s->pages, .kept = kept});
    mem_free(kept);
}

static void attend_exactly(scene *s)
{
    s->seq.count = EXACT_ROWS;
    op_attention(s->ctx, &s->args);
    s->seq.count = ROWS;
}

/* Seconds: the quickest of a few runs. */
static double best_time(scene *s, void (*what)(scene *s))
{
    double best = 1e9, start = clock_now();
    for (int n = 0; n < 2 || clock_now() - start < 0.5; n++) {
        double t = clock_now();
        what(s);
        best = fmin(best, clock_now() - t);
    }
    return best;
}

static void run(kernel_ctx *ctx, int64_t depth, int64_t keep)
{
    scene s;
    op_repeats repeats;
    open_scene(&s, ctx, depth, keep, &repeats);
    const double all = best_time(&s, attend), choosing = best_time(&s, choose), exact = best_time(&s, attend_exactly);
    printf("%-10s depth %8lld  keep %4lld  %7.3f ms a row  choosing %6.3f ms, %4.1f%% of the rest  exact %8.3f ms a row\n",
           kernel_level_name(kernel_table_of(ctx)->level), (long long)depth, (long long)keep, 1e3 * all / ROWS, 1e3 * choosing / ROWS,
           100 * choosing / (all - choosing), 1e3 * exact / EXACT_ROWS);
    fflush(stdout);
    close_scene(&s);
}

int main(int argc, char **argv)
{
    static const int64_t depths[] = {32768, 131072, 524288, 1048576, 1743197};
    const int64_t keep = argc > 1 ? atoll(argv[1]) : 128;
    const int threads = argc > 2 ? atoi(argv[2]) : 0;
    bool any = false;
    for (kernel_level l = KERNEL_REF + 1; l < KERNEL_LEVELS; l++) {
        kernel_ctx *ctx = NULL;
        if (argc > 3 && kernel_level_by_name(argv[3]) != l) continue;
        if (kernel_open(&ctx, &(kernel_options){.level = l, .threads = threads}, NULL)) continue; /* not on this processor */
        any = true;
        for (size_t i = 0; argc <= 4 && i < sizeof depths / sizeof *depths; i++) run(ctx, depths[i], keep);
        for (int i = 4; i < argc; i++) run(ctx, i64_max(atoll(argv[i]), 2 * ROWS), keep);
        kernel_close(&ctx);
    }
    if (!any) fprintf(stderr, "bench_sparse: this processor has no such level\n");
    return !any;
}
