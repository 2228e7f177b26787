/* The log of a tuning: a line of JSON for every step and every look at the held-out part, and a picture of both.
 *
 *   {"step": 12, "loss": 1.234, "rate": 0.0005, "norm": 0.81, "tokens": 12345, "tokens_per_second": 456, "share_of_ceiling": 0.6[, "skipped": true]}
 *   {"step": 12, "held_out_loss": 1.3, "best": true}
 * Where a tuning goes on from a checkpoint, what the log says of later steps is taken back first.
 */
#ifndef TUNE_LOG_H
#define TUNE_LOG_H

#include "train/train.h"

typedef struct tune_log tune_log;

/* Goes on with the file at path as far as a run had come: so many steps, and looked at the held-out part after step `checked`. */
CJ_NODISCARD cj_err tune_log_open(tune_log **out, const char *path, int64_t steps, int64_t checked, cj_diag *d);
void tune_log_close(tune_log **l);
CJ_NODISCARD cj_err tune_log_add(tune_log *l, const train_report *r, cj_diag *d);

/* What the picture calls things. */
typedef struct tune_picture {
    const char *title, *steps, *loss, *training, *held_out;
    bool chinese;
} tune_picture;
/* Draws the losses into a file. */
CJ_NODISCARD cj_err tune_log_draw(const tune_log *l, const tune_picture *names, const char *path, cj_diag *d);

#endif
