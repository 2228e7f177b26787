/* The job: its memory, the batch, and the order of units. See grad.h. */
#include "model/grad_inner.h"

#include <string.h>

#include "base/mem.h"

enum { HEAD_BYTES = 256 << 20 /* of logits at a time: the head is laid out anew for each */, HEAD_ROWS_MIN = 16, HEAD_ROWS_MAX = 512 };

/* Device memory for `n` floats, counted. */
static float *floats(grad_job *job, int64_t n)
{
    float *p = kernel_alloc(job->ctx, (size_t)n * sizeof *p);
    if (p) job->bytes += (size_t)n * sizeof *p;
    return p;
}

/* ---- activations of a layer ---- */

/* Up to a multiple of a cache line. */
static int64_t padded(int64_t n)
{
    enum { LINE = MEM_ALIGN / (int)sizeof(float) };
    return i64_ceil_div(n, LINE) * LINE;
}

/* Lays a layer's activations into block (NULL: only counts); returns how many floats they take. */
static int64_t acts_place(const grad_job *job, int layer, layer_acts *c, float *block)
{
    const layer_spec *y = &job->spec->layers[layer];
    const gqa_spec *a = &y->gqa;
    const int64_t h = job->spec->hidden, q = (int64_t)a->heads * a->dk, k = (int64_t)a->kv_heads * a->dk;
    const struct { float **at; int64_t cols; } parts[] = {
        {&c->q, q}, {&c->k, k}, {&c->v, (int64_t)a->kv_heads * a->dv}, {&c->q_raw, a->q_norm ? q : 0}, {&c->k_raw, a->k_norm ? k : 0},
        {&c->mixed, (int64_t)a->heads * a->dv}, {&c->lse, a->heads}, {&c->mid, h}, {&c->half1, y->mixer_post_norm ? h : 0},
        {&c->half2, y->ffn_post_norm ? h : 0}, {&c->gate, y->dense.width}, {&c->up, y->dense.width},
    };
    int64_t used = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        *parts[i].at = block && parts[i].cols ? block + used : NULL;
        used += padded(parts[i].cols * job->max_rows);
    }
    for (int t = 0; t < ADAPTER_TARGETS; t++) {
        const adapter_pair *p = job->t->adapter ? adapter_pair_of(job->t->adapter, layer, t) : NULL;
        c->low[t] = block && p && p->a.data ? block + used : NULL;
        used += p && p->a.data ? padded(p->a.rows * job->max_rows) : 0;
    }
    return used;
}

/* Each layer's own block as far as the budget goes, one shared by the others. The last layer shares: the way back begins with it. */
static bool alloc_acts(grad_job *job, size_t keep_bytes)
{
    const int layers = job->spec->n_layers;
    int64_t shared = 0, left = (int64_t)(keep_bytes / sizeof(float));
    layer_acts none;
    job->acts = mem_array((size_t)layers, sizeof *job->acts);
    job->blocks = mem_array((size_t)layers + 1, sizeof *job->blocks);
    if (!job->acts || !job->blocks) return false;
    for (int i = 0; i < layers; i++) {
        const int64_t n = acts_place(job, i, &none, NULL);
        if (i == layers - 1 || n > left) {
            shared = i64_max(shared, n);
            left = 0;
        } else {
            left -= n;
            if (!(job->blocks[i] = floats(job, n))) return false;
        }
    }
    if (!(job->blocks[layers] = floats(job, shared))) return false;
    for (int i = 0; i < layers; i++) acts_place(job, i, &job->acts[i], job->blocks[i] ? job->blocks[i] : job->blocks[layers]);
    return true;
}

/* ---- opening ---- */

/* Largest sizes over the layers. */
typedef struct widths {
    int64_t q, k, v, mixed, wide;
    int heads, dk, dv;
} widths;

static widths widths_of(const model_spec *m)
{
    widths w = {0};
    for (int i = 0; i < m->n_layers; i++) {
        const gqa_spec *a = &m->layers[i].gqa;
        w.q = i64_max(w.q, (int64_t)a->heads * a->dk);
        w.k = i64_max(w.k, (int64_t)a->kv_heads * a->dk);
        w.v = i64_max(w.v, (int64_t)a->kv_heads * a->dv);
        w.mixed = i64_max(w.mixed, (int64_t)a->heads * a->dv);
        w.wide = i64_max(w.wide, m->layers[i].dense.width);
        w.heads = (int)i64_max(w.heads, a->heads);
        w.dk = (int)i64_max(w.dk, a->dk);
        w.dv = (int)i64_max(w.dv, a->dv);
    }
    return w;
}

static bool alloc_lists(grad_job *job)
{
    const size_t n = (size_t)job->max_rows;
    return (job->ids = mem_array(n, sizeof *job->ids)) && (job->targets = mem_array(n, sizeof *job->targets)) &&
           (job->idx = mem_array(n, sizeof *job->idx)) && (job->weights = mem_array(n, sizeof *job->weights)) &&
           (job->losses = mem_array(n, sizeof *job->losses)) && (job->positions = mem_array(n, sizeof *job->positions)) &&
           (job->seqs = mem_array(n, sizeof *job->seqs)) && (job->x = mem_array((size_t)job->spec->n_layers + 1, sizeof *job->x));
}

static bool alloc_shared(grad_job *job, const widths *w)
{
    const model_spec *m = job->spec;
    const int64_t rank = job->t->adapter ? job->t->adapter->rank : 0, head = job->head_rows;
    const struct { float **at; int64_t rows, cols; } parts[] = {
        {&job->dx, job->max_rows, m->hidden}, {&job->norm, job->max_rows, m->hidden}, {&job->dnorm, job->max_rows, m->hidden},
        {&job->dq, job->max_rows, w->q}, {&job->dk, job->max_rows, w->k}, {&job->dv, job->max_rows, w->v}, {&job->dmixed, job->max_rows, w->mixed},
        {&job->dgate, job->max_rows, w->wide}, {&job->dup, job->max_rows, w->wide}, {&job->wide, job->max_rows, w->wide},
        {&job->dlow, job->max_rows, rank}, {&job->ones, job->max_rows, 1}, {&job->logits, head, job->head.w.rows},
        {&job->capped, m->logit_softcap > 0 ? head : 0, job->head.w.rows}, {&job->head_in, head, m->hidden}, {&job->head_norm, head, m->hidden},
        {&job->dhead, head, m->hidden},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].rows * parts[i].cols > 0 && !(*parts[i].at = floats(job, parts[i].rows * parts[i].cols))) return false;
    for (int i = 0; i <= m->n_layers; i++)
        if (!(job->x[i] = floats(job, job->max_rows * m->hidden))) return false;
    for (int i = 0; i < m->n_ropes; i++) {
        const rope_spec *r = &m->ropes[i];
        if (!(job->near[i] = floats(job, job->max_rows * rope_near(r) * i64_max(r->dims, 1)))) return false;
        if (!(job->far[i] = floats(job, i64_max(r->dims, 1)))) return false;
    }
    return true;
}

static void set_ones(grad_job *job)
{
    for (int64_t i = 0; i < job->max_rows; i++) job->weights[i] = 1;
    kernel_upload(job->ctx, job->ones, job->weights, (size_t)job->max_rows * sizeof *job->weights);
}

cj_err grad_open(grad_job **out, const trainee *t, const grad_options *o, cj_diag *d)
{
    grad_job *job = mem_zalloc(sizeof *job);
    if (!job) return diag_nomem(d, sizeof *job);
    job->t = t;
    job->spec = t->spec;
    job->ctx = t->ctx;
    job->max_rows = i64_max(1, i64_min(o->max_rows, MODEL_ROWS_MAX));
    const widths w = widths_of(job->spec);
    const int64_t cols = i64_max(job->spec->hidden, i64_max(w.mixed, w.wide));
    cj_err e = grad_head_open(job, o, d);
    const int64_t fit = HEAD_BYTES / (job->head.w.rows * (int64_t)sizeof(float));
    job->head_rows = i64_min(job->max_rows, i64_max(HEAD_ROWS_MIN, i64_min(HEAD_ROWS_MAX, fit)));
    if (!e && (!alloc_lists(job) || !alloc_shared(job, &w) || !alloc_acts(job, o->keep_bytes))) e = diag_nomem(d, job->bytes);
    if (!e) e = kernel_reserve(job->ctx, &(kernel_limits){.rows = job->max_rows, .cols = cols, .heads = w.heads, .dk = w.dk, .dv = w.dv, .train_rows = job->max_rows}, d);
    if (e) {
        grad_close(&job);
        return e;
    }
    set_ones(job);
    *out = job;
    return CJ_OK;
}

void grad_close(grad_job **pjob)
{
    grad_job *job = *pjob;
    if (!job) return;
    float *blocks[] = {job->dx, job->norm, job->dnorm, job->dq, job->dk, job->dv, job->dmixed, job->dgate, job->dup, job->wide, job->dlow,
                       job->ones, job->logits, job->capped, job->head_in, job->head_norm, job->dhead};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) kernel_free(job->ctx, blocks[i]);
    for (int i = 0; i <= job->spec->n_layers; i++) {
        if (job->x) kernel_free(job->ctx, job->x[i]);
        if (job->blocks) kernel_free(job->ctx, job->blocks[i]);
    }
    for (int i = 0; i < MODEL_ROPES_MAX; i++) {
        kernel_free(job->ctx, job->near[i]);
        kernel_free(job->ctx, job->far[i]);
    }
    grad_head_close(job);
    void *lists[] = {job->ids, job->targets, job->idx, job->weights, job->losses, job->positions, job->seqs, job->x, job->acts, job->blocks};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) mem_free(lists[i]);
    mem_free(job);
    *pjob = NULL;
}

size_t grad_bytes(const grad_job *job) { return job->bytes; }

/* ---- a batch ---- */

static cj_err check_token(const grad_job *job, int32_t id, cj_diag *d)
{
    if (id >= 0 && id < job->spec->vocab) return CJ_OK;
    return diag_fail(d, CJ_E_INPUT, MSG_TOKEN_RANGE, "%d" ARG "%lld", id, (long long)job->spec->vocab);
}

/* A sequence's rows are added to the batch. */
static cj_err take_seq(grad_job *job, const grad_seq *q, attn_seq *to, cj_diag *d)
{
    const int64_t pos = q->prefix ? kv_count(q->prefix) : 0;
    *to = (attn_seq){.row = job->rows, .count = q->count, .pos = pos};
    for (int64_t i = 0; i < q->count; i++, job->rows++) {
        TRY(check_token(job, q->ids[i], d));
        TRY(grad_head_column(job, q->targets[i], &job->targets[job->scored], d));
        job->ids[job->rows] = q->ids[i];
        job->positions[job->rows] = pos + i;
        if (q->targets[i] < 0) continue;
        job->idx[job->scored] = (int32_t)job->rows;
        job->weights[job->scored] = q->weights ? q->weights[i] : 1;
        job->weight += (double)job->weights[job->scored++];
    }
    return CJ_OK;
}

/* Attention takes pages of one layout in a call. */
static bool same_prefixes(const grad_job *job, const grad_batch *b)
{
    const kv_cache *first = NULL;
    for (int s = 0; s < b->n_seqs; s++) {
        const kv_cache *kv = b->seqs[s].prefix;
        if (!kv) continue;
        if (kv_layers(kv) != job->spec->n_layers) return false;
        first = first ? first : kv;
        for (int i = 0; i < job->spec->n_layers; i++) {
            const kv_layout *one = &kv_layer_at(kv, i)->layout, *other = &kv_layer_at(first, i)->layout;
            if (one->type != other->type || one->heads != other->heads || one->dk != other->dk || one->dv != other->dv) return false;
        }
    }
    return true;
}

/* How many layers must be run. */
static int top_of(const grad_job *job)
{
    const int *aims = job->batch.aim_begin, layers = job->spec->n_layers;
    int top = aims && !job->scored ? layers : 0;
    while (top && aims[top] == aims[top - 1]) top--;
    return top ? top : layers;
}

cj_err grad_begin(grad_job *job, const grad_batch *b, cj_diag *d)
{
    int64_t rows = 0;
    for (int i = 0; i < b->n_seqs; i++) rows += b->seqs[i].count;
    if (rows < 1 || rows > job->max_rows || b->n_seqs > job->max_rows || !same_prefixes(job, b))
        return diag_fail(d, CJ_E_INTERNAL, MSG_INTERNAL, "batch of %lld rows", (long long)rows);
    job->batch = *b;
    job->phase = GRAD_FORWARD;
    job->at = job->rows = job->scored = 0;
    job->loss = job->weight = job->operations = 0;
    job->holder = -1;
    for (int i = 0; i < b->n_seqs; i++) TRY(take_seq(job, &b->seqs[i], &job->seqs[i], d));
    job->top = top_of(job);
    for (int i = 0; i < job->spec->n_ropes; i++) {
        op_rope_tables(job->ctx, &job->spec->ropes[i], job->positions, job->rows, job->near[i], job->far[i]);
        job->ropes[i] = (rope_tables){&job->spec->ropes[i], job->rows, job->near[i], job->far[i]};
    }
    op_embed(job->ctx, job->x[0], &job->spec->embed, job->ids, job->rows, job->spec->embed_scale);
    return CJ_OK;
}

/* ---- units ---- */

/* The first layer that has something to train. */
static int lowest(const trainee *t)
{
    for (int i = 0; t->adapter && i < t->spec->n_layers; i++)
        for (int k = 0; k < ADAPTER_TARGETS; k++)
            if (t->layers[i].linears[k].a) return i;
    return 0;
}

static void add_losses(grad_job *job)
{
    float *out = job->batch.losses;
    if (out) memset(out, 0, (size_t)job->rows * sizeof *out);
    for (int64_t i = 0; i < job->scored; i++) {
        job->loss += (double)job->weights[i] * (double)job->losses[i];
        if (out) out[job->idx[i]] = job->losses[i];
    }
    const op_attn_aim *aims = job->batch.aims;
    for (int i = 0; job->batch.aim_begin && i < job->batch.aim_begin[job->spec->n_layers]; i++) {
        job->loss += (double)aims[i].weight * (double)*aims[i].loss;
        job->weight += (double)aims[i].weight;
    }
}

/* After the last layer, or a part of the head. */
static void step_head(grad_job *job)
{
    const int64_t n = i64_min(job->head_rows, job->scored - job->at);
    if (n > 0) grad_head(job, job->at, n);
    job->at += n;
    if (job->at < job->scored) return;
    add_losses(job);
    job->phase = job->batch.only_loss ? GRAD_DONE : GRAD_BACK;
    job->at = job->top - 1;
}

static cj_err step_back(grad_job *job, cj_diag *d)
{
    TRY(grad_layer_back(job, (int)job->at, d));
    if (job->at-- > lowest(job->t)) return CJ_OK;
    if (job->t->embed) op_embed_back(job->ctx, job->t->embed, job->ids, job->dx, job->rows, job->spec->hidden, job->spec->embed_scale);
    job->phase = GRAD_DONE;
    return CJ_OK;
}

cj_err grad_step(grad_job *job, bool *done, cj_diag *d)
{
    if (job->phase == GRAD_FORWARD) {
        TRY(grad_layer(job, (int)job->at, false, d));
        if (++job->at == job->top) {
            job->phase = GRAD_HEAD;
            job->at = 0;
            op_zero(job->ctx, job->dx, job->rows * job->spec->hidden);
        }
    } else if (job->phase == GRAD_HEAD) step_head(job);
    else if (job->phase == GRAD_BACK) TRY(step_back(job, d));
    *done = job->phase == GRAD_DONE;
    return CJ_OK;
}

grad_result grad_result_of(const grad_job *job)
{
    return (grad_result){.loss = job->loss, .weight = job->weight, .rows = job->rows, .scored = job->scored, .operations = job->operations};
}
