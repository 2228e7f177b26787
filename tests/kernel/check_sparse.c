/* Sparse attention: against an oracle in plain double arithmetic that chooses and stands in alike; all pages kept is exact attention;
 * the same bits at any thread count and however the rows are cut into batches at pages. Summaries are means, of pages and of groups of pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attn_case.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "kernel/attn.h"
#include "kernel/summary.h"

static const kernel_level levels[] = {KERNEL_REF, KERNEL_AVX2, KERNEL_AVX512, KERNEL_AMX, KERNEL_NEON};

/* 20 to 70 pages, the rows at the end of them; strides that end inside a block of summaries. The last three have more pages than OPEN, and no group that a
 * chunk ends in: groups are chosen first. The shapes before them with as many pages have such groups, and all their pages are weighed. */
static const attn_shape shapes[] = {
    {KV_F32, 2, 1, 32, 32, .n_seqs = 1, .pos = {2600}, .count = {70}, .rope_dims = 32, .stride = 1024, .trained = 1400},
    {KV_BF16, 4, 2, 64, 64, .n_seqs = 1, .pos = {3000}, .count = {300}},
    {KV_BF16, 4, 1, 48, 20, .sinks = true, .n_seqs = 1, .pos = {5120}, .count = {40}, .rope_dims = 48, .stride = 1920, .trained = 2560},
    {KV_Q8, 4, 1, 64, 64, .n_seqs = 1, .pos = {8900}, .count = {65}, .rope_dims = 64, .stride = 3072, .trained = 4096},
    {KV_Q8, 3, 3, 64, 32, .softcap = 20, .n_seqs = 1, .pos = {4000}, .count = {1}},
    {KV_Q4, 4, 1, 64, 64, .n_seqs = 1, .pos = {8900}, .count = {65}, .rope_dims = 64, .stride = 3072, .trained = 4096},
    {KV_Q4, 3, 3, 44, 128, .softcap = 20, .n_seqs = 1, .pos = {4000}, .count = {1}},
    {KV_Q8, 4, 1, 64, 64, .n_seqs = 1, .pos = {9338}, .count = {12}, .rope_dims = 64, .stride = 2048, .trained = 2800},
    {KV_BF16, 2, 1, 32, 32, .softcap = 20, .n_seqs = 1, .pos = {9300}, .count = {10}},
    {KV_Q4, 4, 2, 64, 64, .n_seqs = 1, .pos = {8955}, .count = {15}, .rope_dims = 64, .stride = 4096, .trained = 6000},
};
static const uint8_t times[] = {1, 3, 1, 2};
enum { SHAPES = sizeof shapes / sizeof *shapes, GROUPED = SHAPES - 3, NEAR = 3, OPEN = 32, OPEN_FOR_ONE = 4, REPEATS = 9 /* of a row */ };

typedef struct sparse_case {
    attn_case c;
    kernel_ctx *ctx;
    uint8_t *summaries, *groups;
    int64_t *begin; /* of op_repeats */
    int32_t *at;
    int64_t pages;
    const uint8_t *times;
} sparse_case;

/* Here and there one, in every page at times; none in the first page, none near a row. */
static void make_repeats(sparse_case *s)
{
    const attn_seq *seq = &s->c.seqs[0];
    s->begin = mem_array((size_t)seq->count + 1, sizeof *s->begin);
    s->at = mem_array((size_t)seq->count * REPEATS, sizeof *s->at);
    for (int64_t r = 0, n = 0; r < seq->count; r++) {
        int64_t end = ((seq->pos + r) / KV_PAGE + 1 - NEAR) * KV_PAGE, step = (end - KV_PAGE) / (REPEATS + 1);
        for (int i = 0; i < REPEATS; i++) s->at[n++] = (int32_t)(KV_PAGE + i * step + (r * 37 + i * 11) % step);
        s->begin[r + 1] = n;
    }
}

/* Keys of a page, and of a group of pages, have something of their own, or no mean of them would promise more than another. */
static void make_pages_differ(attn_case *c)
{
    const int64_t width = c->kv.heads * c->kv.dk;
    uint32_t seed = 5;
    for (int64_t j = 0; j < c->end[0]; j += KV_PAGE)
        for (int64_t i = 0; i < width; i++) {
            uint32_t of_group = (uint32_t)(j / (KV_PAGE * SUMMARY_GROUP) * width + i) * 2654435761u;
            const float own = 0.4f * case_random(&seed) + 0.4f * case_random(&of_group);
            for (int64_t t = j; t < j + KV_PAGE && t < c->end[0]; t++) c->k[0][t * width + i] += own;
        }
}

static void open_case(sparse_case *s, int shape, kernel_level level, int threads)
{
    attn_case_make(&s->c, &shapes[shape]);
    if (shape >= GROUPED) make_pages_differ(&s->c);
    s->times = shape % 2 ? times : NULL;
    assert_int_equal(kernel_open(&s->ctx, &(kernel_options){.level = level, .threads = threads}, NULL), CJ_OK);
    attn_case_store(&s->c, s->ctx);
    attn_case_run(&s->c, s->ctx);
    s->pages = (s->c.end[0] + KV_PAGE - 1) / KV_PAGE;
    const kv_layout y = summary_layout(&s->c.kv);
    s->summaries = mem_array((size_t)(s->pages + KV_PAGE - 1) / KV_PAGE, kv_page_bytes(&y));
    for (int64_t p = 0; p < s->c.end[0] / KV_PAGE; p++) summary_make(&s->c.kv, s->c.pages[0][p], s->summaries, p);
    s->groups = mem_array(1, kv_page_bytes(&y));
    for (int64_t g = 0; g < s->c.end[0] / KV_PAGE / SUMMARY_GROUP; g++) summary_make_group(&s->c.kv, s->summaries, s->groups, g);
    make_repeats(s);
    assert_int_equal(kernel_reserve(s->ctx, &(kernel_limits){.sparse_pages = s->pages}, NULL), CJ_OK);
}

static void close_case(sparse_case *s)
{
    mem_free(s->summaries);
    mem_free(s->groups);
    mem_free(s->begin);
    mem_free(s->at);
    kernel_close(&s->ctx);
    attn_case_free(&s->c);
}

static size_t out_floats(const sparse_case *s) { return (size_t)(s->c.rows * s->c.shape.heads * s->c.shape.dv); }

/* `skip`: rows of the case before the first of the batch. */
static op_sparse sparse_of(const sparse_case *s, int64_t keep, const op_repeats *repeats)
{
    return (op_sparse){.summaries = s->summaries, .groups = s->groups, .open = OPEN, .keep = keep, .times = s->times, .near = NEAR, .repeats = repeats};
}

static void run_from(sparse_case *s, int64_t keep, int64_t skip)
{
    const op_repeats repeats = {s->begin + skip, s->at};
    const op_sparse how = sparse_of(s, keep, &repeats);
    op_attention_sparse(s->ctx, &s->c.args, &how);
}

static void run(sparse_case *s, int64_t keep) { run_from(s, keep, 0); }

/* ---- the oracle ---- */

/* The rotated, scaled query of a row for keys of chunk m, in log2 units unless there is a softcap. */
static void rotated(const attn_case *c, int64_t row, int head, int64_t m, double *q)
{
    const attn_shape *h = &c->shape;
    const float *from = c->q + (row * h->heads + head) * h->dk;
    for (int i = 0; i < h->dk; i++) q[i] = (double)from[i] * (double)c->args.scale;
    if (!h->rope_dims) return;
    int64_t at = c->seqs[0].pos + row - c->spec.stride * m;
    double pos = (double)(at < c->spec.window - 1 ? at : c->spec.window - 1);
    int half = h->rope_dims / 2;
    for (int i = 0; i < half; i++) {
        int a = h->interleaved ? 2 * i : i, b = h->interleaved ? 2 * i + 1 : i + half;
        double x = q[a], y = q[b], sine = sin(pos * c->spec.inv_freq[i]), cosine = cos(pos * c->spec.inv_freq[i]);
        q[a] = x * cosine - y * sine;
        q[b] = x * sine + y * cosine;
    }
}

/* Key and value of the summary of a page, of a group, as they were before any rotation: a summary is q8, its value rotated as those of its page. */
static void summary_of(const sparse_case *s, const uint8_t *summaries, int64_t page, int kv_head, float *key, float *value)
{
    const kv_layout y = summary_layout(&s->c.kv);
    const uint8_t *head = summaries + (size_t)(page / KV_PAGE) * kv_page_bytes(&y) + (size_t)kv_head * kv_head_bytes(&y);
    attn_key(&y, head, (int)(page % KV_PAGE), key);
    attn_value(&y, head, (int)(page % KV_PAGE), value);
    if (s->c.kv.type != KV_Q4) return;
    attn_rotate(value, y.dv, KV_BLOCK);
    attn_rotate(value, y.dv, kv_value_rotation(KV_Q4, y.dv));
}

static double score(const attn_case *c, const double *q, const float *key)
{
    double sum = 0;
    for (int i = 0; i < c->shape.dk; i++) sum += q[i] * (double)key[i];
    return c->shape.softcap > 0 ? (double)c->shape.softcap * tanh(sum / (double)c->shape.softcap) : sum;
}

static int64_t chunk_of(const attn_case *c, int64_t page) { return c->shape.rope_dims ? page * KV_PAGE / c->spec.stride : 0; }

typedef struct oracle {
    double mean_score[ATTN_ROWS][128]; /* with each far page, or with its group where that is closed */
    float mean_value[128][512];
    bool kept[128], closed[128];
    int64_t far, first_row;
    int rows;
    bool tight; /* the choice hangs on less than rounding */
} oracle;

/* Of mass[1..n) the `keep` largest are marked. */
static void mark_best(const sparse_case *s, oracle *o, const double *mass, int64_t n, int64_t keep, bool *marked)
{
    double last = 0;
    for (int64_t k = 0; k < keep + 1; k++) {
        int64_t best = 0;
        for (int64_t p = 1; p < n; p++)
            if (!marked[p] && (!best || mass[p] > mass[best])) best = p;
        if (!best || mass[best] < 0) return;
        if (k == keep) o->tight |= mass[best] > last * (s->c.kv.type == KV_F32 ? 0.9999 : 0.996);
        else marked[best] = true;
        last = mass[best];
    }
}

/* Scores of a row with the summaries of the pages, of the groups [first, end). */
static void score_summaries(const sparse_case *s, const uint8_t *summaries, int64_t row, int head, int64_t first, int64_t end, int64_t pages, double *x)
{
    for (int64_t p = first; p < end; p++) {
        double q[512];
        float key[512], value[512];
        summary_of(s, summaries, p, head / (s->c.shape.heads / s->c.shape.kv_heads), key, value);
        rotated(&s->c, row, head, chunk_of(&s->c, p * pages), q);
        x[p] = score(&s->c, q, key);
    }
}

static void add_softmax(const double *x, int64_t first, int64_t end, double *mass)
{
    double max = -INFINITY, sum = 0;
    for (int64_t p = first; p < end; p++) max = fmax(max, x[p]);
    for (int64_t p = first; p < end; p++) sum += exp(x[p] - max);
    for (int64_t p = first; p < end; p++) mass[p] += exp(x[p] - max) / sum;
}

/* Closes groups where there are more far pages than may be weighed: the first and what lies behind the last whole one stay open. */
static void close_groups(const sparse_case *s, int head, int64_t keep, oracle *o)
{
    const int64_t open = OPEN > OPEN_FOR_ONE * keep ? OPEN : OPEN_FOR_ONE * keep, whole = o->far / SUMMARY_GROUP;
    static double x[ATTN_ROWS][128];
    double mass[128] = {0};
    bool best[128] = {true};
    if (o->far <= open || (s->c.shape.rope_dims && s->c.shape.stride % (KV_PAGE * SUMMARY_GROUP))) return;
    for (int r = 0; r < o->rows; r++) {
        score_summaries(s, s->groups, o->first_row + r, head, 1, whole, SUMMARY_GROUP, x[r]);
        add_softmax(x[r], 1, whole, mass);
    }
    mark_best(s, o, mass, whole, open / SUMMARY_GROUP - 1, best);
    for (int64_t p = 0; p < whole * SUMMARY_GROUP; p++) {
        const int64_t g = p / SUMMARY_GROUP;
        float key[512];
        o->closed[p] = !best[g];
        if (!o->closed[p]) continue;
        for (int r = 0; r < o->rows; r++) o->mean_score[r][p] = x[r][g];
        summary_of(s, s->groups, g, head / (s->c.shape.heads / s->c.shape.kv_heads), key, o->mean_value[p]);
    }
}

/* Scores and choice for the rows of one page and head. */
static void choose(const sparse_case *s, int64_t page, int head, int64_t keep, oracle *o)
{
    const attn_case *c = &s->c;
    int kv_head = head / (c->shape.heads / c->shape.kv_heads);
    double mass[128] = {0};
    int64_t begin = page * KV_PAGE < c->seqs[0].pos ? c->seqs[0].pos : page * KV_PAGE, end = (page + 1) * KV_PAGE < c->end[0] ? (page + 1) * KV_PAGE : c->end[0];
    memset(o, 0, sizeof *o);
    o->far = page + 1 - NEAR > 1 ? page + 1 - NEAR : 1;
    o->first_row = begin - c->seqs[0].pos;
    o->rows = (int)(end - begin);
    for (int64_t p = 1; p < o->far; p++) {
        float key[512];
        summary_of(s, s->summaries, p, kv_head, key, o->mean_value[p]);
    }
    for (int r = 0; r < o->rows; r++) score_summaries(s, s->summaries, o->first_row + r, head, 1, o->far, 1, o->mean_score[r]);
    close_groups(s, head, keep, o);
    for (int r = 0; r < o->rows; r++) add_softmax(o->mean_score[r], 1, o->far, mass);
    for (int64_t p = 0; p < o->far; p++)
        if (o->closed[p]) mass[p] = -1;
    mark_best(s, o, mass, o->far, keep, o->kept);
}

/* Adds one key to the sums. */
static void add_key(const sparse_case *s, const uint8_t *bytes, int64_t j, double w, double *out, double *scale)
{
    float value[512];
    attn_value(&s->c.kv, bytes, (int)(j % KV_PAGE), value);
    for (int i = 0; i < s->c.shape.dv; i++) {
        out[i] += w * (double)value[i];
        scale[i] += w * fabs((double)value[i]);
    }
}

static double key_score(const attn_case *c, const double *q, const uint8_t *bytes, int64_t j)
{
    float key[512];
    attn_key(&c->kv, bytes, (int)(j % KV_PAGE), key);
    return score(c, q, key);
}

/* A row's repeats in pages that are not kept: into at[]; returns how many. */
static int repeats_of(const sparse_case *s, const oracle *o, int64_t row, int64_t *at)
{
    int n = 0;
    for (int64_t i = s->begin[row]; i < s->begin[row + 1]; i++)
        if (!o->kept[s->at[i] / KV_PAGE]) at[n++] = s->at[i];
    return n;
}

/* One row's output; *scale: of the magnitudes added. */
static void attend(const sparse_case *s, const oracle *o, int64_t page, int head, int row, double *out, double *scale)
{
    const attn_case *c = &s->c;
    int kv_head = head / (c->shape.heads / c->shape.kv_heads), dv = c->shape.dv;
    double q[512], sum = 0, max = -INFINITY, y[REPEATS];
    int64_t at[REPEATS];
    int n_repeats = repeats_of(s, o, o->first_row + row, at);
    for (int i = 0; i < n_repeats; i++) {
        rotated(c, o->first_row + row, head, chunk_of(c, at[i] / KV_PAGE), q);
        y[i] = key_score(c, q, c->pages[0][at[i] / KV_PAGE] + (size_t)kv_head * kv_head_bytes(&c->kv), at[i]);
        max = fmax(max, y[i]);
    }
    int64_t last = c->seqs[0].pos + o->first_row + row;
    double *x = calloc((size_t)(last + 1), sizeof *x);
    for (int pass = 0; pass < 2; pass++)
        for (int64_t p = 0; p <= page; p++) {
            bool stands_in = p > 0 && p < o->far && !o->kept[p];
            const uint8_t *bytes = c->pages[0][p] + (size_t)kv_head * kv_head_bytes(&c->kv);
            if (!pass) rotated(c, o->first_row + row, head, chunk_of(c, p), q);
            for (int64_t j = p * KV_PAGE; j <= last && j < (p + 1) * KV_PAGE && !(stands_in && j > p * KV_PAGE); j++) {
                if (!pass) {
                    x[j] = stands_in ? o->mean_score[row][p] + log(KV_PAGE) : key_score(c, q, bytes, j);
                    max = fmax(max, x[j]);
                    continue;
                }
                double w = exp(x[j] - max);
                sum += w;
                if (!stands_in) add_key(s, bytes, j, w, out, scale);
                for (int i = 0; i < dv && stands_in; i++) {
                    double v = (double)o->mean_value[p][i];
                    out[i] += w * v;
                    scale[i] += w * fabs(v);
                }
            }
        }
    for (int i = 0; i < n_repeats; i++) {
        double w = exp(y[i] - max);
        sum += w;
        add_key(s, c->pages[0][at[i] / KV_PAGE] + (size_t)kv_head * kv_head_bytes(&c->kv), at[i], w, out, scale);
    }
    if (c->shape.sinks) sum += exp((double)c->sinks[head] - max);
    for (int i = 0; i < dv; i++) out[i] /= sum, scale[i] /= sum;
    free(x);
}

/* What op_sparse_choice says is what the oracle keeps, the first page and those near. */
static void check_choice(sparse_case *s, int64_t page, int head, int64_t keep, const oracle *o)
{
    const int64_t first = s->c.seqs[0].pos / KV_PAGE;
    uint8_t kept[8][128];
    memset(kept, 7, sizeof kept);
    const op_sparse how = sparse_of(s, keep, NULL);
    op_sparse_choice(s->ctx, &s->c.args, &how, &(op_choice){.head = head, .ld = 128, .kept = kept[0]});
    for (int64_t p = 0; p <= page; p++) assert_int_equal(kept[page - first][p], p == 0 || p >= o->far || o->kept[p]);
    assert_int_equal(kept[page - first][page + 1], 7);
}

static void check_level(kernel_level level)
{
    static oracle o;
    int rows_compared = 0, rows_closed = 0;
    for (int n = 0; n < SHAPES; n++) {
        sparse_case s;
        open_case(&s, n, level, 2);
        const double bound = level == KERNEL_REF && !kv_coded(s.c.kv.type) ? 1e-4 : 2e-2;
        int64_t keep = n == 1 ? 0 : 6, first = s.c.seqs[0].pos / KV_PAGE;
        run(&s, keep);
        for (int64_t page = first; page < s.pages; page++)
            for (int head = 0; head < s.c.shape.heads; head++) {
                choose(&s, page, head, keep * (s.times ? s.times[head] : 1), &o);
                if (!o.tight) check_choice(&s, page, head, keep, &o);
                for (int row = 0; !o.tight && row < o.rows; row += o.rows < 16 ? 2 : 9) {
                    double out[512] = {0}, scale[512] = {0};
                    attend(&s, &o, page, head, row, out, scale);
                    const float *got = s.c.out + ((o.first_row + row) * s.c.shape.heads + head) * s.c.shape.dv;
                    rows_compared++;
                    rows_closed += o.closed[SUMMARY_GROUP] || o.closed[2 * SUMMARY_GROUP];
                    for (int i = 0; i < s.c.shape.dv; i++)
                        if (!(fabs((double)got[i] - out[i]) <= bound * scale[i] + 1e-6))
                            fail_msg("%s, shape %d, page %d, head %d, row %d: %g, not %g", kernel_level_name(level), n, (int)page, head, row, (double)got[i], out[i]);
                }
            }
        close_case(&s);
    }
    assert_true(rows_compared > 20 && rows_closed > 20);
}

static void each_level(void (*check)(kernel_level level))
{
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (kernel_level_runs(levels[i], cpu_get())) check(levels[i]);
}

static void is_what_the_oracle_says(void **state) { each_level(check_level); }

static void check_all_kept(kernel_level level)
{
    for (int n = 0; n < SHAPES; n++) {
        sparse_case s;
        open_case(&s, n, level, 2);
        float *exact = mem_array(out_floats(&s), sizeof *exact);
        memcpy(exact, s.c.out, out_floats(&s) * sizeof *exact);
        run(&s, s.pages);
        for (size_t i = 0; i < out_floats(&s); i++)
            if (fabsf(s.c.out[i] - exact[i]) > 2e-3f) fail_msg("%s, shape %d: %g, not %g", kernel_level_name(level), n, (double)s.c.out[i], (double)exact[i]);
        mem_free(exact);
        close_case(&s);
    }
}

static void all_kept_is_exact(void **state) { each_level(check_all_kept); }

/* The result with so many threads, the rows in one batch or cut at the first page's end. */
static float *result(int shape, kernel_level level, int threads, bool cut, size_t *n)
{
    sparse_case s;
    open_case(&s, shape, level, threads);
    memset(s.c.out, 0, out_floats(&s) * sizeof *s.c.out);
    attn_seq *seq = &s.c.seqs[0];
    int64_t skip = 0, to_page = KV_PAGE - seq->pos % KV_PAGE;
    if (cut && seq->count > to_page) {
        attn_seq whole = *seq;
        seq->count = to_page;
        run(&s, 5);
        skip = to_page;
        *seq = (attn_seq){.row = to_page, .count = whole.count - to_page, .pos = whole.pos + to_page, .pages = whole.pages};
    }
    run_from(&s, 5, skip);
    *n = out_floats(&s);
    float *copy = mem_array(*n, sizeof *copy);
    memcpy(copy, s.c.out, *n * sizeof *copy);
    close_case(&s);
    return copy;
}

static void check_bits(kernel_level level)
{
    for (int n = 0; n < SHAPES; n++) {
        size_t size;
        float *one = result(n, level, 1, false, &size), *three = result(n, level, 3, false, &size), *cut = result(n, level, 2, true, &size);
        assert_memory_equal(one, three, size * sizeof *one);
        assert_memory_equal(one, cut, size * sizeof *one);
        mem_free(one);
        mem_free(three);
        mem_free(cut);
    }
}

static void same_bits_however_cut(void **state) { each_level(check_bits); }

/* `got` is the mean of the first n tokens. */
static void assert_mean(const kv_layout *l, const uint8_t *head, int d, void (*get)(const kv_layout *, const uint8_t *, int, float *), const float *got, int n)
{
    double mean[512] = {0}, size[512] = {0};
    for (int t = 0; t < n; t++) {
        float x[512];
        get(l, head, t, x);
        for (int c = 0; c < d; c++) mean[c] += (double)x[c] / n, size[c] += fabs((double)x[c]) / n;
    }
    double top = 0; /* what a code is a part of: an element shares its scale with others */
    for (int c = 0; c < d; c++) top = fmax(top, size[c]);
    for (int c = 0; c < d; c++)
        if (!(fabs(mean[c] - (double)got[c]) <= top * 8e-3)) fail_msg("element %d of %d: %g, not %g (%g)", c, d, (double)got[c], mean[c], top);
}

/* The first group is the mean of the first summaries. */
static void check_groups(const sparse_case *s)
{
    const kv_layout y = summary_layout(&s->c.kv);
    for (int head = 0; head < y.heads; head++) {
        float key[512], value[512];
        attn_key(&y, s->groups + (size_t)head * kv_head_bytes(&y), 0, key);
        attn_value(&y, s->groups + (size_t)head * kv_head_bytes(&y), 0, value);
        assert_mean(&y, s->summaries + (size_t)head * kv_head_bytes(&y), y.dk, attn_key, key, SUMMARY_GROUP);
        assert_mean(&y, s->summaries + (size_t)head * kv_head_bytes(&y), y.dv, attn_value, value, SUMMARY_GROUP);
    }
}

static void summaries_are_means(void **state)
{
    for (int n = 0; n < SHAPES; n++) {
        sparse_case s;
        open_case(&s, n, KERNEL_REF, 1);
        const attn_shape *h = &s.c.shape;
        for (int64_t p = 0; p < s.c.end[0] / KV_PAGE; p += 7)
            for (int head = 0; head < h->kv_heads; head++) {
                const uint8_t *bytes = s.c.pages[0][p] + (size_t)head * kv_head_bytes(&s.c.kv);
                float key[512], value[512];
                summary_of(&s, s.summaries, p, head, key, value);
                assert_mean(&s.c.kv, bytes, h->dk, attn_key, key, KV_PAGE);
                assert_mean(&s.c.kv, bytes, h->dv, attn_value, value, KV_PAGE);
            }
        check_groups(&s);
        uint8_t one[4096], again[4096];
        summary_get(&s.c.kv, s.summaries, 3, one);
        summary_put(&s.c.kv, s.summaries, 4, one);
        summary_get(&s.c.kv, s.summaries, 4, again);
        assert_memory_equal(one, again, summary_bytes(&s.c.kv));
        close_case(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(summaries_are_means), cmocka_unit_test(is_what_the_oracle_says), cmocka_unit_test(all_kept_is_exact),
        cmocka_unit_test(same_bits_however_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
