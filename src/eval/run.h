/* Asking a task's questions, by whatever finds and answers.
 *
 * A reader is a way to do it, a column of the tables: `index` (a text index, no reading), `reading` (what a model's attention finds, read
 * again before answering), `direct` (answering while attending to everything; nothing is located). What is located is scored apart from
 * what is answered.
 */
#ifndef EVAL_RUN_H
#define EVAL_RUN_H

#include "eval/task.h"

typedef struct eval_reader {
    const char *column;
    void *arg;
    /* Takes in a text; the one before is forgotten. on_progress: done of total, false cancels. */
    cj_err (*open)(void *arg, const char *text, size_t bytes, bool (*on_progress)(void *of, int64_t done, int64_t total), void *of, cj_diag *d);
    /* The `most` places that bear on a question, best first; *n of them. NULL: it locates nothing. */
    cj_err (*locate)(void *arg, const char *question, int most, eval_range *found, int *n, cj_diag *d);
    /* Writes an answer to out (empty), given what locate found. NULL: it answers nothing. */
    cj_err (*answer)(void *arg, const char *question, const eval_range *found, int n, buf *out, cj_diag *d);
} eval_reader;

/* As many places as a question has are looked at for `first`, RUN_WIDE times as many for `among`: one and three for a single needle. */
enum { RUN_WIDE = 3 };

typedef struct eval_outcome {
    int first, among; /* how many of the question's places were found; -1: nothing was looked for */
    int rank;         /* of the first found place that is right, from 1; 0: none was */
    double answered;  /* 0..1; -1: not asked */
    double seconds;
} eval_outcome;

/* Done of total: of what the reader counts while it takes the text in, of the questions once it is asked. False cancels. */
typedef bool eval_progress(void *arg, bool asking, int64_t done, int64_t total);

/* Fills out[t->n_questions]. on_progress may be NULL. */
CJ_NODISCARD cj_err eval_run(const eval_task *t, const eval_reader *r, eval_outcome *out, eval_progress *on_progress, void *arg, cj_diag *d);

#endif
