/* How sure a figure is: 95% intervals, and whether two columns that answered the same questions differ. */
#ifndef EVAL_STATS_H
#define EVAL_STATS_H

#include <stdint.h>

#include "base/err.h"

typedef struct stats_interval {
    double low, high;
} stats_interval;

/* Of a share of `right` among n (Wilson's score interval); 0..1 when n is 0. */
stats_interval stats_share(int64_t right, int64_t n);

/* Of the mean of value[n], by drawing n of them again 2,000 times (percentiles; the same for the same seed). n = 0: NaN. */
CJ_NODISCARD cj_err stats_mean(const double *value, int64_t n, uint64_t seed, stats_interval *out, cj_diag *d);

/* The chance that two columns equally good differ so much: only_a questions are right in one only, only_b in the other only
 * (McNemar's test, exact, two-sided). */
double stats_paired(int64_t only_a, int64_t only_b);

#endif
