/* The forward pass, as a job of short units.
 *
 * A batch is rows of one or more sequences, each a context to which `count` tokens are added. A job runs one layer a step, so a
 * caller can look at a cancel flag, or let others run, between steps. Rows never see one another except through the pages and states of
 * their own sequence. Where logits are not wanted nothing above the last layer's keys and values, or state, is computed.
 *
 * A job owns the activations for max_rows rows and may be used again and again. Contexts grow only when the job ends well
 * (kv_advance in the last step): a job that is dropped half-way has changed nothing that counts.
 */
#ifndef MODEL_FORWARD_H
#define MODEL_FORWARD_H

#include "model/model.h"

enum {
    MODEL_NEAR_PAGES = 5,    /* a row's own page and those before it that it always looks at */
    MODEL_OPEN_PAGES = 2048, /* pages that are weighed each by itself: to 262,144 tokens all of them */
};

typedef enum model_want { WANT_NONE, WANT_LAST, WANT_ALL } model_want;

typedef struct low_rank low_rank; /* an adapter laid out for this (low_rank.h) */

typedef struct model_rows {
    kv_cache *kv;
    const int32_t *ids;   /* [count] tokens to add */
    int64_t count;
    model_want logits;    /* of which rows */
    const low_rank *adapter; /* what the rows go through besides the base, the first `plain` of them aside; NULL: nothing */
    int64_t plain;
    int64_t keep;         /* pages far behind that a row looks at token by token, the others standing in as their means; 0: all;
                           * < 0: only the first page and the near ones, for comparison */
    const op_repeats *repeats; /* of these rows, none in their MODEL_NEAR_PAGES last pages; NULL: none */
} model_rows;

/* The attention of rows of the batch's first sequence in one layer, which must have attention; ops.h says what is added up (to.mass NULL: nothing). */
typedef struct model_probe {
    int layer;
    op_mass to;
    uint8_t *kept; /* NULL, or what the layer looks at token by token (op_choice of all rows of the batch; all pages where attention is exact) */
    int64_t kept_ld;
} model_probe;

typedef struct model_job model_job;

CJ_NODISCARD cj_err model_job_open(model_job **out, const model *m, int64_t max_rows, cj_diag *d);
void model_job_close(model_job **job);
int64_t model_job_rows(const model_job *job); /* max_rows */

/* Starts a batch: at most max_rows rows, ids below the vocabulary. logits [wanted rows][vocab] is host memory, in order of the
 * rows; NULL when none are wanted. The arrays must live until the job ends. */
typedef struct model_batch {
    const model_rows *seqs;
    int n_seqs;
    const model_probe *probes;
    int n_probes;
    float *logits;
} model_batch;
CJ_NODISCARD cj_err model_job_begin(model_job *job, const model_batch *batch, cj_diag *d);
/* One unit of work; *done says whether it was the last. */
CJ_NODISCARD cj_err model_job_step(model_job *job, bool *done, cj_diag *d);

#endif
