/* Pages and attention in plain C: the oracle. Sums over a page run in double. */
#include <math.h>
#include <string.h>

#include "kernel/attn.h"
#include "quant/quant.h"

/* ---- storing ---- */

/* Symmetric 8-bit codes of x[n] are rint(x * (1 / scale)). A token with something that is no finite number gets the scale NaN, so
 * that what looks at it sees NaN; one too small to tell from zero gets scale 0. */
static float q8_scale(const float *x, int n, float *inverse)
{
    float max = 0;
    bool finite = true;
    for (int i = 0; i < n; i++) {
        max = fmaxf(max, fabsf(x[i]));
        finite = finite && isfinite(x[i]);
    }
    *inverse = 0;
    if (!finite) return quant_bits_to_f32(0x7fc00000u);
    if (max < 1e-30f) return 0;
    *inverse = 127.0f / max;
    return max / 127.0f;
}

static int8_t q8_code(float x, float inverse) { return inverse > 0 ? (int8_t)lrintf(x * inverse) : 0; }

static void put(kv_type type, void *part, size_t i, float x, float inverse)
{
    switch (type) {
    case KV_F32: ((float *)part)[i] = x; break;
    case KV_BF16: ((uint16_t *)part)[i] = quant_f32_to_bf16(x); break;
    default: ((int8_t *)part)[i] = q8_code(x, inverse);
    }
}

static void store_one(const kv_layout *l, uint8_t *head, int t, const float *k, const float *v)
{
    float *scales = (float *)(void *)(head + kv_scale_offset(l));
    float ki = 0, vi = 0;
    if (l->type == KV_Q8) {
        scales[t] = q8_scale(k, l->dk, &ki);
        scales[KV_PAGE + t] = q8_scale(v, l->dv, &vi);
    }
    for (int c = 0; c < l->dk; c++) put(l->type, head, kv_k_index(l, t, c), k[c], ki);
    for (int c = 0; c < l->dv; c++) put(l->type, head + kv_v_offset(l), kv_v_index(l, t, c), v[c], vi);
}

static void store(const kv_layout *l, uint8_t *head, int t, int n, const float *k, int64_t ldk, const float *v, int64_t ldv)
{
    for (int i = 0; i < n; i++) store_one(l, head, t + i, k + i * ldk, v + i * ldv);
}

/* ---- reading ---- */

static float get(const kv_layout *l, const uint8_t *part, size_t i, float scale)
{
    switch (l->type) {
    case KV_F32: return ((const float *)(const void *)part)[i];
    case KV_BF16: return quant_bf16_to_f32(((const uint16_t *)(const void *)part)[i]);
    default: return (float)((const int8_t *)part)[i] * scale;
    }
}

/* Of keys at [token], of values at [KV_PAGE + token]; 1 where the type has none. */
static float scale_of(const kv_layout *l, const uint8_t *head, int i)
{
    return l->type == KV_Q8 ? ((const float *)(const void *)(head + kv_scale_offset(l)))[i] : 1;
}

float attn_key(const kv_layout *l, const uint8_t *head, int i, int c)
{
    return get(l, head, kv_k_index(l, i, c), scale_of(l, head, i));
}

float attn_value(const kv_layout *l, const uint8_t *head, int i, int c)
{
    return get(l, head + kv_v_offset(l), kv_v_index(l, i, c), scale_of(l, head, KV_PAGE + i));
}

bool attn_values_finite(const kv_layout *l, const uint8_t *head, int n)
{
    for (int i = 0; i < n; i++) {
        if (l->type == KV_Q8 && !isfinite(scale_of(l, head, KV_PAGE + i))) return false;
        for (int c = 0; c < l->dv && l->type != KV_Q8; c++)
            if (!isfinite(attn_value(l, head, i, c))) return false;
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
        for (int i = 0; i < n; i++) k[c * KV_PAGE + i] = attn_key(t->kv, head, i, c);
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
        for (int c = 0; c < t->kv->dv; c++) v[i * t->kv->dv + c] = attn_value(t->kv, head, i, c);
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
    *t = (attn_table){.store = store, .queries = queries, .scores = scores, .softmax = softmax, .values = values};
}
