/* An examination: the questions that were kept out of training are put to a model, with an adapter or without, and its answers compared with the right ones.
 *
 * Each is put as the sample of it was: the passage, the question, and from there on the model writes, always what is likeliest. With an adapter that
 * quotes it is held to the form as `ask` holds it (reader/quoting.h): a quote stands in the passage, the answer in the quote.
 */
#ifndef TUNE_EXAM_H
#define TUNE_EXAM_H

#include "data/measure.h"
#include "engine/adapter.h"
#include "tune/tune.h"

typedef struct exam_options {
    int64_t most;                 /* questions, spread over those that were kept out */
    const engine_adapter *adapter; /* of the engine; NULL: none */
    bool (*on_progress)(void *arg, int64_t done, int64_t total); /* false cancels; may be NULL */
    void *arg;
} exam_options;

/* How many questions there would be. */
int64_t exam_questions(const tuning *t, int64_t most);
CJ_NODISCARD cj_err exam_run(const tuning *t, engine *e, const exam_options *o, answer_tally *out, cj_diag *d);

#endif
