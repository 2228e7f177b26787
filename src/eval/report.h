/* What an evaluation came to: cases collected over texts and columns, summed up with intervals, as JSON and as pictures. */
#ifndef EVAL_REPORT_H
#define EVAL_REPORT_H

#include "base/json.h"
#include "eval/run.h"
#include "eval/stats.h"

enum { REPORT_CASES_MAX = 1 << 20, REPORT_NAMES_MAX = 64 };

typedef struct report_case {
    const char *column, *group; /* static, or the report's own */
    const char *question;
    int64_t length;             /* of the text, as it was wanted */
    float depth;
    int places, first, among, rank;
    bool each;
    double answered;
} report_case;

typedef struct report {
    report_case *item; /* [n] in the order in which they were asked; every column has the same questions in the same order */
    int64_t n;
    arena memory;
} report;

void report_init(report *r);
void report_deinit(report *r);

/* length 0: the text's own. */
CJ_NODISCARD cj_err report_add(report *r, const eval_task *t, const char *column, int64_t length, const eval_outcome *outcomes, cj_diag *d);

/* Which cases: NULL and negative values leave a thing open. */
typedef struct report_filter {
    const char *column, *group;
    int64_t length;
    double depth_from, depth_to; /* half open, of questions with one place; -1, -1: any */
} report_filter;

/* A question counts as one, or as each of its places does (eval_question.each). */
typedef struct report_sum {
    int64_t questions, n, first, among; /* n: what first and among are parts of */
    int64_t answered_n;
    double answered;                    /* sum of scores */
} report_sum;

report_sum report_count(const report *r, const report_filter *f);

/* What there is, in order of appearance; returns how many, at most `most`. */
int report_columns(const report *r, const char **names, int most);
int report_groups(const report *r, const char **names, int most);
int report_lengths(const report *r, int64_t *lengths, int most);

/* Adds "columns", "rows", "cells" (by depth, of questions with one place), "comparisons" and "cases" to o. */
CJ_NODISCARD cj_err report_json(const report *r, uint64_t seed, json_object *o, cj_diag *d);

#endif
