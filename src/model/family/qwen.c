/* Qwen2 (biases on q, k, v) and Qwen3 (norms on q and k instead), dense and mixture of experts. Rotary pairs are halves. */
#include "model/family/family.h"

/* What a folder may ask for besides and this does not do. */
static cj_err load_folder(model_load *l, cj_diag *d)
{
    bool windows = false;
    TRY(source_bool(l->source, "attention.sliding_window_used", GGUF_OPTIONAL, 0, &windows, d));
    if (windows) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_CONFIG_UNSUPPORTED, "%s" ARG "use_sliding_window" ARG "true", source_path(l->source));
    return load_only(l, "hidden_act", "silu", d);
}

static cj_err load_positions(model_load *l, cj_diag *d)
{
    float base = 1e6f;
    TRY(load_float(l, "rope.freq_base", source_is_folder(l->source) ? GGUF_REQUIRED : GGUF_OPTIONAL, &base, d));
    l->spec->n_ropes = 1;
    return load_rope(l, &l->spec->ropes[0], &(rope_options){.dims = l->spec->layers[0].gqa.dk, .scaled = true, .base = base}, d);
}

cj_err family_qwen2_load(model_load *l, cj_diag *d)
{
    TRY(load_frame(l, d));
    if (source_is_folder(l->source)) TRY(load_folder(l, d));
    for (int i = 0; i < l->spec->n_layers; i++) {
        TRY(load_gqa(l, i, d));
        TRY(load_dense(l, i, VEC_SILU, d));
    }
    return load_positions(l, d);
}

/* Norms are optional to load_gqa; in this family they must be there. */
static cj_err need_norms(model_load *l, int i, cj_diag *d)
{
    const gqa_spec *a = &l->spec->layers[i].gqa;
    if (a->q_norm && a->k_norm) return CJ_OK;
    return diag_fail(d, CJ_E_INPUT, MSG_TENSOR_MISSING, "%s" ARG "blk.%d.attn_%s_norm.weight", source_path(l->source), i, a->q_norm ? "k" : "q");
}

typedef cj_err load_feed(model_load *l, int layer, vec_act act, cj_diag *d);

static cj_err load_qwen3(model_load *l, load_feed *feed, cj_diag *d)
{
    TRY(load_frame(l, d));
    if (source_is_folder(l->source)) TRY(load_folder(l, d));
    for (int i = 0; i < l->spec->n_layers; i++) {
        TRY(load_gqa(l, i, d));
        TRY(need_norms(l, i, d));
        TRY(feed(l, i, VEC_SILU, d));
    }
    return load_positions(l, d);
}

cj_err family_qwen3_load(model_load *l, cj_diag *d) { return load_qwen3(l, load_dense, d); }
cj_err family_qwen3moe_load(model_load *l, cj_diag *d) { return load_qwen3(l, load_moe, d); }
