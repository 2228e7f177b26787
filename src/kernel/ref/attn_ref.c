/* Pages and attention in plain C: the oracle. Sums over a page run in double. */
#include <math.h>
#include <string.h>

#include "kernel/attn.h"
#include "quant/quant.h"

/* ---- storing ---- */

void attn_rotate(float *x, int n, int width)
{
    const float by = attn_rotate_by(width);
    for (; width && n >= width; n -= width, x += width) {
        for (int half = 1; half < width; half *= 2)
            for (int i = 0; i < width; i += 2 * half)
                for (int j = i; j < i + half; j++) {
                    float a = x[j], b = x[j + half];
                    x[j] = a + b;
                    x[j + half] = a - b;
                }
        for (int i = 0; i < width; i++) x[i] *= by;
    }
}

float attn_code_scale(kv_type type, float top, float high, bool finite)
{
    if (!finite) return NAN;
    if (top < ATTN_CODE_ZERO) return 0;
    return type == KV_Q8 ? top / 127 : high < top ? top / 8 : -top / 8;
}

static float code_scale(kv_type type, const float *x, int n)
{
    float top = 0, high = 0;
    bool finite = true;
    for (int i = 0; i < n; i++) {
        float a = fabsf(x[i]);
        top = a > top ? a : top;
        high = x[i] > high ? x[i] : high;
        finite = finite && a < INFINITY;
    }
    return attn_code_scale(type, top, high, finite);
}

/* A scale as a bfloat16: of 8-bit codes rounded up, so that no code passes 127. */
static uint16_t scale_bf16(kv_type type, float scale)
{
    return type == KV_Q4 || isnan(scale) ? quant_f32_to_bf16(scale) : (uint16_t)((quant_f32_bits(scale) + 0xffffu) >> 16);
}

/* What numbers are multiplied by to become codes; all codes are 0 where the scale says nothing. */
static float code_inverse(float scale) { return fabsf(scale) > 0 ? 1 / scale : 0; }

static int code_of(kv_type type, float x, float inverse)
{
    if (inverse == 0) return 0;
    const long code = lrintf(x * inverse);
    return type == KV_Q4 && code > 7 ? 7 : (int)code;
}

/* Element i of a part. */
static void put_code(kv_type type, uint8_t *part, size_t i, int code)
{
    if (type == KV_Q8) {
        part[i] = (uint8_t)code;
        return;
    }
    uint8_t *byte = part + i / 8 * 4 + i % 4;
    *byte = (uint8_t)(i % 8 < 4 ? (*byte & 0xf0) | (code & 15) : (*byte & 15) | (code & 15) << 4);
}

static int get_code(kv_type type, const uint8_t *part, size_t i)
{
    if (type == KV_Q8) return (int8_t)part[i];
    const int byte = part[i / 8 * 4 + i % 4], half = i % 8 < 4 ? byte & 15 : byte >> 4;
    return half < 8 ? half : half - 16;
}

static void store_codes(const kv_layout *l, uint8_t *head, int t, const float *k, const float *v)
{
    uint8_t *values = head + kv_v_offset(l);
    uint16_t *k_scales = (uint16_t *)(void *)(head + kv_k_scales(l));
    float *v_scales = (float *)(void *)(head + kv_v_scales(l)), x[KV_DIMS_MAX];
    attn_rotate(memcpy(x, k, (size_t)l->dk * sizeof *x), l->dk, kv_key_rotation(l->type));
    for (int c0 = 0; c0 < l->dk; c0 += KV_BLOCK) {
        int end = c0 + KV_BLOCK < l->dk ? c0 + KV_BLOCK : l->dk;
        uint16_t scale = k_scales[kv_k_scale_index(l, t, c0)] = scale_bf16(l->type, code_scale(l->type, x + c0, end - c0));
        float inverse = code_inverse(quant_bf16_to_f32(scale));
        for (int c = c0; c < end; c++) put_code(l->type, head, kv_k_index(l, t, c), code_of(l->type, x[c], inverse));
    }
    for (int c = l->dk; c < kv_key_units(l) * kv_unit(l->type); c++) put_code(l->type, head, kv_k_index(l, t, c), 0);
    attn_rotate(memcpy(x, v, (size_t)l->dv * sizeof *x), l->dv, kv_value_rotation(l->type, l->dv));
    float inverse = code_inverse(v_scales[t] = code_scale(l->type, x, l->dv));
    for (int c = 0; c < l->dv; c++) put_code(l->type, values, kv_v_index(l, t, c), code_of(l->type, x[c], inverse));
}

static void put(kv_type type, void *part, size_t i, float x)
{
    if (type == KV_F32) ((float *)part)[i] = x;
    else ((uint16_t *)part)[i] = quant_f32_to_bf16(x);
}

static void store_one(const kv_layout *l, uint8_t *head, int t, const float *k, const float *v)
{
    for (int c = 0; c < l->dk; c++) put(l->type, head, kv_k_index(l, t, c), k[c]);
    for (int c = 0; c < l->dv; c++) put(l->type, head + kv_v_offset(l), kv_v_index(l, t, c), v[c]);
}

void attn_store_ref(const kv_layout *l, uint8_t *head, int t, int n, const float *k, int64_t ldk, const float *v, int64_t ldv)
{
    for (int i = 0; i < n; i++) (kv_coded(l->type) ? store_codes : store_one)(l, head, t + i, k + i * ldk, v + i * ldv);
}

/* ---- reading ---- */

static float get(kv_type type, const uint8_t *part, size_t i)
{
    switch (type) {
    case KV_F32: return ((const float *)(const void *)part)[i];
    case KV_BF16: return quant_bf16_to_f32(((const uint16_t *)(const void *)part)[i]);
    default: return (float)get_code(type, part, i);
    }
}

/* As it is stored: of codes, rotated. */
static float stored_key(const kv_layout *l, const uint8_t *head, int i, int c)
{
    float x = get(l->type, head, kv_k_index(l, i, c));
    if (!kv_coded(l->type)) return x;
    return x * quant_bf16_to_f32(((const uint16_t *)(const void *)(head + kv_k_scales(l)))[kv_k_scale_index(l, i, c)]);
}

static float v_scale(const kv_layout *l, const uint8_t *head, int i)
{
    return kv_coded(l->type) ? ((const float *)(const void *)(head + kv_v_scales(l)))[i] : 1;
}

static float stored_value(const kv_layout *l, const uint8_t *head, int i, int c)
{
    return get(l->type, head + kv_v_offset(l), kv_v_index(l, i, c)) * v_scale(l, head, i);
}

void attn_key(const kv_layout *l, const uint8_t *head, int i, float *key)
{
    for (int c = 0; c < l->dk; c++) key[c] = stored_key(l, head, i, c);
    attn_rotate(key, l->dk, kv_key_rotation(l->type));
}

void attn_value(const kv_layout *l, const uint8_t *head, int i, float *value)
{
    for (int c = 0; c < l->dv; c++) value[c] = stored_value(l, head, i, c);
    attn_rotate(value, l->dv, kv_value_rotation(l->type, l->dv));
}

bool attn_values_finite(const kv_layout *l, const uint8_t *head, int n)
{
    for (int i = 0; i < n; i++) {
        if (!isfinite(v_scale(l, head, i))) return false;
        for (int c = 0; c < l->dv && !kv_coded(l->type); c++)
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

/* ---- pages of a prefix, for training ---- */

static void page_keys(const kv_layout *l, const uint8_t *head, int n, float *out, int64_t ld)
{
    for (int i = 0; i < n; i++)
        for (int c = 0; c < l->dk; c++) out[i / 16 * ld + c * 16 + i % 16] = stored_key(l, head, i, c);
}

static void page_values(const kv_layout *l, const uint8_t *head, int n, float *out, int64_t ld)
{
    for (int i = 0; i < n; i++)
        for (int c = 0; c < (l->dv + 15) / 16 * 16; c++) out[c / 16 * ld + i * 16 + c % 16] = c < l->dv ? stored_value(l, head, i, c) : 0;
}

void attn_fill_ref(attn_table *t)
{
    *t = (attn_table){.store = attn_store_ref, .rotate = attn_rotate, .queries = queries, .scores = scores, .softmax = softmax, .values = values,
                      .page_keys = page_keys, .page_values = page_values};
    attn_train_fill_ref(t);
}
