/* Attention for training, forward: each part's running softmax over its keys (attn_train_work.h), the parts joined, and what aims look at. */
#include <math.h>
#include <string.h>

#include "kernel/attn_train_work.h"

static attn_state state_of(const train_job *j, const train_part *p)
{
    const op_attn_args *a = &j->t->a;
    attn_state s = {.rows = (int)p->seq->count * (a->heads / a->kv->heads), .ld = (a->kv->dv + ATTN_COLS - 1) / ATTN_COLS * ATTN_COLS};
    char *maxima = j->cell_block + (size_t)j->cells * sizeof *s.sum, *outs = j->cell_block + size_round_up((size_t)j->cells * (sizeof *s.sum + sizeof *s.max), MEM_ALIGN);
    s.sum = (double *)(void *)j->cell_block + p->cells;
    s.max = (float *)(void *)maxima + p->cells;
    s.out = (float *)(void *)outs + p->cells * s.ld;
    return s;
}

/* ---- a part ---- */

/* The softmax of row i goes on over the keys that it sees of those in [from, end). */
static void weigh_row(train_work *w, attn_state *s, int i, int from, int end)
{
    float *x = w->s + i * TRAIN_LD;
    const int64_t cell = train_cell(w, i) - w->part->cells;
    const int padded = (end - from + 15) / 16 * 16;
    for (int c = from; c < w->begin[i]; c++) x[c] = -INFINITY;
    for (int c = w->end[i]; c < from + padded; c++) x[c] = -INFINITY;
    const float before = s->max[cell], max = w->k->largest(x + from, padded, before);
    const float sum = w->k->weights(x + from, padded, max == -INFINITY ? 0 : max), by = max == before ? 1 : attn_rescale(before, max);
    s->max[cell] = max;
    s->sum[cell] = s->sum[cell] * (double)by + (double)sum;
    if (by != 1) w->v->scale(s->out + cell * s->ld, by, s->ld);
}

static void forward_strip(train_work *w, attn_state *s, int b, int r, int r_end)
{
    const int begin = w->begin[r], end = w->end[r_end - 1];
    if (begin >= end) return;
    train_scores(w, b, r, r_end);
    for (int i = r; i < r_end; i++) weigh_row(w, s, i, begin & ~15, end);
    const float *values = w->value_panels + (int64_t)b * KV_PAGE * w->dv + begin * 16;
    w->k->product(&(attn_product){.c = s->out + (train_cell(w, r) - w->part->cells) * s->ld, .ldc = s->ld, .add = true, .a = w->s + r * TRAIN_LD + begin,
                                  .lda = TRAIN_LD, .b = values, .ldb = 16 * KV_PAGE, .m = r_end - r, .n = w->dv, .k = end - begin});
}

static void forward_part(void *arg, int64_t index, int worker)
{
    train_job *j = arg;
    train_work w;
    train_work_open(&w, j, &j->parts[index], worker);
    attn_state s = state_of(j, w.part);
    attn_state_reset(&s);
    const kv_layout *l = j->t->a.kv;
    while (train_next_group(&w, false)) {
        for (int h = w.part->kv_head * w.group; h < (w.part->kv_head + 1) * w.group; h++)
            for (int64_t row = 0; train_next_tile(&w, h, row); row = w.row + w.rows) {
                train_queries(&w);
                for (int b = 0; b < w.n_keys; b++) {
                    const int step = train_sees_all(&w, b) ? TRAIN_ROWS : TRAIN_STRIP;
                    for (int r = 0; r < w.rows; r += step) forward_strip(&w, &s, b, r, (int)i64_min(w.rows, r + step));
                }
            }
        for (int i = 0; w.coded && w.last_prefix && i < s.rows; i++) w.k->rotate(s.out + i * s.ld, l->dv, kv_value_rotation(l->type, l->dv));
    }
}

/* ---- all parts of a sequence and KV head ---- */

static void join_parts(void *arg, int64_t index, int worker)
{
    train_job *j = arg;
    const op_attn_args *a = &j->t->a;
    const train_part *p = &j->parts[index];
    if (!p->parts) return;
    const int dv = a->kv->dv, group = a->heads / a->kv->heads;
    attn_state all = state_of(j, p);
    for (int i = 1; i < p->parts; i++) {
        attn_state part = state_of(j, p + i);
        attn_state_merge(&all, &part);
    }
    for (int r = 0; r < all.rows; r++) {
        const int head = p->kv_head * group + (int)(r / p->seq->count);
        const int64_t at = (p->seq->row + r % p->seq->count) * a->heads + head;
        if (a->sinks) attn_state_sink(&all, r, a->sinks[head] * ATTN_LOG2_E);
        const float by = (float)(1.0 / all.sum[r]);
        for (int c = 0; c < dv; c++) a->out[at * dv + c] = all.out[r * all.ld + c] * by;
        j->t->lse[at] = (float)((double)all.max[r] / (double)ATTN_LOG2_E + log(all.sum[r]));
    }
}

/* ---- aims ---- */

/* What the tile's rows pay to the aim's keys of the group; row i of the sequence is m->mass[i - m->row]. */
static void pay(train_work *w, const op_attn_aim *m)
{
    const op_attn_args *a = &w->j->t->a;
    train_queries(w);
    for (int b = 0; b < w->n_keys; b++) {
        const int64_t base = w->keys[b].base;
        train_sees_all(w, b);
        train_scores(w, b, 0, w->rows);
        for (int i = 0; i < w->rows; i++) {
            const int from = (int)i64_max(w->begin[i], m->begin - base), end = (int)i64_min(w->end[i], m->end - base);
            const int64_t row = w->row + i - m->row;
            if (from >= end || row < 0 || row >= train_aim_rows(w->j->t, m)) continue;
            float *x = w->s + i * TRAIN_LD, lse = w->j->t->lse[(w->part->seq->row + w->row + i) * a->heads + w->head];
            const int low = from & ~15, padded = (end - low + 15) / 16 * 16;
            for (int c = low; c < from; c++) x[c] = -INFINITY;
            for (int c = end; c < low + padded; c++) x[c] = -INFINITY;
            m->mass[row] += w->k->weights(x + low, padded, lse * ATTN_LOG2_E);
        }
    }
}

static void look_at_aim(void *arg, int64_t index, int worker)
{
    train_job *j = arg;
    const op_attn_aim *m = &j->t->aims[index];
    const attn_seq *seq = &j->t->a.seqs[m->seq];
    train_part part = {.seq = seq, .kv_head = m->head / (j->t->a.heads / j->t->a.kv->heads)};
    for (int64_t i = 0; i < train_aim_rows(j->t, m); i++) m->mass[i] = 0;
    train_part_of_keys(&j->t->a, &part, m->begin, m->end);
    train_work w;
    train_work_open(&w, j, &part, worker);
    while (train_next_group(&w, false))
        for (int64_t row = m->row; row < m->row + train_aim_rows(j->t, m) && train_next_tile(&w, m->head, row); row = w.row + w.rows) pay(&w, m);
    if (m->loss) *m->loss = (float)-log(train_aim_mass(j->t, m));
}

void op_attention_train(kernel_ctx *ctx, const op_attn_train *t)
{
    train_job j = {.ctx = ctx, .t = t};
    train_plan(&j);
    pool *threads = train_pool(&j);
    pool_run(threads, forward_part, &j, j.n_parts);
    pool_run(threads, join_parts, &j, j.n_parts);
    if (t->n_aims) pool_run(threads, look_at_aim, &j, t->n_aims);
}
