/* Attention for training, backward. For each tile of rows and block of keys, with p a probability, o the row's output and g the gradient of o:
 *
 *     s = q.k   p = 2^(s - lse)   dp = g.v (+ the aims')   mean = sum of p dp over all keys = g.o (+ the aims')   ds = p (dp - mean)
 *     dv += p g   dk += ds q   dq += ds k
 *
 * A part has all rows that see its keys, so dk and dv are complete when it has been through them; dq is added up over the parts.
 */
#include <string.h>

#include "kernel/attn_train_work.h"

static float *query_cell(const train_job *j, int64_t cell, int ld) { return (float *)(void *)j->cell_block + cell * ld; }

/* ---- aims ---- */

/* The gradient of the loss by what a key of the aim is paid. */
static float aim_gradient(const op_attn_train *t, const op_attn_aim *m)
{
    return (float)(-(double)m->weight / ((double)train_aim_rows(t, m) * train_aim_mass(t, m)));
}

/* Whether the aim is for this head; the tile's rows that it is for, as a half-open range. */
static bool aims_here(const train_work *w, const op_attn_aim *m, int *from, int *end)
{
    *from = (int)i64_max(0, m->row - w->row);
    *end = (int)i64_min(w->rows, m->row + train_aim_rows(w->j->t, m) - w->row);
    return &w->j->t->a.seqs[m->seq] == w->part->seq && m->head == w->head && *from < *end;
}

static void aims_to_mean(train_work *w)
{
    int from, end;
    for (const op_attn_aim *m = w->j->t->aims; m < w->j->t->aims + w->j->t->n_aims; m++) {
        if (!aims_here(w, m, &from, &end)) continue;
        const float g = aim_gradient(w->j->t, m);
        for (int i = from; i < end; i++) w->mean[i] += g * m->mass[w->row + i - m->row];
    }
}

/* Rows [r, r_end) of the tile, block b. */
static void aims_to_probabilities(train_work *w, int b, int r, int r_end)
{
    int from, end;
    for (const op_attn_aim *m = w->j->t->aims; m < w->j->t->aims + w->j->t->n_aims; m++) {
        if (!aims_here(w, m, &from, &end)) continue;
        const float g = aim_gradient(w->j->t, m);
        const int64_t base = w->keys[b].base;
        for (int i = from > r ? from : r; i < end && i < r_end; i++)
            for (int64_t c = i64_max(w->begin[i], m->begin - base); c < i64_min(w->end[i], m->end - base); c++) w->dp[i * TRAIN_LD + c] += g;
    }
}

/* ---- a tile ---- */

static float dot(const float *x, const float *y, int n)
{
    double sum[4] = {0};
    for (int i = 0; i < n; i += 4) /* sizes of heads are multiples of 4 */
        for (int c = 0; c < 4; c++) sum[c] += (double)x[i + c] * (double)y[i + c];
    return (float)(sum[0] + sum[1] + sum[2] + sum[3]);
}

static void prepare_tile(train_work *w)
{
    const train_job *j = w->j;
    const op_attn_args *a = &j->t->a;
    const int dk = a->kv->dk, dv = a->kv->dv;
    train_queries(w);
    for (int i = 0; i < w->rows; i++) {
        const int64_t at = ((w->part->seq->row + w->row + i) * a->heads + w->head) * dv;
        memcpy(w->dout + i * w->dv, j->dout + at, (size_t)dv * sizeof *w->dout);
        w->mean[i] = dot(j->dout + at, a->out + at, dv);
        if (w->coded) w->k->rotate(w->dout + i * w->dv, dv, kv_value_rotation(a->kv->type, dv));
    }
    aims_to_mean(w);
    memset(w->dq, 0, (size_t)w->rows * (size_t)w->dk * sizeof *w->dq);
    if (!w->own) return;
    w->k->panels(w->q_panels, 16 * TRAIN_ROWS, w->q, w->dk, w->rows, dk);
    w->k->panels(w->dout_panels, 16 * TRAIN_ROWS, w->dout, w->dv, w->rows, dv);
}

/* s and dp of row i become its probabilities and the gradients of its scores, zeros where it sees nothing. */
static void gradients_of_row(train_work *w, int i, int n)
{
    const op_attn_args *a = &w->j->t->a;
    const float cap = a->softcap * ATTN_LOG2_E, lse = w->j->t->lse[(w->part->seq->row + w->row + i) * a->heads + w->head];
    const int begin = w->begin[i], end = w->end[i], from = begin & ~15;
    float *s = w->s + i * TRAIN_LD, *dp = w->dp + i * TRAIN_LD;
    if (begin < end) w->k->weights_back(s + from, dp + from, (end - from + 15) / 16 * 16, lse * ATTN_LOG2_E, w->mean[i], cap > 0 ? 1 / (cap * cap) : 0);
    const int shown = begin < end ? begin : n;
    memset(s, 0, (size_t)shown * sizeof *s);
    memset(dp, 0, (size_t)shown * sizeof *dp);
    if (begin >= end) return;
    memset(s + end, 0, (size_t)(n - end) * sizeof *s);
    memset(dp + end, 0, (size_t)(n - end) * sizeof *dp);
}

static void backward_strip(train_work *w, int b, int r, int r_end)
{
    const kv_layout *l = w->j->t->a.kv;
    const int begin = w->begin[r], end = w->end[r_end - 1], from = begin & ~15;
    if (begin < end) {
        train_scores(w, b, r, r_end);
        w->k->product(&(attn_product){.c = w->dp + r * TRAIN_LD + from, .ldc = TRAIN_LD, .a = w->dout + r * w->dv, .lda = w->dv,
                                      .b = w->values_turned + (int64_t)b * KV_PAGE * w->dv + from * w->dv, .ldb = 16 * w->dv, .m = r_end - r, .n = end - from,
                                      .k = l->dv});
        aims_to_probabilities(w, b, r, r_end);
    }
    for (int i = r; i < r_end; i++) gradients_of_row(w, i, w->keys[b].n);
    if (begin < end)
        w->k->product(&(attn_product){.c = w->dq + r * w->dk, .ldc = w->dk, .add = true, .a = w->dp + r * TRAIN_LD + begin, .lda = TRAIN_LD,
                                      .b = w->key_panels + (int64_t)b * KV_PAGE * w->dk + begin * 16, .ldb = 16 * KV_PAGE, .m = r_end - r, .n = w->dk,
                                      .k = end - begin});
}

/* Keys [c, c_end) of block b get their gradients from the rows that see any of them. */
static void key_strip(train_work *w, int b, int c, int c_end)
{
    int r = 0, r_end = w->rows;
    while (r < r_end && w->end[r] <= c) r++;
    while (r < r_end && w->begin[r_end - 1] >= c_end) r_end--;
    if (r == r_end) return;
    const int64_t key = (int64_t)b * KV_PAGE + c;
    attn_product p = {.c = w->sum_v + key * w->dv, .ldc = w->dv, .add = true, .a = w->s + r * TRAIN_LD + c, .lda = TRAIN_LD, .a_t = true,
                      .b = w->dout_panels + r * 16, .ldb = 16 * TRAIN_ROWS, .m = c_end - c, .n = w->dv, .k = r_end - r};
    w->k->product(&p);
    p.c = w->sum_k + key * w->dk;
    p.ldc = p.n = w->dk;
    p.a = w->dp + r * TRAIN_LD + c;
    p.b = w->q_panels + r * 16;
    w->k->product(&p);
}

static void backward_block(train_work *w, int b)
{
    const bool all = train_sees_all(w, b);
    const int n = w->keys[b].n, step = all ? TRAIN_ROWS : TRAIN_STRIP, key_step = all ? KV_PAGE : TRAIN_STRIP;
    for (int r = 0; r < w->rows; r += step) backward_strip(w, b, r, (int)i64_min(w->rows, r + step));
    for (int c = 0; w->own && c < n; c += key_step) key_strip(w, b, c, (int)i64_min(n, c + key_step));
}

/* The tile's part of its queries' gradients, turned back, joins their cells. */
static void add_queries(train_work *w)
{
    const op_attn_args *a = &w->j->t->a;
    float table[ROPE_DIMS_MAX];
    for (int i = 0; i < w->rows; i++) {
        float *dq = w->dq + i * w->dk;
        const float *turned = train_rotation(w, i);
        if (w->coded) w->k->rotate(dq, a->kv->dk, kv_key_rotation(a->kv->type));
        if (turned) {
            const rope_spec *spec = a->rope->spec;
            for (int c = 0; c < spec->dims; c += 2) {
                table[c] = turned[c];
                table[c + 1] = -turned[c + 1];
            }
            w->v->rope(dq, table, spec->dims, spec->interleaved);
        }
        w->v->axpy(query_cell(w->j, train_cell(w, i), w->dk), dq, a->scale, a->kv->dk);
    }
}

/* ---- a part ---- */

static void clear_sums(train_work *w)
{
    if (!w->own) return;
    memset(w->sum_k, 0, (size_t)w->n_keys * KV_PAGE * (size_t)w->dk * sizeof(float));
    memset(w->sum_v, 0, (size_t)w->n_keys * KV_PAGE * (size_t)w->dv * sizeof(float));
}

static void write_keys(const train_work *w)
{
    const train_job *j = w->j;
    const kv_layout *l = j->t->a.kv;
    const float by = j->t->a.softcap > 0 ? 1 : 1 / ATTN_LOG2_E; /* queries were scaled for scores in units of log 2 */
    for (int b = 0; w->own && b < w->n_keys; b++)
        for (int i = 0; i < w->keys[b].n; i++) {
            const int64_t key = (int64_t)b * KV_PAGE + i, to = (w->part->seq->row + w->keys[b].base - w->part->seq->pos + i) * l->heads + w->part->kv_head;
            for (int c = 0; c < l->dk; c++) j->dk[to * l->dk + c] = w->sum_k[key * w->dk + c] * by;
            memcpy(j->dv + to * l->dv, w->sum_v + key * w->dv, (size_t)l->dv * sizeof *j->dv);
        }
}

static void backward_part(void *arg, int64_t index, int worker)
{
    train_job *j = arg;
    train_work w;
    train_work_open(&w, j, &j->parts[index], worker);
    memset(query_cell(j, w.part->cells, w.dk), 0, (size_t)(w.part->seq->count * w.group * w.dk) * sizeof(float));
    while (train_next_group(&w, true)) {
        clear_sums(&w);
        for (int h = w.part->kv_head * w.group; h < (w.part->kv_head + 1) * w.group; h++)
            for (int64_t row = 0; train_next_tile(&w, h, row); row = w.row + w.rows) {
                prepare_tile(&w);
                for (int b = 0; b < w.n_keys; b++) backward_block(&w, b);
                add_queries(&w);
            }
        write_keys(&w);
    }
}

/* The gradients of the queries of a sequence and KV head, over all its parts. */
static void join_queries(void *arg, int64_t index, int worker)
{
    train_job *j = arg;
    const op_attn_args *a = &j->t->a;
    const train_part *p = &j->parts[index];
    const int dk = a->kv->dk, ld = (dk + ATTN_COLS - 1) / ATTN_COLS * ATTN_COLS, group = a->heads / a->kv->heads;
    const int64_t count = p->seq->count;
    for (int64_t r = 0; p->parts && r < count * group; r++) {
        float *to = j->dq + ((p->seq->row + r % count) * a->heads + p->kv_head * group + r / count) * dk;
        memcpy(to, query_cell(j, p->cells + r, ld), (size_t)dk * sizeof *to);
        for (int i = 1; i < p->parts; i++) j->ctx->table.vec.add(to, query_cell(j, p[i].cells + r, ld), dk);
    }
}

void op_attention_train_back(kernel_ctx *ctx, const op_attn_train *t, const float *dout, float *dq, float *dk, float *dv)
{
    train_job j = {.ctx = ctx, .t = t, .dout = dout, .dq = dq, .dk = dk, .dv = dv};
    train_plan(&j);
    pool *threads = train_pool(&j);
    pool_run(threads, backward_part, &j, j.n_parts);
    pool_run(threads, join_queries, &j, j.n_parts);
}
