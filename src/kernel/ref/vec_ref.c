/* Row operations in plain C: the oracle. Sums in double, so that a faster order can be judged against it. */
#include <math.h>

#include "kernel/vec.h"
#include "quant/quant.h"

static float rms_factor(const float *x, int64_t n, float eps)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    return (float)(1.0 / sqrt(sum / (double)n + eps));
}

static void rms_norm(float *y, const float *x, const float *w, int64_t n, float eps)
{
    float f = rms_factor(x, n, eps);
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * f * (w ? w[i] : 1.0f);
}

static void rms_norm_add(float *y, const float *x, const float *w, int64_t n, float eps)
{
    float f = rms_factor(x, n, eps);
    for (int64_t i = 0; i < n; i++) y[i] += x[i] * f * (w ? w[i] : 1.0f);
}

static void add(float *y, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

static void scale(float *x, float by, int64_t n)
{
    for (int64_t i = 0; i < n; i++) x[i] *= by;
}

static void axpy(float *y, const float *x, float by, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] += by * x[i];
}

static void axpy_bf16(float *y, const uint16_t *x, float by, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] += by * quant_bf16_to_f32(x[i]);
}

static float act_of(float x, vec_act act)
{
    const float root_2_over_pi = 0.79788456080286535588f;
    switch (act) {
    case VEC_SILU: return x / (1.0f + expf(-x));
    case VEC_GELU_TANH: return 0.5f * x * (1.0f + tanhf(root_2_over_pi * x * (1.0f + 0.044715f * x * x)));
    case VEC_GELU_ERF: return 0.5f * x * (1.0f + erff(x * 0.70710678118654752440f));
    case VEC_RELU: return x > 0 ? x : 0;
    case VEC_SIGMOID: return 1.0f / (1.0f + expf(-x));
    }
    return x;
}

static void glu(float *y, const float *gate, const float *up, int64_t n, vec_act act)
{
    for (int64_t i = 0; i < n; i++) y[i] = act_of(gate[i], act) * up[i];
}

static void softcap(float *x, float cap, int64_t n)
{
    for (int64_t i = 0; i < n; i++) x[i] = cap * tanhf(x[i] / cap);
}

static void rope(float *x, const float *table, int dims, bool interleaved)
{
    int half = dims / 2;
    for (int i = 0; i < half; i++) {
        float c = table[2 * i], s = table[2 * i + 1];
        float *a = interleaved ? x + 2 * i : x + i, *b = interleaved ? a + 1 : a + half;
        float a0 = *a, b0 = *b;
        *a = a0 * c - b0 * s;
        *b = a0 * s + b0 * c;
    }
}

static float softmax_part(float *x, int64_t n, float *max_out)
{
    float max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) max = x[i] > max ? x[i] : max;
    *max_out = max;
    for (int64_t i = 0; i < n; i++) {
        x[i] = max == -INFINITY ? 0 : expf(x[i] - max);
        sum += x[i];
    }
    return sum;
}

void vec_fill_ref(vec_table *t)
{
    *t = (vec_table){
        .rms_norm = rms_norm, .rms_norm_add = rms_norm_add, .add = add, .scale = scale, .axpy = axpy, .axpy_bf16 = axpy_bf16,
        .glu = glu, .softcap = softcap, .rope = rope, .softmax_part = softmax_part,
    };
}
