/* Intervals and a paired test. */
#include "eval/stats.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"

enum { DRAWS = 2000 };

stats_interval stats_share(int64_t right, int64_t n)
{
    const double z = 1.959963984540054; /* 97.5% of the normal distribution */
    if (n <= 0) return (stats_interval){0, 1};
    double p = (double)right / (double)n, m = (double)n, middle = p + z * z / (2 * m), half = z * sqrt(p * (1 - p) / m + z * z / (4 * m * m));
    return (stats_interval){fmax(0, (middle - half) / (1 + z * z / m)), fmin(1, (middle + half) / (1 + z * z / m))};
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

cj_err stats_mean(const double *value, int64_t n, uint64_t seed, stats_interval *out, cj_diag *d)
{
    if (n <= 0) {
        *out = (stats_interval){NAN, NAN};
        return CJ_OK;
    }
    double *mean = mem_array(DRAWS, sizeof *mean);
    random_state r = {seed};
    if (!mean) return diag_nomem(d, DRAWS * sizeof *mean);
    for (int i = 0; i < DRAWS; i++) {
        double sum = 0;
        for (int64_t j = 0; j < n; j++) sum += value[random_below(&r, n)];
        mean[i] = sum / (double)n;
    }
    qsort(mean, DRAWS, sizeof *mean, by_size);
    *out = (stats_interval){mean[DRAWS / 40], mean[DRAWS - 1 - DRAWS / 40]};
    mem_free(mean);
    return CJ_OK;
}

double stats_paired(int64_t only_a, int64_t only_b)
{
    int64_t n = only_a + only_b, least = only_a < only_b ? only_a : only_b;
    double tail = 0;
    for (int64_t k = 0; k <= least; k++) /* of n throws of a coin, k or fewer */
        tail += exp(lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) - (double)n * M_LN2);
    return fmin(1, 2 * tail);
}
