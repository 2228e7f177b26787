/* Binding of configuration and tensors to specs. */
#include "model/load.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_BYTES = 256 };

/* "attention.head_count" -> ".attention.head_count": gguf puts the architecture in front. */
static const char *dotted(const char *key, char out[NAME_MAX_BYTES])
{
    snprintf(out, NAME_MAX_BYTES, ".%s", key);
    return out;
}

cj_err load_int(model_load *l, const char *key, gguf_need need, int64_t layer, int64_t lo, int64_t hi, int64_t *out, cj_diag *d)
{
    char name[NAME_MAX_BYTES];
    return gguf_int_at(l->file, dotted(key, name), need, layer, lo, hi, out, d);
}

cj_err load_float(model_load *l, const char *key, gguf_need need, float *out, cj_diag *d)
{
    char name[NAME_MAX_BYTES];
    return gguf_float(l->file, dotted(key, name), need, out, d);
}

bool load_string_is(model_load *l, const char *key, const char *value)
{
    char name[NAME_MAX_BYTES];
    gguf_str s = {0};
    return !gguf_string(l->file, dotted(key, name), GGUF_OPTIONAL, &s, NULL) && s.data && s.len == strlen(value) &&
           !memcmp(s.data, value, s.len);
}

/* Finds a tensor of exactly this shape (dims beyond those given must be 1); NULL in *out when an optional one is absent. */
static cj_err find(model_load *l, const gguf_tensor **out, gguf_need need, const int64_t dims[3], const char *name, cj_diag *d)
{
    const gguf_tensor *t = gguf_tensor_find(l->file, name);
    *out = t;
    if (!t) return need == GGUF_OPTIONAL ? CJ_OK : diag_fail(d, CJ_E_INPUT, MSG_TENSOR_MISSING, "%s" ARG "%s", gguf_path(l->file), name);
    if (t->dims[0] != dims[0] || t->dims[1] != dims[1] || t->dims[2] != dims[2] || t->dims[3] != 1)
        return diag_fail(d, CJ_E_INPUT, MSG_TENSOR_SHAPE, "%s" ARG "%s" ARG "%lldx%lldx%lld" ARG "%lldx%lldx%lld", gguf_path(l->file), name,
                         (long long)t->dims[0], (long long)t->dims[1], (long long)t->dims[2], (long long)dims[0], (long long)dims[1],
                         (long long)dims[2]);
    return CJ_OK;
}

static kernel_weight weight_of(const gguf_tensor *t, int64_t first_row, int64_t rows)
{
    kernel_weight w = {.type = (quant_type)t->type, .rows = rows, .cols = t->dims[0]};
    w.data = (const char *)t->data + (size_t)first_row * quant_row_bytes(t->type, t->dims[0]);
    return w;
}

static cj_err vector_named(model_load *l, float **out, gguf_need need, int64_t n, const char *name, cj_diag *d)
{
    const gguf_tensor *t;
    TRY(find(l, &t, need, (int64_t[]){n, 1, 1}, name, d));
    if (!t) return CJ_OK;
    float *host = mem_array((size_t)n, sizeof *host);
    float *v = kernel_alloc(l->ctx, (size_t)n * sizeof *v);
    if (!host || !v) {
        mem_free(host);
        kernel_free(l->ctx, v);
        return diag_nomem(d, (size_t)n * sizeof *v);
    }
    quant_info_get(t->type)->decode(t->data, host, n);
    kernel_upload(l->ctx, v, host, (size_t)n * sizeof *v);
    mem_free(host);
    *out = v;
    return CJ_OK;
}

#define FORMAT_NAME(name, fmt)                   \
    do {                                         \
        va_list ap_;                             \
        va_start(ap_, fmt);                      \
        vsnprintf(name, sizeof name, fmt, ap_);  \
        va_end(ap_);                             \
    } while (0)

cj_err load_vector(model_load *l, float **out, gguf_need need, int64_t n, cj_diag *d, const char *fmt, ...)
{
    char name[NAME_MAX_BYTES];
    FORMAT_NAME(name, fmt);
    return vector_named(l, out, need, n, name, d);
}

cj_err load_linear(model_load *l, model_linear *out, gguf_need need, int64_t rows, int64_t cols, cj_diag *d, const char *fmt, ...)
{
    char base[NAME_MAX_BYTES - 16], name[NAME_MAX_BYTES];
    const gguf_tensor *t;
    FORMAT_NAME(base, fmt);
    snprintf(name, sizeof name, "%s.weight", base);
    TRY(find(l, &t, need, (int64_t[]){cols, rows, 1}, name, d));
    if (!t) return CJ_OK;
    out->w = weight_of(t, 0, rows);
    snprintf(name, sizeof name, "%s.bias", base);
    return vector_named(l, &out->bias, GGUF_OPTIONAL, rows, name, d);
}

cj_err load_experts(model_load *l, kernel_weight **out, int experts, int64_t rows, int64_t cols, cj_diag *d, const char *fmt, ...)
{
    char base[NAME_MAX_BYTES - 16], name[NAME_MAX_BYTES];
    const gguf_tensor *t;
    FORMAT_NAME(base, fmt);
    snprintf(name, sizeof name, "%s.weight", base);
    TRY(find(l, &t, GGUF_REQUIRED, (int64_t[]){cols, rows, experts}, name, d));
    kernel_weight *w = arena_alloc(l->mem, (size_t)experts * sizeof *w);
    if (!w) return diag_nomem(d, (size_t)experts * sizeof *w);
    for (int e = 0; e < experts; e++) w[e] = weight_of(t, e * rows, rows);
    *out = w;
    return CJ_OK;
}

/* ---- what the families share ---- */

cj_err load_frame(model_load *l, cj_diag *d)
{
    model_spec *m = l->spec;
    int64_t layers = 0;
    TRY(load_int(l, "block_count", GGUF_REQUIRED, 0, 1, MODEL_LAYERS_MAX, &layers, d));
    TRY(load_int(l, "embedding_length", GGUF_REQUIRED, 0, 1, 1 << 20, &m->hidden, d));
    TRY(load_int(l, "context_length", GGUF_REQUIRED, 0, 1, (int64_t)1 << 32, &m->context, d));
    TRY(load_float(l, "attention.layer_norm_rms_epsilon", GGUF_REQUIRED, &m->norm_eps, d));
    m->n_layers = (int)layers;
    m->embed_scale = 1;
    const gguf_tensor *e = gguf_tensor_find(l->file, "token_embd.weight");
    m->vocab = e ? e->dims[1] : 0; /* the tensor is the truth; the key may be absent */
    if (m->vocab > INT32_MAX) return diag_fail(d, CJ_E_INPUT, MSG_LIMIT, "%s" ARG "%d", "vocabulary", INT32_MAX);
    model_linear embed = {0};
    TRY(load_linear(l, &embed, GGUF_REQUIRED, m->vocab, m->hidden, d, "token_embd"));
    m->embed = embed.w;
    TRY(load_linear(l, &m->head, GGUF_OPTIONAL, m->vocab, m->hidden, d, "output"));
    if (!m->head.w.data) m->head.w = m->embed;
    TRY(load_vector(l, &m->final_norm, GGUF_REQUIRED, m->hidden, d, "output_norm.weight"));
    m->layers = arena_zalloc(l->mem, (size_t)m->n_layers * sizeof *m->layers);
    return m->layers ? CJ_OK : diag_nomem(d, (size_t)m->n_layers * sizeof *m->layers);
}

cj_err load_gqa(model_load *l, int i, cj_diag *d)
{
    const model_spec *m = l->spec;
    layer_spec *y = &l->spec->layers[i];
    gqa_spec *a = &y->gqa;
    int64_t heads = 0, kv_heads, dk, dv;
    TRY(load_int(l, "attention.head_count", GGUF_REQUIRED, i, 1, 4096, &heads, d));
    kv_heads = heads;
    TRY(load_int(l, "attention.head_count_kv", GGUF_OPTIONAL, i, 1, 4096, &kv_heads, d));
    dk = m->hidden / heads;
    TRY(load_int(l, "attention.key_length", GGUF_OPTIONAL, i, 4, ROPE_DIMS_MAX, &dk, d));
    dv = dk;
    TRY(load_int(l, "attention.value_length", GGUF_OPTIONAL, i, 4, ROPE_DIMS_MAX, &dv, d));
    if (heads % kv_heads || dk < 4 || dk > ROPE_DIMS_MAX || dk % 4 || dv % 4)
        return diag_fail(d, CJ_E_UNSUPPORTED, MSG_HEADS_ODD, "%s" ARG "%d" ARG "%lld" ARG "%lld" ARG "%lld", gguf_path(l->file), i,
                         (long long)heads, (long long)kv_heads, (long long)dk);
    a->heads = (int)heads;
    a->kv_heads = (int)kv_heads;
    a->dk = (int)dk;
    a->dv = (int)dv;
    a->scale = 1.0f / sqrtf((float)dk);
    TRY(load_float(l, "attention.scale", GGUF_OPTIONAL, &a->scale, d));
    TRY(load_linear(l, &a->q, GGUF_REQUIRED, heads * dk, m->hidden, d, "blk.%d.attn_q", i));
    TRY(load_linear(l, &a->k, GGUF_REQUIRED, kv_heads * dk, m->hidden, d, "blk.%d.attn_k", i));
    TRY(load_linear(l, &a->v, GGUF_REQUIRED, kv_heads * dv, m->hidden, d, "blk.%d.attn_v", i));
    TRY(load_linear(l, &a->o, GGUF_REQUIRED, m->hidden, heads * dv, d, "blk.%d.attn_output", i));
    TRY(load_vector(l, &a->q_norm, GGUF_OPTIONAL, dk, d, "blk.%d.attn_q_norm.weight", i));
    TRY(load_vector(l, &a->k_norm, GGUF_OPTIONAL, dk, d, "blk.%d.attn_k_norm.weight", i));
    TRY(load_vector(l, &y->mixer_norm, GGUF_REQUIRED, m->hidden, d, "blk.%d.attn_norm.weight", i));
    return load_vector(l, &y->ffn_norm, GGUF_REQUIRED, m->hidden, d, "blk.%d.ffn_norm.weight", i);
}

cj_err load_dense(model_load *l, int i, vec_act act, cj_diag *d)
{
    const model_spec *m = l->spec;
    dense_spec *f = &l->spec->layers[i].dense;
    l->spec->layers[i].ffn = FFN_DENSE;
    f->act = act;
    TRY(load_int(l, "feed_forward_length", GGUF_REQUIRED, i, 1, 1 << 24, &f->width, d));
    TRY(load_linear(l, &f->gate, GGUF_REQUIRED, f->width, m->hidden, d, "blk.%d.ffn_gate", i));
    TRY(load_linear(l, &f->up, GGUF_REQUIRED, f->width, m->hidden, d, "blk.%d.ffn_up", i));
    return load_linear(l, &f->down, GGUF_REQUIRED, m->hidden, f->width, d, "blk.%d.ffn_down", i);
}

cj_err load_moe(model_load *l, int i, vec_act act, cj_diag *d)
{
    const model_spec *m = l->spec;
    moe_spec *f = &l->spec->layers[i].moe;
    int64_t experts = 0, used = 0, normalise = 1;
    l->spec->layers[i].ffn = FFN_MOE;
    f->act = act;
    f->scale = 1;
    TRY(load_int(l, "expert_count", GGUF_REQUIRED, 0, 1, 4096, &experts, d));
    TRY(load_int(l, "expert_used_count", GGUF_REQUIRED, 0, 1, experts, &used, d));
    TRY(load_int(l, "expert_feed_forward_length", GGUF_REQUIRED, 0, 1, 1 << 24, &f->width, d));
    TRY(load_int(l, "expert_weights_norm", GGUF_OPTIONAL, 0, 0, 1, &normalise, d));
    TRY(load_float(l, "expert_weights_scale", GGUF_OPTIONAL, &f->scale, d));
    f->experts = (int)experts;
    f->used = (int)used;
    f->normalise = normalise != 0;
    TRY(load_linear(l, &f->router, GGUF_REQUIRED, experts, m->hidden, d, "blk.%d.ffn_gate_inp", i));
    TRY(load_experts(l, &f->gate, f->experts, f->width, m->hidden, d, "blk.%d.ffn_gate_exps", i));
    TRY(load_experts(l, &f->up, f->experts, f->width, m->hidden, d, "blk.%d.ffn_up_exps", i));
    return load_experts(l, &f->down, f->experts, m->hidden, f->width, d, "blk.%d.ffn_down_exps", i);
}
