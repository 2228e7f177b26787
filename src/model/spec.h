/* A model as data: what each layer is, and the weights bound to it. Family adapters (family/) fill these structs from a model
 * file; forward.c reads them. No behaviour is guessed from names or layer counts anywhere else.
 */
#ifndef MODEL_SPEC_H
#define MODEL_SPEC_H

#include "context/kv.h"
#include "kernel/ops.h"

enum { MODEL_LAYERS_MAX = 1024, MODEL_ROPES_MAX = 2, MODEL_ROWS_MAX = 65536 };

/* A matrix with an optional bias; absent when w.data is NULL. */
typedef struct model_linear {
    kernel_weight w;
    float *bias; /* [w.rows] or NULL */
} model_linear;

typedef enum mixer_kind { MIXER_GQA, MIXER_DELTA } mixer_kind;
typedef enum ffn_kind { FFN_DENSE, FFN_MOE } ffn_kind;

/* Grouped-query attention, Ainslie et al. 2023. Heads are [heads][dk] along a row. */
typedef struct gqa_spec {
    int heads, kv_heads, dk, dv;
    float scale, softcap; /* softcap 0: none */
    int64_t window;       /* 0: all */
    int rope;             /* index into model_spec.ropes; -1: no positions */
    model_linear q, k, v, o;
    uint8_t *keep_times;  /* [heads] of op_sparse; NULL: all alike (model_keep_more) */
    model_linear gate;    /* what attention gives is multiplied by sigmoid(gate x); absent: not */
    float *q_norm, *k_norm; /* [dk] RMSNorm of every head before rotation; NULL: none */
} gqa_spec;

/* The gated delta rule over a short convolution, Yang et al. 2024. A head of values keeps a state S[dk][dv], and a token does
 *     S *= e^(a softplus(alpha x + dt)),   S += k (beta (v - S^T k))^T,   out = norm(S^T q) * silu(z x)
 * where q, k, v are what the convolution makes of qkv x, q and k are of length one (q then divided by sqrt(dk)), and beta = sigmoid(beta x). */
typedef struct delta_spec {
    delta_shape shape;
    model_linear qkv;     /* [q of key_heads * dk, k alike, v of heads * dv][hidden] */
    model_linear z;       /* [heads * dv][hidden] */
    model_linear beta, alpha; /* [heads][hidden] */
    model_linear out;
    float *conv;          /* [taps][rows of qkv] */
    float *a, *dt, *norm; /* [heads], [heads], [dv] */
} delta_spec;

/* Gated feed-forward: down(act(gate x) * up x). Shazeer 2020. */
typedef struct dense_spec {
    int64_t width;
    vec_act act;
    model_linear gate, up, down;
} dense_spec;

/* Mixture of experts: the `used` likeliest experts of a softmax router. Expert e's matrices are rows of a stored tensor
 * of all experts, or tensors of their own. */
typedef struct moe_spec {
    int experts, used;
    bool normalise;       /* weights of the chosen sum to one */
    float scale;
    int64_t width;
    vec_act act;
    model_linear router;
    kernel_weight *gate, *up, *down; /* [experts] */
    dense_spec shared;        /* an expert that every row goes through; absent when its width is 0 */
    model_linear shared_gate; /* what it gives is multiplied by sigmoid(shared_gate x) */
} moe_spec;

typedef struct layer_spec {
    mixer_kind mixer;
    ffn_kind ffn;
    gqa_spec gqa;       /* of MIXER_GQA; all zeros otherwise */
    delta_spec delta;   /* of MIXER_DELTA */
    dense_spec dense;
    moe_spec moe;
    float *mixer_norm, *ffn_norm;           /* [hidden] before each half */
    float *mixer_post_norm, *ffn_post_norm; /* sandwich: after each half, before it is added; NULL: none */
} layer_spec;

typedef struct model_spec {
    const char *family; /* static: the architecture's name */
    char name[128];
    int n_layers;
    int64_t hidden, vocab, context; /* context: trained window in tokens */
    float norm_eps, embed_scale, logit_softcap;
    int n_ropes;
    rope_spec ropes[MODEL_ROPES_MAX];
    kernel_weight embed;
    model_linear head; /* bound to embed when tied */
    float *final_norm;
    layer_spec *layers;
} model_spec;

#endif
