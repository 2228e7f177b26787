/* Samples (data/samples.h) as what a trainer takes: batches of sequences, each after its passage, which is read here by the model as it is.
 *
 * Passages that were read are kept, as far as there is room, for the next time that they are asked about.
 */
#ifndef TRAIN_LESSONS_H
#define TRAIN_LESSONS_H

#include "data/batches.h"
#include "train/train.h"

typedef struct lessons_options {
    bool held;           /* the part that is held out: it ends after one epoch; else one epoch follows another */
    int64_t tokens;      /* of a batch, at most, passages not counted; a group with more is a batch of its own */
    uint64_t seed;       /* of the order */
    kv_type kv;          /* how passages are kept: as they will be when the adapter is used */
    size_t passage_bytes; /* for passages; those of a batch are kept whatever they take */
} lessons_options;

typedef struct lessons lessons;

/* The model and the set must outlive it. */
CJ_NODISCARD cj_err lessons_open(lessons **out, const model *m, const sample_set *set, const lessons_options *o, cj_diag *d);
void lessons_close(lessons **l);
/* Of the cursor's numbers the first is the epoch, the second the group of it. */
train_source lessons_source(lessons *l);
/* Rows of the largest batch. */
int64_t lessons_rows(const lessons *l);

#endif
