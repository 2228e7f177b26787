/* Pages and attention in plain C: the oracle. */
#include <math.h>
#include <string.h>

#include "kernel/attn.h"
#include "quant/quant.h"

/* Symmetric 8-bit codes of x[n]; returns the scale. */
static float q8_scale(const float *x, int n)
{
    float max = 0;
    for (int i = 0; i < n; i++) max = fmaxf(max, fabsf(x[i]));
    return max / 127.0f;
}

static int8_t q8_code(float x, float scale) { return scale > 0 ? (int8_t)lrintf(x / scale) : 0; }

static void store(const kv_layout *l, uint8_t *head, int t, const float *k, const float *v)
{
    uint8_t *vpart = head + kv_v_offset(l);
    float *scales = (float *)(void *)(head + kv_scale_offset(l));
    float ks = 0, vs = 0;
    if (l->type == KV_Q8) {
        scales[t] = ks = q8_scale(k, l->dk);
        scales[KV_PAGE + t] = vs = q8_scale(v, l->dv);
    }
    for (int c = 0; c < l->dk; c++) {
        size_t i = kv_k_index(l, t, c);
        switch (l->type) {
        case KV_F32: ((float *)(void *)head)[i] = k[c]; break;
        case KV_BF16: ((uint16_t *)(void *)head)[i] = quant_f32_to_bf16(k[c]); break;
        default: ((int8_t *)head)[i] = q8_code(k[c], ks);
        }
    }
    for (int c = 0; c < l->dv; c++) {
        size_t i = kv_v_index(l, t, c);
        switch (l->type) {
        case KV_F32: ((float *)(void *)vpart)[i] = v[c]; break;
        case KV_BF16: ((uint16_t *)(void *)vpart)[i] = quant_f32_to_bf16(v[c]); break;
        default: ((int8_t *)vpart)[i] = q8_code(v[c], vs);
        }
    }
}

void attn_fill_ref(attn_table *t) { *t = (attn_table){.store = store}; }
