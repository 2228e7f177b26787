/* Pages and attention in plain C: the oracle. Sums over a page run in double. */
#include <math.h>
#include <string.h>

#include "kernel/attn.h"
#include "quant/quant.h"

/* ---- storing ---- */

/* One of the five stages of a fast Hadamard transform of 32 elements, each the same: after all five every index is where it was. */
static void rotate_stage(float *to, const float *from, float by)
{
    enum { HALF = KV_BLOCK / 2 };
    for (int i = 0; i < HALF; i++) {
        to[i] = (from[2 * i] + from[2 * i + 1]) * by;
        to[i + HALF] = (from[2 * i] - from[2 * i + 1]) * by;
    }
}

void attn_rotate(float *x, int n)
{
    for (; n >= KV_BLOCK; n -= KV_BLOCK, x += KV_BLOCK) {
        float y[KV_BLOCK], z[KV_BLOCK];
        rotate_stage(y, x, 1);
        rotate_stage(z, y, 1);
        rotate_stage(y, z, 1);
        rotate_stage(z, y, 1);
        rotate_stage(x, z, ATTN_ROTATE_BY);
    }
}

float attn_code_scale(float max, bool finite) { return !finite ? NAN : max < ATTN_CODE_ZERO ? 0 : max / 127; }

static float q8_scale(const float *x, int n)
{
    float max = 0;
    bool finite = true;
    for (int i = 0; i < n; i++) {
        float a = fabsf(x[i]);
        max = a > max ? a : max;
        finite = finite && a < INFINITY;
    }
    return attn_code_scale(max, finite);
}

/* As a bfloat16, rounded up: no code passes 127. */
static uint16_t q8_scale_bf16(float scale) { return isnan(scale) ? quant_f32_to_bf16(scale) : (uint16_t)((quant_f32_bits(scale) + 0xffffu) >> 16); }

/* What the codes of a scale are multiplied by; all are 0 where the scale says nothing. */
static float q8_inverse(float scale) { return scale > 0 ? 1 / scale : 0; }
static int8_t q8_code(float x, float inverse) { return inverse > 0 ? (int8_t)lrintf(x * inverse) : 0; }

static void put(kv_type type, void *part, size_t i, float x)
{
    if (type == KV_F32) ((float *)part)[i] = x;
    else ((uint16_t *)part)[i] = quant_f32_to_bf16(x);
}

static void store_q8(const kv_layout *l, uint8_t *head, int t, const float *k, const float *v)
{
    int8_t *keys = (int8_t *)head, *values = (int8_t *)head + kv_v_offset(l);
    uint16_t *k_scales = (uint16_t *)(void *)(head + kv_k_scales(l));
    float *v_scales = (float *)(void *)(head + kv_v_scales(l)), x[KV_DIMS_MAX];
    attn_rotate(memcpy(x, k, (size_t)l->dk * sizeof *x), l->dk);
    for (int c0 = 0; c0 < l->dk; c0 += KV_BLOCK) {
        int end = c0 + KV_BLOCK < l->dk ? c0 + KV_BLOCK : l->dk;
        uint16_t scale = k_scales[kv_k_scale_index(l, t, c0)] = q8_scale_bf16(q8_scale(x + c0, end - c0));
        float inverse = q8_inverse(quant_bf16_to_f32(scale));
        for (int c = c0; c < end; c++) keys[kv_k_index(l, t, c)] = q8_code(x[c], inverse);
    }
    attn_rotate(memcpy(x, v, (size_t)l->dv * sizeof *x), l->dv);
    float inverse = q8_inverse(v_scales[t] = q8_scale(x, l->dv));
    for (int c = 0; c < l->dv; c++) values[kv_v_index(l, t, c)] = q8_code(x[c], inverse);
}

static void store_one(const kv_layout *l, uint8_t *head, int t, const float *k, const float *v)
{
    for (int c = 0; c < l->dk; c++) put(l->type, head, kv_k_index(l, t, c), k[c]);
    for (int c = 0; c < l->dv; c++) put(l->type, head + kv_v_offset(l), kv_v_index(l, t, c), v[c]);
}

void attn_store_ref(const kv_layout *l, uint8_t *head, int t, int n, const float *k, int64_t ldk, const float *v, int64_t ldv)
{
    for (int i = 0; i < n; i++) (l->type == KV_Q8 ? store_q8 : store_one)(l, head, t + i, k + i * ldk, v + i * ldv);
}

/* ---- reading ---- */

static float get(kv_type type, const uint8_t *part, size_t i)
{
    switch (type) {
    case KV_F32: return ((const float *)(const void *)part)[i];
    case KV_BF16: return quant_bf16_to_f32(((const uint16_t *)(const void *)part)[i]);
    default: return (float)((const int8_t *)part)[i];
    }
}

/* As it is stored: of q8, rotated. */
static float stored_key(const kv_layout *l, const uint8_t *head, int i, int c)
{
    float x = get(l->type, head, kv_k_index(l, i, c));
    if (l->type != KV_Q8) return x;
    return x * quant_bf16_to_f32(((const uint16_t *)(const void *)(head + kv_k_scales(l)))[kv_k_scale_index(l, i, c)]);
}

static float v_scale(const kv_layout *l, const uint8_t *head, int i)
{
    return l->type == KV_Q8 ? ((const float *)(const void *)(head + kv_v_scales(l)))[i] : 1;
}

static float stored_value(const kv_layout *l, const uint8_t *head, int i, int c)
{
    return get(l->type, head + kv_v_offset(l), kv_v_index(l, i, c)) * v_scale(l, head, i);
}

/* Element c of d, of which the block has to be rotated back first. */
static float element(const kv_layout *l, const uint8_t *head, int i, int c, int d, float (*stored)(const kv_layout *, const uint8_t *, int, int))
{
    int first = c / KV_BLOCK * KV_BLOCK;
    if (l->type != KV_Q8 || first + KV_BLOCK > d) return stored(l, head, i, c);
    float x[KV_BLOCK];
    for (int e = 0; e < KV_BLOCK; e++) x[e] = stored(l, head, i, first + e);
    attn_rotate(x, KV_BLOCK);
    return x[c - first];
}

float attn_key(const kv_layout *l, const uint8_t *head, int i, int c) { return element(l, head, i, c, l->dk, stored_key); }
float attn_value(const kv_layout *l, const uint8_t *head, int i, int c) { return element(l, head, i, c, l->dv, stored_value); }

bool attn_values_finite(const kv_layout *l, const uint8_t *head, int n)
{
    for (int i = 0; i < n; i++) {
        if (!isfinite(v_scale(l, head, i))) return false;
        for (int c = 0; c < l->dv && l->type != KV_Q8; c++)
            if (!isfinite(stored_value(l, head, i, c))) return false;
    }
    return true;
}

/* ---- a tile over a page ---- */

static void queries(attn_tile *t) {}

/* Keys as [dk][KV_PAGE], so that the inner loop runs over tokens. */
static void scores(attn_tile *t, const uint8_t *head, int n)
{
    float *k = t->panel;
    const int dk = t->kv->dk;
    for (int c = 0; c < dk; c++)
        for (int i = 0; i < n; i++) k[c * KV_PAGE + i] = stored_key(t->kv, head, i, c);
    for (int r = 0; r < t->st.rows; r++) {
        double sum[KV_PAGE] = {0};
        for (int c = 0; c < dk; c++) {
            double q = (double)t->q[r * dk + c];
            for (int i = 0; i < n; i++) sum[i] += q * (double)k[c * KV_PAGE + i];
        }
        for (int i = 0; i < n; i++) t->s[r * KV_PAGE + i] = (float)sum[i];
    }
}

static void softmax(attn_tile *t, int n)
{
    for (int r = 0; r < t->st.rows; r++) {
        float *s = t->s + r * KV_PAGE, max = t->st.max[r];
        for (int i = 0; i < n; i++) max = s[i] > max ? s[i] : max;
        float from = max == -INFINITY ? 0 : max; /* nothing seen yet: every weight is 0 */
        double sum = 0;
        for (int i = 0; i < n; i++) {
            s[i] = exp2f(s[i] - from);
            sum += (double)s[i];
        }
        memset(s + n, 0, (size_t)(KV_PAGE - n) * sizeof *s);
        t->alpha[r] = exp2f(t->st.max[r] - from);
        t->st.sum[r] = t->st.sum[r] * (double)t->alpha[r] + sum;
        t->st.max[r] = max;
    }
}

/* Adds the tokens [0, n) one by one; `skip`: those of weight 0 are not even looked at. */
static void add_values(attn_tile *t, const float *v, int n, bool skip)
{
    const int dv = t->kv->dv;
    for (int r = 0; r < t->st.rows; r++) {
        float *out = t->st.out + r * t->st.ld;
        const float *p = t->s + r * KV_PAGE;
        for (int c = 0; c < dv; c += ATTN_COLS) {
            double sum[ATTN_COLS] = {0};
            int cols = dv - c < ATTN_COLS ? dv - c : ATTN_COLS;
            for (int i = 0; i < n; i++)
                for (int j = 0; j < cols && !(skip && p[i] == 0); j++) sum[j] += (double)p[i] * (double)v[i * dv + c + j];
            for (int j = 0; j < cols; j++) out[c + j] = out[c + j] * t->alpha[r] + (float)sum[j];
        }
    }
}

static void unpack_values(attn_tile *t, const uint8_t *head, int n)
{
    float *v = t->panel;
    for (int i = 0; i < n; i++)
        for (int c = 0; c < t->kv->dv; c++) v[i * t->kv->dv + c] = stored_value(t->kv, head, i, c);
}

static void values(attn_tile *t, const uint8_t *head, int n)
{
    unpack_values(t, head, n);
    add_values(t, t->panel, n, false);
}

void attn_values_careful(attn_tile *t, const uint8_t *head, int n)
{
    unpack_values(t, head, n);
    add_values(t, t->panel, n, true);
}

void attn_fill_ref(attn_table *t)
{
    *t = (attn_table){.store = attn_store_ref, .rotate = attn_rotate, .queries = queries, .scores = scores, .softmax = softmax, .values = values};
}
