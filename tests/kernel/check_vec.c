/* Row operations at every level, and over the plain-C vocabulary, against double precision; nothing is written past a row's end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "gemm_case.h"
#include "level_case.h"

void vec_fill_emulated(vec_table *t);

enum { MAX = 5000, GUARD = 8 };

#ifndef CHECK_LEVELS_ONLY
static void emulate(kernel_table *t) { vec_fill_emulated(&t->vec); }
#else
#define emulate NULL
#endif

static vec_table table_of(const subject *s) { return level_table(s, emulate).vec; }

static const int64_t lengths[] = {1, 2, 15, 16, 17, 31, 32, 33, 64, 70, 128, 640, 1000, 4864};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

/* Rows to work on: guard elements behind each must stay as they are. */
static float x[MAX + GUARD], y[MAX + GUARD], w[MAX + GUARD], before[MAX + GUARD];

static void fill(float *v, int64_t n, uint64_t seed, float by)
{
    uint64_t s = seed;
    for (int64_t i = 0; i < n + GUARD; i++) v[i] = i < n ? by * gemm_gauss(&s) : 12345.0f;
}

static void near(const subject *s, const char *op, int64_t n, int64_t i, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance) && !(isnan(want) && isnan(got)) && got != want)
        fail_msg("%s: %s of %ld, element %ld: %.9g, not %.9g", s->name, op, (long)n, (long)i, got, want);
}

static void guarded(const subject *s, const char *op, const float *v, int64_t n)
{
    for (int i = 0; i < GUARD; i++)
        if (v[n + i] != 12345.0f) fail_msg("%s: %s of %ld writes past the row", s->name, op, (long)n);
}

static void norms(void **state)
{
    const subject *s = *state;
    vec_table t = table_of(s);
    for (int l = 0; l < LENGTHS; l++)
        for (int form = 0; form < 4; form++) { /* with and without weights, stored and added */
            int64_t n = lengths[l];
            fill(x, n, 1, 3), fill(w, n, 2, 1), fill(y, n, 3, 1);
            memcpy(before, y, sizeof y);
            const float *weights = form & 1 ? w : NULL;
            (form & 2 ? t.rms_norm_add : t.rms_norm)(y, x, weights, n, 1e-6f);
            double sum = 0;
            for (int64_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
            double f = 1 / sqrt(sum / (double)n + 1e-6);
            for (int64_t i = 0; i < n; i++) {
                double v = x[i] * f * (weights ? (double)w[i] : 1), base = form & 2 ? (double)before[i] : 0;
                near(s, "norm", n, i, y[i], base + v, 1e-6 * (fabs(v) + fabs(base)));
            }
            guarded(s, "norm", y, n);
        }
}

static void sums(void **state)
{
    const subject *s = *state;
    vec_table t = table_of(s);
    for (int l = 0; l < LENGTHS; l++) {
        int64_t n = lengths[l];
        fill(x, n, 1, 3), fill(y, n, 2, 1);
        memcpy(before, y, sizeof y);
        t.add(y, x, n);
        for (int64_t i = 0; i < n; i++) assert_true(y[i] == before[i] + x[i]);
        t.scale(y, 0.3f, n);
        for (int64_t i = 0; i < n; i++) assert_true(y[i] == (before[i] + x[i]) * 0.3f);
        memcpy(before, y, sizeof y);
        t.axpy(y, x, -0.7f, n);
        for (int64_t i = 0; i < n; i++)
            near(s, "axpy", n, i, y[i], before[i] - (double)0.7f * x[i], 1e-7 * (fabs((double)before[i]) + fabs((double)x[i])));
        guarded(s, "sum", y, n);
        uint16_t *half = mem_array((size_t)n, sizeof *half); /* no more than a row of it may be read */
        for (int64_t i = 0; i < n; i++) half[i] = quant_f32_to_bf16(x[i]);
        memcpy(before, y, sizeof y);
        t.axpy_bf16(y, half, -0.7f, n);
        for (int64_t i = 0; i < n; i++) {
            const double v = (double)quant_bf16_to_f32(half[i]);
            near(s, "axpy_bf16", n, i, y[i], before[i] - (double)0.7f * v, 1e-7 * (fabs((double)before[i]) + fabs(v)));
        }
        mem_free(half);
        guarded(s, "axpy_bf16", y, n);
    }
}

static double act(double v, vec_act a)
{
    switch (a) {
    case VEC_SILU: return v / (1 + exp(-v));
    case VEC_GELU_TANH: return v / (1 + exp(-2 * sqrt(2 / acos(-1)) * v * (1 + 0.044715 * v * v)));
    case VEC_GELU_ERF: return 0.5 * v * erfc(-v / sqrt(2));
    case VEC_RELU: return v > 0 ? v : 0;
    case VEC_SIGMOID: return 1 / (1 + exp(-v));
    }
    return v;
}

static void activations(void **state)
{
    const subject *s = *state;
    vec_table t = table_of(s);
    static const float edges[] = {0, -0.0f, 1e-30f, -1e-30f, 20, -20, 88, -88, 100, -100, 1e4f, -1e4f};
    for (int a = VEC_SILU; a <= VEC_SIGMOID; a++)
        for (int l = 0; l < LENGTHS; l++) {
            int64_t n = lengths[l];
            fill(x, n, 1, 4), fill(w, n, 2, 1), fill(y, n, 3, 1);
            if (n > 16) memcpy(x, edges, sizeof edges);
            t.glu(y, x, w, n, (vec_act)a);
            for (int64_t i = 0; i < n; i++) {
                double want = act(x[i], (vec_act)a) * w[i];
                near(s, "glu", n, i, y[i], want, 2e-6 * fabs(want) + 1e-7 * fabs((double)x[i] * w[i]) + 1e-36);
            }
            guarded(s, "glu", y, n);
        }
}

static void softcaps(void **state)
{
    const subject *s = *state;
    vec_table t = table_of(s);
    for (int l = 0; l < LENGTHS; l++) {
        int64_t n = lengths[l];
        for (float by = 1e-4f; by < 1e5f; by *= 30) {
            fill(x, n, 1, by);
            memcpy(before, x, sizeof x);
            t.softcap(x, 30, n);
            for (int64_t i = 0; i < n; i++) {
                double want = 30 * tanh(before[i] / 30.0);
                near(s, "softcap", n, i, x[i], want, 5e-7 * fabs(want));
            }
            guarded(s, "softcap", x, n);
        }
    }
}

static void rotations(void **state)
{
    const subject *s = *state;
    vec_table t = table_of(s);
    for (int dims = 2; dims <= 256; dims += dims < 70 ? 2 : 62)
        for (int interleaved = 0; interleaved < 2; interleaved++) {
            fill(x, dims, 1, 1), fill(w, dims, 2, 1);
            memcpy(before, x, sizeof x);
            t.rope(x, w, dims, interleaved);
            for (int i = 0; i < dims / 2; i++) {
                int a = interleaved ? 2 * i : i, b = interleaved ? a + 1 : a + dims / 2;
                double c = w[2 * i], d = w[2 * i + 1];
                double size = (fabs((double)before[a]) + fabs((double)before[b])) * (fabs(c) + fabs(d));
                near(s, "rope", dims, a, x[a], before[a] * c - before[b] * d, 2e-7 * size);
                near(s, "rope", dims, b, x[b], before[a] * d + before[b] * c, 2e-7 * size);
            }
            guarded(s, "rope", x, dims);
        }
}

static void softmaxes(void **state)
{
    const subject *s = *state;
    vec_table t = table_of(s);
    for (int l = 0; l < LENGTHS; l++) {
        int64_t n = lengths[l];
        fill(x, n, 1, 10);
        for (int64_t i = 3; i < n; i += 5) x[i] = -INFINITY;
        memcpy(before, x, sizeof x);
        float max;
        double sum = 0, top = -INFINITY, got = t.softmax_part(x, n, &max);
        for (int64_t i = 0; i < n; i++) top = fmax(top, before[i]);
        assert_true(max == (float)top);
        for (int64_t i = 0; i < n; i++) {
            double want = exp(before[i] - top);
            near(s, "softmax", n, i, x[i], want, 5e-6 * want + 1e-37);
            sum += want;
        }
        near(s, "softmax sum", n, 0, got, sum, 1e-6 * sum);
        guarded(s, "softmax", x, n);
        for (int64_t i = 0; i < n; i++) x[i] = -INFINITY; /* a row that sees nothing */
        assert_true(t.softmax_part(x, n, &max) == 0 && max == -INFINITY);
        for (int64_t i = 0; i < n; i++) assert_true(x[i] == 0);
    }
}

/* The vector levels and the emulation add in the same lanes: the same bits. */
static void levels_agree(void **state)
{
    (void)state;
    static float expected[MAX];
    int seen = 0;
    for (int k = 1; k < SUBJECTS; k++) {
        if (!level_runs(&subjects[k])) continue;
        vec_table t = table_of(&subjects[k]);
        int64_t n = 1003;
        float max;
        fill(x, n, 1, 4), fill(w, n, 2, 1), fill(y, n, 3, 1);
        t.rms_norm(y, x, w, n, 1e-5f);
        t.glu(y, x, y, n, VEC_SILU);
        t.glu(y, x, y, n, VEC_GELU_TANH);
        t.axpy(y, x, 0.1f, n);
        t.softcap(y, 5, n);
        y[0] = t.softmax_part(y, n, &max);
        if (seen++) assert_memory_equal(y, expected, sizeof(float) * (size_t)n);
        memcpy(expected, y, sizeof(float) * (size_t)n);
    }
    if (seen < 2) skip_because("one level of vectors alone runs here");
}

int main(void)
{
    static const level_test each[] = {{"norms", norms}, {"sums", sums}, {"activations", activations}, {"softcaps", softcaps}, {"rotations", rotations}, {"softmaxes", softmaxes}};
    enum { EACH = sizeof each / sizeof *each };
    struct CMUnitTest tests[SUBJECTS * EACH + 1] = {cmocka_unit_test(levels_agree)};
    level_tests(tests + 1, each, EACH);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
