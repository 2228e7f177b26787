/* How long a read would take on this machine: a few short passes, timed at several depths, carried on to the end of the text. */
#ifndef READER_ESTIMATE_H
#define READER_ESTIMATE_H

#include "engine/engine.h"

typedef struct read_estimate {
    double exact_seconds, fast_seconds;
} read_estimate;

/* The longest text, in tokens, of which fast reading leaves nothing out: no page is far enough behind. */
int64_t read_estimate_same(int64_t keep);

/* For reading so many tokens exactly, and looking at `keep` far pages. Takes about a second with a small model; on_progress
 * (may be NULL) is called between its steps, false cancels. */
CJ_NODISCARD cj_err read_estimate_make(const engine *e, int64_t tokens, int64_t keep, bool (*on_progress)(void *arg), void *arg,
                                       read_estimate *out, cj_diag *d);

#endif
