/* One layer, forward as forward.c runs it and backward. */
#include "model/grad_inner.h"

/* Rows of the norm's input; heads are rows of their own. */
static void norm_of(grad_job *job, float *y, const float *x, const float *w)
{
    op_rms_norm(job->ctx, y, x, w, job->rows, job->spec->hidden, job->spec->norm_eps);
}

/* The layout of a layer's pages: of a prefix, which all have the same, or of none. */
static kv_layout layout_of(const grad_job *job, int layer)
{
    const gqa_spec *a = &job->spec->layers[layer].gqa;
    for (int s = 0; s < job->batch.n_seqs; s++)
        if (job->batch.seqs[s].prefix) return kv_layer_at(job->batch.seqs[s].prefix, layer)->layout;
    return (kv_layout){.type = KV_F32, .heads = a->kv_heads, .dk = a->dk, .dv = a->dv};
}

/* The pages of this layer of every prefix; those that came from a file are looked at before they are used. */
static cj_err bind_prefixes(grad_job *job, int layer, cj_diag *d)
{
    for (int s = 0; s < job->batch.n_seqs; s++) {
        kv_cache *kv = job->batch.seqs[s].prefix;
        attn_seq *q = &job->seqs[s];
        q->pages = kv && q->pos ? kv_pages(kv, layer) : NULL;
        if (q->pages) TRY(kv_check(kv, layer, kv_first_needed(kv_layer_at(kv, layer), q->pos), i64_ceil_div(q->pos, KV_PAGE), d));
    }
    return CJ_OK;
}

/* kv: room for the layout that the result points to. */
static op_attn_train attention_of(grad_job *job, int layer, kv_layout *kv)
{
    const gqa_spec *a = &job->spec->layers[layer].gqa;
    const layer_acts *c = &job->acts[layer];
    const int *aims = job->batch.aim_begin;
    *kv = layout_of(job, layer);
    return (op_attn_train){
        .a = {.kv = kv, .heads = a->heads, .scale = a->scale, .softcap = a->softcap, .window = a->window,
              .rope = a->rope < 0 ? NULL : &job->ropes[a->rope], .q = c->q, .out = c->mixed, .seqs = job->seqs, .n_seqs = job->batch.n_seqs},
        .k = c->k, .v = c->v, .lse = c->lse,
        .aims = aims ? job->batch.aims + aims[layer] : NULL, .n_aims = aims ? aims[layer + 1] - aims[layer] : 0,
    };
}

/* Pairs of a query's element with a key's that attention looks at, for all rows and heads. */
static double attended(const grad_job *job, const gqa_spec *a)
{
    double pairs = 0;
    for (int s = 0; s < job->batch.n_seqs; s++)
        for (int64_t i = 0; i < job->seqs[s].count; i++) {
            const int64_t seen = job->seqs[s].pos + i + 1;
            pairs += (double)(a->window ? i64_min(seen, a->window) : seen);
        }
    return pairs * a->heads;
}

/* ---- forward ---- */

/* Queries, keys and values as attention sees them. */
static void project(grad_job *job, int layer)
{
    const gqa_spec *a = &job->spec->layers[layer].gqa;
    layer_acts *c = &job->acts[layer];
    const float eps = job->spec->norm_eps;
    float *q = c->q_raw ? c->q_raw : c->q, *k = c->k_raw ? c->k_raw : c->k;
    grad_linear(job, layer, ADAPTER_Q, job->norm, q, c->low[ADAPTER_Q]);
    grad_linear(job, layer, ADAPTER_K, job->norm, k, c->low[ADAPTER_K]);
    grad_linear(job, layer, ADAPTER_V, job->norm, c->v, c->low[ADAPTER_V]);
    if (c->q_raw) op_rms_norm(job->ctx, c->q, c->q_raw, a->q_norm, job->rows * a->heads, a->dk, eps);
    if (c->k_raw) op_rms_norm(job->ctx, c->k, c->k_raw, a->k_norm, job->rows * a->kv_heads, a->dk, eps);
    if (a->rope >= 0) op_rope_keys(job->ctx, c->k, job->rows, a->kv_heads, a->dk, &job->ropes[a->rope]);
}

/* to = from + what a half gave, which lies in `half` until its norm, or in `to` where it has none. */
static void add_half(grad_job *job, float *to, const float *from, const float *half, const float *post_norm)
{
    if (post_norm) norm_of(job, to, half, post_norm);
    op_axpy(job->ctx, to, from, 1, job->rows * job->spec->hidden);
}

/* Whether nothing after the layer's attention is wanted: an aim is all there is to it. */
static bool ends_looking(const grad_job *job, int layer) { return layer == job->top - 1 && !job->scored && job->batch.aim_begin; }

cj_err grad_layer(grad_job *job, int layer, bool again, cj_diag *d)
{
    const layer_spec *y = &job->spec->layers[layer];
    layer_acts *c = &job->acts[layer];
    kv_layout kv;
    if (!job->blocks[layer]) job->holder = layer;
    norm_of(job, job->norm, job->x[layer], y->mixer_norm);
    project(job, layer);
    TRY(bind_prefixes(job, layer, d));
    const op_attn_train attention = attention_of(job, layer, &kv);
    op_attention_train(job->ctx, &attention);
    job->operations += 2 * attended(job, &y->gqa) * (y->gqa.dk + y->gqa.dv);
    if (ends_looking(job, layer)) return CJ_OK;
    grad_linear(job, layer, ADAPTER_O, c->mixed, c->half1 ? c->half1 : c->mid, c->low[ADAPTER_O]);
    add_half(job, c->mid, job->x[layer], c->half1, y->mixer_post_norm);

    norm_of(job, job->norm, c->mid, y->ffn_norm);
    grad_linear(job, layer, ADAPTER_GATE, job->norm, c->gate, c->low[ADAPTER_GATE]);
    grad_linear(job, layer, ADAPTER_UP, job->norm, c->up, c->low[ADAPTER_UP]);
    op_glu(job->ctx, job->wide, c->gate, c->up, job->rows * y->dense.width, y->dense.act);
    float *to = again ? NULL : job->x[layer + 1]; /* which is there already */
    grad_linear(job, layer, ADAPTER_DOWN, job->wide, c->half2 ? c->half2 : to, c->low[ADAPTER_DOWN]);
    if (to) add_half(job, to, c->mid, c->half2, y->ffn_post_norm);
    return CJ_OK;
}

/* ---- backward ---- */

/* The gradient of what a half gave: of the stream, or on through its norm. */
static const float *half_back(grad_job *job, const float *half, const float *post_norm, float *dw)
{
    if (!post_norm) return job->dx;
    op_rms_norm_back(job->ctx, job->dnorm, job->dx, half, post_norm, dw, job->rows, job->spec->hidden, job->spec->norm_eps, false);
    return job->dnorm;
}

/* The stream's gradient gets what came back to a half's norm, whose input was x. */
static void stream_back(grad_job *job, const float *x, const float *w, float *dw)
{
    op_rms_norm_back(job->ctx, job->dx, job->dnorm, x, w, dw, job->rows, job->spec->hidden, job->spec->norm_eps, true);
}

static void ffn_back(grad_job *job, int layer)
{
    const layer_spec *y = &job->spec->layers[layer];
    const layer_grads *g = &job->t->layers[layer];
    const layer_acts *c = &job->acts[layer];
    const int64_t n = job->rows * y->dense.width;
    const float *dhalf = half_back(job, c->half2, y->ffn_post_norm, g->ffn_post_norm);
    op_glu(job->ctx, job->wide, c->gate, c->up, n, y->dense.act);
    grad_linear_back(job, layer, ADAPTER_DOWN, job->wide, dhalf, c->low[ADAPTER_DOWN], job->dgate, false);
    op_glu_back(job->ctx, job->dgate, job->dup, job->dgate, c->gate, c->up, n, y->dense.act);
    norm_of(job, job->norm, c->mid, y->ffn_norm);
    grad_linear_back(job, layer, ADAPTER_GATE, job->norm, job->dgate, c->low[ADAPTER_GATE], job->dnorm, false);
    grad_linear_back(job, layer, ADAPTER_UP, job->norm, job->dup, c->low[ADAPTER_UP], job->dnorm, true);
    stream_back(job, c->mid, y->ffn_norm, g->ffn_norm);
}

/* From the gradients of what attention saw to those of what the projections gave. */
static void heads_back(grad_job *job, int layer)
{
    const gqa_spec *a = &job->spec->layers[layer].gqa;
    const layer_grads *g = &job->t->layers[layer];
    const layer_acts *c = &job->acts[layer];
    const float eps = job->spec->norm_eps;
    if (a->rope >= 0) op_rope_keys_back(job->ctx, job->dk, job->rows, a->kv_heads, a->dk, &job->ropes[a->rope]);
    if (c->q_raw) op_rms_norm_back(job->ctx, job->dq, job->dq, c->q_raw, a->q_norm, g->q_norm, job->rows * a->heads, a->dk, eps, false);
    if (c->k_raw) op_rms_norm_back(job->ctx, job->dk, job->dk, c->k_raw, a->k_norm, g->k_norm, job->rows * a->kv_heads, a->dk, eps, false);
}

static cj_err attention_back(grad_job *job, int layer, bool on, cj_diag *d)
{
    const layer_spec *y = &job->spec->layers[layer];
    const layer_grads *g = &job->t->layers[layer];
    const layer_acts *c = &job->acts[layer];
    kv_layout kv;
    if (ends_looking(job, layer)) op_zero(job->ctx, job->dmixed, job->rows * y->gqa.heads * y->gqa.dv);
    else {
        const float *dhalf = half_back(job, c->half1, y->mixer_post_norm, g->mixer_post_norm);
        grad_linear_back(job, layer, ADAPTER_O, c->mixed, dhalf, c->low[ADAPTER_O], job->dmixed, false);
    }
    TRY(bind_prefixes(job, layer, d));
    const op_attn_train attention = attention_of(job, layer, &kv);
    op_attention_train_back(job->ctx, &attention, job->dmixed, job->dq, job->dk, job->dv);
    job->operations += 2 * attended(job, &y->gqa) * (3 * y->gqa.dk + 2 * y->gqa.dv);
    heads_back(job, layer);
    norm_of(job, job->norm, job->x[layer], y->mixer_norm);
    float *dnorm = on ? job->dnorm : NULL;
    grad_linear_back(job, layer, ADAPTER_Q, job->norm, job->dq, c->low[ADAPTER_Q], dnorm, false);
    grad_linear_back(job, layer, ADAPTER_K, job->norm, job->dk, c->low[ADAPTER_K], dnorm, true);
    grad_linear_back(job, layer, ADAPTER_V, job->norm, job->dv, c->low[ADAPTER_V], dnorm, true);
    if (on) stream_back(job, job->x[layer], y->mixer_norm, g->mixer_norm);
    return CJ_OK;
}

/* Whether anything before the layer's projections is trained. */
static bool trained_before(const trainee *t, int layer)
{
    if (!t->adapter) return true;
    for (int i = 0; i < layer; i++)
        for (int k = 0; k < ADAPTER_TARGETS; k++)
            if (t->layers[i].linears[k].a) return true;
    return false;
}

cj_err grad_layer_back(grad_job *job, int layer, cj_diag *d)
{
    if (!job->blocks[layer] && job->holder != layer) TRY(grad_layer(job, layer, true, d));
    if (!ends_looking(job, layer)) ffn_back(job, layer);
    return attention_back(job, layer, trained_before(job->t, layer), d);
}
