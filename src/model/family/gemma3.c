/* Gemma 3: sandwich norms (their weights are stored with 1 added), norms on q and k, GELU, embedding times sqrt(hidden), layers
 * with a window and their own rotary base, every n-th layer full. */
#include <math.h>

#include "model/family/family.h"

/* Whether layer i sees everything: sliding_window_pattern is a period, or one flag a layer; a folder may name the kind of each. */
static cj_err layer_is_full(model_load *l, int i, bool *full, cj_diag *d)
{
    const gguf *g = source_gguf(l->source);
    const gguf_key *k = g ? gguf_key_find(g, ".attention.sliding_window_pattern") : NULL;
    if (k && k->type == GGUF_ARRAY) {
        bool sliding = false;
        TRY(source_bool(l->source, "attention.sliding_window_pattern", GGUF_REQUIRED, i, &sliding, d));
        *full = !sliding;
        return CJ_OK;
    }
    gguf_str type = {0};
    if (!g) TRY(source_text(l->source, "layer_types", GGUF_OPTIONAL, i, &type, d));
    *full = type.data && !strcmp(type.data, "full_attention");
    if (*full || (type.data && !strcmp(type.data, "sliding_attention"))) return CJ_OK;
    if (type.data) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_CONFIG_UNSUPPORTED, "%s" ARG "%s" ARG "%.40s", source_path(l->source), "layer_types", type.data);
    int64_t period = 6;
    TRY(load_int(l, "attention.sliding_window_pattern", GGUF_OPTIONAL, 0, 1, MODEL_LAYERS_MAX, &period, d));
    *full = (i + 1) % period == 0;
    return CJ_OK;
}

/* A folder says by what queries are divided. */
static cj_err load_scale(model_load *l, gqa_spec *a, cj_diag *d)
{
    float scalar = (float)a->dk;
    TRY(load_float(l, "attention.query_scalar", GGUF_OPTIONAL, &scalar, d));
    if (!(scalar > 0)) return diag_fail(d, CJ_E_INPUT, MSG_CONFIG_VALUE, "%s" ARG "%s" ARG "%s", source_path(l->source), "query_pre_attn_scalar", "256");
    a->scale = 1 / sqrtf(scalar);
    return CJ_OK;
}

/* What a folder may ask for besides. */
static cj_err load_folder(model_load *l, cj_diag *d)
{
    bool ahead = false;
    TRY(source_bool(l->source, "attention.sees_ahead", GGUF_OPTIONAL, 0, &ahead, d));
    if (ahead) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_CONFIG_UNSUPPORTED, "%s" ARG "use_bidirectional_attention" ARG "true", source_path(l->source));
    return load_only(l, "hidden_activation", "gelu_pytorch_tanh", d);
}

static cj_err load_layer(model_load *l, int i, int64_t window, float softcap, cj_diag *d)
{
    layer_spec *y = &l->spec->layers[i];
    bool full = false;
    TRY(load_gqa(l, i, d));
    TRY(load_dense(l, i, VEC_GELU_TANH, d));
    TRY(layer_is_full(l, i, &full, d));
    if (source_is_folder(l->source)) TRY(load_scale(l, &y->gqa, d));
    y->gqa.softcap = softcap;
    y->gqa.window = full ? 0 : window;
    y->gqa.rope = full ? 0 : 1;
    TRY(load_vector(l, &y->mixer_post_norm, GGUF_REQUIRED, l->spec->hidden, d, "blk.%d.post_attention_norm.weight", i));
    return load_vector(l, &y->ffn_post_norm, GGUF_REQUIRED, l->spec->hidden, d, "blk.%d.post_ffw_norm.weight", i);
}

cj_err family_gemma3_load(model_load *l, cj_diag *d)
{
    float base = 1e6f, base_window = 1e4f, softcap = 0;
    int64_t window = 0;
    TRY(load_frame(l, d));
    if (source_is_folder(l->source)) TRY(load_folder(l, d));
    model_spec *m = l->spec;
    m->embed_scale = sqrtf((float)m->hidden);
    TRY(load_int(l, "attention.sliding_window", GGUF_REQUIRED, 0, 1, (int64_t)1 << 32, &window, d));
    TRY(load_float(l, "attn_logit_softcapping", GGUF_OPTIONAL, &softcap, d));
    TRY(load_float(l, "final_logit_softcapping", GGUF_OPTIONAL, &m->logit_softcap, d));
    TRY(load_float(l, "rope.freq_base", GGUF_OPTIONAL, &base, d));
    TRY(load_float(l, "rope.freq_base_swa", GGUF_OPTIONAL, &base_window, d));
    for (int i = 0; i < m->n_layers; i++) TRY(load_layer(l, i, window, softcap, d));
    int dims = m->layers[0].gqa.dk;
    m->n_ropes = 2;
    TRY(load_rope(l, &m->ropes[0], &(rope_options){.dims = dims, .scaled = true, .base = base}, d));
    return load_rope(l, &m->ropes[1], &(rope_options){.dims = dims, .base = base_window}, d);
}
