/* How right an answer is, 0 to 1. Letters are compared after folding (case, full width, ...); spaces and punctuation do not count. */
#ifndef EVAL_SCORE_H
#define EVAL_SCORE_H

#include "eval/task.h"

/* METRIC_ANY: one of the answers stands in it. METRIC_ALL: the share of them that do. METRIC_ORDER: numbers; the longest run of the known
 * ones that comes in this order, as a share of all. METRIC_NUMBER: the first number in it is the answer's. METRIC_F1: best F1 of letters
 * over the answers. METRIC_ROUGE_L: best F1 of the longest common subsequence of letters. */
CJ_NODISCARD cj_err score_answer(const eval_question *q, const char *answer, size_t n, double *score, cj_diag *d);

#endif
