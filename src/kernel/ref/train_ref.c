/* Row operations of training in plain C: the oracle. Sums in double; element-wise ones round where the vectors do. */
#include <math.h>

#include "kernel/train_table.h"

static float rms_factor(const float *x, int64_t n, float eps)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    return (float)(1.0 / sqrt(sum / (double)n + eps));
}

/* With f = 1 / sqrt(mean(x^2) + eps): dx = f w dy - x f^3 mean(w dy x). */
static void rms_norm_back(float *dx, const float *dy, const float *x, const float *w, int64_t n, float eps, bool add)
{
    double f = rms_factor(x, n, eps), dot = 0;
    for (int64_t i = 0; i < n; i++) dot += (w ? (double)w[i] : 1) * dy[i] * x[i];
    double along = f * f * f * dot / (double)n;
    for (int64_t i = 0; i < n; i++) dx[i] = (add ? dx[i] : 0) + (float)(f * (w ? (double)w[i] : 1) * dy[i] - along * x[i]);
}

static void rms_norm_dw(float *sum, const float *dy, const float *x, const float *f, int64_t rows, int64_t ld, int64_t n)
{
    for (int64_t r = 0; r < rows; r++, dy += ld, x += ld)
        for (int64_t i = 0; i < n; i++) sum[i] = fmaf(dy[i] * f[r], x[i], sum[i]);
}

/* act and its derivative. */
static double act_of(double x, vec_act act, double *slope)
{
    const double root_8_over_pi = 1.59576912160573071176, root_half = 0.70710678118654752440, root_1_over_2pi = 0.39894228040143267794;
    double s, u;
    switch (act) {
    case VEC_SILU:
        s = 1 / (1 + exp(-x));
        *slope = s * (1 + x * (1 - s));
        return x * s;
    case VEC_GELU_TANH: /* x sigmoid(u) */
        u = root_8_over_pi * x * (1 + 0.044715 * x * x);
        s = 1 / (1 + exp(-u));
        *slope = s + x * s * (1 - s) * root_8_over_pi * (1 + 3 * 0.044715 * x * x);
        return x * s;
    case VEC_GELU_ERF:
        s = 0.5 * (1 + erf(x * root_half));
        *slope = s + x * root_1_over_2pi * exp(-0.5 * x * x);
        return x * s;
    case VEC_RELU: *slope = x > 0; return x > 0 ? x : 0;
    case VEC_SIGMOID:
        s = 1 / (1 + exp(-x));
        *slope = s * (1 - s);
        return s;
    }
    *slope = 1;
    return x;
}

static void glu_back(float *dgate, float *dup, const float *dy, const float *gate, const float *up, int64_t n, vec_act act)
{
    for (int64_t i = 0; i < n; i++) {
        double slope, a = act_of(gate[i], act, &slope), d = dy[i], u = up[i];
        dgate[i] = (float)(d * u * slope);
        dup[i] = (float)(d * a);
    }
}

static void softcap_back(float *dx, const float *y, float cap, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float t = y[i] / cap;
        dx[i] *= fmaf(-t, t, 1.0f);
    }
}

static float sum_squares(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    return (float)sum;
}

static void adamw(float *w, const float *g, float *m, float *v, int64_t n, const train_adamw *a)
{
    for (int64_t i = 0; i < n; i++) {
        float d = g[i] * a->grad_scale;
        m[i] = fmaf(m[i], a->keep_m, d * a->new_m);
        v[i] = fmaf(v[i], a->keep_v, d * d * a->new_v);
        w[i] = w[i] * a->keep_w - a->rate * m[i] / fmaf(sqrtf(v[i]), a->root, a->eps);
    }
}

void train_fill_ref(train_table *t)
{
    *t = (train_table){
        .rms_factor = rms_factor, .rms_norm_back = rms_norm_back, .rms_norm_dw = rms_norm_dw, .glu_back = glu_back,
        .softcap_back = softcap_back, .sum_squares = sum_squares, .adamw = adamw,
    };
}
