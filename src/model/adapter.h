/* A low-rank adapter (LoRA, Hu et al. 2021) as data: for some of a model's matrices w a pair of small ones, so that
 *     y = x . w^T   becomes   y + scale * (x . a^T) . b^T
 * Inference reads it, training writes it; files of adapters are format's, what a file may be laid over is the engine's to decide.
 */
#ifndef MODEL_ADAPTER_H
#define MODEL_ADAPTER_H

#include "kernel/weight.h"

enum { ADAPTER_RANK_MAX = 512 };

/* The matrices of a layer that a pair can belong to: of grouped-query attention and of a dense feed-forward. */
typedef enum adapter_target { ADAPTER_Q, ADAPTER_K, ADAPTER_V, ADAPTER_O, ADAPTER_GATE, ADAPTER_UP, ADAPTER_DOWN, ADAPTER_TARGETS } adapter_target;

/* Both float32; absent when a.data is NULL. */
typedef struct adapter_pair {
    kernel_weight a; /* [rank][columns of w] */
    kernel_weight b; /* [rows of w][rank] */
} adapter_pair;

typedef struct model_adapter {
    int n_layers, rank; /* the largest rank of a pair */
    float scale;        /* alpha / rank */
    adapter_pair *pairs; /* [n_layers][ADAPTER_TARGETS] */
} model_adapter;

static inline adapter_pair *adapter_pair_of(const model_adapter *a, int layer, adapter_target t) { return &a->pairs[layer * ADAPTER_TARGETS + t]; }

#endif
