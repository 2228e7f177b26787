/* Attention forward and backward, for training: one query after another, key by key. */
#include "kernel/attn_train.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernel/ctx.h"

typedef struct train_job {
    kernel_ctx *ctx;
    const op_attn_train *t;
    const float *dout;
    float *dq, *dk, *dv;
} train_job;

/* A query row, and the rotation of it for the chunk of keys that is being looked at. */
typedef struct query {
    const attn_seq *seq;
    int64_t row, position, begin; /* row of the batch; keys [begin, position] are seen */
    int head, kv_head;
    int64_t chunk;
    float q[KV_DIMS_MAX];         /* rotated for the chunk, and scaled */
} query;

static query query_of(const op_attn_args *a, const attn_seq *seq, int64_t i, int head)
{
    query y = {.seq = seq, .row = seq->row + i, .position = seq->pos + i, .head = head, .kv_head = head / (a->heads / a->kv->heads), .chunk = -1};
    y.begin = a->window ? i64_max(0, y.position + 1 - a->window) : 0;
    return y;
}

static const rope_spec *spec_of(const op_attn_args *a) { return a->rope && a->rope->spec->dims ? a->rope->spec : NULL; }

static int64_t chunk_of(const op_attn_args *a, int64_t key) { return spec_of(a) ? key / spec_of(a)->stride : 0; }

static const float *rotation(const op_attn_args *a, const query *y)
{
    return rope_row(a->rope, y->row, y->position / spec_of(a)->stride - y->chunk);
}

static void turn_to(const train_job *j, query *y, int64_t chunk)
{
    const op_attn_args *a = &j->t->a;
    if (chunk == y->chunk) return;
    y->chunk = chunk;
    memcpy(y->q, a->q + (y->row * a->heads + y->head) * a->kv->dk, (size_t)a->kv->dk * sizeof *y->q);
    if (spec_of(a)) j->ctx->table.vec.rope(y->q, rotation(a, y), spec_of(a)->dims, spec_of(a)->interleaved);
    for (int c = 0; c < a->kv->dk; c++) y->q[c] *= a->scale;
}

/* Key and value of one position, out of a page or of the batch. */
typedef struct token {
    const float *k, *v;
    int64_t row; /* of the batch; -1: of the prefix */
    float key[KV_DIMS_MAX], value[KV_DIMS_MAX];
} token;

static void token_at(const op_attn_train *t, const attn_seq *seq, int kv_head, int64_t position, token *to)
{
    const kv_layout *l = t->a.kv;
    to->row = position < seq->pos ? -1 : seq->row + position - seq->pos;
    if (to->row >= 0) {
        to->k = t->k + (to->row * l->heads + kv_head) * l->dk;
        to->v = t->v + (to->row * l->heads + kv_head) * l->dv;
        return;
    }
    const uint8_t *head = seq->pages[position / KV_PAGE] + (size_t)kv_head * kv_head_bytes(l);
    attn_key(l, head, (int)(position % KV_PAGE), to->key);
    attn_value(l, head, (int)(position % KV_PAGE), to->value);
    to->k = to->key;
    to->v = to->value;
}

static float dot(const float *x, const float *y, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)x[i] * (double)y[i];
    return (float)sum;
}

static float score(const train_job *j, query *y, const token *key, int64_t position)
{
    const op_attn_args *a = &j->t->a;
    turn_to(j, y, chunk_of(a, position));
    float s = dot(y->q, key->k, a->kv->dk);
    return a->softcap > 0 ? a->softcap * tanhf(s / a->softcap) : s;
}

/* ---- forward ---- */

static void forward_row(train_job *j, query *y)
{
    const op_attn_args *a = &j->t->a;
    const int dv = a->kv->dv;
    float max = a->sinks ? a->sinks[y->head] : -INFINITY;
    double sum = a->sinks ? 1 : 0, out[KV_DIMS_MAX] = {0};
    token key;
    for (int64_t p = y->begin; p <= y->position; p++) {
        token_at(j->t, y->seq, y->kv_head, p, &key);
        float s = score(j, y, &key, p);
        double by = s > max ? exp((double)max - (double)s) : 1;
        max = s > max ? s : max;
        double w = exp((double)s - (double)max);
        sum = sum * by + w;
        for (int c = 0; c < dv; c++) out[c] = out[c] * by + w * (double)key.v[c];
    }
    int64_t at = y->row * a->heads + y->head;
    for (int c = 0; c < dv; c++) a->out[at * dv + c] = (float)(out[c] / sum);
    j->t->lse[at] = (float)((double)max + log(sum));
}

static int64_t aim_rows(const op_attn_train *t, const op_attn_aim *m) { return m->rows ? m->rows : t->a.seqs[m->seq].count - m->row; }

static double aim_mass(const op_attn_train *t, const op_attn_aim *m)
{
    double sum = 0;
    for (int64_t i = 0; i < aim_rows(t, m); i++) sum += (double)m->mass[i];
    return fmax(sum / (double)aim_rows(t, m), 1e-30);
}

static void aim_item(void *arg, int64_t index, int worker)
{
    train_job *j = arg;
    const op_attn_aim *m = &j->t->aims[index];
    token key;
    for (int64_t i = 0; i < aim_rows(j->t, m); i++) {
        query y = query_of(&j->t->a, &j->t->a.seqs[m->seq], m->row + i, m->head);
        double sum = 0, lse = (double)j->t->lse[y.row * j->t->a.heads + y.head];
        for (int64_t p = i64_max(m->begin, y.begin); p < m->end && p <= y.position; p++) {
            token_at(j->t, y.seq, y.kv_head, p, &key);
            sum += exp((double)score(j, &y, &key, p) - lse);
        }
        m->mass[i] = (float)sum;
    }
    if (m->loss) *m->loss = (float)-log(aim_mass(j->t, m));
}

/* Rows of a sequence that are one item. */
enum { ROWS = 8 };

static void forward_item(void *arg, int64_t index, int worker)
{
    train_job *j = arg;
    const op_attn_args *a = &j->t->a;
    const attn_seq *seq = a->seqs;
    int64_t tile = index / a->heads;
    for (; tile >= i64_ceil_div(seq->count, ROWS); seq++) tile -= i64_ceil_div(seq->count, ROWS);
    for (int64_t i = tile * ROWS; i < i64_min(seq->count, (tile + 1) * ROWS); i++) {
        query y = query_of(a, seq, i, (int)(index % a->heads));
        forward_row(j, &y);
    }
}

void op_attention_train(kernel_ctx *ctx, const op_attn_train *t)
{
    train_job j = {.ctx = ctx, .t = t};
    int64_t tiles = 0, rows = 0;
    for (int s = 0; s < t->a.n_seqs; s++) {
        tiles += i64_ceil_div(t->a.seqs[s].count, ROWS);
        rows += t->a.seqs[s].count;
    }
    assert(rows <= ctx->limits.train_rows && "kernel_limits.train_rows");
    pool_run(ctx->pool, forward_item, &j, tiles * t->a.heads);
    pool_run(ctx->pool, aim_item, &j, t->n_aims);
}

/* ---- backward ---- */

/* What the row's aims add to the gradient of the probability of key `position`; with position < 0, to the sum of probability times gradient. */
static double aim_gradient(const op_attn_train *t, const query *y, int64_t position)
{
    double sum = 0;
    for (int i = 0; i < t->n_aims; i++) {
        const op_attn_aim *m = &t->aims[i];
        int64_t n = aim_rows(t, m), r = y->position - y->seq->pos - m->row;
        if (&t->a.seqs[m->seq] != y->seq || m->head != y->head || r < 0 || r >= n) continue;
        double g = -(double)m->weight / ((double)n * aim_mass(t, m));
        if (position < 0) sum += g * (double)m->mass[r];
        else if (position >= m->begin && position < m->end) sum += g;
    }
    return sum;
}

static void turn_back(const train_job *j, const query *y, const double *from, float *dq)
{
    const op_attn_args *a = &j->t->a;
    float x[KV_DIMS_MAX], table[ROPE_DIMS_MAX];
    for (int c = 0; c < a->kv->dk; c++) x[c] = (float)from[c];
    if (spec_of(a)) {
        memcpy(table, rotation(a, y), (size_t)spec_of(a)->dims * sizeof *table);
        for (int c = 1; c < spec_of(a)->dims; c += 2) table[c] = -table[c];
        j->ctx->table.vec.rope(x, table, spec_of(a)->dims, spec_of(a)->interleaved);
    }
    for (int c = 0; c < a->kv->dk; c++) dq[c] += x[c] * a->scale;
}

static void backward_row(train_job *j, query *y)
{
    const op_attn_args *a = &j->t->a;
    const int dk = a->kv->dk, dv = a->kv->dv;
    const int64_t at = y->row * a->heads + y->head;
    const float *dout = j->dout + at * dv;
    double sum = (double)dot(dout, a->out + at * dv, dv) + aim_gradient(j->t, y, -1), turned[KV_DIMS_MAX] = {0};
    token key;
    for (int64_t p = y->begin; p <= y->position; p++) {
        if (y->chunk >= 0 && chunk_of(a, p) != y->chunk) {
            turn_back(j, y, turned, j->dq + at * dk);
            memset(turned, 0, sizeof turned);
        }
        token_at(j->t, y->seq, y->kv_head, p, &key);
        double s = (double)score(j, y, &key, p), w = exp(s - (double)j->t->lse[at]);
        double ds = w * ((double)dot(dout, key.v, dv) + aim_gradient(j->t, y, p) - sum);
        if (a->softcap > 0) ds *= 1 - s * s / ((double)a->softcap * (double)a->softcap);
        for (int c = 0; c < dk; c++) turned[c] += ds * (double)key.k[c];
        if (key.row < 0) continue;
        int64_t to = key.row * a->kv->heads + y->kv_head;
        for (int c = 0; c < dk; c++) j->dk[to * dk + c] += (float)(ds * (double)y->q[c]);
        for (int c = 0; c < dv; c++) j->dv[to * dv + c] += (float)(w * (double)dout[c]);
    }
    turn_back(j, y, turned, j->dq + at * dk);
}

/* One sequence and one KV head: nobody else writes their gradients. */
static void backward_item(void *arg, int64_t index, int worker)
{
    train_job *j = arg;
    const op_attn_args *a = &j->t->a;
    const attn_seq *seq = &a->seqs[index / a->kv->heads];
    const int group = a->heads / a->kv->heads, kv_head = (int)(index % a->kv->heads);
    for (int64_t i = 0; i < seq->count; i++) {
        memset(j->dk + ((seq->row + i) * a->kv->heads + kv_head) * a->kv->dk, 0, (size_t)a->kv->dk * sizeof *j->dk);
        memset(j->dv + ((seq->row + i) * a->kv->heads + kv_head) * a->kv->dv, 0, (size_t)a->kv->dv * sizeof *j->dv);
        memset(j->dq + ((seq->row + i) * a->heads + kv_head * group) * a->kv->dk, 0, (size_t)(group * a->kv->dk) * sizeof *j->dq);
    }
    for (int h = kv_head * group; h < (kv_head + 1) * group; h++)
        for (int64_t i = 0; i < seq->count; i++) {
            query y = query_of(a, seq, i, h);
            backward_row(j, &y);
        }
}

void op_attention_train_back(kernel_ctx *ctx, const op_attn_train *t, const float *dout, float *dq, float *dk, float *dv)
{
    train_job j = {.ctx = ctx, .t = t, .dout = dout, .dq = dq, .dk = dk, .dv = dv};
    pool_run(ctx->pool, backward_item, &j, (int64_t)t->a.n_seqs * t->a.kv->heads);
}
