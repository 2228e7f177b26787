/* The gated delta rule, token by token. A layer of it has `heads` heads of values over `key_heads` heads of queries and keys; a head of values
 * keeps a state S[dk][dv], and a token makes of it
 *
 *     S *= decay,   S += k (beta (v - S^T k))^T,   out = S^T q
 *
 * The columns of S have nothing to do with one another. So a state is kept in blocks of DELTA_BLOCK columns, [blocks][dk][DELTA_BLOCK], the last
 * one padded with zeros, and a kernel takes one block through all tokens: it stays in the first-level cache, and as the order of the
 * sums does not depend on how many tokens there are, any chunks give the same bits.
 *
 * What a context keeps of a layer (KV_STATE, kv_layout.h) is the states of all heads, then the last `taps` - 1 inputs of its short convolution,
 * [taps - 1][channels], zeros before the first token.
 */
#ifndef KERNEL_DELTA_H
#define KERNEL_DELTA_H

#include <stdbool.h>

#include "kernel/kv_layout.h"

enum { DELTA_BLOCK = 16, DELTA_TAPS_MAX = 16 };

typedef struct delta_shape {
    int key_heads, heads; /* heads is a multiple of key_heads */
    int dk, dv;
    int taps;             /* tokens that the short convolution sees, the newest included */
    bool tiled;           /* head h of values goes with head h % key_heads of keys; else with h / (heads / key_heads) */
} delta_shape;

static inline int delta_blocks(const delta_shape *s) { return (s->dv + DELTA_BLOCK - 1) / DELTA_BLOCK; }
/* Columns of q, k and v together. */
static inline int64_t delta_channels(const delta_shape *s) { return 2 * (int64_t)s->key_heads * s->dk + (int64_t)s->heads * s->dv; }
static inline size_t delta_block_floats(const delta_shape *s) { return (size_t)s->dk * DELTA_BLOCK; }
static inline size_t delta_states_floats(const delta_shape *s) { return (size_t)s->heads * (size_t)delta_blocks(s) * delta_block_floats(s); }
/* Heads of the layout: those of values, and as many of their size as the convolution's inputs fill. */
static inline kv_layout delta_layout(const delta_shape *s)
{
    const size_t dv = (size_t)delta_blocks(s) * DELTA_BLOCK, head = (size_t)s->dk * dv;
    const size_t tail = (size_t)(s->taps - 1) * (size_t)delta_channels(s);
    return (kv_layout){.type = KV_STATE, .heads = s->heads + (int)((tail + head - 1) / head), .dk = s->dk, .dv = (int)dv};
}

/* One block of a head's state through `rows` tokens. Rows of q and k, of v, of out lie ld apart. */
typedef struct delta_part {
    int dk, columns;         /* columns of v and out that are there, at most DELTA_BLOCK */
    int64_t rows, ld_qkv, ld_out, ld_gate;
    const float *q, *k, *v;
    const float *decay, *beta; /* one number a row, ld_gate apart */
    float *out;
} delta_part;

typedef struct delta_table {
    /* state [dk][DELTA_BLOCK], in and out */
    void (*steps)(float *state, const delta_part *p);
    /* y[i] = silu(sum of w[t * n + i] * x[t][i]), t rising */
    void (*conv)(float *y, const float *const *x, const float *w, int taps, int64_t n);
} delta_table;

void delta_fill_ref(delta_table *t);
void delta_fill_avx2(delta_table *t);
void delta_fill_avx512(delta_table *t);
void delta_fill_neon(delta_table *t);

#endif
