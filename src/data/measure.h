/* How right a short answer is, letter by letter, as CMRC 2018 and DRCD are scored: exact match, and F1 over characters.
 *
 * Before comparing, whatever is no letter and no digit is dropped and the rest is put into lower case. An answer counts as the
 * best of the known ones.
 */
#ifndef DATA_MEASURE_H
#define DATA_MEASURE_H

#include "base/mem.h"

typedef struct answer_score {
    double exact, f1; /* 0..1; exact is 0 or 1 */
} answer_score;

CJ_NODISCARD cj_err measure_answer(const char *given, size_t n, const char *const *known, int n_known, answer_score *out, cj_diag *d);

/* Over many questions. A question is answerable or not; an answer gives something or refuses (data/qa_form.h). */
typedef struct answer_tally {
    int64_t answerable, unanswerable;
    double exact, f1;                  /* sums over the answerable ones; a refusal counts 0 */
    int64_t refused, refused_wrongly;  /* of the unanswerable, of the answerable */
    int64_t quoted, verbatim;          /* answers with a quote, and those whose quote stands in the passage */
    int64_t quote_holds;               /* answerable ones whose quote holds a known answer */
    int64_t answer_in_quote;           /* answers with a quote that holds what was answered */
} answer_tally;

/* Adds what a model wrote to one question. `known` empty: there is no answer in the passage. */
CJ_NODISCARD cj_err measure_written(answer_tally *t, const char *passage, const char *written, const char *const *known, int n_known, cj_diag *d);

#endif
