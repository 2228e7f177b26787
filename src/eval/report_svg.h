/* The pictures of a report. */
#ifndef EVAL_REPORT_SVG_H
#define EVAL_REPORT_SVG_H

#include "eval/report.h"
#include "eval/svg.h"

typedef struct report_picture {
    svg_head head;
    const char *(*name)(void *arg, const char *group); /* what a group is called */
    void *arg;
} report_picture;

/* Depth against length for each group and column: the share located first. */
CJ_NODISCARD cj_err report_draw_depths(const report *r, const report_picture *p, buf *out, cj_diag *d);
/* The share located, by length, for each group and column, with intervals. */
CJ_NODISCARD cj_err report_draw_lengths(const report *r, const report_picture *p, buf *out, cj_diag *d);

#endif
