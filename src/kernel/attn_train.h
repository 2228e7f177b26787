/* Attention forward and backward, for training.
 *
 * A sequence of a training batch has a prefix that is fixed, pages of any type as inference wrote them, and rows of its own, whose keys and
 * values are float32 and get gradients. A row sees what op_attention would let it see: the prefix and the rows of its sequence up to itself, inside
 * the window. Nothing of the probabilities is kept: the backward pass computes them again from the logarithm of each row's sum (FlashAttention,
 * Dao et al. 2022). Arithmetic is float32 in either mode; the same bits at any number of threads.
 *
 * Sinks take their part in the sums; they get no gradient. A NaN spoils its own sequence and no other.
 */
#ifndef KERNEL_ATTN_TRAIN_H
#define KERNEL_ATTN_TRAIN_H

#include "kernel/ops.h"

/* A lesson in finding: some rows of a sequence should pay their attention, on average over these rows, to keys [begin, end).
 * What is added to the loss is weight * -log(mass), and `mass` and `loss` say how it stands. */
typedef struct op_attn_aim {
    int seq, head;      /* which sequence of the batch, which query head */
    int64_t row, rows;  /* rows [row, row + rows) of the sequence; rows 0: from `row` on, all */
    int64_t begin, end; /* positions in the sequence, the prefix counted: 0 <= begin < end */
    float weight;
    float *mass;        /* [rows] what each pays: the forward pass writes it, the backward pass reads it */
    float *loss;        /* -log(mean of mass), unweighted; NULL: not wanted */
} op_attn_aim;

typedef struct op_attn_train {
    op_attn_args a;     /* as for op_attention, but seqs[s]: pos is the length of the prefix and pages hold it, NULL where pos is 0; kv->type is theirs */
    const float *k, *v; /* [rows][kv heads][dk], rotated as op_rope_keys does, and [rows][kv heads][dv]: of the batch's rows */
    float *lse;         /* [rows][heads] natural logarithm of the sum of e^score: the forward pass writes it, the backward pass reads it */
    const op_attn_aim *aims;
    int n_aims;
} op_attn_train;

/* Writes a.out, lse, and what the aims point to. The scratch of both passes is reserved by limits (kernel_reserve): train_rows, heads, dk, dv. */
void op_attention_train(kernel_ctx *ctx, const op_attn_train *t);
/* From dout (of a.out) the gradients of a.q, not rotated, of k, rotated as k is, and of v. All are written, not added to.
 * Reads a.out and what else the forward pass wrote. */
void op_attention_train_back(kernel_ctx *ctx, const op_attn_train *t, const float *dout, float *dq, float *dk, float *dv);

#endif
