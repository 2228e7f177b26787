/* A task: one text, and questions about it whose place and answer are known.
 *
 * Needles, stars, chains and the tasks of other people's benchmarks are all of this form, so one loop asks them (eval/run.h). A place
 * is a range of bytes of the text. A task owns its strings; it does not change once made.
 */
#ifndef EVAL_TASK_H
#define EVAL_TASK_H

#include "base/err.h"
#include "base/mem.h"

enum { TASK_QUESTIONS_MAX = 4096, TASK_PLACES_MAX = 1024, TASK_ANSWERS_MAX = 1024, TASK_GROUPS_MAX = 16 };

typedef struct eval_range {
    size_t byte, end;
} eval_range;

/* How an answer is compared with the known ones (eval/score.h). */
typedef enum eval_metric { METRIC_ANY, METRIC_ALL, METRIC_ORDER, METRIC_NUMBER, METRIC_F1, METRIC_ROUGE_L } eval_metric;

typedef struct eval_question {
    const char *text;
    const char *group;          /* questions of a kind are counted together: "words", "other", ... */
    const eval_range *place;    /* [n_places] what has to be found, in order of the text; none: only the answer counts */
    int n_places;
    bool each;                  /* every place counts by itself; else the question counts, when all of them are found */
    const char *const *answer;  /* [n_answers] */
    int n_answers;
    eval_metric metric;
    float depth;                /* of the first place, 0 (the text's beginning) to 1 */
} eval_question;

typedef struct eval_task {
    buf text;
    int64_t chars;
    eval_question *question; /* [n_questions] */
    int n_questions;
    arena memory;            /* of the questions */
} eval_task;

void task_init(eval_task *t);
void task_deinit(eval_task *t);

/* Copies the question and all it points to, `group` aside (static storage), into the task, and works out its depth. */
CJ_NODISCARD cj_err task_add(eval_task *t, const eval_question *q, cj_diag *d);

#endif
