/* Attention at every level that runs here, against double precision; storing, masking, isolation and thread counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attn_case.h"
#include "base/mem.h"
#include "kernel/ctx.h"
#include "support/skip.h"

/* What is checked: the levels that run here, and those kernels compiled over plain C in place of their instructions. */
typedef struct subject {
    const char *name;
    kernel_level level;
    void (*plain)(attn_table *t); /* NULL: the level as it is */
    bool exact;
} subject;

#ifndef CHECK_LEVELS_ONLY /* as in check_gemm.c */
void plain_attn_fill_avx2(attn_table *t);
void plain_attn_fill_avx512(attn_table *t);
void plain_attn_fill_amx(attn_table *t);

/* As table.c does: tiles over the level below. */
static void plain_amx(attn_table *t)
{
    plain_attn_fill_avx512(t);
    plain_attn_fill_amx(t);
}
#else
#define plain_amx NULL
#endif

static const subject subjects[] = {
    {"ref", KERNEL_REF, NULL, false}, {"ref, exact", KERNEL_REF, NULL, true},
    {"avx2", KERNEL_AVX2, NULL, false}, {"avx2, exact", KERNEL_AVX2, NULL, true},
    {"avx512", KERNEL_AVX512, NULL, false}, {"avx512, exact", KERNEL_AVX512, NULL, true},
    {"amx", KERNEL_AMX, NULL, false}, {"amx, exact", KERNEL_AMX, NULL, true},
    {"neon", KERNEL_NEON, NULL, false}, {"neon, exact", KERNEL_NEON, NULL, true},
#ifndef CHECK_LEVELS_ONLY
    {"avx2 in plain C", KERNEL_REF, plain_attn_fill_avx2, false}, {"avx512 in plain C", KERNEL_REF, plain_attn_fill_avx512, false},
    {"amx in plain C", KERNEL_REF, plain_amx, false}, {"amx in plain C, exact", KERNEL_REF, plain_amx, true},
#endif
};
enum { SUBJECTS = sizeof subjects / sizeof *subjects };

/* Every subject that runs here; the highest level alone when time is short (ThreadSanitizer, which the levels do not concern). */
static void each_subject(void (*fn)(const subject *of))
{
    int first = 0;
    for (int i = 0; i < SUBJECTS && getenv("CJ_TEST_QUICK"); i++)
        if (subjects[i].level != KERNEL_REF && kernel_level_runs(subjects[i].level, cpu_get()) && !subjects[i].exact) first = i;
    for (int i = first; i < SUBJECTS && (first == 0 || i < first + 2); i++)
        if (kernel_level_runs(subjects[i].level, cpu_get())) fn(&subjects[i]);
}

static kernel_ctx *open_subject(const subject *of, int threads)
{
    kernel_ctx *ctx = NULL;
    if (kernel_open(&ctx, &(kernel_options){.level = of->level, .threads = threads, .exact = of->exact}, NULL)) fail();
    if (of->plain) of->plain(&ctx->table.attn);
    return ctx;
}

static void levels_that_do_not_run(void **state)
{
    char missing[64] = "";
    for (int level = 0; level < KERNEL_LEVELS; level++)
        if (!kernel_level_runs((kernel_level)level, cpu_get()))
            snprintf(missing + strlen(missing), sizeof missing - strlen(missing), " %s", kernel_level_name((kernel_level)level));
    if (*missing) skip_because("this processor or build does not have:%s", missing);
}

static const attn_shape shapes[] = {
    {KV_F32, 4, 2, 64, 64, .n_seqs = 1, .pos = {0}, .count = {70}},
    {KV_F32, 1, 1, 16, 16, .n_seqs = 1, .pos = {300}, .count = {1}},
    {KV_F32, 8, 1, 256, 256, .window = 100, .n_seqs = 1, .pos = {200}, .count = {150}, .rope_dims = 256, .stride = 1024, .trained = 2048},
    {KV_F32, 6, 2, 24, 36, .softcap = 3, .n_seqs = 2, .pos = {0, 513}, .count = {40, 3}, .rope_dims = 16, .interleaved = true, .stride = 256, .trained = 384},
    {KV_F32, 14, 2, 64, 64, .sinks = true, .n_seqs = 3, .pos = {700, 20, 129}, .count = {1, 1, 2}, .rope_dims = 64, .stride = 128, .trained = 256},
    {KV_BF16, 14, 2, 64, 64, .n_seqs = 1, .pos = {260}, .count = {90}, .rope_dims = 64, .stride = 256, .trained = 640},
    {KV_BF16, 4, 1, 256, 256, .window = 128, .n_seqs = 1, .pos = {0}, .count = {300}, .rope_dims = 256, .stride = 128, .trained = 300},
    {KV_BF16, 8, 8, 32, 20, .sinks = true, .n_seqs = 2, .pos = {1000, 5}, .count = {1, 9}},
    {KV_BF16, 16, 2, 128, 128, .n_seqs = 2, .pos = {1500, 1400}, .count = {1, 4}, .rope_dims = 128, .stride = 512, .trained = 1024},
    {KV_BF16, 14, 2, 64, 64, .n_seqs = 1, .pos = {2600}, .count = {1}, .rope_dims = 64, .stride = 512, .trained = 900},
    {KV_Q8, 14, 2, 64, 64, .n_seqs = 1, .pos = {260}, .count = {90}, .rope_dims = 64, .stride = 256, .trained = 640},
    {KV_Q8, 4, 1, 256, 256, .window = 200, .n_seqs = 1, .pos = {77}, .count = {140}},
    {KV_Q8, 16, 4, 28, 52, .softcap = 5, .sinks = true, .n_seqs = 2, .pos = {300, 0}, .count = {1, 30}, .rope_dims = 28, .stride = 128, .trained = 129},
    {KV_Q8, 4, 1, 256, 256, .n_seqs = 1, .pos = {3000}, .count = {1}, .rope_dims = 256, .stride = 1024, .trained = 2048},
    {KV_Q8, 6, 3, 12, 4, .window = 3, .n_seqs = 1, .pos = {250}, .count = {70}},
    {KV_Q8, 6, 3, 12, 4, .window = 1, .n_seqs = 1, .pos = {250}, .count = {20}},
    {KV_Q4, 14, 2, 64, 64, .n_seqs = 1, .pos = {260}, .count = {90}, .rope_dims = 64, .stride = 256, .trained = 640},
    {KV_Q4, 4, 1, 256, 256, .window = 200, .n_seqs = 1, .pos = {77}, .count = {140}},
    {KV_Q4, 16, 4, 28, 52, .softcap = 5, .sinks = true, .n_seqs = 2, .pos = {300, 0}, .count = {1, 30}, .rope_dims = 28, .stride = 128, .trained = 129},
    {KV_Q4, 4, 1, 256, 256, .n_seqs = 1, .pos = {3000}, .count = {1}, .rope_dims = 256, .stride = 1024, .trained = 2048},
    {KV_Q4, 6, 3, 12, 4, .window = 3, .n_seqs = 1, .pos = {250}, .count = {70}},
    {KV_Q4, 8, 2, 80, 48, .n_seqs = 2, .pos = {1000, 5}, .count = {1, 9}, .rope_dims = 40, .interleaved = true, .stride = 256, .trained = 300},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* How far a subject may be off, relative to the sums of magnitudes: in a score, and in the weighted sum of values. */
typedef struct bound {
    double score, value;
} bound;

/* Whether queries and weights are rounded to bfloat16. */
static bool rounds(const subject *of, kv_type type) { return !of->exact && type != KV_F32 && (of->level == KERNEL_AMX || (of->plain && of->plain == plain_amx)); }
/* Whether they become 16-bit codes. */
static bool codes(const subject *of, kv_type type) { return !of->exact && kv_coded(type) && (of->plain || of->level != KERNEL_REF); }

/* Half a unit in the last place of a bfloat16 is 2^-8 = 3.9e-3, of a 16-bit code 1.5e-5 of the largest; float32 keeps its own. */
static bound bound_of(const subject *of, kv_type type)
{
    return rounds(of, type) ? (bound){4e-3, 4e-3} : codes(of, type) ? (bound){1e-5, 4e-4} : (bound){6e-7, 2e-6};
}

/* What the oracle says to the rows of each shape, in the order in which they are compared: out[dv], scale[dv], score_scale. Pages have the same
 * bytes whoever stored them, so it is asked once. */
static double *oracle[SHAPES];

static const double *oracle_row(const attn_case *c, int s, int64_t row, int h, int64_t index)
{
    const int dv = c->kv.dv;
    double **rows = &oracle[c->shape.seed];
    if (!*rows) *rows = calloc((size_t)(c->rows * c->shape.heads), (size_t)(2 * dv + 1) * sizeof **rows);
    double *x = *rows + index * (2 * dv + 1);
    if (x[2 * dv] == 0) {
        double out[512], scale[512];
        attn_case_row(c, s, row, h, out, scale, &x[2 * dv], NULL);
        memcpy(x, out, (size_t)dv * sizeof *x);
        memcpy(x + dv, scale, (size_t)dv * sizeof *x);
    }
    return x;
}

static void compare(const attn_case *c, bound b, const subject *of)
{
    int64_t index = 0;
    for (int s = 0; s < c->shape.n_seqs; s++)
        for (int64_t row = 0; row < c->seqs[s].count; row += c->seqs[s].count > 16 && row ? 7 : 1)
            for (int h = 0; h < c->shape.heads; h++) {
                const double *out = oracle_row(c, s, row, h, index++), *scale = out + c->kv.dv, score_scale = out[2 * c->kv.dv];
                const float *got = c->out + ((c->seqs[s].row + row) * c->shape.heads + h) * c->kv.dv;
                for (int d = 0; d < c->kv.dv; d++) {
                    double tolerance = scale[d] * (b.value + 2 * b.score * score_scale) + 1e-30;
                    if (!(fabs((double)got[d] - out[d]) <= tolerance))
                        fail_msg("%s: shape %d, sequence %d row %d head %d element %d: %.9g, not %.9g (tolerance %.2g)", of->name,
                                 (int)c->shape.seed, s, (int)row, h, d, (double)got[d], out[d], tolerance);
                }
            }
}

/* Window rows may find pages that no one can see to be absent. */
static void drop_invisible(attn_case *c)
{
    for (int s = 0; s < c->shape.n_seqs && c->args.window; s++)
        for (int64_t p = 0; (p + 1) * KV_PAGE <= c->seqs[s].pos - c->args.window + 1; p++) c->pages[s][p] = NULL;
}

static attn_case *make(int i)
{
    attn_case *c = malloc(sizeof *c);
    attn_shape shape = shapes[i];
    shape.seed = (uint32_t)i;
    attn_case_make(c, &shape);
    return c;
}

static void unmake(attn_case *c, kernel_ctx *ctx)
{
    kernel_close(&ctx);
    attn_case_free(c);
    free(c);
}

static void check_right(const subject *of)
{
    for (int i = 0; i < SHAPES; i++) {
        attn_case *c = make(i);
        kernel_ctx *ctx = open_subject(of, 2);
        attn_case_store(c, ctx);
        drop_invisible(c);
        attn_case_run(c, ctx);
        compare(c, bound_of(of, c->shape.type), of);
        unmake(c, ctx);
    }
}

static void attention_is_right(void **state) { each_subject(check_right); }

/* ---- storing ---- */

/* Keys or values with what is hard: all sizes of numbers, blocks that are zero, or not finite. */
static float *hard_numbers(int n, uint32_t *seed)
{
    static const float odd[] = {NAN, INFINITY, -INFINITY, 3e38f, 1e-38f, 1e-45f, -0.0f, 0};
    float *x = mem_alloc((size_t)n * sizeof *x);
    for (int i = 0; i < n; i++) {
        uint32_t block = (uint32_t)i / 32 * 2654435761u >> 24;
        x[i] = block % 16 == 3 ? 0 : case_random(seed) * ldexpf(1, block % 7 == 5 ? (int)(block % 250) - 125 : 0);
        if (block % 11 == 2 && i % 32 == (int)block % 32) x[i] = odd[block / 11 % 8];
    }
    return x;
}

/* A head's page is filled in stretches, whole groups among them, beside what stands there; as the reference does it, byte by byte. */
static void check_store_of(const subject *of, const kv_layout *l, uint32_t seed)
{
    static const int stretches[] = {1, 15, 16, 3, 2, 43, 48}; /* KV_PAGE in all */
    kernel_ctx *ctx = open_subject(of, 1), *plain = open_subject(&subjects[0], 1);
    size_t bytes = kv_head_bytes(l);
    int64_t ldk = l->dk + 4, ldv = l->dv + 8;
    float *k = hard_numbers(KV_PAGE * (int)ldk, &seed), *v = hard_numbers(KV_PAGE * (int)ldv, &seed);
    for (int whole = 0; whole < 2; whole++) {
        uint8_t *got = mem_alloc(bytes), *want = mem_alloc(bytes);
        memset(got, 0xA5, bytes);
        memset(want, 0xA5, bytes);
        for (int t = 0, i = 0, n; t < KV_PAGE; t += n) {
            n = whole ? KV_PAGE : stretches[i++];
            ctx->table.attn.store(l, got, t, n, k + t * ldk, ldk, v + t * ldv, ldv);
            plain->table.attn.store(l, want, t, n, k + t * ldk, ldk, v + t * ldv, ldv);
            for (size_t b = 0; b < bytes; b++)
                if (got[b] != want[b])
                    fail_msg("%s, %s %d+%d: byte %zu of %zu is %d, not %d", of->name, kv_type_name(l->type), l->dk, l->dv, b, bytes, got[b], want[b]);
        }
        mem_free(got);
        mem_free(want);
    }
    mem_free(k);
    mem_free(v);
    kernel_close(&ctx);
    kernel_close(&plain);
}

static void check_store(const subject *of)
{
    static const int sizes[][2] = {{256, 256}, {64, 64}, {128, 96}, {28, 52}, {12, 4}, {24, 36}, {512, 512}, {100, 20}, {80, 48}};
    for (int type = 0; type < KV_TYPES; type++)
        for (size_t i = 0; kv_type_name(type) && i < sizeof sizes / sizeof *sizes; i++)
            check_store_of(of, &(kv_layout){(kv_type)type, 1, sizes[i][0], sizes[i][1]}, (uint32_t)(10 * i) + (uint32_t)type);
}

static void pages_have_the_same_bytes(void **state) { each_subject(check_store); }

/* ---- properties ---- */

/* Runs shape i at a thread count, into a fresh array. */
static float *run_once(const subject *of, int i, int threads, size_t *bytes)
{
    attn_case *c = make(i);
    kernel_ctx *ctx = open_subject(of, threads);
    attn_case_store(c, ctx);
    attn_case_run(c, ctx);
    *bytes = (size_t)(c->rows * c->shape.heads * c->shape.dv) * sizeof(float);
    float *out = mem_alloc(*bytes);
    memcpy(out, c->out, *bytes);
    unmake(c, ctx);
    return out;
}

static void check_threads(const subject *of)
{
    static const int counts[] = {2, 3, 5};
    for (int i = 0; i < SHAPES; i += of->plain || of->level == KERNEL_REF ? 4 : 1) { /* plain C takes its time */
        size_t bytes;
        float *one = run_once(of, i, 1, &bytes);
        for (int n = 0; n < 3; n++) {
            float *many = run_once(of, i, counts[n], &bytes);
            assert_memory_equal(one, many, bytes);
            mem_free(many);
        }
        mem_free(one);
    }
}

static void same_bits_at_any_thread_count(void **state) { each_subject(check_threads); }

/* A spoilt row (query, key and value) spoils the rows that see it, and no other. */
static void check_spoilt(const subject *of)
{
    static const float spoils[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < SHAPES; i += of->plain ? 2 : 1) {
        size_t bytes;
        float *clean = run_once(of, i, 1, &bytes);
        attn_case *c = make(i);
        kernel_ctx *ctx = open_subject(of, 1);
        /* Beside a spoilt token values are added one by one, in another order and without a level's rounding. */
        float close = rounds(of, c->shape.type) ? 2e-2f : codes(of, c->shape.type) ? 2e-3f : 1e-5f;
        int64_t bad = c->seqs[0].count / 2, at = c->seqs[0].pos + bad, row = (int64_t)c->shape.heads * c->shape.dv;
        for (int h = 0; h < c->kv.heads; h++)
            c->k[0][(at * c->kv.heads + h) * c->kv.dk + 3] = c->v[0][(at * c->kv.heads + h) * c->kv.dv + 1] = spoils[i % 3];
        c->q[bad * c->shape.heads * c->shape.dk] = NAN;
        attn_case_store(c, ctx);
        attn_case_run(c, ctx);
        for (int64_t r = 0; r < c->rows; r++) {
            if (r >= bad && r < c->seqs[0].count && !(c->shape.window && r >= bad + c->shape.window)) continue;
            for (int64_t e = r * row; e < (r + 1) * row; e++)
                if (!(fabsf(clean[e] - c->out[e]) <= close)) fail_msg("%s: shape %d row %d is spoilt", of->name, i, (int)r);
        }
        assert_true(isnan(c->out[bad * row]));
        unmake(c, ctx);
        mem_free(clean);
    }
}

static void spoilt_rows_stay_alone(void **state) { each_subject(check_spoilt); }

/* Exact mode on float32 pages: a row has the same bits whole, in chunks, and beside other rows. */
static void check_chunks(const subject *of)
{
    enum { ROWS = 1700, HEADS = 3, D = 4 }; /* enough that fast mode would cut the whole and a chunk differently */
    if (!of->exact) return;
    attn_shape shape = {KV_F32, HEADS, 1, D, D, .n_seqs = 1, .pos = {0}, .count = {ROWS}, .rope_dims = D, .stride = 128, .trained = 200, .seed = 9};
    attn_case c;
    attn_case_make(&c, &shape);
    kernel_ctx *ctx = open_subject(of, 2);
    attn_case_store(&c, ctx);
    attn_case_run(&c, ctx);
    size_t bytes = (size_t)(c.rows * HEADS * D) * sizeof(float);
    float *whole = mem_alloc(bytes);
    memcpy(whole, c.out, bytes);
    memset(c.out, 0xff, bytes);
    for (int64_t done = 0, n; done < ROWS; done += n) {
        n = i64_min(ROWS - done, 1 + done % 77);
        c.seqs[0] = (attn_seq){.row = done, .count = n, .pos = done, .pages = c.pages[0]};
        op_attention(ctx, &c.args);
    }
    assert_memory_equal(whole, c.out, bytes);
    mem_free(whole);
    kernel_close(&ctx);
    attn_case_free(&c);
}

static void exact_chunks_are_the_same_bits(void **state) { each_subject(check_chunks); }

/* Inside the trained window the positions of rope.h are plain RoPE: only i - j matters. */
static void check_plain_rope(const subject *of)
{
    attn_shape shape = {KV_F32, 2, 1, 32, 32, .n_seqs = 1, .pos = {300}, .count = {4}, .rope_dims = 32, .stride = 128, .trained = 512};
    attn_case c;
    attn_case_make(&c, &shape);
    kernel_ctx *ctx = open_subject(of, 1);
    attn_case_store(&c, ctx);
    attn_case_run(&c, ctx);
    for (int64_t row = 0; row < 4; row++)
        for (int h = 0; h < 2; h++) {
            int64_t i = 300 + row;
            double sum = 0, out = 0;
            for (int64_t j = 0; j <= i; j++) {
                const float *q = c.q + (row * 2 + h) * 32, *k = c.k[0] + j * 32;
                double score = 0;
                for (int p = 0; p < 16; p++) {
                    double a = (double)(i - j) * c.spec.inv_freq[p], x = q[p], y = q[p + 16];
                    score += (x * cos(a) - y * sin(a)) * (double)k[p] + (x * sin(a) + y * cos(a)) * (double)k[p + 16];
                }
                double w = exp(score * (double)c.args.scale);
                sum += w;
                out += w * (double)c.v[0][j * 32 + 5];
            }
            if (fabs(out / sum - (double)c.out[(row * 2 + h) * 32 + 5]) > 2e-5) fail_msg("row %d head %d", (int)row, h);
        }
    kernel_close(&ctx);
    attn_case_free(&c);
}

static void inside_the_window_it_is_plain_rope(void **state) { each_subject(check_plain_rope); }

/* ---- the softmax alone ---- */

/* A page of n scores for one row, after pages whose largest score was `before`. */
static void check_softmax_row(const kernel_ctx *ctx, const subject *of, int n, float before)
{
    _Alignas(64) float s[KV_PAGE], out[ATTN_COLS] = {0}, alpha = -1, max = before;
    float scores[KV_PAGE];
    uint32_t seed = (uint32_t)n;
    double sum = before == -INFINITY ? 0 : 3, largest = before, want = 0;
    attn_tile t = {.s = s, .alpha = &alpha, .st = {.rows = 1, .ld = ATTN_COLS, .max = &max, .sum = &sum, .out = out}};
    for (int i = 0; i < KV_PAGE; i++) s[i] = scores[i] = i % 9 == 4 ? -INFINITY : case_random(&seed) * (i % 5 == 3 ? 60 : 5);
    for (int i = 0; i < n; i++) largest = fmax(largest, (double)scores[i]);
    ctx->table.attn.softmax(&t, n);
    for (int i = 0; i < KV_PAGE; i++) {
        double w = i < n ? exp2((double)(scores[i] - (float)largest)) : 0; /* the difference is rounded before */
        want += w;
        if (!(fabs((double)s[i] - w) <= 3e-7 * w + 2e-38)) fail_msg("%s: 2^%g is %.9g, not %.9g", of->name, (double)scores[i] - largest, (double)s[i], w);
    }
    double a = before == -INFINITY ? 0 : exp2((double)before - largest);
    assert_true(max == (float)largest && fabs((double)alpha - a) <= 3e-7 * a + 2e-38);
    want += before == -INFINITY ? 0 : 3 * a;
    if (!(fabs(sum - want) <= 1e-6 * want)) fail_msg("%s: the sum is %.9g, not %.9g", of->name, sum, want);
}

static void check_softmax(const subject *of)
{
    kernel_ctx *ctx = open_subject(of, 1);
    for (int n = 1; n <= KV_PAGE; n++) {
        check_softmax_row(ctx, of, n, -INFINITY);
        check_softmax_row(ctx, of, n, 2);
        check_softmax_row(ctx, of, n, 300);
    }
    kernel_close(&ctx);
}

static void softmax_is_right(void **state) { each_subject(check_softmax); }

/* ---- the mass of keys ---- */

/* Bins of 32 keys, a set for each row, come to the same as the sums of every key by itself. */
static void check_bins(kernel_ctx *ctx, attn_case *c, op_mass all, int64_t keys)
{
    int64_t bins = (keys + 31) / 32;
    op_mass to = all;
    to.bin = 32;
    to.ld = bins;
    to.mass = mem_array((size_t)(bins * all.rows), sizeof *to.mass);
    assert_int_equal(op_attention_mass(ctx, &c->args, &to, NULL), CJ_OK);
    for (int64_t b = 0; b < bins; b++) {
        double want = 0, sum = 0;
        for (int64_t j = b * 32; j < keys && j < b * 32 + 32; j++) want += (double)all.mass[j];
        for (int64_t r = 0; r < all.rows; r++) sum += (double)to.mass[r * bins + b];
        if (!(fabs(sum - want) <= want * 1e-4 + 1e-9)) fail_msg("bin %d: %g, not %g", (int)b, sum, want);
    }
    mem_free(to.mass);
}

static void check_mass(const subject *of)
{
    static const int which[] = {0, 3, 5, 10, 12, 16, 18};
    for (int n = 0; n < 7; n++) {
        attn_case c;
        attn_shape shape = shapes[which[n]];
        attn_case_make(&c, &shape);
        kernel_ctx *ctx = open_subject(of, 2);
        attn_case_store(&c, ctx);
        attn_case_run(&c, ctx);
        int64_t row0 = c.seqs[0].count / 3, rows = c.seqs[0].count - row0, keys = c.end[0];
        int head = shape.heads - 1;
        float *mass = mem_array((size_t)keys, sizeof *mass);
        double *want = mem_array((size_t)keys, sizeof *want), out[512], scale[512], score_scale;
        op_mass to = {.head = head, .row0 = row0, .rows = rows, .bin = 1, .mass = mass};
        assert_int_equal(op_attention_mass(ctx, &c.args, &to, NULL), CJ_OK);
        check_bins(ctx, &c, to, keys);
        for (int64_t r = row0; r < row0 + rows; r++) attn_case_row(&c, 0, r, head, out, scale, &score_scale, want);
        for (int64_t j = 0; j < keys; j++)
            if (!(fabs((double)mass[j] - want[j]) <= want[j] * 1e-4 + 1e-9)) fail_msg("key %d: %g, not %g", (int)j, (double)mass[j], want[j]);
        mem_free(mass);
        mem_free(want);
        kernel_close(&ctx);
        attn_case_free(&c);
    }
}

static void mass_is_right(void **state) { each_subject(check_mass); }

static void mass_without_memory(void **state)
{
    attn_case c;
    attn_case_make(&c, &shapes[0]);
    kernel_ctx *ctx = open_subject(&subjects[0], 1);
    attn_case_store(&c, ctx);
    attn_case_run(&c, ctx);
    float mass[70] = {0};
    int failures = 0;
    cj_err e = CJ_E_NOMEM;
    for (int n = 0; e && n < 10; n++) {
        mem_fail_after(n);
        e = op_attention_mass(ctx, &c.args, &(op_mass){.rows = 70, .bin = 1, .mass = mass}, NULL);
        mem_fail_after(-1);
        failures += e == CJ_E_NOMEM;
    }
    assert_int_equal(e, CJ_OK);
    assert_int_equal(failures, 2);
    kernel_close(&ctx);
    attn_case_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_that_do_not_run), cmocka_unit_test(pages_have_the_same_bytes), cmocka_unit_test(attention_is_right), cmocka_unit_test(same_bits_at_any_thread_count),
        cmocka_unit_test(spoilt_rows_stay_alone), cmocka_unit_test(exact_chunks_are_the_same_bits), cmocka_unit_test(inside_the_window_it_is_plain_rope),
        cmocka_unit_test(softmax_is_right), cmocka_unit_test(mass_is_right), cmocka_unit_test(mass_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
