/* The gated delta rule of one layer (delta_spec). It uses the job's buffers: q for the projection, k for what the convolution makes of it, v for
 * betas and decays, gate for z. */
#include <string.h>

#include "base/mem.h"
#include "model/job.h"

/* The states of this layer for every sequence of the batch. Those that came from a file are looked at first. */
static cj_err bind_states(model_job *job, int layer, cj_diag *d)
{
    const row_set *all = &job->all;
    for (int i = 0; i < all->n_seqs; i++) {
        kv_cache *kv = all->kv[i];
        const float *from = kv_state(kv, layer);
        if (kv_count(kv) && !from) return diag_fail(d, CJ_E_INTERNAL, MSG_INTERNAL, "no state in layer %d", layer);
        TRY(kv_check(kv, layer, 0, i64_ceil_div(kv_count(kv), KV_PAGE), d));
        job->states[i] = (delta_seq){all->seqs[i].row, all->seqs[i].count, from, kv_next_state(kv, layer)};
    }
    return CJ_OK;
}

cj_err delta_mix(model_job *job, const delta_spec *r, int layer, const float *norm, cj_diag *d)
{
    const delta_shape *s = &r->shape;
    const int64_t rows = job->all.rows, channels = delta_channels(s), values = (int64_t)s->heads * s->dv;
    const op_linear_out outs[] = {
        {.w = &r->qkv.w, .bias = r->qkv.bias, .y = job->q, .ldy = channels},
        {.w = &r->z.w, .bias = r->z.bias, .y = job->gate, .ldy = values},
        {.w = &r->beta.w, .bias = r->beta.bias, .y = job->v, .ldy = 2 * s->heads},
        {.w = &r->alpha.w, .bias = r->alpha.bias, .y = job->v + s->heads, .ldy = 2 * s->heads},
    };
    op_linear(job->ctx, outs, 4, norm, job->spec->hidden, rows);
    TRY(bind_states(job, layer, d));
    const op_delta_args args = {s, job->states, job->all.n_seqs, job->v};
    op_short_conv(job->ctx, &args, job->q, r->conv, job->k);
    op_delta_gates(job->ctx, &args, r->a, r->dt, rows);
    op_delta_rule(job->ctx, &args, job->k, job->mixed, rows);
    op_rms_norm(job->ctx, job->mixed, job->mixed, r->norm, rows * s->heads, s->dv, job->spec->norm_eps);
    op_glu(job->ctx, job->mixed, job->gate, job->mixed, rows * values, VEC_SILU);
    return CJ_OK;
}

void delta_out(model_job *job, const delta_spec *r, const row_set *set, float *y, bool add)
{
    const int64_t values = (int64_t)r->shape.heads * r->shape.dv;
    const float *mixed = job->mixed;
    if (set->rows < job->all.rows) {
        op_gather(job->ctx, job->q, job->mixed, job->wanted_idx, set->rows, values);
        mixed = job->q;
    }
    op_linear(job->ctx, &(op_linear_out){.w = &r->out.w, .bias = r->out.bias, .y = y, .ldy = job->spec->hidden, .add = add}, 1, mixed, values,
              set->rows);
}
