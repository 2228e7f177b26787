/* What ask says, for people and as JSON. */
#ifndef APP_ASK_VIEW_H
#define APP_ASK_VIEW_H

#include "app/cli.h"
#include "reader/ask.h"

typedef struct ask_view {
    const cli *c;
    const search_source *sources;
    int n;
    const char *adapter; /* that the answer is written with; NULL: none */
} ask_view;

/* Numbered quotes, each with where it stands, on standard output. */
void ask_view_evidence(const ask_view *v, const ask_evidence *evidence, int n);
/* Ends the line of an answer that was shown, or says on it why there is none; and whether something vouches for it, and why it ends where it does. */
void ask_view_answer_end(const ask_view *v, const ask_result *r);
/* What was done, step by step, on standard output. */
void ask_view_steps(const ask_view *v, const ask_result *r);
/* {"answer", "end", "evidence", "mode", "adapter", "timings"}, with `explain` also "steps". */
json_object *ask_view_json(const ask_view *v, const ask_result *r, bool explain);

/* FIND_... as options and JSON name it; 0: such a way there is not. */
int ask_view_find(const char *name);

#endif
