/* Batches of samples, in an order that follows from a seed and that goes on exactly where it stopped.
 *
 * An epoch visits every group of one part (for training, or held out) once, in an order drawn from the seed and the epoch's number. A
 * batch is so many groups in a row as have at most so many tokens, at least one. The place of the next batch is all there is to save.
 */
#ifndef DATA_BATCHES_H
#define DATA_BATCHES_H

#include "data/samples.h"

typedef struct batch_place {
    uint64_t seed;
    int64_t epoch, index; /* the next group, counted in the epoch's order */
} batch_place;

typedef struct batch_sequence {
    int64_t sample;  /* of the set */
    int64_t passage; /* its prefix; -1: none. Sequences of one passage follow one another */
    int64_t first, n; /* rows of the batch */
} batch_sequence;

typedef struct training_batch {
    int32_t *ids, *targets; /* [rows] a row's token, and the one to be predicted from it; -1: none */
    int64_t rows, scored;   /* scored: targets that are one */
    batch_sequence *sequence; /* [n] */
    int64_t n;
} training_batch;

typedef struct batch_feed {
    const sample_set *set;
    bool held;
    int64_t tokens;      /* the most of a batch */
    int64_t *order;      /* [n_groups] of the epoch */
    int64_t n_groups, order_epoch; /* of the part; -1: no order yet */
    batch_place at;
    training_batch batch;
    int64_t rows_cap, sequences_cap;
} batch_feed;

/* Feeds one part of the set from `at` on; a place that is not in it (another set's) is refused. An empty part is an error. */
CJ_NODISCARD cj_err feed_open(batch_feed *f, const sample_set *set, bool held, int64_t tokens, batch_place at, cj_diag *d);
/* The next batch; it stands until the next call. f->at is then the place after it; a new epoch begins by itself. */
CJ_NODISCARD cj_err feed_next(batch_feed *f, const training_batch **out, cj_diag *d);
void feed_close(batch_feed *f);

#endif
