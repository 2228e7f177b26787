/* Opening a model: the file, the adapter that knows it, the weights. */
#include "model/model.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "model/family/family.h"

struct model {
    model_source *source;
    kernel_ctx *ctx;
    arena mem;
    model_spec spec;
    int64_t weight_bytes;
    uint64_t fingerprint;
};

enum { SAMPLE = 4096 };
static const size_t spec_memory_max = (size_t)1 << 40; /* rows put in order are as large as the weights they come from */

static void free_linear(kernel_ctx *ctx, model_linear *l) { kernel_free(ctx, l->bias); }

static void free_layer(kernel_ctx *ctx, layer_spec *y)
{
    gqa_spec *a = &y->gqa;
    delta_spec *r = &y->delta;
    dense_spec *shared = &y->moe.shared;
    model_linear *linears[] = {&a->q, &a->k, &a->v, &a->o, &a->gate, &y->dense.gate, &y->dense.up, &y->dense.down, &y->moe.router, &shared->gate,
                               &shared->up, &shared->down, &y->moe.shared_gate, &r->qkv, &r->z, &r->beta, &r->alpha, &r->out};
    for (size_t i = 0; i < sizeof linears / sizeof *linears; i++) free_linear(ctx, linears[i]);
    float *vectors[] = {a->q_norm, a->k_norm, y->mixer_norm, y->ffn_norm, y->mixer_post_norm, y->ffn_post_norm, r->conv, r->a, r->dt, r->norm};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) kernel_free(ctx, vectors[i]);
}

static void free_spec(kernel_ctx *ctx, model_spec *m)
{
    free_linear(ctx, &m->head);
    kernel_free(ctx, m->final_norm);
    for (int i = 0; m->layers && i < m->n_layers; i++) free_layer(ctx, &m->layers[i]);
}

/* The settings, then samples of every tensor: cheap, and no two sets of weights agree in all of them. */
static uint64_t fingerprint(const model_spec *spec, const model_source *source, int64_t *bytes)
{
    uint64_t sum = model_spec_fingerprint(spec);
    for (int64_t i = 0; i < source_tensor_count(source); i++) {
        const source_tensor t = source_tensor_at(source, i);
        size_t n = t.bytes < SAMPLE ? t.bytes : SAMPLE;
        uint64_t parts[] = {sum, hash_xxh3(t.name, strlen(t.name)), (uint64_t)t.type, t.bytes, hash_xxh3(t.data, n),
                            hash_xxh3((const char *)t.data + (t.bytes - n) / 2, n)};
        sum = hash_xxh3(parts, sizeof parts);
        *bytes += (int64_t)t.bytes;
    }
    return sum;
}

/* A rotation reaches over the first `dims` elements of a head, so every head that is rotated must have them: they may differ by layer. */
static cj_err check_ropes(const model *m, cj_diag *d)
{
    for (int i = 0; i < m->spec.n_layers; i++) {
        const gqa_spec *a = &m->spec.layers[i].gqa;
        if (m->spec.layers[i].mixer == MIXER_GQA && a->rope >= 0 && a->dk < m->spec.ropes[a->rope].dims)
            return diag_fail(d, CJ_E_INPUT, MSG_ROPE_BAD, "%s", source_path(m->source));
    }
    return CJ_OK;
}

static cj_err load_spec(model *m, cj_diag *d)
{
    gguf_str arch = source_arch(m->source), name = source_name(m->source);
    if (source_gguf(m->source)) TRY(gguf_string(source_gguf(m->source), "general.architecture", GGUF_REQUIRED, &arch, d));
    const family *f = source_is_known(m->source) ? family_find(arch.data, arch.len) : NULL;
    if (!f) {
        char known[256];
        family_names(known, sizeof known);
        return diag_fail(d, CJ_E_UNSUPPORTED, MSG_FAMILY_UNKNOWN, "%s" ARG "%.*s" ARG "%s", source_path(m->source),
                         (int)(arch.len < 64 ? arch.len : 64), arch.data, known);
    }
    size_t n = name.len < sizeof m->spec.name ? name.len : sizeof m->spec.name - 1;
    if (n) memcpy(m->spec.name, name.data, n);
    m->spec.family = f->arch;
    if (source_is_quantised(m->source)) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_CONFIG_QUANTISED, "%s", source_path(m->source));
    model_load l = {.source = m->source, .ctx = m->ctx, .mem = &m->mem, .spec = &m->spec};
    const size_t tensors = (size_t)source_tensor_count(m->source);
    if (source_is_folder(m->source) && !(l.bound = arena_zalloc(&m->mem, tensors + 1))) return diag_nomem(d, tensors);
    TRY(f->load(&l, d));
    TRY(load_check_taken(&l, d));
    return check_ropes(m, d);
}

cj_err model_open_source(model **out, kernel_ctx *ctx, model_source *source, cj_diag *d)
{
    model *m = mem_zalloc(sizeof *m);
    if (!m) return diag_nomem(d, sizeof *m);
    m->source = source;
    m->ctx = ctx;
    arena_init(&m->mem, spec_memory_max);
    cj_err e = load_spec(m, d);
    if (e) {
        m->source = NULL; /* still the caller's */
        model_close(&m);
        return e;
    }
    m->fingerprint = fingerprint(&m->spec, source, &m->weight_bytes);
    *out = m;
    return CJ_OK;
}

cj_err model_open(model **out, kernel_ctx *ctx, const char *path, cj_diag *d)
{
    model_source *source = NULL;
    TRY(source_open(&source, path, d));
    cj_err e = model_open_source(out, ctx, source, d);
    if (e) source_close(&source);
    return e;
}

void model_close(model **pm)
{
    model *m = *pm;
    if (!m) return;
    free_spec(m->ctx, &m->spec);
    arena_deinit(&m->mem);
    source_close(&m->source);
    mem_free(m);
    *pm = NULL;
}

const model_spec *model_spec_of(const model *m) { return &m->spec; }
const model_source *model_source_of(const model *m) { return m->source; }
const gguf *model_file(const model *m) { return source_gguf(m->source); }
const char *model_path(const model *m) { return source_path(m->source); }
kernel_ctx *model_kernel(const model *m) { return m->ctx; }
int64_t model_weight_bytes(const model *m) { return m->weight_bytes; }
uint64_t model_fingerprint(const model *m) { return m->fingerprint; }

cj_err model_keep_more(model *m, int layer, int head, int times, cj_diag *d)
{
    if (layer < 0 || layer >= m->spec.n_layers) return CJ_OK;
    gqa_spec *a = &m->spec.layers[layer].gqa;
    if (m->spec.layers[layer].mixer != MIXER_GQA || a->window || head < 0 || head >= a->heads) return CJ_OK;
    if (!a->keep_times) {
        a->keep_times = arena_alloc(&m->mem, (size_t)a->heads);
        if (!a->keep_times) return diag_nomem(d, (size_t)a->heads);
        memset(a->keep_times, 1, (size_t)a->heads);
    }
    a->keep_times[head] = (uint8_t)(times < 1 ? 1 : times > UINT8_MAX ? UINT8_MAX : times);
    return CJ_OK;
}

/* Layers with a window keep 8 bits where the others have 4: what they hold does not grow with the text, so there is little to save. */
static kv_layer kv_layer_of(const layer_spec *y, kv_type type)
{
    if (y->gqa.window && type == KV_Q4) type = KV_Q8;
    if (y->mixer == MIXER_DELTA) return (kv_layer){.layout = delta_layout(&y->delta.shape), .window = 1};
    return (kv_layer){.layout = {.type = type, .heads = y->gqa.kv_heads, .dk = y->gqa.dk, .dv = y->gqa.dv}, .window = y->gqa.window};
}

int64_t model_token_bytes(const model *m, kv_type type)
{
    int64_t bytes = 0;
    for (int i = 0; i < m->spec.n_layers; i++) {
        kv_layer l = kv_layer_of(&m->spec.layers[i], type);
        if (!l.window) bytes += (int64_t)kv_page_bytes(&l.layout) / KV_PAGE;
    }
    return bytes;
}

cj_err model_kv_open(const model *m, kv_type type, kv_cache **out, cj_diag *d)
{
    kv_layer *layers = mem_array((size_t)m->spec.n_layers, sizeof *layers);
    if (!layers) return diag_nomem(d, (size_t)m->spec.n_layers * sizeof *layers);
    for (int i = 0; i < m->spec.n_layers; i++) layers[i] = kv_layer_of(&m->spec.layers[i], type);
    cj_err e = kv_open(out, layers, m->spec.n_layers, d);
    mem_free(layers);
    return e;
}
