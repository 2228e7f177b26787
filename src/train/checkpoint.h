/* A checkpoint: where a training stands, to the last bit.
 *
 * On disk, little-endian: a head of fixed size (checkpoint.c), then the blocks of the trainee (weights, moments, and what else there is), each of
 * `size` floats and beginning at a multiple of 64 bytes. The head has a checksum of each block and one of its own.
 * Writing: the new one is written beside the old under another name, made durable, read back and checked, and only then takes the old one's place,
 * in one step; whatever fails before that, the old one stands. Reading checks everything before it changes anything.
 */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include "model/grad.h"
#include "train/optimiser.h"

enum { CHECKPOINT_BLOCKS_MAX = 4 };

/* Where a source of batches stands: numbers that mean something to it alone. All zeros: at the beginning. */
typedef struct train_cursor {
    uint64_t at[4];
} train_cursor;

/* All of 8 bytes, for it is written as it lies. */
typedef struct train_state {
    int64_t step, rows, scored; /* steps done, rows seen by then, scored ones */
    train_cursor cursor;
    optimiser_state optimiser;
    int64_t checked, best_step, worse; /* of the held-out part: when it was looked at last, when it was best, checks since then */
    double best_loss, seconds;  /* its loss then; spent in training */
} train_state;

/* What a checkpoint must have been made with to go on from it. */
typedef struct checkpoint_key {
    uint64_t model, shape, data, settings;
    int64_t size, blocks;
} checkpoint_key;

/* Names and shapes of all parameters. */
uint64_t checkpoint_shape(const trainee *t);

CJ_NODISCARD cj_err checkpoint_write(const char *path, kernel_ctx *ctx, const checkpoint_key *key, const train_state *s, float *const *blocks, cj_diag *d);
/* The blocks are device memory of key->size floats each. A sentence says what is damaged, or what the checkpoint belongs to instead. */
CJ_NODISCARD cj_err checkpoint_read(const char *path, kernel_ctx *ctx, const checkpoint_key *key, train_state *s, float *const *blocks, cj_diag *d);
/* Checks a checkpoint in memory; *first: where its first block begins. */
CJ_NODISCARD cj_err checkpoint_check(const uint8_t *data, size_t n, const char *name, const checkpoint_key *key, train_state *s, size_t *first, cj_diag *d);

#endif
