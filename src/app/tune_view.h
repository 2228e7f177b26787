/* What `juan tune` shows: the plan, how it goes, what came of it. */
#ifndef APP_TUNE_VIEW_H
#define APP_TUNE_VIEW_H

#include "app/cli.h"
#include "tune/exam.h"

typedef struct tune_view {
    cli_progress progress;
    const cli *c;
    train_report last;     /* the last step */
    double held_out, best; /* losses; 0: not known yet */
    int64_t best_step;
} tune_view;

void tune_view_plan(const cli *c, const tune_plan *p, const char *out);
void tune_view_begin(tune_view *v, const cli *c, const train_state *from);
bool tune_view_go_on(void *view);                            /* a train_watch's */
void tune_view_report(void *view, const train_report *r);
void tune_view_end(tune_view *v);

/* What the questions that were kept out of training came to, before and after. */
void tune_view_exam(const cli *c, const answer_tally *before, const answer_tally *after);
json_object *tune_view_exam_json(const answer_tally *t);

#endif
