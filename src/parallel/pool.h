/* The thread pool: fork, work, join. The calling thread is worker 0 and works too.
 *
 * Workers spin for a short while after a job, then sleep, so that the hundreds of short jobs of a decode step cost about a
 * microsecond each and an idle program costs nothing. Items are handed out dynamically: an item's result must not depend on
 * which worker does it or in which order, and that is what makes fast mode bit-identical over thread counts.
 */
#ifndef PARALLEL_POOL_H
#define PARALLEL_POOL_H

#include "base/err.h"

typedef struct pool pool;
typedef void (*pool_fn)(void *arg, int64_t item, int worker);

/* threads == 0: as many as this process may use. At most 256. */
CJ_NODISCARD cj_err pool_open(pool **out, int threads, cj_diag *d);
void pool_close(pool **p);
int pool_threads(const pool *p); /* NULL counts as one */
/* Calls fn(arg, i, worker) for every i in [0, items); returns when all are done. A NULL pool runs them here. Not reentrant. */
void pool_run(pool *p, pool_fn fn, void *arg, int64_t items);

#endif
