/* The forward pass: one loop over layer specs, one layer a step. See forward.h. */
#include <string.h>

#include "base/mem.h"
#include "model/job.h"

/* Largest sizes over the layers. */
typedef struct widths {
    int64_t q, k, v, mixed, gate, cols, channels;
    int heads, dk, dv;
} widths;

static int64_t ffn_width(const layer_spec *y) { return y->ffn == FFN_MOE ? i64_max(y->moe.width, y->moe.shared.width) : y->dense.width; }

/* Of a layer of the delta rule, see delta.c for what lies where. */
static void widen_delta(widths *w, const delta_shape *s)
{
    w->channels = i64_max(w->channels, delta_channels(s));
    w->q = i64_max(w->q, i64_max(delta_channels(s), (int64_t)s->heads * s->dv));
    w->k = i64_max(w->k, delta_channels(s));
    w->v = i64_max(w->v, 2 * (int64_t)s->heads);
    w->mixed = i64_max(w->mixed, (int64_t)s->heads * s->dv);
}

static widths widths_of(const model_spec *m)
{
    widths w = {.cols = m->hidden};
    for (int i = 0; i < m->n_layers; i++) {
        const gqa_spec *a = &m->layers[i].gqa;
        w.q = i64_max(w.q, (int64_t)a->heads * a->dk);
        w.k = i64_max(w.k, (int64_t)a->kv_heads * a->dk);
        w.v = i64_max(w.v, (int64_t)a->kv_heads * a->dv);
        w.mixed = i64_max(w.mixed, (int64_t)a->heads * a->dv);
        if (m->layers[i].mixer == MIXER_DELTA) widen_delta(&w, &m->layers[i].delta.shape);
        w.gate = i64_max(w.gate, i64_max(ffn_width(&m->layers[i]), w.mixed));
        w.heads = (int)i64_max(w.heads, a->heads);
        w.dk = (int)i64_max(w.dk, a->dk);
        w.dv = (int)i64_max(w.dv, a->dv);
    }
    w.cols = i64_max(w.cols, i64_max(w.mixed, w.gate));
    return w;
}

static bool alloc_rows(model_job *job, float **out, int64_t cols)
{
    *out = kernel_alloc(job->ctx, (size_t)(job->max_rows * cols) * sizeof **out);
    return *out;
}

static bool alloc_activations(model_job *job, const widths *w)
{
    int64_t h = job->spec->hidden;
    bool ok = alloc_rows(job, &job->x, h) && alloc_rows(job, &job->norm, h) && alloc_rows(job, &job->half, h) &&
              alloc_rows(job, &job->q, w->q) && alloc_rows(job, &job->k, w->k) && alloc_rows(job, &job->v, w->v) &&
              alloc_rows(job, &job->mixed, w->mixed) && alloc_rows(job, &job->gate, w->gate);
    for (int i = 0; ok && i < job->spec->n_ropes; i++) {
        const rope_spec *r = &job->spec->ropes[i];
        for (int set = 0; ok && set < 2; set++) ok = alloc_rows(job, &job->near[set][i], (int64_t)rope_near(r) * r->dims);
        ok = ok && (job->far[i] = kernel_alloc(job->ctx, (size_t)r->dims * sizeof(float)));
    }
    return ok;
}

static bool alloc_lists(model_job *job, bool delta)
{
    size_t n = (size_t)job->max_rows;
    if (delta && !(job->states = mem_array(n, sizeof *job->states))) return false;
    job->ids = mem_array(n, sizeof *job->ids);
    job->positions = mem_array(n, sizeof *job->positions);
    job->wanted_idx = mem_array(n, sizeof *job->wanted_idx);
    row_set *sets[] = {&job->all, &job->wanted};
    for (int i = 0; i < 2; i++) {
        sets[i]->seqs = mem_array(n, sizeof *sets[i]->seqs);
        sets[i]->kv = mem_array(n, sizeof *sets[i]->kv);
        sets[i]->of = mem_array(n, sizeof *sets[i]->of);
        sets[i]->runs = mem_array(n, sizeof *sets[i]->runs);
    }
    bool room = job->ids && job->positions && job->wanted_idx;
    for (int i = 0; i < 2; i++) room = room && sets[i]->seqs && sets[i]->kv && sets[i]->of && sets[i]->runs;
    return room;
}

cj_err model_job_open(model_job **out, const model *m, int64_t max_rows, cj_diag *d)
{
    model_job *job = mem_zalloc(sizeof *job);
    if (!job) return diag_nomem(d, sizeof *job);
    job->m = m;
    job->spec = model_spec_of(m);
    job->ctx = model_kernel(m);
    job->max_rows = i64_min(max_rows, MODEL_ROWS_MAX);
    widths w = widths_of(job->spec);
    cj_err e = CJ_OK;
    if (!alloc_activations(job, &w) || !alloc_lists(job, w.channels > 0))
        e = diag_nomem(d, (size_t)(job->max_rows * (3 * job->spec->hidden + w.q + w.k + w.v + w.mixed + w.gate)) * sizeof(float));
    if (!e) e = moe_room_open(job, d);
    if (!e) e = kernel_reserve(job->ctx, &(kernel_limits){.rows = job->max_rows, .cols = w.cols, .heads = w.heads, .dk = w.dk, .dv = w.dv, .channels = w.channels}, d);
    if (e) {
        model_job_close(&job);
        return e;
    }
    *out = job;
    return CJ_OK;
}

void model_job_close(model_job **pjob)
{
    model_job *job = *pjob;
    if (!job) return;
    moe_room_close(job);
    float *blocks[] = {job->x, job->norm, job->half, job->q, job->k, job->v, job->mixed, job->gate, job->low, job->up};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) kernel_free(job->ctx, blocks[i]);
    for (int i = 0; i < MODEL_ROPES_MAX; i++) {
        kernel_free(job->ctx, job->near[0][i]);
        kernel_free(job->ctx, job->near[1][i]);
        kernel_free(job->ctx, job->far[i]);
    }
    void *lists[] = {job->states, job->ids, job->positions, job->wanted_idx, job->all.seqs, job->all.kv, job->all.of,
                     job->all.runs, job->wanted.seqs, job->wanted.kv, job->wanted.of, job->wanted.runs};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) mem_free(lists[i]);
    mem_free(job);
    *pjob = NULL;
}

int64_t model_job_rows(const model_job *job) { return job->max_rows; }

/* Adds `count` rows of a sequence, the first at position pos, to a set. */
static void set_add(row_set *set, const model_rows *r, int64_t count, int64_t pos)
{
    adapted_take(set, r, count);
    set->of[set->n_seqs] = r;
    set->seqs[set->n_seqs] = (attn_seq){.row = set->rows, .count = count, .pos = pos};
    set->kv[set->n_seqs++] = r->kv;
    set->rows += count;
}

/* Rotary rows for every row of a set (which = 0: all, 1: wanted). */
static void set_positions(model_job *job, row_set *set, int which)
{
    for (int s = 0; s < set->n_seqs; s++)
        for (int64_t i = 0; i < set->seqs[s].count; i++) job->positions[set->seqs[s].row + i] = set->seqs[s].pos + i;
    for (int i = 0; i < job->spec->n_ropes; i++) {
        op_rope_tables(job->ctx, &job->spec->ropes[i], job->positions, set->rows, job->near[which][i], job->far[i]);
        set->ropes[i] = (rope_tables){&job->spec->ropes[i], set->rows, job->near[which][i], job->far[i]};
    }
}

static cj_err take_ids(model_job *job, const model_rows *r, cj_diag *d)
{
    for (int64_t i = 0; i < r->count; i++) {
        if (r->ids[i] < 0 || r->ids[i] >= job->spec->vocab)
            return diag_fail(d, CJ_E_INPUT, MSG_TOKEN_RANGE, "%d" ARG "%lld", r->ids[i], (long long)job->spec->vocab);
        job->ids[job->all.rows + i] = r->ids[i];
    }
    return CJ_OK;
}

/* Room for choosing among the pages of a sequence, growing by doubling. */
static cj_err reserve_sparse(model_job *job, const model_rows *r, cj_diag *d)
{
    int64_t pages = 1024;
    if (!r->keep) return CJ_OK;
    while (pages < i64_ceil_div(kv_count(r->kv) + r->count, KV_PAGE)) pages *= 2;
    return kernel_reserve(job->ctx, &(kernel_limits){.sparse_pages = pages}, d);
}

/* What to add up is attention: only layers that have it can be probed. */
static cj_err check_probes(const model_job *job, const model_batch *b, cj_diag *d)
{
    for (int i = 0; i < b->n_probes; i++) {
        const int layer = b->probes[i].layer;
        if (layer < 0 || layer >= job->spec->n_layers || job->spec->layers[layer].mixer != MIXER_GQA)
            return diag_fail(d, CJ_E_INTERNAL, MSG_INTERNAL, "no attention in layer %d", layer);
    }
    return CJ_OK;
}

cj_err model_job_begin(model_job *job, const model_batch *b, cj_diag *d)
{
    int64_t rows = 0;
    for (int i = 0; i < b->n_seqs; i++) rows += b->seqs[i].count;
    if (rows < 1 || rows > job->max_rows || b->n_seqs > job->max_rows) return diag_fail(d, CJ_E_INTERNAL, MSG_INTERNAL, "batch of %lld rows", (long long)rows);
    TRY(check_probes(job, b, d));
    job->batch = *b;
    job->layer = 0;
    row_set *all = &job->all, *wanted = &job->wanted;
    all->rows = wanted->rows = all->n_seqs = wanted->n_seqs = all->n_runs = wanted->n_runs = 0;
    for (int i = 0; i < b->n_seqs; i++) {
        const model_rows *r = &b->seqs[i];
        TRY(take_ids(job, r, d));
        TRY(kv_extend(r->kv, r->count, d));
        TRY(reserve_sparse(job, r, d));
        TRY(adapted_reserve(job, r->adapter, d));
        int64_t pos = kv_count(r->kv), n = r->logits == WANT_ALL ? r->count : r->logits == WANT_LAST ? 1 : 0;
        for (int64_t k = 0; k < n; k++) job->wanted_idx[wanted->rows + k] = (int32_t)(all->rows + r->count - n + k);
        if (n) set_add(wanted, r, n, pos + r->count - n);
        set_add(all, r, r->count, pos);
    }
    set_positions(job, wanted, 1);
    set_positions(job, all, 0);
    return CJ_OK;
}

static bool has_probe(const model_job *job, int layer)
{
    for (int i = 0; i < job->batch.n_probes; i++)
        if (job->batch.probes[i].layer == layer) return true;
    return false;
}

/* Keeps only the wanted rows of x and norm; `half` is free here. */
static void keep_wanted(model_job *job)
{
    int64_t n = job->wanted.rows, h = job->spec->hidden;
    if (n == job->all.rows) return;
    float **both[] = {&job->x, &job->norm};
    for (int i = 0; i < 2; i++) {
        op_gather(job->ctx, job->half, *both[i], job->wanted_idx, n, h);
        float *swap = *both[i];
        *both[i] = job->half;
        job->half = swap;
    }
}

/* x += half of a layer, which `run` writes: straight into x, or normed on the way (sandwich). */
static void add_half(model_job *job, const float *post_norm, int64_t rows)
{
    if (post_norm) op_rms_norm_add(job->ctx, job->x, job->half, post_norm, rows, job->spec->hidden, job->spec->norm_eps);
}

static void run_ffn(model_job *job, int layer, const row_set *set)
{
    const layer_spec *y = &job->spec->layers[layer];
    const int64_t rows = set->rows;
    op_rms_norm(job->ctx, job->norm, job->x, y->ffn_norm, rows, job->spec->hidden, job->spec->norm_eps);
    float *to = y->ffn_post_norm ? job->half : job->x;
    if (y->ffn == FFN_MOE) ffn_moe(job, &y->moe, job->norm, rows, to, !y->ffn_post_norm);
    else ffn_dense(job, &y->dense, layer, set, job->norm, to, !y->ffn_post_norm);
    add_half(job, y->ffn_post_norm, rows);
}

static cj_err run_layer(model_job *job, cj_diag *d)
{
    int i = job->layer;
    const layer_spec *y = &job->spec->layers[i];
    bool last = i == job->spec->n_layers - 1, delta = y->mixer == MIXER_DELTA, probed = has_probe(job, i);
    op_rms_norm(job->ctx, job->norm, job->x, y->mixer_norm, job->all.rows, job->spec->hidden, job->spec->norm_eps);
    if (delta) TRY(delta_mix(job, &y->delta, i, job->norm, d));
    else gqa_project(job, &y->gqa, i, job->norm, !last || probed);
    if (probed) TRY(gqa_probe(job, &y->gqa, i, d));
    row_set *set = last ? &job->wanted : &job->all;
    if (!set->rows) return CJ_OK;
    if (last) {
        keep_wanted(job);
        if (!delta) gqa_query(job, &y->gqa, i, set, job->norm);
    }
    float *to = y->mixer_post_norm ? job->half : job->x;
    if (delta) delta_out(job, &y->delta, set, to, !y->mixer_post_norm);
    else TRY(gqa_attend(job, &y->gqa, i, set, job->norm, to, !y->mixer_post_norm, d));
    add_half(job, y->mixer_post_norm, set->rows);
    run_ffn(job, i, set);
    return CJ_OK;
}

static void run_head(model_job *job)
{
    const model_spec *m = job->spec;
    int64_t rows = job->wanted.rows;
    op_rms_norm(job->ctx, job->norm, job->x, m->final_norm, rows, m->hidden, m->norm_eps);
    op_linear(job->ctx, &(op_linear_out){.w = &m->head.w, .bias = m->head.bias, .y = job->batch.logits, .ldy = m->vocab}, 1, job->norm,
              m->hidden, rows);
    if (m->logit_softcap > 0) op_softcap(job->ctx, job->batch.logits, m->logit_softcap, rows * m->vocab);
}

cj_err model_job_step(model_job *job, bool *done, cj_diag *d)
{
    if (job->layer == 0) op_embed(job->ctx, job->x, &job->spec->embed, job->ids, job->all.rows, job->spec->embed_scale);
    TRY(run_layer(job, d));
    *done = ++job->layer == job->spec->n_layers;
    if (!*done) return CJ_OK;
    if (job->wanted.rows) run_head(job);
    for (int i = 0; i < job->batch.n_seqs; i++) kv_advance(job->batch.seqs[i].kv, job->batch.seqs[i].count);
    return CJ_OK;
}
