/* The inside of a model_job: activations and the running batch, for forward.c, gqa.c, delta.c and ffn.c. */
#ifndef MODEL_JOB_H
#define MODEL_JOB_H

#include "model/forward.h"
#include "model/low_rank.h"

/* Rows of a set that have an adapter, side by side. */
typedef struct low_run {
    const low_rank *adapter;
    int64_t row, rows;
} low_run;

/* A set of rows as the mixers see it: which sequences, where, and the rotary rows for them. */
typedef struct row_set {
    int64_t rows;
    attn_seq *seqs;      /* pages are filled in for each layer */
    kv_cache **kv;       /* [n_seqs], whose pages */
    const model_rows **of; /* [n_seqs] */
    int n_seqs;
    low_run *runs;       /* [n_runs], at most one of a sequence */
    int n_runs;
    rope_tables ropes[MODEL_ROPES_MAX];
} row_set;

struct model_job {
    const model *m;
    const model_spec *spec;
    kernel_ctx *ctx;
    int64_t max_rows;
    model_batch batch;
    int layer;

    row_set all;         /* every row of the batch */
    row_set wanted;      /* rows whose logits are wanted: what the last layer goes on with */
    int32_t *ids;        /* [max_rows] */
    int64_t *positions;  /* [max_rows] */
    int32_t *wanted_idx; /* [max_rows] indices into `all` */

    /* Activations, device memory, [max_rows][...] */
    float *x, *norm, *half; /* hidden; half: what one half of a layer adds, before its norm */
    float *q, *k, *v, *mixed;   /* heads * dk, kv_heads * dk, kv_heads * dv, heads * dv; of the delta rule see delta.c */
    float *gate;                /* widest feed-forward, or what gates a mixer */
    float *low, *up;            /* of adapters, once a batch has one: [low_cols] what their first products give, [up_cols] of a gated feed-forward */
    int64_t low_cols, up_cols;
    float *near[2][MODEL_ROPES_MAX], *far[MODEL_ROPES_MAX]; /* rotary rows: near[0] of all rows, near[1] of the wanted */
    delta_seq *states;          /* [max_rows] of the sequences, in a layer of the delta rule; NULL without such layers */
    struct moe_room *moe;       /* NULL without experts */
};

/* Keys and values of one layer from norm [all rows][hidden], stored; and the queries of all rows into job->q when wanted. */
void gqa_project(model_job *job, const gqa_spec *a, int layer, const float *norm, bool with_q);
/* The batch's probes of this layer; needs the queries of all rows. */
CJ_NODISCARD cj_err gqa_probe(model_job *job, const gqa_spec *a, int layer, cj_diag *d);
/* The queries of some rows only, from norm [rows of the set][hidden]. */
void gqa_query(model_job *job, const gqa_spec *a, int layer, const row_set *set, const float *norm);
/* Attention of the rows in `set`, whose queries are in job->q and whose normed rows (for a gate) in norm; y [rows][hidden] gets (=, += when add) its output projection. */
CJ_NODISCARD cj_err gqa_attend(model_job *job, const gqa_spec *a, int layer, row_set *set, const float *norm, float *y, bool add,
                                cj_diag *d);

/* The delta rule of all rows, from norm [all rows][hidden], into job->mixed; then its output projection for the rows of a set: y [rows][hidden]
 * gets (=, += when add) it. */
CJ_NODISCARD cj_err delta_mix(model_job *job, const delta_spec *r, int layer, const float *norm, cj_diag *d);
void delta_out(model_job *job, const delta_spec *r, const row_set *set, float *y, bool add);

/* A product of the base with matrices [first, first + n) of a side, which the adapters of the rows of a set may have pairs for. */
typedef struct adapted {
    const row_set *set;
    int layer;
    low_side side;
    int first, n;
    const float *x;        /* [rows of the set][columns of the base's matrix] */
    float *y[LOW_TARGETS]; /* [rows of the set][rows of the base's matrix] of each, which get what is added */
    kernel_weight a;       /* adapted_join's own */
} adapted;
/* Before the base's product: one more output of it, where this saves a call. Returns how many, 0 or 1. */
int adapted_join(model_job *job, adapted *p, op_linear_out *out);
/* After it. */
void adapted_add(model_job *job, const adapted *p);
/* Whether any row of the set has pairs of this side. */
bool adapted_here(const row_set *set, int layer, low_side side);
/* Notes which of the last `count` rows of r, the next of the set, have an adapter. */
void adapted_take(row_set *set, const model_rows *r, int64_t count);
/* Room for what an adapter (may be NULL) computes. */
CJ_NODISCARD cj_err adapted_reserve(model_job *job, const low_rank *l, cj_diag *d);

/* y [rows][hidden] (=, or += when add) feed-forward of norm [rows][hidden]. */
void ffn_dense(model_job *job, const dense_spec *f, int layer, const row_set *set, const float *norm, float *y, bool add);
void ffn_moe(model_job *job, const moe_spec *f, const float *norm, int64_t rows, float *y, bool add);
CJ_NODISCARD cj_err moe_room_open(model_job *job, cj_diag *d);
void moe_room_close(model_job *job);

#endif
