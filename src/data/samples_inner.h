/* Between the files that make samples. */
#ifndef DATA_SAMPLES_INNER_H
#define DATA_SAMPLES_INNER_H

#include "data/samples.h"

typedef struct sample_work {
    sample_set *set;
    const training_rows *rows;
    const tokenizer *tokenizer;
    const sample_options *opt;
    token_list list; /* of the piece at hand */
} sample_work;

/* Appends tokens to the set's. */
CJ_NODISCARD cj_err sample_put(sample_work *w, const int32_t *ids, size_t n, bool scored, cj_diag *d);
/* A sample of what was put since token `first`. */
CJ_NODISCARD cj_err sample_end(sample_work *w, const sample *s, cj_diag *d);
/* A row that is a conversation, or a question put as one. */
CJ_NODISCARD cj_err sample_conversation(sample_work *w, int64_t row, cj_diag *d);

#endif
