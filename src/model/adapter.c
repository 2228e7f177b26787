/* What an adapter may be laid over. */
#include "model/adapter.h"

#include "base/hash.h"

const char *adapter_target_name(adapter_target t)
{
    static const char *const names[ADAPTER_TARGETS] = {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"};
    return names[t];
}

const kernel_weight *adapter_base(const model_spec *m, int layer, adapter_target t)
{
    const layer_spec *y = &m->layers[layer];
    const gqa_spec *a = &y->gqa;
    const dense_spec *f = &y->dense;
    const model_linear *all[ADAPTER_TARGETS] = {&a->q, &a->k, &a->v, &a->o, &f->gate, &f->up, &f->down};
    const bool here = t <= ADAPTER_O ? y->mixer == MIXER_GQA : y->ffn == FFN_DENSE;
    return here && all[t]->w.data ? &all[t]->w : NULL;
}

static cj_err misfit(const char *name, int layer, adapter_target t, const kernel_weight *w, int64_t rows, int64_t cols, cj_diag *d)
{
    return diag_fail(d, CJ_E_INPUT, MSG_ADAPTER_MISFIT, "%s" ARG "blk.%d.%s" ARG "%lldx%lld" ARG "%lldx%lld", name, layer, adapter_target_name(t),
                     (long long)cols, (long long)rows, (long long)w->cols, (long long)w->rows);
}

cj_err adapter_fits(const model_adapter *a, const model_spec *m, const char *name, cj_diag *d)
{
    if (a->n_layers > m->n_layers)
        return diag_fail(d, CJ_E_INPUT, MSG_ADAPTER_LAYERS, "%s" ARG "%d" ARG "%s" ARG "%d", name, a->n_layers, m->name, m->n_layers);
    for (int i = 0; i < a->n_layers; i++)
        for (adapter_target t = 0; t < ADAPTER_TARGETS; t++) {
            const adapter_pair *p = adapter_pair_of(a, i, t);
            if (!p->a.data) continue;
            const kernel_weight *w = adapter_base(m, i, t);
            if (!w) return diag_fail(d, CJ_E_INPUT, MSG_ADAPTER_NO_BASE, "%s" ARG "blk.%d.%s" ARG "%s", name, i, adapter_target_name(t), m->name);
            if (p->a.cols != w->cols || p->b.rows != w->rows) return misfit(name, i, t, w, p->b.rows, p->a.cols, d);
        }
    return CJ_OK;
}

/* ---- what tells one from another ---- */

static uint64_t mix_matrix(uint64_t sum, const kernel_weight *w)
{
    const uint64_t facts[] = {(uint64_t)w->type, (uint64_t)w->rows, (uint64_t)w->cols};
    sum = hash_mix(sum, hash_xxh3(facts, sizeof facts));
    return w->data ? hash_mix(sum, hash_xxh3(w->data, (size_t)w->rows * quant_row_bytes(w->type, w->cols))) : sum;
}

uint64_t adapter_print(const model_adapter *a)
{
    uint64_t sum = hash_xxh3(&a->scale, sizeof a->scale);
    for (int i = 0; i < a->n_layers * ADAPTER_TARGETS; i++) sum = mix_matrix(mix_matrix(sum, &a->pairs[i].a), &a->pairs[i].b);
    return sum;
}
