/* A low-rank adapter (LoRA, Hu et al. 2021) as data: for some of a model's matrices w a pair of small ones, so that
 *     y = x . w^T   becomes   y + scale * (x . a^T) . b^T
 * Inference reads it, training writes it; files of adapters are adapter_file.h's, the forward pass has its own form of it (low_rank.h).
 */
#ifndef MODEL_ADAPTER_H
#define MODEL_ADAPTER_H

#include "model/spec.h"

enum { ADAPTER_RANK_MAX = 512 };

/* The matrices of a layer that a pair can belong to: of grouped-query attention and of a dense feed-forward. */
typedef enum adapter_target { ADAPTER_Q, ADAPTER_K, ADAPTER_V, ADAPTER_O, ADAPTER_GATE, ADAPTER_UP, ADAPTER_DOWN, ADAPTER_TARGETS } adapter_target;

/* Both float32 where they are trained, F32, F16 or BF16 where they come from a file; absent when a.data is NULL. */
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

/* What GGUF calls such a matrix in "blk.3.attn_q.weight": "attn_q". Static. */
const char *adapter_target_name(adapter_target t);
/* The matrix itself; NULL: a layer of another kind, which has none that a pair can belong to. */
const kernel_weight *adapter_base(const model_spec *m, int layer, adapter_target t);
/* Whether the adapter can be laid over this model: its layers, the shape of every pair. name: the adapter's, for messages. */
CJ_NODISCARD cj_err adapter_fits(const model_adapter *a, const model_spec *m, const char *name, cj_diag *d);
/* Differs where the numbers, types or scale of two adapters do. */
uint64_t adapter_print(const model_adapter *a);

#endif
