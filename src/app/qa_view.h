/* Showing how questions about passages were answered: a column for each adapter, and one without. */
#ifndef APP_QA_VIEW_H
#define APP_QA_VIEW_H

#include "app/cli.h"
#include "eval/qa.h"

enum { QA_COLUMNS_MAX = 8 };

typedef struct qa_column {
    char *name;
    qa_outcome *outcomes; /* [questions] */
    qa_figures figures;
} qa_column;

typedef struct qa_view {
    const cli *c;
    const char *model, *data;
    const qa_column *columns;
    int n;
    int64_t questions;
} qa_view;

static inline uint64_t qa_seed(const cli *c) { return c->seed < 0 ? 1 : (uint64_t)c->seed; }

/* One answer, for a file of them. */
json_object *qa_view_answer(const qa_column *k, const training_row *row, const char *passage, const qa_given *given, const qa_outcome *outcome);
/* A table, in the form of Markdown. */
void qa_print(const qa_view *v);
void qa_print_json(const qa_view *v);

#endif
