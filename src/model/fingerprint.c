/* What a model's keys, values and states depend on besides its weights: the settings as they were understood. The same weights under
 * another base frequency, window or scaling give other pages, which must not be taken for these. */
#include "base/hash.h"
#include "model/model.h"

static uint64_t mix(uint64_t sum, const void *facts, size_t bytes)
{
    return hash_mix(sum, hash_xxh3(facts, bytes));
}

/* Numbers of one type, not structs: what lies between members is not ours to hash. */
#define MIX_INTS(sum, ...) mix(sum, (const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}))
#define MIX_FLOATS(sum, ...) mix(sum, (const float[]){__VA_ARGS__}, sizeof((const float[]){__VA_ARGS__}))

static uint64_t mix_gqa(uint64_t sum, const gqa_spec *a)
{
    sum = MIX_INTS(sum, a->heads, a->kv_heads, a->dk, a->dv, a->window, a->rope, a->gate.w.data != NULL);
    return MIX_FLOATS(sum, a->scale, a->softcap);
}

static uint64_t mix_layer(uint64_t sum, const layer_spec *y)
{
    const delta_shape *s = &y->delta.shape;
    const dense_spec *f = &y->dense;
    const moe_spec *e = &y->moe;
    sum = MIX_INTS(sum, y->mixer, y->ffn);
    sum = mix_gqa(sum, &y->gqa);
    sum = MIX_INTS(sum, s->key_heads, s->heads, s->dk, s->dv, s->taps, s->tiled);
    sum = MIX_INTS(sum, f->width, f->act, e->experts, e->used, e->normalise, e->width, e->act, e->shared.width, e->shared.act);
    return MIX_FLOATS(sum, e->scale);
}

/* Frequencies as float32: their last bits may differ between libraries of mathematics, and a shelf goes from one machine to another. */
static uint64_t mix_rope(uint64_t sum, const rope_spec *r)
{
    sum = MIX_INTS(sum, r->dims, r->interleaved, r->stride, r->window);
    sum = MIX_FLOATS(sum, r->magnitude);
    for (int i = 0; i < r->dims / 2; i++) sum = MIX_FLOATS(sum, (float)r->inv_freq[i]);
    return sum;
}

uint64_t model_spec_fingerprint(const model_spec *m)
{
    uint64_t sum = MIX_INTS(0, m->n_layers, m->hidden, m->vocab, m->n_ropes, m->head.w.data == m->embed.data);
    sum = MIX_FLOATS(sum, m->norm_eps, m->embed_scale, m->logit_softcap);
    for (int i = 0; i < m->n_ropes; i++) sum = mix_rope(sum, &m->ropes[i]);
    for (int i = 0; i < m->n_layers; i++) sum = mix_layer(sum, &m->layers[i]);
    return sum;
}
