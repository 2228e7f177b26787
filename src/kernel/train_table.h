/* Row and element-wise operations of training, single-threaded: what train.h's operations are made of, beside those of vec.h.
 *
 * n is the length of a row. Element-wise ones have the same bits at every level; sums over a row at every level of vectors.
 */
#ifndef KERNEL_TRAIN_TABLE_H
#define KERNEL_TRAIN_TABLE_H

#include "kernel/vec.h"

/* AdamW with everything that is the same for all elements worked out. */
typedef struct train_adamw {
    float grad_scale;
    float keep_m, new_m, keep_v, new_v; /* m = keep_m * m + new_m * g; v with g^2 */
    float keep_w;                       /* 1 - lr * decay */
    float rate, root, eps;              /* w = keep_w * w - rate * m / (root * sqrt(v) + eps) */
} train_adamw;

typedef struct train_table {
    /* 1 / sqrt(mean(x^2) + eps) */
    float (*rms_factor)(const float *x, int64_t n, float eps);
    /* dx (=, +=) the gradient by x of rms_norm(x, w); dx may be dy. */
    void (*rms_norm_back)(float *dx, const float *dy, const float *x, const float *w, int64_t n, float eps, bool add);
    /* sum[i] += f[r] * dy[r][i] * x[r][i] over rows of ld floats, one row after the other. */
    void (*rms_norm_dw)(float *sum, const float *dy, const float *x, const float *f, int64_t rows, int64_t ld, int64_t n);
    void (*glu_back)(float *dgate, float *dup, const float *dy, const float *gate, const float *up, int64_t n, vec_act act);
    /* dx *= 1 - (y / cap)^2 */
    void (*softcap_back)(float *dx, const float *y, float cap, int64_t n);
    float (*sum_squares)(const float *x, int64_t n); /* of a few thousand */
    void (*adamw)(float *w, const float *g, float *m, float *v, int64_t n, const train_adamw *a);
} train_table;

void train_fill_ref(train_table *t);
void train_fill_avx2(train_table *t);
void train_fill_avx512(train_table *t);
void train_fill_neon(train_table *t);

#endif
