/* Lessons in finding: questions put after long texts, of which chosen heads are to look at the sentence that answers.
 *
 * A text is made of many passages of a sample set, one after the other in an order drawn anew for each epoch, so that what answers lies near and far and among
 * much else. The model reads it once, as it is; then every question about it is a sequence of its own after it, with an aim (attn_train.h) at the tokens of
 * its quote for each head. Nothing is predicted. The place of an aim is what samples.h says; a sample without a quote asks nothing, and its passage is text like any other.
 */
#ifndef TRAIN_FINDING_H
#define TRAIN_FINDING_H

#include "data/samples.h"
#include "token/tokenizer.h"
#include "train/train.h"

enum { FINDING_HEADS_MAX = 16, FINDING_LENGTHS_MAX = 16 };

typedef struct finding_head {
    int layer, head;
    float weight; /* of its aim; those of a question sum to what the question counts */
} finding_head;

typedef struct finding_options {
    bool held;            /* the part that is held out: it ends after one epoch; else one epoch follows another */
    const finding_head *heads; /* [n_heads] */
    int n_heads;
    const int64_t *lengths; /* [n_lengths] tokens of the texts, in turn: a text has as many passages as are at most so long, one at least */
    int n_lengths;
    int64_t tokens;       /* of the questions of a batch, at most */
    uint64_t seed;        /* of the order */
    kv_type kv;           /* how texts are kept: as they will be when they are asked about */
} finding_options;

typedef struct finding finding;

/* Everything given must outlive it. The set must have been made with passages as prefixes. */
CJ_NODISCARD cj_err finding_open(finding **out, const model *m, const tokenizer *t, const sample_set *set, const finding_options *o, cj_diag *d);
void finding_close(finding **f);
/* Of the cursor's numbers the first is the epoch, the second the first passage of the text in it, the third the question, the fourth how many texts the epoch had before. */
train_source finding_source(finding *f);
/* Batches of the first epoch; nothing is read. */
CJ_NODISCARD cj_err finding_batches(finding *f, int64_t *n, cj_diag *d);
/* Rows of the largest batch. */
int64_t finding_rows(const finding *f);

#endif
