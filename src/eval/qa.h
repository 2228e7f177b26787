/* Questions about short passages whose answers are known: how right the answers are, and how well they are proven.
 *
 * Rows are those of data/rows.h that have a passage. A reader is a way to answer, a column of the table; every reader is asked the same questions, those of
 * a passage one after the other, so that it need read it once.
 */
#ifndef EVAL_QA_H
#define EVAL_QA_H

#include "data/rows.h"
#include "eval/stats.h"

enum { QA_QUOTES_MAX = 64 };

typedef struct qa_quote {
    size_t byte, end; /* of the passage */
    bool verified;    /* the reader says that it is the passage there, letter for letter */
} qa_quote;

/* What a reader gave. */
typedef struct qa_given {
    const char *answer; /* [bytes], ended by 0; stays until the next question */
    size_t bytes;
    bool refused;       /* the answer is that there is none */
    qa_quote quote[QA_QUOTES_MAX]; /* [n_quotes] cited, the first first */
    int n_quotes;
    double seconds;
} qa_given;

/* What came of it. */
typedef struct qa_outcome {
    int64_t row;
    bool answerable, refused, answered; /* answered: something was said that is no refusal */
    bool exact;      /* letters and digits as in a known answer (data/measure.h) */
    double f1;
    bool holds;      /* the first quote holds a known answer, and overlaps the quote that the row has, if it has one */
    bool cited;      /* the answer stands in one of the quotes */
    int quotes, verbatim;
    bool first;      /* the passage was read for it */
    double seconds;
} qa_outcome;

typedef struct qa_reader {
    void *arg;
    cj_err (*open)(void *arg, const char *text, size_t bytes, cj_diag *d); /* takes in a passage; the one before is forgotten */
    cj_err (*ask)(void *arg, const char *question, qa_given *out, cj_diag *d);
    /* Each question with what was given; false cancels. May be NULL. */
    bool (*on_answer)(void *arg, const training_row *row, const char *passage, const qa_given *given, const qa_outcome *outcome, int64_t done, int64_t total);
} qa_reader;

/* Draws n rows (0: all) that have a question and a passage, the same ones for the same seed and of a smaller n some of those of a larger; passage by passage
 * into chosen[r->n]. *count: how many there were to be had. */
CJ_NODISCARD cj_err qa_choose(const training_rows *r, int64_t n, uint64_t seed, int64_t *chosen, int64_t *count, cj_diag *d);
/* Asks the rows chosen[n], into out[n]. */
CJ_NODISCARD cj_err qa_run(const training_rows *r, const int64_t *chosen, int64_t n, const qa_reader *reader, qa_outcome *out, cj_diag *d);
/* Fills the outcome of one question but for `first`. */
CJ_NODISCARD cj_err qa_judge(const training_rows *r, int64_t row, const qa_given *given, qa_outcome *out, cj_diag *d);

typedef struct qa_figures {
    int64_t answerable, unanswerable, answered, quotes; /* what the shares are of: of questions, of answers, of quotes */
    int64_t exact, holds, refused_wrongly;              /* of the answerable */
    int64_t refused;                                    /* of the unanswerable */
    int64_t cited;                                      /* of the answered */
    int64_t verbatim;                                   /* of the quotes */
    double f1;                                          /* mean over the answerable */
    stats_interval f1_between;
    double seconds, first_seconds;                      /* means: of all questions, of those that a passage was read for */
} qa_figures;

CJ_NODISCARD cj_err qa_sum(const qa_outcome *o, int64_t n, uint64_t seed, qa_figures *out, cj_diag *d);

#endif
