/* Training: steps over batches from a source, at a rate that follows a schedule, with checks on a held-out part and checkpoints.
 *
 * A run that was stopped in any way, kill -9 included, goes on from its last checkpoint as if it had never stopped: weights, moments, the place in
 * the data and all that follows from them have the same bits, with the same kernels (level and mode; the number of threads is free).
 * A step that is cancelled, or whose data fails, has not happened: the trainer stands where it stood before.
 */
#ifndef TRAIN_TRAIN_H
#define TRAIN_TRAIN_H

#include "train/checkpoint.h"
#include "train/schedule.h"

/* Where batches come from. They must follow from the cursor alone, so that the same cursor gives the same batches whenever it is asked. */
typedef struct train_source {
    void *arg;
    uint64_t fingerprint; /* of the data, and of what decides its order */
    /* Fills `out` (only_loss and losses are not looked at) with what stands at the cursor and moves it on. The arrays must stand until the next call.
     * No sequences: the end; a source that is trained on begins anew instead. */
    cj_err (*next)(void *arg, train_cursor *cursor, grad_batch *out, cj_diag *d);
} train_source;

typedef struct train_options {
    grad_options passes;
    schedule schedule;    /* its steps are how long the run is */
    optimiser_options optimiser;
    int64_t accumulate;   /* batches in a step; 0: 1 */
    const train_source *held_out; /* NULL: none */
    int64_t check_every;  /* steps between two checks on it */
    int64_t patience;     /* the run ends after so many checks without a better one; 0: never */
    const char *checkpoint; /* path; NULL: none */
    int64_t save_every;   /* steps; 0: only when asked and at the end */
    uint64_t settings;    /* stands for what else decides what a step does: a checkpoint of other settings is refused */
    double ceiling;       /* operations a second that the machine can do at most; 0: not known */
} train_options;

typedef struct train_report {
    int64_t step, steps;
    double loss, rate, norm;   /* of this step: a scored row's mean, in nats; of the gradients, before clipping */
    bool skipped;              /* the step was left out (optimiser.h) */
    int64_t rows, skips;       /* seen, and left out, since the beginning */
    double rows_per_second, share, eta_seconds; /* of this step; share of the ceiling, 0 where that is not known; to the end */
    bool checked, best;        /* no step, but a look at the held-out part: only step, steps and these say something; it was never better */
    double held_out;           /* its loss */
} train_report;

/* Who watches; both may be NULL. */
typedef struct train_watch {
    void *arg;
    bool (*go_on)(void *arg);                           /* asked between units of work; false: stop */
    void (*on_report)(void *arg, const train_report *r);
} train_watch;

typedef struct trainer trainer;

/* The options' pointers and the trainee must outlive the trainer. */
CJ_NODISCARD cj_err train_open(trainer **out, const model *m, trainee *t, const train_source *source, const train_options *o, cj_diag *d);
void train_close(trainer **t);
/* Goes back to the checkpoint, where there is one. */
CJ_NODISCARD cj_err train_resume(trainer *t, bool *found, cj_diag *d);
/* Writes the checkpoint. */
CJ_NODISCARD cj_err train_save(trainer *t, cj_diag *d);
/* To the end: steps, checks, checkpoints. A wish to stop ends it with CJ_E_CANCELLED, the checkpoint written. With a held-out part the trainee then
 * has the weights that did best on it. */
CJ_NODISCARD cj_err train_run(trainer *t, const train_watch *watch, cj_diag *d);
/* One step. */
CJ_NODISCARD cj_err train_step(trainer *t, const train_watch *watch, train_report *out, cj_diag *d);
/* The mean loss of all batches of a source, from its beginning to its end. */
CJ_NODISCARD cj_err train_measure(trainer *t, const train_source *source, const train_watch *watch, double *loss, cj_diag *d);
const train_state *train_state_of(const trainer *t);
/* Bytes of activations. */
size_t train_bytes(const trainer *t);
/* Whether the run is at its end, its last check included. */
bool train_is_done(const trainer *t);

#endif
