/* Attention for training, at every level that runs here: against the same in double precision, whose gradients are checked by finite differences. */
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
#include "kernel/attn_train.h"
#include "kernel/ctx.h"

/* The levels that run here, and those kernels compiled over plain C in place of their instructions. */
typedef struct subject {
    const char *name;
    kernel_level level;
    void (*plain)(attn_table *t); /* NULL: the level as it is */
} subject;

#ifndef CHECK_LEVELS_ONLY /* as in check_gemm.c */
void plain_attn_fill_avx2(attn_table *t);
void plain_attn_fill_avx512(attn_table *t);
#endif

static const subject subjects[] = {
    {"ref", KERNEL_REF, NULL},
#ifndef CHECK_LEVELS_ONLY
    {"avx2 in plain C", KERNEL_REF, plain_attn_fill_avx2},
    {"avx512 in plain C", KERNEL_REF, plain_attn_fill_avx512},
#endif
    {"avx2", KERNEL_AVX2, NULL}, {"avx512", KERNEL_AVX512, NULL}, {"amx", KERNEL_AMX, NULL}, {"neon", KERNEL_NEON, NULL},
};
enum { SUBJECTS = sizeof subjects / sizeof *subjects };

static const attn_shape shapes[] = {
    {KV_F32, 4, 2, 64, 64, .n_seqs = 1, .pos = {0}, .count = {150}},
    {KV_F32, 3, 1, 16, 16, .n_seqs = 2, .pos = {300, 0}, .count = {1, 260}, .window = 50},
    {KV_F32, 4, 1, 128, 128, .window = 100, .n_seqs = 1, .pos = {200}, .count = {70}, .rope_dims = 128, .stride = 1024, .trained = 2048},
    {KV_F32, 6, 2, 24, 36, .softcap = 3, .n_seqs = 2, .pos = {0, 513}, .count = {40, 30}, .rope_dims = 16, .interleaved = true, .stride = 256, .trained = 384},
    {KV_F32, 14, 2, 64, 64, .sinks = true, .n_seqs = 3, .pos = {700, 20, 129}, .count = {1, 7, 20}, .rope_dims = 64, .stride = 128, .trained = 256},
    {KV_F32, 2, 2, 8, 4, .window = 3, .n_seqs = 1, .pos = {250}, .count = {30}, .rope_dims = 8, .stride = 128, .trained = 300},
    {KV_F32, 2, 1, 8, 8, .n_seqs = 1, .pos = {300}, .count = {900}, .rope_dims = 8, .stride = 256, .trained = 640}, /* several parts of a sequence's own rows */
    {KV_F32, 2, 1, 8, 20, .window = 250, .n_seqs = 1, .pos = {300}, .count = {900}, .rope_dims = 8, .stride = 256, .trained = 640},
    {KV_BF16, 14, 2, 64, 64, .n_seqs = 1, .pos = {260}, .count = {40}, .rope_dims = 64, .stride = 256, .trained = 640},
    {KV_BF16, 2, 1, 32, 20, .window = 128, .n_seqs = 1, .pos = {0}, .count = {300}, .rope_dims = 32, .stride = 128, .trained = 300},
    {KV_BF16, 8, 8, 32, 20, .sinks = true, .n_seqs = 2, .pos = {900, 5}, .count = {10, 9}},
    {KV_Q8, 4, 1, 256, 256, .n_seqs = 2, .pos = {200, 390}, .count = {20, 12}, .rope_dims = 256, .stride = 128, .trained = 300},
    {KV_Q8, 16, 4, 28, 52, .softcap = 5, .sinks = true, .n_seqs = 2, .pos = {300, 0}, .count = {5, 30}, .rope_dims = 28, .stride = 128, .trained = 129},
    {KV_Q8, 2, 1, 64, 64, .n_seqs = 1, .pos = {1500}, .count = {33}, .rope_dims = 64, .stride = 512, .trained = 700},
    {KV_Q4, 4, 2, 80, 48, .window = 200, .n_seqs = 2, .pos = {150, 5}, .count = {60, 9}, .rope_dims = 40, .interleaved = true, .stride = 128, .trained = 200},
    {KV_Q4, 4, 1, 256, 256, .n_seqs = 1, .pos = {383}, .count = {20}, .rope_dims = 256, .stride = 256, .trained = 2048},
};
enum { SHAPES = sizeof shapes / sizeof *shapes, AIMS = 3 };

/* When time is short (ThreadSanitizer, an emulator), the highest level alone and some of the shapes. */
static bool quick(void) { return getenv("CJ_TEST_QUICK"); }
static int shape_step(int full) { return quick() ? 3 : full; }

static void each_subject(void (*fn)(const subject *of))
{
    int highest = 0;
    for (int i = 0; i < SUBJECTS; i++)
        if (kernel_level_runs(subjects[i].level, cpu_get())) highest = i;
    for (int i = quick() ? highest : 0; i <= highest; i++)
        if (kernel_level_runs(subjects[i].level, cpu_get())) fn(&subjects[i]);
}

/* ---- a batch ---- */

typedef struct lesson {
    attn_case c;
    op_attn_train t;
    op_attn_aim aims[AIMS];
    float *k, *v, *lse, *dout, *dq, *dk, *dv, *mass;
    float loss[AIMS];
    int64_t nq, nk, nv, no; /* elements */
} lesson;

static float *floats(int64_t n)
{
    float *x = mem_alloc((size_t)n * sizeof *x);
    memset(x, 0xff, (size_t)n * sizeof *x); /* NaN: everything that is read has been written */
    return x;
}

/* One aim in the prefix, if there is one, for all rows; one over its end, for a row; one in the batch's own rows. */
static void set_aims(lesson *l)
{
    const attn_case *c = &l->c;
    int last = c->shape.n_seqs - 1;
    int64_t pos = c->seqs[0].pos, count = c->seqs[last].count;
    l->mass = floats(AIMS * c->rows);
    l->aims[0] = (op_attn_aim){.seq = 0, .head = 0, .begin = pos * 2 / 3, .end = pos * 2 / 3 + 20, .weight = 0.7f};
    l->aims[1] = (op_attn_aim){.seq = last, .head = c->shape.heads - 1, .row = count / 2, .rows = 1, .begin = i64_max(0, c->end[last] - count - 3),
                               .end = c->end[last] - count + 2, .weight = 1.5f};
    l->aims[2] = (op_attn_aim){.seq = last, .head = c->shape.heads - 1, .row = count / 3, .begin = c->end[last] - count, .end = c->end[last], .weight = 0.2f};
    for (int i = 0; i < AIMS; i++) {
        l->aims[i].mass = l->mass + i * c->rows;
        l->aims[i].loss = &l->loss[i];
    }
}

static lesson *make(int shape)
{
    lesson *l = calloc(1, sizeof *l);
    attn_shape s = shapes[shape];
    s.seed = (uint32_t)shape;
    attn_case_make(&l->c, &s);
    l->nq = l->c.rows * s.heads * s.dk, l->no = l->c.rows * s.heads * s.dv, l->nk = l->c.rows * s.kv_heads * s.dk, l->nv = l->c.rows * s.kv_heads * s.dv;
    l->k = floats(l->nk), l->v = floats(l->nv), l->dq = floats(l->nq), l->dk = floats(l->nk), l->dv = floats(l->nv);
    l->lse = floats(l->c.rows * s.heads), l->dout = floats(l->no);
    for (int q = 0; q < s.n_seqs; q++) {
        const attn_seq *seq = &l->c.seqs[q];
        float *k = attn_case_keys(&l->c, q, seq->pos, seq->count);
        memcpy(l->k + seq->row * s.kv_heads * s.dk, k, (size_t)(seq->count * s.kv_heads * s.dk) * sizeof *k);
        memcpy(l->v + seq->row * s.kv_heads * s.dv, l->c.v[q] + seq->pos * s.kv_heads * s.dv, (size_t)(seq->count * s.kv_heads * s.dv) * sizeof *k);
        if (!seq->pos) l->c.seqs[q].pages = NULL;
        mem_free(k);
    }
    uint32_t seed = 77;
    for (int64_t i = 0; i < l->no; i++) l->dout[i] = case_random(&seed);
    set_aims(l);
    return l;
}

static void unmake(lesson *l)
{
    for (int s = 0; s < l->c.shape.n_seqs; s++) l->c.seqs[s].pages = l->c.pages[s];
    attn_case_free(&l->c);
    float *all[] = {l->k, l->v, l->lse, l->dout, l->dq, l->dk, l->dv, l->mass};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) mem_free(all[i]);
    free(l);
}

static kernel_ctx *open_subject(const subject *of, int threads)
{
    kernel_ctx *ctx = NULL;
    if (kernel_open(&ctx, &(kernel_options){.level = of->level, .threads = threads}, NULL)) fail();
    if (of->plain) of->plain(&ctx->table.attn);
    return ctx;
}

/* Pages that no row sees may be absent. */
static void drop_invisible(attn_case *c)
{
    for (int s = 0; s < c->shape.n_seqs && c->args.window; s++)
        for (int64_t p = 0; (p + 1) * KV_PAGE <= c->seqs[s].pos - c->args.window + 1; p++) c->pages[s][p] = NULL;
}

static void run(lesson *l, const subject *of, int threads)
{
    kernel_ctx *ctx = open_subject(of, threads);
    attn_case_store_prefix(&l->c, ctx);
    attn_case_reserve(&l->c, ctx);
    drop_invisible(&l->c);
    l->t = (op_attn_train){.a = l->c.args, .k = l->k, .v = l->v, .lse = l->lse, .aims = l->aims, .n_aims = AIMS};
    memset(l->c.out, 0xff, (size_t)l->no * sizeof(float));
    op_attention_train(ctx, &l->t);
    op_attention_train_back(ctx, &l->t, l->dout, l->dq, l->dk, l->dv);
    kernel_close(&ctx);
}

/* ---- the same in double ---- */

/* What is differentiated, and the gradients of the loss: sum of dout * out, and the aims. A magnitude is the sum of what was added up without its
 * signs, the largest of a head. */
typedef struct oracle {
    double *q, *k, *v;               /* as the op's arguments */
    double *pk[4], *pv[4];           /* of the prefixes */
    double *out, *lse, *dq, *dk, *dv;
    double *mag_out, *mag_q, *mag_k, *mag_v; /* one of each head's row */
    double loss, aim[AIMS], score_scale;
    double *p, *s;                   /* [rows][heads][keys] probabilities, scores */
    double *dp;                      /* [keys] of the row at hand */
    int64_t keys;                    /* of the longest sequence */
} oracle;

static double *doubles(int64_t n) { return calloc((size_t)n + 1, sizeof(double)); }

static double *doubled(const float *x, int64_t n)
{
    double *y = doubles(n);
    for (int64_t i = 0; i < n; i++) y[i] = (double)x[i];
    return y;
}

static void read_prefix(const lesson *l, oracle *o, int s)
{
    const kv_layout *kv = &l->c.kv;
    int64_t pos = l->c.seqs[s].pos;
    float x[KV_DIMS_MAX];
    o->pk[s] = doubles(pos * kv->heads * kv->dk);
    o->pv[s] = doubles(pos * kv->heads * kv->dv);
    for (int64_t j = 0; j < pos * kv->heads; j++) {
        const uint8_t *page = l->c.page_block[s] + (size_t)(j / kv->heads / KV_PAGE) * kv_page_bytes(kv) + (size_t)(j % kv->heads) * kv_head_bytes(kv);
        attn_key(kv, page, (int)(j / kv->heads % KV_PAGE), x);
        for (int c = 0; c < kv->dk; c++) o->pk[s][j * kv->dk + c] = (double)x[c];
        attn_value(kv, page, (int)(j / kv->heads % KV_PAGE), x);
        for (int c = 0; c < kv->dv; c++) o->pv[s][j * kv->dv + c] = (double)x[c];
    }
}

static oracle *oracle_make(const lesson *l)
{
    oracle *o = calloc(1, sizeof *o);
    int64_t vectors = l->c.rows * l->c.shape.heads;
    o->q = doubled(l->c.q, l->nq), o->k = doubled(l->k, l->nk), o->v = doubled(l->v, l->nv);
    o->dq = doubles(l->nq), o->dk = doubles(l->nk), o->dv = doubles(l->nv), o->out = doubles(l->no), o->lse = doubles(vectors);
    o->mag_out = doubles(vectors), o->mag_q = doubles(vectors), o->mag_k = doubles(vectors), o->mag_v = doubles(vectors);
    for (int s = 0; s < l->c.shape.n_seqs; s++) {
        read_prefix(l, o, s);
        o->keys = i64_max(o->keys, l->c.end[s]);
    }
    o->p = doubles(vectors * o->keys), o->s = doubles(vectors * o->keys), o->dp = doubles(o->keys);
    return o;
}

static void oracle_free(oracle *o)
{
    double *all[] = {o->q, o->k, o->v, o->dq, o->dk, o->dv, o->out, o->lse, o->mag_out, o->mag_q, o->mag_k, o->mag_v, o->p, o->s, o->dp,
                     o->pk[0], o->pk[1], o->pk[2], o->pk[3], o->pv[0], o->pv[1], o->pv[2], o->pv[3]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    free(o);
}

/* x turned as the row's query is for chunk m; sign -1: back. */
static void turn(const lesson *l, double *x, int64_t i, int64_t m, double sign)
{
    const rope_spec *s = &l->c.spec;
    for (int e = 0; e < s->dims / 2; e++) {
        double angle = (double)i64_min(i - m * s->stride, s->window - 1) * s->inv_freq[e];
        double *a = x + (s->interleaved ? 2 * e : e), *b = s->interleaved ? a + 1 : a + s->dims / 2, x0 = *a, y0 = *b;
        *a = x0 * cos(angle) - sign * y0 * sin(angle);
        *b = sign * x0 * sin(angle) + y0 * cos(angle);
    }
}

static int64_t chunk_of(const lesson *l, int64_t j) { return l->c.spec.dims ? j / l->c.spec.stride : 0; }

/* Where key j, value j of a sequence stands. */
static const double *key_of(const lesson *l, const oracle *o, int s, int kv_head, int64_t j)
{
    const attn_seq *q = &l->c.seqs[s];
    return j < q->pos ? o->pk[s] + (j * l->c.kv.heads + kv_head) * l->c.kv.dk : o->k + ((q->row + j - q->pos) * l->c.kv.heads + kv_head) * l->c.kv.dk;
}
static const double *value_of(const lesson *l, const oracle *o, int s, int kv_head, int64_t j)
{
    const attn_seq *q = &l->c.seqs[s];
    return j < q->pos ? o->pv[s] + (j * l->c.kv.heads + kv_head) * l->c.kv.dv : o->v + ((q->row + j - q->pos) * l->c.kv.heads + kv_head) * l->c.kv.dv;
}

/* fmax in the inner loops would be a call. */
static double larger(double a, double b) { return a > b ? a : b; }

/* One query of one head, and what it sees. */
typedef struct looking {
    int s, head, kv_head;
    int64_t i, begin, at; /* keys [begin, i]; at: which of [rows][heads] */
    double *p, *score;
} looking;

static looking look(const lesson *l, const oracle *o, int s, int64_t row, int head)
{
    looking y = {.s = s, .head = head, .kv_head = head / (l->c.shape.heads / l->c.kv.heads), .i = l->c.seqs[s].pos + row};
    y.begin = l->c.args.window ? i64_max(0, y.i + 1 - l->c.args.window) : 0;
    y.at = (l->c.seqs[s].row + row) * l->c.shape.heads + head;
    y.p = o->p + y.at * o->keys;
    y.score = o->s + y.at * o->keys;
    return y;
}

static void oracle_scores(const lesson *l, oracle *o, const looking *y)
{
    const double cap = (double)l->c.args.softcap, scale = (double)l->c.args.scale;
    double q[KV_DIMS_MAX];
    int64_t chunk = -1;
    for (int64_t j = y->begin; j <= y->i; j++) {
        if (chunk_of(l, j) != chunk) {
            memcpy(q, o->q + y->at * l->c.kv.dk, (size_t)l->c.kv.dk * sizeof *q);
            turn(l, q, y->i, chunk = chunk_of(l, j), 1);
        }
        const double *k = key_of(l, o, y->s, y->kv_head, j);
        double sum = 0, magnitude = 0;
        for (int c = 0; c < l->c.kv.dk; c++) {
            sum += q[c] * k[c] * scale;
            magnitude += fabs(q[c] * k[c] * scale);
        }
        y->score[j] = cap > 0 ? cap * tanh(sum / cap) : sum;
        o->score_scale = larger(o->score_scale, magnitude);
    }
}

static void oracle_row(const lesson *l, oracle *o, const looking *y)
{
    const int dv = l->c.kv.dv;
    double max = l->c.args.sinks ? (double)l->c.args.sinks[y->head] : -INFINITY, sum = 0;
    oracle_scores(l, o, y);
    for (int64_t j = y->begin; j <= y->i; j++) max = larger(max, y->score[j]);
    if (l->c.args.sinks) sum = exp((double)l->c.args.sinks[y->head] - max);
    for (int64_t j = y->begin; j <= y->i; j++) sum += exp(y->score[j] - max);
    o->lse[y->at] = max + log(sum);
    double *out = o->out + y->at * dv;
    memset(out, 0, (size_t)dv * sizeof *out);
    o->mag_out[y->at] = 0;
    for (int64_t j = y->begin; j <= y->i; j++) {
        const double *v = value_of(l, o, y->s, y->kv_head, j);
        double largest = 0;
        y->p[j] = exp(y->score[j] - o->lse[y->at]);
        for (int c = 0; c < dv; c++) {
            out[c] += y->p[j] * v[c];
            largest = larger(largest, fabs(v[c]));
        }
        o->mag_out[y->at] += y->p[j] * largest;
    }
    for (int c = 0; c < dv; c++) o->loss += out[c] * (double)l->dout[y->at * dv + c];
}

static int64_t aim_rows(const lesson *l, const op_attn_aim *m) { return m->rows ? m->rows : l->c.seqs[m->seq].count - m->row; }

/* Mean mass of an aim's rows. */
static double aim_mass(const lesson *l, const oracle *o, const op_attn_aim *m)
{
    double sum = 0;
    for (int64_t r = 0; r < aim_rows(l, m); r++) {
        looking y = look(l, o, m->seq, m->row + r, m->head);
        for (int64_t j = i64_max(y.begin, m->begin); j < m->end && j <= y.i; j++) sum += y.p[j];
    }
    return fmax(sum / (double)aim_rows(l, m), 1e-30);
}

/* Of sequences [first, end); the loss is theirs, and that of all aims. */
static void oracle_forward_of(const lesson *l, oracle *o, int first, int end)
{
    o->loss = 0;
    for (int s = first; s < end; s++)
        for (int64_t r = 0; r < l->c.seqs[s].count; r++)
            for (int h = 0; h < l->c.shape.heads; h++) {
                looking y = look(l, o, s, r, h);
                oracle_row(l, o, &y);
            }
    for (int i = 0; i < AIMS; i++) {
        o->aim[i] = -log(aim_mass(l, o, &l->aims[i]));
        o->loss += (double)l->aims[i].weight * o->aim[i];
    }
}

static void oracle_forward(const lesson *l, oracle *o) { oracle_forward_of(l, o, 0, l->c.shape.n_seqs); }

/* Of the loss, for the probability of key j. */
static double probability_gradient(const lesson *l, const oracle *o, const looking *y, int64_t j, const double *by_aim)
{
    double sum = 0;
    const double *v = value_of(l, o, y->s, y->kv_head, j);
    for (int c = 0; c < l->c.kv.dv; c++) sum += v[c] * (double)l->dout[y->at * l->c.kv.dv + c];
    for (int i = 0; i < AIMS; i++) {
        const op_attn_aim *m = &l->aims[i];
        int64_t r = y->i - l->c.seqs[y->s].pos - m->row;
        if (m->seq == y->s && m->head == y->head && r >= 0 && r < aim_rows(l, m) && j >= m->begin && j < m->end) sum += by_aim[i];
    }
    return sum;
}

static double largest_of(const double *x, int n)
{
    double largest = 0;
    for (int i = 0; i < n; i++) largest = fmax(largest, fabs(x[i]));
    return largest;
}

/* What a chunk of keys gave the query's gradient, turned back. */
static void add_chunk(const lesson *l, oracle *o, const looking *y, double *dq, int64_t chunk)
{
    turn(l, dq, y->i, chunk, -1);
    for (int c = 0; c < l->c.kv.dk; c++) o->dq[y->at * l->c.kv.dk + c] += dq[c];
    memset(dq, 0, (size_t)l->c.kv.dk * sizeof *dq);
}

static void oracle_row_back(const lesson *l, oracle *o, const looking *y, const double *by_aim)
{
    const int dk = l->c.kv.dk, dv = l->c.kv.dv;
    const double cap = (double)l->c.args.softcap, scale = (double)l->c.args.scale;
    const attn_seq *seq = &l->c.seqs[y->s];
    double mean = 0, mean_size = 0, dq[KV_DIMS_MAX] = {0}, q[KV_DIMS_MAX], *dp = o->dp;
    int64_t chunk = -1;
    for (int64_t j = y->begin; j <= y->i; j++) {
        dp[j] = probability_gradient(l, o, y, j, by_aim);
        mean += y->p[j] * dp[j];
        mean_size += y->p[j] * fabs(dp[j]);
    }
    for (int64_t j = y->begin; j <= y->i; j++) {
        if (chunk_of(l, j) != chunk) {
            if (chunk >= 0) add_chunk(l, o, y, dq, chunk);
            memcpy(q, o->q + y->at * dk, (size_t)dk * sizeof *q);
            turn(l, q, y->i, chunk = chunk_of(l, j), 1);
        }
        double by = cap > 0 ? 1 - y->score[j] * y->score[j] / (cap * cap) : 1, ds = y->p[j] * (dp[j] - mean) * by, size = y->p[j] * (fabs(dp[j]) + mean_size);
        const double *k = key_of(l, o, y->s, y->kv_head, j);
        for (int c = 0; c < dk; c++) dq[c] += ds * k[c] * scale;
        o->mag_q[y->at] += size * largest_of(k, dk) * scale;
        if (j < seq->pos) continue;
        int64_t at = (seq->row + j - seq->pos) * l->c.kv.heads + y->kv_head;
        for (int c = 0; c < dk; c++) o->dk[at * dk + c] += ds * q[c] * scale;
        for (int c = 0; c < dv; c++) o->dv[at * dv + c] += y->p[j] * (double)l->dout[y->at * dv + c];
        o->mag_k[at] += size * largest_of(q, dk) * scale;
        for (int c = 0; c < dv; c++) o->mag_v[at] += y->p[j] * fabs((double)l->dout[y->at * dv + c]) / sqrt((double)dv);
    }
    add_chunk(l, o, y, dq, chunk);
}

static void oracle_backward(const lesson *l, oracle *o)
{
    double by_aim[AIMS];
    for (int i = 0; i < AIMS; i++) by_aim[i] = -(double)l->aims[i].weight / ((double)aim_rows(l, &l->aims[i]) * aim_mass(l, o, &l->aims[i]));
    for (int s = 0; s < l->c.shape.n_seqs; s++)
        for (int64_t r = 0; r < l->c.seqs[s].count; r++)
            for (int h = 0; h < l->c.shape.heads; h++) {
                looking y = look(l, o, s, r, h);
                oracle_row_back(l, o, &y, by_aim);
            }
}

/* Of each shape: pages have the same bytes whoever stored them, so it is asked once. */
static oracle *oracles[SHAPES];

static const oracle *oracle_of(const lesson *l)
{
    oracle **o = &oracles[l->c.shape.seed];
    if (*o) return *o;
    *o = oracle_make(l);
    oracle_forward(l, *o);
    oracle_backward(l, *o);
    return *o;
}

/* ---- tests ---- */

/* The sequence that has row `row` of the batch. */
static int sequence_of(const lesson *l, int64_t row)
{
    int s = 0;
    while (row >= l->c.seqs[s].row + l->c.seqs[s].count) s++;
    return s;
}

/* Some elements of x moved a little, up and down, and what that does to the loss: to that of their own sequence, and of the aims. */
static void check_differences(const lesson *l, oracle *o, double *x, const double *gradient, int64_t n, const char *what)
{
    const double step = 1e-4;
    uint32_t seed = 5;
    for (int i = 0; i < (quick() ? 2 : 6); i++) {
        case_random(&seed);
        int64_t at = (int64_t)(seed >> 4) % n;
        double was = x[at];
        const int s = sequence_of(l, at / (n / l->c.rows));
        x[at] = was + step;
        oracle_forward_of(l, o, s, s + 1);
        double up = o->loss;
        x[at] = was - step;
        oracle_forward_of(l, o, s, s + 1);
        double want = (up - o->loss) / (2 * step);
        x[at] = was;
        oracle_forward_of(l, o, s, s + 1); /* what the aims see of it */
        if (!(fabs(gradient[at] - want) <= 1e-5 * fabs(want) + 1e-6))
            fail_msg("shape %d: the gradient of %s[%d] is %.9g, and by differences %.9g", (int)l->c.shape.seed, what, (int)at, gradient[at], want);
    }
}

static void gradients_are_those_of_differences(void **state)
{
    enum { LONG = 400 };
    for (int i = 0; i < SHAPES; i += shape_step(1)) {
        if (shapes[i].count[0] > LONG) continue;
        lesson *l = make(i);
        run(l, &subjects[0], 1);
        oracle *o = oracle_make(l);
        oracle_forward(l, o);
        oracle_backward(l, o);
        check_differences(l, o, o->q, o->dq, l->nq, "q");
        check_differences(l, o, o->k, o->dk, l->nk, "k");
        check_differences(l, o, o->v, o->dv, l->nv, "v");
        oracle_free(o);
        unmake(l);
    }
}

/* Vectors of d, each with its own magnitude. */
static void compare(const subject *of, const lesson *l, const char *what, const float *got, const double *want, const double *magnitude, int64_t n, int d,
                    double bound)
{
    for (int64_t i = 0; i < n; i++) {
        double tolerance = bound * magnitude[i / d] + 1e-30;
        if (!(fabs((double)got[i] - want[i]) <= tolerance))
            fail_msg("%s: shape %d, %s vector %d element %d: %.9g, not %.9g (tolerance %.2g)", of->name, (int)l->c.shape.seed, what, (int)(i / d), (int)(i % d),
                     (double)got[i], want[i], tolerance);
    }
}

static void check_right(const subject *of)
{
    for (int i = 0; i < SHAPES; i += shape_step(1)) {
        lesson *l = make(i);
        run(l, of, 1);
        const oracle *o = oracle_of(l);
        const int dk = l->c.kv.dk, dv = l->c.kv.dv;
        const double bound = 2e-6 + 1.2e-6 * o->score_scale; /* an error of a score is a relative one of its probability */
        for (int64_t r = 0; r < l->c.rows * l->c.shape.heads; r++)
            if (!(fabs((double)l->lse[r] - o->lse[r]) <= 1e-6 * fabs(o->lse[r]) + bound)) fail_msg("%s: shape %d, sum %d: %.9g, not %.9g", of->name, i, (int)r, (double)l->lse[r], o->lse[r]);
        compare(of, l, "out", l->c.out, o->out, o->mag_out, l->no, dv, bound);
        compare(of, l, "dq", l->dq, o->dq, o->mag_q, l->nq, dk, bound);
        compare(of, l, "dk", l->dk, o->dk, o->mag_k, l->nk, dk, bound);
        compare(of, l, "dv", l->dv, o->dv, o->mag_v, l->nv, dv, bound);
        for (int m = 0; m < AIMS; m++)
            if (!(fabs((double)l->loss[m] - o->aim[m]) <= 1e-6 * fabs(o->aim[m]) + bound)) fail_msg("%s: shape %d, aim %d: %.9g, not %.9g", of->name, i, m, (double)l->loss[m], o->aim[m]);
        unmake(l);
    }
}

static void forward_and_backward_are_right(void **state) { each_subject(check_right); }

/* op_attention in exact mode, over pages that hold the batch's own rows too. */
static void check_inference(const subject *of)
{
    for (int i = 0; i < SHAPES; i += shape_step(1)) {
        if (shapes[i].type != KV_F32) continue; /* other pages would round the batch's own keys */
        lesson *l = make(i);
        run(l, of, 1);
        attn_case c;
        kernel_ctx *ctx = NULL;
        if (kernel_open(&ctx, &(kernel_options){.level = of->level, .threads = 1, .exact = true}, NULL)) fail();
        attn_case_make(&c, &l->c.shape);
        attn_case_store(&c, ctx);
        attn_case_run(&c, ctx);
        const oracle *o = oracle_of(l);
        for (int64_t e = 0; e < l->no; e++)
            if (!(fabs((double)(c.out[e] - l->c.out[e])) <= (2e-6 + 1.2e-6 * o->score_scale) * o->mag_out[e / c.kv.dv]))
                fail_msg("%s: shape %d, element %d: %.9g, not %.9g", of->name, i, (int)e, (double)l->c.out[e], (double)c.out[e]);
        kernel_close(&ctx);
        attn_case_free(&c);
        unmake(l);
    }
}

static void forward_is_that_of_inference(void **state) { each_subject(check_inference); }

static void check_threads(const subject *of)
{
    static const int counts[] = {3, 2, 5};
    const int n_counts = of->level == KERNEL_REF ? 1 : 3; /* slow, and cut in the same way */
    for (int i = 0; i < SHAPES; i += shape_step(of->level == KERNEL_REF ? 4 : 1)) {
        lesson *one = make(i);
        run(one, of, 1);
        for (int n = 0; n < n_counts; n++) {
            lesson *many = make(i);
            run(many, of, counts[n]);
            assert_memory_equal(one->c.out, many->c.out, (size_t)one->no * sizeof(float));
            assert_memory_equal(one->dq, many->dq, (size_t)one->nq * sizeof(float));
            assert_memory_equal(one->dk, many->dk, (size_t)one->nk * sizeof(float));
            assert_memory_equal(one->dv, many->dv, (size_t)one->nv * sizeof(float));
            assert_memory_equal(one->loss, many->loss, sizeof one->loss);
            unmake(many);
        }
        unmake(one);
    }
}

static void same_bits_at_any_thread_count(void **state) { each_subject(check_threads); }

/* Rows of other sequences than the first have the same bits whatever the first holds. */
static void check_spoilt(const subject *of)
{
    for (int i = 0; i < SHAPES; i += shape_step(1)) {
        if (shapes[i].n_seqs < 2) continue;
        lesson *clean = make(i), *bad = make(i);
        run(clean, of, 1);
        bad->c.q[0] = bad->k[1] = bad->v[0] = NAN;
        run(bad, of, 1);
        int64_t row = bad->c.seqs[1].row, dk = bad->c.kv.dk, dv = bad->c.kv.dv, heads = bad->c.shape.heads, kv_heads = bad->c.kv.heads;
        assert_true(isnan(bad->c.out[0]) && isnan(bad->dq[0]) && isnan(bad->dk[0]));
        assert_memory_equal(clean->c.out + row * heads * dv, bad->c.out + row * heads * dv, (size_t)(clean->no - row * heads * dv) * sizeof(float));
        assert_memory_equal(clean->dq + row * heads * dk, bad->dq + row * heads * dk, (size_t)(clean->nq - row * heads * dk) * sizeof(float));
        assert_memory_equal(clean->dk + row * kv_heads * dk, bad->dk + row * kv_heads * dk, (size_t)(clean->nk - row * kv_heads * dk) * sizeof(float));
        assert_memory_equal(clean->dv + row * kv_heads * dv, bad->dv + row * kv_heads * dv, (size_t)(clean->nv - row * kv_heads * dv) * sizeof(float));
        unmake(clean);
        unmake(bad);
    }
}

static void a_spoilt_sequence_stays_alone(void **state) { each_subject(check_spoilt); }

static void limits_without_memory(void **state)
{
    int failures = 0;
    for (int n = 0;; n++) {
        kernel_ctx *ctx = open_subject(&subjects[0], 1);
        mem_fail_after(n);
        cj_err e = kernel_reserve(ctx, &(kernel_limits){.rows = 8, .cols = 64, .heads = 4, .dk = 64, .dv = 64, .train_rows = 8}, NULL);
        mem_fail_after(-1);
        kernel_close(&ctx);
        if (!e) break;
        assert_int_equal(e, CJ_E_NOMEM);
        failures++;
    }
    assert_true(failures >= 3); /* of what others need, too */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_differences), cmocka_unit_test(forward_and_backward_are_right),
        cmocka_unit_test(forward_is_that_of_inference), cmocka_unit_test(same_bits_at_any_thread_count), cmocka_unit_test(a_spoilt_sequence_stays_alone), cmocka_unit_test(limits_without_memory),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (int i = 0; i < SHAPES; i++)
        if (oracles[i]) oracle_free(oracles[i]);
    return failed;
}
