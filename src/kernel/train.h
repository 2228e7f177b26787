/* Operations of training: products in every orientation, and the gradient of each operation of ops.h that a dense model is made of.
 *
 * All float32, row-major, over all threads; results do not depend on the number of threads, nor, in exact mode and but for sums over a
 * row, on the level. Ops cannot fail: their scratch is reserved with the ctx's other (kernel_limits.train_rows), the same for all sizes.
 * Names: dy is the gradient of the loss by y. An op that says `add` adds to what its result holds instead of overwriting it.
 */
#ifndef KERNEL_TRAIN_H
#define KERNEL_TRAIN_H

#include "kernel/ops.h"

/* c[m][n] (=, += when add) a . b */
typedef struct op_matmul_args {
    float *c;
    int64_t ldc; /* floats between two rows, here and below */
    bool add;
    const float *a;
    int64_t lda;
    bool a_t;    /* a is stored as [k][m], not [m][k] */
    const float *b;
    int64_t ldb;
    bool b_t;    /* b is stored as [n][k], not [k][n] */
    int64_t m, n, k; /* k: 1 or more */
} op_matmul_args;
/* In exact mode and for narrow operands (LoRA's) in float32 by the exact form of gemm.h, the same bits at every level; else by the level's
 * fast form. c is neither a nor b. */
void op_matmul(kernel_ctx *ctx, const op_matmul_args *p);

/* dx[rows][w->cols] (=, +=) dy[rows][w->rows] . w, of a weight of any stored type. */
void op_linear_back(kernel_ctx *ctx, const kernel_weight *w, const float *dy, int64_t ldy, float *dx, int64_t ldx, int64_t rows, bool add);
/* db[cols] += the sum of the rows of dy: the gradient of a bias. */
void op_bias_back(kernel_ctx *ctx, float *db, const float *dy, int64_t ldy, int64_t rows, int64_t cols);

/* Of op_rms_norm: dx (=, +=) its gradient by x (the norm's input), dw[cols] += by w. w NULL: ones; dw NULL: not wanted. dx may be dy. */
void op_rms_norm_back(kernel_ctx *ctx, float *dx, const float *dy, const float *x, const float *w, float *dw, int64_t rows, int64_t cols,
                      float eps, bool add);
/* Of op_glu; dgate and dup may each be any of the inputs. */
void op_glu_back(kernel_ctx *ctx, float *dgate, float *dup, const float *dy, const float *gate, const float *up, int64_t n, vec_act act);
/* Of op_softcap, in place: dx comes as the gradient by y, which is op_softcap's output. */
void op_softcap_back(kernel_ctx *ctx, float *dx, const float *y, float cap, int64_t n);
/* Of op_rope_keys, in place: turns back. */
void op_rope_keys_back(kernel_ctx *ctx, float *x, int64_t rows, int heads, int dim, const rope_tables *t);
/* Of op_embed: dw[ids[r]] += scale * dy[r], whichever rows are named more than once. */
void op_embed_back(kernel_ctx *ctx, float *dw, const int32_t *ids, const float *dy, int64_t rows, int64_t cols, float scale);

/* loss[r] = -log(softmax(logits[r])[targets[r]]), in nats, and in place of the logits their gradient: weights[r] * (softmax - one at the
 * target). weights NULL: ones. A target < 0 makes its row zeros and its loss 0. */
void op_cross_entropy(kernel_ctx *ctx, float *logits, const int32_t *targets, const float *weights, float *loss, int64_t rows, int64_t vocab);

void op_axpy(kernel_ctx *ctx, float *y, const float *x, float by, int64_t n); /* y += by * x */
void op_scale(kernel_ctx *ctx, float *x, float by, int64_t n);
double op_sum_squares(kernel_ctx *ctx, const float *x, int64_t n);

typedef struct op_adamw_args {
    double lr, beta1, beta2, eps;
    double decay;      /* w loses lr * decay of itself */
    double grad_scale; /* g counts so many times: for clipping and for means */
    int64_t step;      /* 1 for the first */
} op_adamw_args;
/* One step of w[n] against its gradient g; m and v are its moments, zeros at first. Loshchilov & Hutter 2019. */
void op_adamw(kernel_ctx *ctx, float *w, const float *g, float *m, float *v, int64_t n, const op_adamw_args *p);

#endif
