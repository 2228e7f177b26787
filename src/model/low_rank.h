/* An adapter as the forward pass wants it: the first matrices of pairs that have their input in common as one, so that a row goes through them in
 * one product (with those of the base, where all rows of a set have the adapter); the second ones turned round, for op_low_rank. */
#ifndef MODEL_LOW_RANK_H
#define MODEL_LOW_RANK_H

#include "model/adapter.h"

/* Pairs of one input, in the order in which a call may want the first of them only, or the last. */
typedef enum low_side { LOW_QKV /* k, v, q */, LOW_O, LOW_GATED /* gate, up */, LOW_DOWN, LOW_SIDES } low_side;
enum { LOW_TARGETS = 3 /* of a side, at most */ };

typedef struct low_pair {
    int rank, first;  /* rows [first, first + rank) of the side's a; rank 0: the target has no pair */
    int64_t rows;     /* of the base's matrix */
    void *b;          /* [rank][rows] */
    quant_type type;
} low_pair;

typedef struct low_group {
    kernel_weight a;  /* [rows: ranks of all pairs][columns of the base's]; no rows: the side has no pair */
    low_pair of[LOW_TARGETS];
} low_group;

typedef struct low_rank {
    kernel_ctx *ctx;
    int n_layers, width; /* width: most rows of an a */
    bool gated;          /* some layer has a pair of LOW_GATED */
    float scale;
    low_group *groups;   /* [n_layers][LOW_SIDES] */
} low_rank;

/* Copies what it needs of an adapter that fits (adapter_fits). Used with models of this kernel_ctx. */
CJ_NODISCARD cj_err low_rank_open(low_rank **out, kernel_ctx *ctx, const model_adapter *a, cj_diag *d);
void low_rank_close(low_rank **l);
size_t low_rank_bytes(const low_rank *l);

/* NULL: this layer has no pairs of the side. */
static inline const low_group *low_rank_group(const low_rank *l, int layer, low_side side)
{
    const low_group *g = layer < l->n_layers ? &l->groups[layer * LOW_SIDES + side] : NULL;
    return g && g->a.rows ? g : NULL;
}

#endif
