/* Grouped-query attention of one layer. */
#include <string.h>

#include "model/job.h"

static void norm_heads(model_job *job, float *x, const float *w, int64_t rows, int heads, int dim)
{
    if (w) op_rms_norm(job->ctx, x, x, w, rows * heads, dim, job->spec->norm_eps);
}

/* The pages of this layer for every sequence of a set. */
static void bind_pages(row_set *set, int layer)
{
    for (int i = 0; i < set->n_seqs; i++) set->seqs[i].pages = kv_pages(set->kv[i], layer);
}

/* Pages that came from a file are looked at before they are used. */
static cj_err check_pages(const row_set *set, int layer, cj_diag *d)
{
    for (int i = 0; i < set->n_seqs; i++) {
        const attn_seq *q = &set->seqs[i];
        TRY(kv_check(set->kv[i], layer, kv_first_needed(kv_layer_at(set->kv[i], layer), q->pos), i64_ceil_div(q->pos, KV_PAGE), d));
    }
    return CJ_OK;
}

static op_attn_args attn_args(model_job *job, const gqa_spec *a, const kv_layout *kv, const row_set *set)
{
    return (op_attn_args){
        .kv = kv, .heads = a->heads, .scale = a->scale, .softcap = a->softcap, .window = a->window,
        .rope = a->rope < 0 ? NULL : &set->ropes[a->rope], .q = job->q, .out = job->mixed, .seqs = set->seqs, .n_seqs = set->n_seqs,
    };
}

void gqa_project(model_job *job, const gqa_spec *a, int layer, const float *norm, bool with_q)
{
    row_set *all = &job->all;
    const kv_layout *kv = &kv_layer_at(all->kv[0], layer)->layout;
    int64_t k_cols = (int64_t)a->kv_heads * a->dk, v_cols = (int64_t)a->kv_heads * a->dv;
    adapted low = {.set = all, .layer = layer, .side = LOW_QKV, .n = with_q ? 3 : 2, .x = norm, .y = {job->k, job->v, job->q}};
    op_linear_out outs[] = {
        {.w = &a->k.w, .bias = a->k.bias, .y = job->k, .ldy = k_cols},
        {.w = &a->v.w, .bias = a->v.bias, .y = job->v, .ldy = v_cols},
        {.w = &a->q.w, .bias = a->q.bias, .y = job->q, .ldy = (int64_t)a->heads * a->dk},
        {0},
    };
    op_linear(job->ctx, outs, low.n + adapted_join(job, &low, &outs[low.n]), norm, job->spec->hidden, all->rows);
    adapted_add(job, &low);
    norm_heads(job, job->k, a->k_norm, all->rows, a->kv_heads, a->dk);
    if (with_q) norm_heads(job, job->q, a->q_norm, all->rows, a->heads, a->dk);
    if (a->rope >= 0) op_rope_keys(job->ctx, job->k, all->rows, a->kv_heads, a->dk, &all->ropes[a->rope]);
    bind_pages(all, layer);
    op_kv_store(job->ctx, kv, all->seqs, all->n_seqs, job->k, job->v);
    for (int i = 0; i < all->n_seqs; i++) kv_summarise(all->kv[i], layer, all->seqs[i].pos, all->seqs[i].count);
}

void gqa_query(model_job *job, const gqa_spec *a, int layer, const row_set *set, const float *norm)
{
    adapted low = {.set = set, .layer = layer, .side = LOW_QKV, .first = 2, .n = 1, .x = norm, .y = {job->q}};
    op_linear_out outs[] = {{.w = &a->q.w, .bias = a->q.bias, .y = job->q, .ldy = (int64_t)a->heads * a->dk}, {0}};
    op_linear(job->ctx, outs, 1 + adapted_join(job, &low, &outs[1]), norm, job->spec->hidden, set->rows);
    adapted_add(job, &low);
    norm_heads(job, job->q, a->q_norm, set->rows, a->heads, a->dk);
}

/* Whether a row of the sequence has more pages behind it than it would look at. Exact mode looks at everything. */
static bool is_sparse(const model_job *job, const row_set *set, int i)
{
    const int64_t keep = set->of[i]->keep;
    return keep && !kernel_exact(job->ctx) && (set->seqs[i].pos + set->seqs[i].count) / KV_PAGE > keep + MODEL_NEAR_PAGES + 1;
}

/* How sequence i of the set is attended to sparsely; its rows are the last of what was given. *own is what the result points to. */
static op_sparse sparse_of(const gqa_spec *a, const row_set *set, int i, int layer, op_repeats *own)
{
    const model_rows *r = set->of[i];
    if (r->repeats) *own = (op_repeats){r->repeats->begin + (r->count - set->seqs[i].count), r->repeats->at};
    return (op_sparse){.summaries = kv_summaries(set->kv[i], layer), .groups = kv_groups(set->kv[i], layer), .open = MODEL_OPEN_PAGES,
                       .keep = r->keep, .times = a->keep_times, .near = MODEL_NEAR_PAGES, .repeats = r->repeats ? own : NULL};
}

/* Sequences that look at everything are one batch; the others go one by one. */
static void attend(model_job *job, const gqa_spec *a, int layer, row_set *set)
{
    op_attn_args args = attn_args(job, a, &kv_layer_at(set->kv[0], layer)->layout, set);
    for (int i = 0, first = 0; i <= set->n_seqs; i++) {
        bool sparse = i < set->n_seqs && !a->window && is_sparse(job, set, i);
        if (i < set->n_seqs && !sparse) continue;
        args.seqs = set->seqs + first;
        args.n_seqs = i - first;
        if (args.n_seqs) op_attention(job->ctx, &args);
        first = i + 1;
        args.seqs = set->seqs + i;
        args.n_seqs = 1;
        if (!sparse) continue;
        op_repeats own;
        const op_sparse s = sparse_of(a, set, i, layer, &own);
        op_attention_sparse(job->ctx, &args, &s);
    }
}

/* Which pages the rows of the first sequence look at token by token. */
static void show_kept(model_job *job, const gqa_spec *a, int layer, const op_attn_args *args, const model_probe *p)
{
    const attn_seq *seq = &job->all.seqs[0];
    const int64_t first = seq->pos / KV_PAGE, end = i64_ceil_div(seq->pos + seq->count, KV_PAGE);
    op_attn_args one = *args;
    op_repeats own;
    one.n_seqs = 1;
    if (!a->window && is_sparse(job, &job->all, 0)) {
        const op_sparse s = sparse_of(a, &job->all, 0, layer, &own);
        op_sparse_choice(job->ctx, &one, &s, &(op_choice){.head = p->to.head, .ld = p->kept_ld, .kept = p->kept});
    } else {
        for (int64_t page = first; page < end; page++) memset(p->kept + (page - first) * p->kept_ld, 1, (size_t)page + 1);
    }
}

cj_err gqa_probe(model_job *job, const gqa_spec *a, int layer, cj_diag *d)
{
    const op_attn_args args = attn_args(job, a, &kv_layer_at(job->all.kv[0], layer)->layout, &job->all);
    TRY(check_pages(&job->all, layer, d));
    for (int i = 0; i < job->batch.n_probes; i++) {
        const model_probe *p = &job->batch.probes[i];
        if (p->layer != layer) continue;
        if (p->to.mass) TRY(op_attention_mass(job->ctx, &args, &p->to, d));
        if (p->kept) show_kept(job, a, layer, &args, p);
    }
    return CJ_OK;
}

cj_err gqa_attend(model_job *job, const gqa_spec *a, int layer, row_set *set, const float *norm, float *y, bool add, cj_diag *d)
{
    bind_pages(set, layer);
    TRY(check_pages(set, layer, d));
    attend(job, a, layer, set);
    const int64_t mixed = (int64_t)a->heads * a->dv;
    if (a->gate.w.data) {
        op_linear(job->ctx, &(op_linear_out){.w = &a->gate.w, .bias = a->gate.bias, .y = job->gate, .ldy = mixed}, 1, norm, job->spec->hidden, set->rows);
        op_glu(job->ctx, job->mixed, job->gate, job->mixed, set->rows * mixed, VEC_SIGMOID);
    }
    adapted low = {.set = set, .layer = layer, .side = LOW_O, .n = 1, .x = job->mixed, .y = {y}};
    op_linear_out outs[] = {{.w = &a->o.w, .bias = a->o.bias, .y = y, .ldy = job->spec->hidden, .add = add}, {0}};
    op_linear(job->ctx, outs, 1 + adapted_join(job, &low, &outs[1]), job->mixed, mixed, set->rows);
    adapted_add(job, &low);
    return CJ_OK;
}
