/* What is trained: the pairs of an adapter over a model that stays as it is, however its weights are stored; or every weight of a copy of a model in
 * float32.
 *
 * All parameters lie in one block and their gradients in another of the same layout, so what an optimiser keeps of them can be blocks of that layout
 * too, and a checkpoint is a few blocks. Each parameter begins at a multiple of 64 bytes; what lies between is zero and stays zero.
 * The model must outlive the trainee. One thread uses it.
 */
#ifndef MODEL_TRAINEE_H
#define MODEL_TRAINEE_H

#include "model/adapter.h"
#include "model/model.h"

enum { PARAM_NAME_MAX = 64 };

typedef struct param {
    char name[PARAM_NAME_MAX]; /* as in GGUF; of an adapter "<matrix>.lora_a" and "<matrix>.lora_b" */
    int64_t at, rows, cols;    /* begins at element `at` of a block; a vector has one row */
    bool decay;                /* weight decay pulls at it: a matrix, not a norm or a bias */
} param;

/* Where gradients go; NULL: it is not trained. */
typedef struct linear_grads {
    float *w, *bias, *a, *b;
} linear_grads;

typedef struct layer_grads {
    linear_grads linears[ADAPTER_TARGETS];
    float *mixer_norm, *ffn_norm, *mixer_post_norm, *ffn_post_norm, *q_norm, *k_norm;
} layer_grads;

typedef struct trainee {
    kernel_ctx *ctx;
    const model_spec *spec;       /* what runs: of the model, or of its copy */
    const model_adapter *adapter; /* NULL: the whole model is trained */
    const param *params;
    int n_params;
    int64_t size;                 /* floats of a block */
    float *w, *g;                 /* device memory [size] */
    layer_grads *layers;          /* [layers of the model] */
    float *embed, *head, *head_bias, *final_norm; /* gradients; head is embed where they are one matrix */
} trainee;

/* Pairs for the chosen matrices of the layers [first_layer, end_layer). As Hu et al. 2021 do, b is 0, so that the adapter changes nothing at first,
 * and a is drawn, evenly between -1/sqrt(columns) and that. */
typedef struct trainee_adapter_options {
    int rank;
    float alpha;      /* the scale is alpha / rank */
    unsigned targets; /* bits 1 << adapter_target; 0: all */
    int first_layer, end_layer; /* end_layer 0: to the last */
    uint64_t seed;
    const model_adapter *from; /* NULL, or what to go on from: of the same rank, scale and matrices */
} trainee_adapter_options;
CJ_NODISCARD cj_err trainee_open_adapter(trainee **out, const model *m, const trainee_adapter_options *o, cj_diag *d);

/* All weights in float32: as they are, or drawn anew (matrices of deviation 0.02, those that add to the stream smaller with depth as Radford et al.
 * 2019 do, norms 1, biases 0). */
typedef struct trainee_whole_options {
    bool fresh;
    uint64_t seed;
} trainee_whole_options;
CJ_NODISCARD cj_err trainee_open_whole(trainee **out, const model *m, const trainee_whole_options *o, cj_diag *d);

void trainee_close(trainee **t);

/* Whether a backward pass exists for every layer; a sentence where not. */
CJ_NODISCARD cj_err trainee_check(const model *m, cj_diag *d);
/* A layer's matrix. */
model_linear *layer_linear(layer_spec *y, adapter_target t);

#endif
