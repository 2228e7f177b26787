/* Speed of one engine: reading (prefill) and writing (decode) at given depths, as a share of what the machine could do.
 *
 * A share is the time that the executed operations would take at the measured ceilings over the time they took. Reading counts
 * products with weights at the int8 ceiling (bf16 at level amx, float32 in exact mode and at level ref) and attention at the float32
 * ceiling (bf16 at level amx); writing counts the bytes of weights, keys and values at the read ceiling. What is not computed (the
 * last layer of tokens without logits) is not counted. Of sparse attention no share is told.
 *
 * Depths are of random tokens that are read first, or, without reading, of a text on the shelf: that is how the depths of a whole book are measured.
 */
#ifndef EVAL_BENCH_H
#define EVAL_BENCH_H

#include "engine/adapter.h"
#include "kernel/ceiling.h"

/* Seconds that reading tokens [from, from + count) would take at the ceilings; with the last one's logits or without. */
double bench_read_floor(const engine *e, const kernel_ceilings *c, int64_t from, int64_t count, bool logits);
/* Seconds that writing one token after `from` others would take at the ceilings. */
double bench_write_floor(const engine *e, const kernel_ceilings *c, int64_t from);

typedef struct bench_options {
    int64_t prefill, decode;       /* tokens of each test; 0: leave it out */
    const int64_t *depths;
    int n_depths;
    int repeats;
    uint64_t seed;
    shelf_entry *entry;            /* what is read and written stands after `depth` tokens of this one. NULL: random tokens */
    int64_t keep;                  /* of session_set_keep; 0: exact */
    engine_adapter *const *adapters; /* what is measured is measured with each of these too, in turn with the base, so that both see the same machine */
    int n_adapters;                /* at most BENCH_ADAPTERS_MAX */
    bool (*on_progress)(void *arg, int64_t done, int64_t total); /* in tokens, over everything; false cancels */
    void *arg;
} bench_options;

typedef struct bench_result {
    bool decode;
    const engine_adapter *adapter; /* NULL: the base alone */
    int64_t tokens, depth;
    double median, min, max; /* tokens a second */
    double share;            /* NaN: none */
} bench_result;

enum { BENCH_ADAPTERS_MAX = 8, BENCH_RESULTS_MAX = 64, BENCH_REPEATS_MAX = 100 };

/* Fills results [*n], at most BENCH_RESULTS_MAX: for every depth prefill, then decode; of each the base, then every adapter. */
CJ_NODISCARD cj_err bench_run(engine *e, const bench_options *opt, const kernel_ceilings *ceilings, bench_result *results, int *n, cj_diag *d);

#endif
