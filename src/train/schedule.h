/* How fast to learn: the rate of each step. First it rises from 0 in even steps (warm-up); then it falls along half a cosine to the end (Loshchilov &
 * Hutter 2017), or stays and falls in even steps over the last ones (warm-up, stable, decay: Hu et al. 2024). */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H

#include <stdint.h>

typedef enum schedule_kind { SCHEDULE_COSINE, SCHEDULE_WSD } schedule_kind;

typedef struct schedule {
    schedule_kind kind;
    double peak, least;          /* least: where it ends */
    int64_t warmup, steps, fall; /* fall: so many last steps, of SCHEDULE_WSD only */
} schedule;

/* Of step 1 .. steps; least beyond. */
double schedule_rate(const schedule *s, int64_t step);

#endif
