/* Row operations: norms, positions, activations, softmax, sums. All float32, all in place where it says so.
 *
 * `n` is the length of a row. Sums run in a fixed order that does not depend on anything but n, so a row's result is the same
 * in every batch, chunk and thread count.
 */
#ifndef KERNEL_VEC_H
#define KERNEL_VEC_H

#include <stdbool.h>
#include <stdint.h>

typedef enum vec_act { VEC_SILU, VEC_GELU_TANH, VEC_GELU_ERF, VEC_RELU, VEC_SIGMOID } vec_act;

typedef struct vec_table {
    /* y[i] = x[i] * w[i] / sqrt(mean(x^2) + eps); y may be x; w NULL means ones. RMSNorm, Zhang & Sennrich 2019. */
    void (*rms_norm)(float *y, const float *x, const float *w, int64_t n, float eps);
    /* y[i] += x[i] * w[i] / sqrt(mean(x^2) + eps) */
    void (*rms_norm_add)(float *y, const float *x, const float *w, int64_t n, float eps);
    void (*add)(float *y, const float *x, int64_t n);              /* y += x */
    void (*scale)(float *x, float by, int64_t n);                  /* x *= by */
    void (*axpy)(float *y, const float *x, float by, int64_t n);   /* y += by * x */
    void (*axpy_bf16)(float *y, const uint16_t *x, float by, int64_t n); /* the same, x as bfloat16 */
    /* y[i] = act(gate[i]) * up[i]; y may be gate or up. */
    void (*glu)(float *y, const float *gate, const float *up, int64_t n, vec_act act);
    /* x[i] = cap * tanh(x[i] / cap) */
    void (*softcap)(float *x, float cap, int64_t n);
    /* Rotates one head: pairs (x[i], x[i + dims/2]), or (x[2i], x[2i+1]) when interleaved, by (cos, sin) = table[2i], table[2i+1].
     * Elements from dims on stay. RoPE, Su et al. 2021. */
    void (*rope)(float *x, const float *table, int dims, bool interleaved);
    /* x = exp(x - max(x)); returns the sum, *max_out the maximum. A row of -inf only gives zeros and sum 0. */
    float (*softmax_part)(float *x, int64_t n, float *max_out);
} vec_table;

void vec_fill_ref(vec_table *t);
void vec_fill_avx2(vec_table *t);
void vec_fill_avx512(vec_table *t);
void vec_fill_neon(vec_table *t);

#endif
