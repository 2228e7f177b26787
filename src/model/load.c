/* Binding of configuration and tensors to specs. */
#include "model/load.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model/family/dialect.h"

enum { NAME_MAX_BYTES = 256 };

cj_err load_int(model_load *l, const char *key, gguf_need need, int64_t layer, int64_t lo, int64_t hi, int64_t *out, cj_diag *d)
{
    return source_int(l->source, key, need, layer, lo, hi, out, d);
}

cj_err load_float(model_load *l, const char *key, gguf_need need, float *out, cj_diag *d) { return source_float(l->source, key, need, out, d); }

bool load_string_is(model_load *l, const char *key, const char *value)
{
    gguf_str s = {0};
    return !source_text(l->source, key, GGUF_OPTIONAL, 0, &s, NULL) && s.data && s.len == strlen(value) && !memcmp(s.data, value, s.len);
}

cj_err load_only(model_load *l, const char *key, const char *value, cj_diag *d)
{
    gguf_str s = {0};
    TRY(source_text(l->source, key, GGUF_OPTIONAL, 0, &s, d));
    if (!s.data || load_string_is(l, key, value)) return CJ_OK;
    const char *name = source_is_folder(l->source) ? source_key_name(key) : key;
    return diag_fail(d, CJ_E_UNSUPPORTED, MSG_CONFIG_UNSUPPORTED, "%s" ARG "%s" ARG "%.*s", source_path(l->source), name, (int)(s.len < 40 ? s.len : 40), s.data);
}

/* Finds a tensor of exactly this shape (dims beyond those given must be 1); *found is false when an optional one is absent. */
static cj_err find(model_load *l, source_tensor *t, bool *found, gguf_need need, const int64_t dims[3], const char *name, cj_diag *d)
{
    const char *path = source_path(l->source);
    TRY(source_tensor_find(l->source, name, found, t, d));
    if (!*found) return need == GGUF_OPTIONAL ? CJ_OK : diag_fail(d, CJ_E_INPUT, MSG_TENSOR_MISSING, "%s" ARG "%s", path, name);
    if (t->dims[0] != dims[0] || t->dims[1] != dims[1] || t->dims[2] != dims[2] || t->dims[3] != 1)
        return diag_fail(d, CJ_E_INPUT, MSG_TENSOR_SHAPE, "%s" ARG "%s" ARG "%lldx%lldx%lld" ARG "%lldx%lldx%lld", path, t->name,
                         (long long)t->dims[0], (long long)t->dims[1], (long long)t->dims[2], (long long)dims[0], (long long)dims[1],
                         (long long)dims[2]);
    if (l->bound) l->bound[t->index] = true;
    return CJ_OK;
}

cj_err load_check_taken(const model_load *l, cj_diag *d)
{
    for (int64_t i = 0; l->bound && i < source_tensor_count(l->source); i++)
        if (source_is_layered(l->source, i) && !l->bound[i])
            return diag_fail(d, CJ_E_UNSUPPORTED, MSG_TENSOR_LEFT, "%s" ARG "%s", source_path(l->source), source_tensor_at(l->source, i).name);
    return CJ_OK;
}

static kernel_weight weight_of(const source_tensor *t, int64_t first_row, int64_t rows)
{
    kernel_weight w = {.type = (quant_type)t->type, .rows = rows, .cols = t->dims[0]};
    w.data = (const char *)t->data + (size_t)first_row * quant_row_bytes(t->type, t->dims[0]);
    return w;
}

static float meant(float x, source_form form) { return form == SOURCE_PLUS_ONE ? 1 + x : form == SOURCE_NEG_EXP ? -expf(x) : x; }

/* The numbers of a tensor [rows][cols] as they are meant, as floats [cols][rows], in device memory. */
static cj_err floats_of(model_load *l, float **out, const source_tensor *t, int64_t rows, int64_t cols, cj_diag *d)
{
    size_t n = (size_t)(rows * cols);
    float *host = mem_array(2 * n, sizeof *host), *v = kernel_alloc(l->ctx, n * sizeof *v);
    if (!host || !v) {
        mem_free(host);
        kernel_free(l->ctx, v);
        return diag_nomem(d, 3 * n * sizeof *v);
    }
    float *turned = host + n;
    quant_info_get(t->type)->decode(t->data, host, (int64_t)n);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) turned[c * rows + r] = meant(host[r * cols + c], t->form);
    kernel_upload(l->ctx, v, turned, n * sizeof *v);
    mem_free(host);
    *out = v;
    return CJ_OK;
}

static cj_err vector_named(model_load *l, float **out, gguf_need need, int64_t n, const char *name, cj_diag *d)
{
    source_tensor t;
    bool found;
    TRY(find(l, &t, &found, need, (int64_t[]){n, 1, 1}, name, d));
    return found ? floats_of(l, out, &t, 1, n, d) : CJ_OK;
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

cj_err load_turned(model_load *l, float **out, int64_t rows, int64_t cols, cj_diag *d, const char *fmt, ...)
{
    char name[NAME_MAX_BYTES];
    source_tensor t;
    bool found;
    FORMAT_NAME(name, fmt);
    TRY(find(l, &t, &found, GGUF_REQUIRED, (int64_t[]){cols, rows, 1}, name, d));
    return floats_of(l, out, &t, rows, cols, d);
}

cj_err load_linear(model_load *l, model_linear *out, gguf_need need, int64_t rows, int64_t cols, cj_diag *d, const char *fmt, ...)
{
    char base[NAME_MAX_BYTES - 16], name[NAME_MAX_BYTES];
    source_tensor t;
    bool found;
    FORMAT_NAME(base, fmt);
    snprintf(name, sizeof name, "%s.weight", base);
    TRY(find(l, &t, &found, need, (int64_t[]){cols, rows, 1}, name, d));
    if (!found) return CJ_OK;
    out->w = weight_of(&t, 0, rows);
    snprintf(name, sizeof name, "%s.bias", base);
    return vector_named(l, &out->bias, GGUF_OPTIONAL, rows, name, d);
}

/* Rows of `bytes` bytes each, as picked. */
static void pick_rows(char *to, const char *from, const row_pick *picks, int n_picks, size_t bytes)
{
    for (int i = 0; i < n_picks; i++) {
        const row_pick *p = &picks[i];
        const size_t part = (size_t)p->count * bytes;
        for (int64_t g = 0; g < p->groups; g++, to += part) memcpy(to, from + (size_t)(g * p->group + p->first) * bytes, part);
    }
}

cj_err load_rows(model_load *l, model_linear *out, const row_pick *picks, int n_picks, int64_t cols, cj_diag *d, const char *fmt, ...)
{
    char base[NAME_MAX_BYTES - 16], name[NAME_MAX_BYTES];
    const int64_t stored = picks[0].groups * picks[0].group;
    int64_t rows = 0;
    source_tensor t;
    bool found;
    FORMAT_NAME(base, fmt);
    snprintf(name, sizeof name, "%s.bias", base);
    if (source_tensor_here(l->source, name))
        return diag_fail(d, CJ_E_UNSUPPORTED, MSG_TENSOR_LEFT, "%s" ARG "%s", source_path(l->source), name);
    snprintf(name, sizeof name, "%s.weight", base);
    TRY(find(l, &t, &found, GGUF_REQUIRED, (int64_t[]){cols, stored, 1}, name, d));
    for (int i = 0; i < n_picks; i++) rows += picks[i].groups * picks[i].count;
    const size_t bytes = quant_row_bytes(t.type, cols);
    char *copy = arena_alloc(l->mem, (size_t)rows * bytes);
    if (!copy) return diag_nomem(d, (size_t)rows * bytes);
    pick_rows(copy, t.data, picks, n_picks, bytes);
    out->w = (kernel_weight){.type = (quant_type)t.type, .rows = rows, .cols = cols, .data = copy};
    return CJ_OK;
}

cj_err load_experts(model_load *l, kernel_weight **out, int experts, int64_t rows, int64_t cols, int layer, const char *stem, cj_diag *d)
{
    char name[NAME_MAX_BYTES], one[NAME_MAX_BYTES];
    source_tensor t;
    bool found;
    kernel_weight *w = *out = arena_alloc(l->mem, (size_t)experts * sizeof *w);
    if (!w) return diag_nomem(d, (size_t)experts * sizeof *w);
    snprintf(name, sizeof name, "blk.%d.%s_exps.weight", layer, stem);
    snprintf(one, sizeof one, "blk.%d.%s.0.weight", layer, stem);
    if (source_tensor_here(l->source, name) || !source_tensor_here(l->source, one)) {
        TRY(find(l, &t, &found, GGUF_REQUIRED, (int64_t[]){cols, rows, experts}, name, d));
        for (int e = 0; e < experts; e++) w[e] = weight_of(&t, e * rows, rows);
        return CJ_OK;
    }
    for (int e = 0; e < experts; e++) {
        snprintf(name, sizeof name, "blk.%d.%s.%d.weight", layer, stem, e);
        TRY(find(l, &t, &found, GGUF_REQUIRED, (int64_t[]){cols, rows, 1}, name, d));
        w[e] = weight_of(&t, 0, rows);
    }
    return CJ_OK;
}

/* ---- what the families share ---- */

/* The embedding, and the matrix that makes logits, which may be the same. A folder says whether it is; one that does not is taken at its tensors. */
static cj_err load_ends(model_load *l, cj_diag *d)
{
    model_spec *m = l->spec;
    source_tensor e;
    bool found, tied = !source_tensor_here(l->source, "output.weight");
    TRY(source_tensor_find(l->source, "token_embd.weight", &found, &e, d));
    m->vocab = found ? e.dims[1] : 1; /* the tensor is the truth; the key may be absent */
    if (m->vocab < 1 || m->vocab > INT32_MAX) return diag_fail(d, CJ_E_INPUT, MSG_VOCAB_ROWS, "%s" ARG "%lld", source_path(l->source), (long long)m->vocab);
    TRY(find(l, &e, &found, GGUF_REQUIRED, (int64_t[]){m->hidden, m->vocab, 1}, "token_embd.weight", d));
    m->embed = weight_of(&e, 0, m->vocab);
    if (source_is_folder(l->source)) TRY(source_bool(l->source, "tie_word_embeddings", GGUF_OPTIONAL, 0, &tied, d));
    m->head.w = m->embed;
    return tied ? CJ_OK : load_linear(l, &m->head, GGUF_REQUIRED, m->vocab, m->hidden, d, "output");
}

cj_err load_frame(model_load *l, cj_diag *d)
{
    model_spec *m = l->spec;
    int64_t layers = 0, ahead = 0; /* of which the last ones only guess tokens further on */
    TRY(load_int(l, "block_count", GGUF_REQUIRED, 0, 1, MODEL_LAYERS_MAX, &layers, d));
    TRY(load_int(l, "embedding_length", GGUF_REQUIRED, 0, 1, 1 << 20, &m->hidden, d));
    TRY(load_int(l, "context_length", GGUF_REQUIRED, 0, 1, (int64_t)1 << 32, &m->context, d));
    TRY(load_float(l, "attention.layer_norm_rms_epsilon", GGUF_REQUIRED, &m->norm_eps, d));
    if (!(m->norm_eps > 0 && m->norm_eps < 1)) return diag_fail(d, CJ_E_INPUT, MSG_NORM_BAD, "%s" ARG "%g", source_path(l->source), (double)m->norm_eps);
    TRY(load_int(l, "nextn_predict_layers", GGUF_OPTIONAL, 0, 0, layers - 1, &ahead, d));
    m->n_layers = (int)(layers - ahead);
    m->embed_scale = 1;
    TRY(load_ends(l, d));
    TRY(load_vector(l, &m->final_norm, GGUF_REQUIRED, m->hidden, d, "output_norm.weight"));
    m->layers = arena_zalloc(l->mem, (size_t)m->n_layers * sizeof *m->layers);
    return m->layers ? CJ_OK : diag_nomem(d, (size_t)m->n_layers * sizeof *m->layers);
}

cj_err load_heads(model_load *l, int i, cj_diag *d)
{
    const model_spec *m = l->spec;
    gqa_spec *a = &l->spec->layers[i].gqa;
    int64_t heads = 0, kv_heads, dk, dv;
    TRY(load_int(l, "attention.head_count", GGUF_REQUIRED, i, 1, 4096, &heads, d));
    kv_heads = heads;
    TRY(load_int(l, "attention.head_count_kv", GGUF_OPTIONAL, i, 1, 4096, &kv_heads, d));
    dk = m->hidden / heads;
    TRY(load_int(l, "attention.key_length", GGUF_OPTIONAL, i, 4, ROPE_DIMS_MAX, &dk, d));
    dv = dk;
    TRY(load_int(l, "attention.value_length", GGUF_OPTIONAL, i, 4, ROPE_DIMS_MAX, &dv, d));
    if (heads % kv_heads || dk < 4 || dk > ROPE_DIMS_MAX || dk % 4 || dv % 4)
        return diag_fail(d, CJ_E_UNSUPPORTED, MSG_HEADS_ODD, "%s" ARG "%d" ARG "%lld" ARG "%lld" ARG "%lld", source_path(l->source), i,
                         (long long)heads, (long long)kv_heads, (long long)dk);
    a->heads = (int)heads;
    a->kv_heads = (int)kv_heads;
    a->dk = (int)dk;
    a->dv = (int)dv;
    a->scale = 1.0f / sqrtf((float)dk);
    return load_float(l, "attention.scale", GGUF_OPTIONAL, &a->scale, d);
}

/* What follows q. */
static cj_err load_kv_and_norms(model_load *l, int i, gguf_need norms, cj_diag *d)
{
    const int64_t hidden = l->spec->hidden;
    layer_spec *y = &l->spec->layers[i];
    gqa_spec *a = &y->gqa;
    TRY(load_linear(l, &a->k, GGUF_REQUIRED, (int64_t)a->kv_heads * a->dk, hidden, d, "blk.%d.attn_k", i));
    TRY(load_linear(l, &a->v, GGUF_REQUIRED, (int64_t)a->kv_heads * a->dv, hidden, d, "blk.%d.attn_v", i));
    TRY(load_linear(l, &a->o, GGUF_REQUIRED, hidden, (int64_t)a->heads * a->dv, d, "blk.%d.attn_output", i));
    TRY(load_vector(l, &a->q_norm, norms, a->dk, d, "blk.%d.attn_q_norm.weight", i));
    return load_vector(l, &a->k_norm, norms, a->dk, d, "blk.%d.attn_k_norm.weight", i);
}

cj_err load_gqa(model_load *l, int i, cj_diag *d)
{
    const model_spec *m = l->spec;
    layer_spec *y = &l->spec->layers[i];
    TRY(load_heads(l, i, d));
    TRY(load_linear(l, &y->gqa.q, GGUF_REQUIRED, (int64_t)y->gqa.heads * y->gqa.dk, m->hidden, d, "blk.%d.attn_q", i));
    TRY(load_kv_and_norms(l, i, GGUF_OPTIONAL, d));
    TRY(load_vector(l, &y->mixer_norm, GGUF_REQUIRED, m->hidden, d, "blk.%d.attn_norm.weight", i));
    return load_vector(l, &y->ffn_norm, GGUF_REQUIRED, m->hidden, d, "blk.%d.ffn_norm.weight", i);
}

cj_err load_gqa_gated(model_load *l, int i, cj_diag *d)
{
    gqa_spec *a = &l->spec->layers[i].gqa;
    TRY(load_heads(l, i, d));
    row_pick pick = {.groups = a->heads, .group = a->dk + a->dv, .first = 0, .count = a->dk};
    TRY(load_rows(l, &a->q, &pick, 1, l->spec->hidden, d, "blk.%d.attn_q", i));
    pick.first = a->dk;
    pick.count = a->dv;
    TRY(load_rows(l, &a->gate, &pick, 1, l->spec->hidden, d, "blk.%d.attn_q", i));
    return load_kv_and_norms(l, i, GGUF_REQUIRED, d);
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

/* Gate and up of every expert: two tensors, or one with the gate's rows first. */
static cj_err load_gates(model_load *l, moe_spec *f, int i, cj_diag *d)
{
    const int64_t hidden = l->spec->hidden;
    char name[NAME_MAX_BYTES];
    snprintf(name, sizeof name, "blk.%d.ffn_gate_up_exps.weight", i);
    if (!source_tensor_here(l->source, name)) {
        TRY(load_experts(l, &f->gate, f->experts, f->width, hidden, i, "ffn_gate", d));
        return load_experts(l, &f->up, f->experts, f->width, hidden, i, "ffn_up", d);
    }
    TRY(load_experts(l, &f->gate, f->experts, 2 * f->width, hidden, i, "ffn_gate_up", d));
    f->up = arena_alloc(l->mem, (size_t)f->experts * sizeof *f->up);
    if (!f->up) return diag_nomem(d, (size_t)f->experts * sizeof *f->up);
    for (int e = 0; e < f->experts; e++) {
        kernel_weight *gate = &f->gate[e], *up = &f->up[e];
        gate->rows = f->width;
        *up = *gate;
        up->data = (const char *)gate->data + (size_t)f->width * quant_row_bytes(gate->type, hidden);
    }
    return CJ_OK;
}

/* An expert that every row goes through, where the settings or the tensors know of one, with a gate of its own. */
static cj_err load_shared(model_load *l, int i, vec_act act, cj_diag *d)
{
    const int64_t hidden = l->spec->hidden;
    moe_spec *f = &l->spec->layers[i].moe;
    dense_spec *s = &f->shared;
    char name[NAME_MAX_BYTES];
    snprintf(name, sizeof name, "blk.%d.ffn_gate_shexp.weight", i);
    const bool here = source_tensor_here(l->source, name);
    TRY(load_int(l, "expert_shared_feed_forward_length", here ? GGUF_REQUIRED : GGUF_OPTIONAL, 0, here, 1 << 24, &s->width, d));
    if (!s->width) return CJ_OK;
    s->act = act;
    TRY(load_linear(l, &s->gate, GGUF_REQUIRED, s->width, hidden, d, "blk.%d.ffn_gate_shexp", i));
    TRY(load_linear(l, &s->up, GGUF_REQUIRED, s->width, hidden, d, "blk.%d.ffn_up_shexp", i));
    TRY(load_linear(l, &s->down, GGUF_REQUIRED, hidden, s->width, d, "blk.%d.ffn_down_shexp", i));
    return load_linear(l, &f->shared_gate, GGUF_REQUIRED, 1, hidden, d, "blk.%d.ffn_gate_inp_shexp", i);
}

cj_err load_moe(model_load *l, int i, vec_act act, cj_diag *d)
{
    const model_spec *m = l->spec;
    moe_spec *f = &l->spec->layers[i].moe;
    int64_t experts = 0, used = 0;
    l->spec->layers[i].ffn = FFN_MOE;
    f->act = act;
    f->scale = 1;
    TRY(load_int(l, "expert_count", GGUF_REQUIRED, 0, 1, 4096, &experts, d));
    TRY(load_int(l, "expert_used_count", GGUF_REQUIRED, 0, 1, experts, &used, d));
    TRY(load_int(l, "expert_feed_forward_length", GGUF_REQUIRED, 0, 1, 1 << 24, &f->width, d));
    f->normalise = true;
    TRY(source_bool(l->source, "expert_weights_norm", GGUF_OPTIONAL, 0, &f->normalise, d));
    TRY(load_float(l, "expert_weights_scale", GGUF_OPTIONAL, &f->scale, d));
    f->experts = (int)experts;
    f->used = (int)used;
    TRY(load_linear(l, &f->router, GGUF_REQUIRED, experts, m->hidden, d, "blk.%d.ffn_gate_inp", i));
    TRY(load_gates(l, f, i, d));
    TRY(load_experts(l, &f->down, f->experts, m->hidden, f->width, i, "ffn_down", d));
    return load_shared(l, i, act, d);
}
