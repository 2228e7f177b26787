/* Forward and backward over a batch of sequences: the loss, and its gradients by what is trained. A job of short units, like forward.h's.
 *
 * A sequence is rows of its own, after a prefix or none. A prefix is a context as inference read it: its keys and values are attended to and are
 * constants, so a passage is read once for all that is asked of it, without gradients. The adapter, where one is trained, acts on the rows and not
 * on the prefix. Several sequences in a batch are what packing with document masks is.
 *
 * What a layer computes is kept for the way back as far as keep_bytes reaches, from the first layers on; the other layers compute it again from
 * their input, which is always kept (Chen et al. 2016). Both ways give the same bits. Logits exist for a few scored rows at a time.
 * Gradients are of the plain sum, over scored rows and aims (attn_train.h), of weight * loss, and are added to what the trainee holds: a step of several
 * batches is divided by their weights afterwards (op_adamw's grad_scale). Where there are aims and no scored row nothing is run beyond the attention of the
 * last layer that has one.
 *
 * The loss may be taken over a part of the vocabulary, as if the other tokens were not there: where answers can only be made of tokens that occur in
 * the data, the logits of a big vocabulary's others would cost more than the whole model.
 */
#ifndef MODEL_GRAD_H
#define MODEL_GRAD_H

#include "kernel/attn_train.h"
#include "model/trainee.h"

typedef struct grad_seq {
    kv_cache *prefix;       /* NULL: none */
    const int32_t *ids;     /* [count] */
    const int32_t *targets; /* [count] what follows each; < 0: not scored */
    const float *weights;   /* [count]; NULL: 1 each */
    int64_t count;
} grad_seq;

typedef struct grad_batch {
    const grad_seq *seqs;
    int n_seqs;
    bool only_loss;       /* no gradients */
    float *losses;        /* [rows] -log p(target) of every row, 0 where not scored; NULL: not wanted */
    const op_attn_aim *aims; /* by layer: those of layer l are [aim_begin[l], aim_begin[l + 1]); their `loss` must be there */
    const int *aim_begin; /* [layers + 1]; NULL: no aims */
} grad_batch;

typedef struct grad_result {
    double loss, weight;  /* sums over scored rows and aims: weight * -log p(target), or of the mass aimed at; weight */
    int64_t rows, scored;
    double operations;    /* of products and attention, as executed, since the batch began; a multiply-add is two */
} grad_result;

typedef struct grad_options {
    int64_t max_rows;  /* of a batch */
    size_t keep_bytes; /* for what layers compute; 0: only what one of them needs */
    const int32_t *vocabulary; /* [n_vocabulary] tokens, rising, that the loss is taken over; not where the head is trained. NULL: all */
    int64_t n_vocabulary;
} grad_options;

typedef struct grad_job grad_job;

CJ_NODISCARD cj_err grad_open(grad_job **out, const trainee *t, const grad_options *o, cj_diag *d);
void grad_close(grad_job **job);
/* Bytes of activations. */
size_t grad_bytes(const grad_job *job);

/* Everything pointed to must live until the batch ends. A batch that is dropped half-way leaves the gradients of a part of it. */
CJ_NODISCARD cj_err grad_begin(grad_job *job, const grad_batch *batch, cj_diag *d);
/* One unit of work: a layer forward or backward, or a few rows of the head. */
CJ_NODISCARD cj_err grad_step(grad_job *job, bool *done, cj_diag *d);
grad_result grad_result_of(const grad_job *job);

#endif
