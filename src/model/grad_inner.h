/* The inside of a grad_job, for grad*.c. */
#ifndef MODEL_GRAD_INNER_H
#define MODEL_GRAD_INNER_H

#include "kernel/train.h"
#include "model/grad.h"

/* What a layer's backward pass needs besides its input. [rows][...]; of the norms' outputs nothing is kept, they are quick to make again. */
typedef struct layer_acts {
    float *q_raw, *k_raw;  /* before their norms; NULL without norms */
    float *q, *k, *v;      /* as attention sees them: k rotated */
    float *mixed, *lse;    /* what attention gives; [rows][heads] */
    float *half1, *half2;  /* what each half gives, before its norm; NULL without a sandwich */
    float *mid;            /* the stream between the halves */
    float *gate, *up;
    float *low[ADAPTER_TARGETS]; /* scale * x . a^T; NULL without a pair */
} layer_acts;

typedef enum grad_phase { GRAD_FORWARD, GRAD_HEAD, GRAD_BACK, GRAD_DONE } grad_phase;

struct grad_job {
    const trainee *t;
    const model_spec *spec;
    kernel_ctx *ctx;
    int64_t max_rows, head_rows; /* of a batch; of the head at a time */
    size_t bytes;

    /* The batch. */
    grad_batch batch;
    grad_phase phase;
    int64_t at, rows, scored;    /* layer or scored row that comes next */
    int top;                     /* layers that are run: where nothing is scored no more than the aims need */
    double loss, weight, operations;
    int32_t *ids, *targets, *idx; /* [max_rows]; targets and idx of the scored rows: idx says which they are */
    float *weights, *losses;     /* of the scored rows */
    int64_t *positions;          /* [max_rows] */
    attn_seq *seqs;              /* [max_rows] */
    rope_tables ropes[MODEL_ROPES_MAX];
    float *near[MODEL_ROPES_MAX], *far[MODEL_ROPES_MAX];

    /* Activations. */
    float **x;           /* [layers + 1][max_rows][hidden] the stream before each layer, and after the last */
    layer_acts *acts;    /* [layers]; of layers that keep nothing they all lie in the same block ... */
    void **blocks;       /* [layers + 1] blocks of layers that keep theirs, NULL: not kept; the last is the shared one */
    int holder;          /* ... which has those of this layer; -1: of none */

    /* The way back, and what both ways use. */
    float *dx;                   /* [max_rows][hidden] gradient of the stream */
    float *norm, *dnorm;         /* [max_rows][hidden] */
    float *dq, *dk, *dv, *dmixed;
    float *dgate, *dup, *wide;   /* [max_rows][width] */
    float *dlow;                 /* [max_rows][rank] */
    float *ones;                 /* [max_rows] */
    model_linear head;           /* the model's, or the rows of it that the loss is taken over */
    void *head_data;             /* of head, where it is no longer the model's; NULL else */
    int32_t *column;             /* [vocab] which row of head a token has, -1: none; NULL: its own */
    float *logits, *capped;      /* [head_rows][head.w.rows]; capped only with a softcap */
    float *head_in, *head_norm, *dhead; /* [head_rows][hidden] */
};

/* y[rows][] = x . w^T + bias, and what a pair adds, of one of the layer's matrices. low: where the pair keeps its small product. y NULL: only that. */
void grad_linear(grad_job *job, int layer, adapter_target t, const float *x, float *y, float *low);
/* Adds the gradients of what is trained; dx (=, +=) unless it is NULL. low as grad_linear left it. */
void grad_linear_back(grad_job *job, int layer, adapter_target t, const float *x, const float *dy, const float *low, float *dx, bool add);

/* y[rows][w->rows] = x . w^T + bias. */
void grad_product(grad_job *job, const model_linear *l, const float *x, int64_t rows, float *y);
/* The gradients of it: by x (=, +=), by w and by bias (+=) unless they are NULL. */
void grad_product_back(grad_job *job, const model_linear *l, const linear_grads *g, const float *x, const float *dy, int64_t rows, float *dx, bool add);

/* The activations of the layer, from its input; `again`: only what the way back needs. */
CJ_NODISCARD cj_err grad_layer(grad_job *job, int layer, bool again, cj_diag *d);
/* From dx after the layer to dx before it, unless nothing there is trained. */
CJ_NODISCARD cj_err grad_layer_back(grad_job *job, int layer, cj_diag *d);

/* Sets up what the loss is taken over. */
CJ_NODISCARD cj_err grad_head_open(grad_job *job, const grad_options *o, cj_diag *d);
void grad_head_close(grad_job *job);
/* The row of the head that stands for a target; < 0 as it is. */
CJ_NODISCARD cj_err grad_head_column(const grad_job *job, int32_t target, int32_t *column, cj_diag *d);
/* Logits, losses, and their way back as far as dx, of `rows` scored rows from `first` on. */
void grad_head(grad_job *job, int64_t first, int64_t rows);

#endif
