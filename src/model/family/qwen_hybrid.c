/* Qwen3-Next and Qwen3.5: three layers of the gated delta rule, then one of attention whose output is gated; rotary positions on a quarter of
 * a head; dense or a mixture with a shared expert. In GGUF norms are stored with 1 added and the heads of values of Qwen3.5 are
 * ordered round the heads of keys; in its maker's folder each head of keys has its own side by side. */
#include <stdio.h>
#include <string.h>

#include "model/family/family.h"

typedef struct hybrid {
    bool tiled; /* the order of heads */
    int64_t interval;
} hybrid;

/* layer_types names each layer; without it every `interval`th is attention. */
static cj_err layer_is_full(model_load *l, const hybrid *h, int i, bool *full, cj_diag *d)
{
    gguf_str type = {0};
    bool recurrent = (i + 1) % h->interval != 0;
    TRY(source_bool(l->source, "attention.recurrent_layers", GGUF_OPTIONAL, i, &recurrent, d));
    *full = !recurrent;
    if (!source_is_folder(l->source)) return CJ_OK;
    TRY(source_text(l->source, "layer_types", GGUF_OPTIONAL, i, &type, d));
    if (!type.data) return CJ_OK;
    *full = !strcmp(type.data, "full_attention");
    if (*full || !strcmp(type.data, "linear_attention")) return CJ_OK;
    return diag_fail(d, CJ_E_UNSUPPORTED, MSG_CONFIG_UNSUPPORTED, "%s" ARG "%s" ARG "%.40s", source_path(l->source), "layer_types", type.data);
}

static cj_err load_shape(model_load *l, delta_shape *s, const hybrid *h, cj_diag *d)
{
    int64_t keys = 0, heads = 0, dk = 0, dv = 0, inner = 0, taps = 0;
    TRY(load_int(l, "ssm.group_count", GGUF_REQUIRED, 0, 1, 4096, &keys, d));
    TRY(load_int(l, "ssm.time_step_rank", GGUF_REQUIRED, 0, 1, 4096, &heads, d));
    TRY(load_int(l, "ssm.state_size", GGUF_REQUIRED, 0, 4, KV_DIMS_MAX, &dk, d));
    TRY(load_int(l, "ssm.conv_kernel", GGUF_REQUIRED, 0, 1, DELTA_TAPS_MAX, &taps, d));
    if (source_is_folder(l->source)) TRY(load_int(l, "ssm.value_size", GGUF_REQUIRED, 0, 4, KV_DIMS_MAX, &dv, d));
    else {
        TRY(load_int(l, "ssm.inner_size", GGUF_REQUIRED, 0, heads, heads * KV_DIMS_MAX, &inner, d));
        dv = inner / heads;
    }
    if (heads % keys || dk % 4 || dv % 4 || inner % heads)
        return diag_fail(d, CJ_E_UNSUPPORTED, MSG_HEADS_ODD, "%s" ARG "%d" ARG "%lld" ARG "%lld" ARG "%lld", source_path(l->source), 0,
                         (long long)heads, (long long)keys, (long long)dk);
    *s = (delta_shape){.key_heads = (int)keys, .heads = (int)heads, .dk = (int)dk, .dv = (int)dv, .taps = (int)taps, .tiled = h->tiled};
    return CJ_OK;
}

/* Published by Qwen3-Next: of each head of keys its q, k, v and z together, and its beta and alpha. */
static cj_err load_packed(model_load *l, int i, cj_diag *d)
{
    const delta_shape *s = &l->spec->layers[i].delta.shape;
    delta_spec *r = &l->spec->layers[i].delta;
    const int64_t dk = s->dk, each = s->heads / s->key_heads, v = each * s->dv, hidden = l->spec->hidden, all = 2 * dk + 2 * v;
    const row_pick parts[] = {{s->key_heads, all, 0, dk}, {s->key_heads, all, dk, dk}, {s->key_heads, all, 2 * dk, v}};
    TRY(load_rows(l, &r->qkv, parts, 3, hidden, d, "blk.%d.ssm_in", i));
    return load_rows(l, &r->z, &(row_pick){s->key_heads, all, 2 * dk + v, v}, 1, hidden, d, "blk.%d.ssm_in", i);
}

static cj_err load_delta(model_load *l, const hybrid *h, int i, cj_diag *d)
{
    delta_spec *r = &l->spec->layers[i].delta;
    delta_shape *s = &r->shape;
    char name[64];
    TRY(load_shape(l, s, h, d));
    const int64_t hidden = l->spec->hidden, values = (int64_t)s->heads * s->dv, each = s->heads / s->key_heads;
    snprintf(name, sizeof name, "blk.%d.ssm_in.weight", i);
    if (source_tensor_here(l->source, name)) TRY(load_packed(l, i, d));
    else {
        TRY(load_linear(l, &r->qkv, GGUF_REQUIRED, delta_channels(s), hidden, d, "blk.%d.attn_qkv", i));
        TRY(load_linear(l, &r->z, GGUF_REQUIRED, values, hidden, d, "blk.%d.attn_gate", i));
    }
    snprintf(name, sizeof name, "blk.%d.ssm_ba.weight", i);
    if (source_tensor_here(l->source, name)) {
        TRY(load_rows(l, &r->beta, &(row_pick){s->key_heads, 2 * each, 0, each}, 1, hidden, d, "blk.%d.ssm_ba", i));
        TRY(load_rows(l, &r->alpha, &(row_pick){s->key_heads, 2 * each, each, each}, 1, hidden, d, "blk.%d.ssm_ba", i));
    } else {
        TRY(load_linear(l, &r->beta, GGUF_REQUIRED, s->heads, hidden, d, "blk.%d.ssm_beta", i));
        TRY(load_linear(l, &r->alpha, GGUF_REQUIRED, s->heads, hidden, d, "blk.%d.ssm_alpha", i));
    }
    TRY(load_turned(l, &r->conv, delta_channels(s), s->taps, d, "blk.%d.ssm_conv1d.weight", i));
    TRY(load_vector(l, &r->a, GGUF_REQUIRED, s->heads, d, "blk.%d.ssm_a", i));
    TRY(load_vector(l, &r->dt, GGUF_REQUIRED, s->heads, d, "blk.%d.ssm_dt.bias", i));
    TRY(load_vector(l, &r->norm, GGUF_REQUIRED, s->dv, d, "blk.%d.ssm_norm.weight", i));
    return load_linear(l, &r->out, GGUF_REQUIRED, hidden, values, d, "blk.%d.ssm_out", i);
}

static cj_err load_layer(model_load *l, const hybrid *h, int i, cj_diag *d)
{
    layer_spec *y = &l->spec->layers[i];
    bool full;
    char router[64];
    TRY(layer_is_full(l, h, i, &full, d));
    y->mixer = full ? MIXER_GQA : MIXER_DELTA;
    TRY(full ? load_gqa_gated(l, i, d) : load_delta(l, h, i, d));
    TRY(load_vector(l, &y->mixer_norm, GGUF_REQUIRED, l->spec->hidden, d, "blk.%d.attn_norm.weight", i));
    TRY(load_vector(l, &y->ffn_norm, GGUF_REQUIRED, l->spec->hidden, d, source_is_folder(l->source) ? "blk.%d.ffn_norm.weight" : "blk.%d.post_attention_norm.weight", i));
    snprintf(router, sizeof router, "blk.%d.ffn_gate_inp.weight", i);
    return source_tensor_here(l->source, router) ? load_moe(l, i, VEC_SILU, d) : load_dense(l, i, VEC_SILU, d);
}

/* Positions: a quarter of a head, unless the file says another part. */
static cj_err load_positions(model_load *l, cj_diag *d)
{
    float base = 1e7f, part = 0.25f;
    int dk = 0;
    for (int i = 0; i < l->spec->n_layers && !dk; i++) dk = l->spec->layers[i].gqa.dk;
    int64_t dims = dk / 4;
    TRY(load_float(l, "rope.freq_base", source_is_folder(l->source) ? GGUF_REQUIRED : GGUF_OPTIONAL, &base, d));
    if (source_is_folder(l->source)) {
        TRY(load_float(l, "rope.partial", GGUF_OPTIONAL, &part, d));
        dims = part >= 0 && part <= 1 ? (int64_t)((float)dk * part) : -1;
    } else TRY(load_int(l, "rope.dimension_count", GGUF_OPTIONAL, 0, 0, dk, &dims, d));
    l->spec->n_ropes = 1;
    return load_rope(l, &l->spec->ropes[0], &(rope_options){.dims = (int)dims, .scaled = true, .base = base}, d);
}

static cj_err load_hybrid(model_load *l, hybrid h, cj_diag *d)
{
    h.interval = 4;
    TRY(load_frame(l, d));
    if (source_is_folder(l->source)) {
        h.tiled = false;
        TRY(load_only(l, "hidden_act", "silu", d));
    }
    TRY(load_int(l, "full_attention_interval", GGUF_OPTIONAL, 0, 1, MODEL_LAYERS_MAX, &h.interval, d));
    for (int i = 0; i < l->spec->n_layers; i++) TRY(load_layer(l, &h, i, d));
    return load_positions(l, d);
}

cj_err family_qwen3next_load(model_load *l, cj_diag *d) { return load_hybrid(l, (hybrid){.tiled = false}, d); }
cj_err family_qwen35_load(model_load *l, cj_diag *d) { return load_hybrid(l, (hybrid){.tiled = true}, d); }
