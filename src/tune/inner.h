/* The inside of a tuning. */
#ifndef TUNE_INNER_H
#define TUNE_INNER_H

#include "model/adapter_file.h"
#include "tune/log.h"
#include "tune/tune.h"

struct tuning {
    engine *e;
    const training_rows *rows;
    tune_options opt;
    char *checkpoint, *log_path, *picture_path, *lock_path;
    int lock;            /* no two tunings write one output; -1: not held */
    tune_plan plan;
    sample_set set;
    lessons *lessons, *held;
    finding *finding, *held_finding; /* of TUNE_FINDING, in place of those */
    train_source source, held_source;
    int32_t *vocabulary; /* [plan.vocabulary] that the loss is taken over; NULL: all */
    adapter_file *from;  /* that it goes on from; NULL: nothing */
    trainee *trainee;
    trainer *trainer;
    tune_log *log;       /* NULL: not yet, or it cannot be written */
    cj_diag log_trouble;
    const train_watch *watch;
};

#endif
