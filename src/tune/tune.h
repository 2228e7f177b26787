/* Tuning a model to rows of data: all that `juan tune` does, but for what it says.
 *
 * Rows become samples, samples lessons, and a trainer learns from them; what comes out is an adapter file or, of a small model, a model file. Beside
 * it lies a checkpoint: opened again with the same model, rows and options a tuning goes on where it stood, bit for bit (train/train.h). A log and a
 * picture of the losses lie there too (log.h).
 */
#ifndef TUNE_TUNE_H
#define TUNE_TUNE_H

#include "engine/engine.h"
#include "train/finding.h"
#include "train/lessons.h"
#include "tune/log.h"

/* An activated adapter acts from the question on: passages are read by the model as it is, once, and their pages are any adapter's. An ordinary one
 * acts on every token; so does training the whole model. One that finds is activated too: it teaches heads to look at the quotes (train/finding.h). */
typedef enum tune_kind { TUNE_AUTO, TUNE_ACTIVATED, TUNE_ORDINARY, TUNE_FINDING, TUNE_WHOLE } tune_kind;

typedef struct tune_options {
    tune_kind kind;         /* TUNE_AUTO: activated where every row is in the form of the default adapter, else ordinary */
    const char *out;        /* the file that is to come; its checkpoint has this name and ".checkpoint", and so on with .log.jsonl and .svg */
    const char *name;       /* of the adapter */
    const char *from;       /* an adapter to go on from, whose rank, scale and matrices the new one has; NULL: from nothing */
    int rank;
    double alpha;           /* 0: twice the rank */
    unsigned targets;       /* bits 1 << adapter_target; 0: all */
    int first_layer;
    finding_head heads[FINDING_HEADS_MAX]; /* [n_heads] of TUNE_FINDING: that learn to find; up to their last layer matrices are trained */
    int n_heads;
    int64_t texts[FINDING_LENGTHS_MAX]; /* [n_texts] of TUNE_FINDING: tokens of the texts that are made of passages, in turn */
    int n_texts;
    double rate;            /* 0: TUNE_RATE, or of a whole model TUNE_RATE_WHOLE */
    schedule_kind schedule;
    double epochs;          /* how often all rows are seen */
    int64_t steps;          /* in place of epochs; 0: those */
    int64_t batch;          /* tokens of a batch, passages that are read once not counted */
    int64_t accumulate;     /* batches of a step */
    int64_t sample_tokens;  /* the longest sample */
    double held;            /* share kept out of training; < 0: a twentieth, but no more than TUNE_HELD_ROWS rows */
    int64_t check_every, save_every; /* steps; 0: a quarter of an epoch, but at least 10; TUNE_SAVE_EVERY */
    int64_t patience;       /* end after so many checks without a better one; 0: never */
    bool all_vocabulary;    /* else the loss of an adapter is taken over the tokens of the rows, where they are few of the model's */
    kv_type kv;             /* how passages are kept */
    int64_t memory;         /* bytes for passages and activations; 0: a share of what is free */
    uint64_t seed;
    bool fresh;             /* begin anew, whatever checkpoint there is */
    tune_picture picture;   /* words for the picture of the losses */
    double ceiling;         /* operations a second that the machine can do; 0: not known */
} tune_options;

#define TUNE_RATE 5e-4
#define TUNE_RATE_WHOLE 5e-5
enum { TUNE_HELD_ROWS = 400, TUNE_SAVE_EVERY = 25 };
tune_options tune_usual(void);

/* What is about to be done. */
typedef struct tune_plan {
    tune_kind kind;
    int64_t rows, too_long, no_template; /* given; left out */
    int64_t samples, held;               /* in all, and kept out of training */
    int64_t tokens, scored, passage_tokens;
    int64_t vocabulary;                  /* tokens that the loss is taken over */
    int64_t parameters, steps, steps_per_epoch, check_every;
    int64_t bytes;                       /* at most: the model, parameters, what the optimiser keeps, activations, passages */
    double seconds;                      /* about; 0: not known */
    int64_t resumed;                     /* the step that it goes on from; 0: the beginning */
} tune_plan;

typedef struct tuning tuning;

/* The engine and the rows must outlive it. *out is NULL after a failure. */
CJ_NODISCARD cj_err tune_open(tuning **out, engine *e, const training_rows *rows, const tune_options *o, cj_diag *d);
void tune_close(tuning **t);
const tune_plan *tune_plan_of(const tuning *t);
const train_state *tune_state_of(const tuning *t);
const trainee *tune_trainee_of(const tuning *t);
/* To the end, from where it stands; the weights are then the best ones. CJ_E_CANCELLED: stopped, the checkpoint written. */
CJ_NODISCARD cj_err tune_run(tuning *t, const train_watch *watch, cj_diag *d);
/* What keeps the log from being written; NULL: nothing. */
const cj_diag *tune_log_trouble(const tuning *t);
/* Writes the adapter, or the model. */
CJ_NODISCARD cj_err tune_write(const tuning *t, cj_diag *d);

#endif
