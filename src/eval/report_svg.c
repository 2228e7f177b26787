/* From a report to pictures. */
#include "eval/report_svg.h"

#include <math.h>
#include <stdio.h>

enum { BINS = 10, TITLE_MAX = 160 };

typedef struct frame {
    const char *column[REPORT_NAMES_MAX], *group[REPORT_NAMES_MAX];
    int64_t length[REPORT_NAMES_MAX];
    double lengths[REPORT_NAMES_MAX];
    int columns, groups, n_lengths;
} frame;

static void frame_of(const report *r, frame *f)
{
    f->columns = report_columns(r, f->column, REPORT_NAMES_MAX);
    f->groups = report_groups(r, f->group, REPORT_NAMES_MAX);
    f->n_lengths = report_lengths(r, f->length, REPORT_NAMES_MAX);
    for (int i = 1; i < f->n_lengths; i++) /* a line goes from left to right */
        for (int k = i; k > 0 && f->length[k - 1] > f->length[k]; k--) {
            int64_t t = f->length[k];
            f->length[k] = f->length[k - 1];
            f->length[k - 1] = t;
        }
    for (int i = 0; i < f->n_lengths; i++) f->lengths[i] = (double)f->length[i];
}

static void title_of(const report_picture *p, const char *group, const char *column, char title[TITLE_MAX])
{
    snprintf(title, TITLE_MAX, p->head.chinese ? "%s（%s）" : "%s (%s)", p->name(p->arg, group), column);
}

/* ---- depth against length ---- */

typedef struct depth_maps {
    svg_map map[SVG_MAPS_MAX];
    char title[SVG_MAPS_MAX][TITLE_MAX];
    double value[SVG_MAPS_MAX][BINS * REPORT_NAMES_MAX];
    int n;
} depth_maps;

/* False: there is nothing to show, because the questions have several places, or none. */
static bool fill_map(const report *r, const frame *f, const char *column, const char *group, double *value)
{
    bool any = false;
    for (int b = 0; b < BINS; b++)
        for (int l = 0; l < f->n_lengths; l++) {
            report_filter only = {column, group, f->length[l], (double)b / BINS, b + 1 == BINS ? 2 : (double)(b + 1) / BINS};
            report_sum s = report_count(r, &only);
            value[b * f->n_lengths + l] = s.n ? (double)s.first / (double)s.n : NAN;
            any = any || s.n;
        }
    return any;
}

cj_err report_draw_depths(const report *r, const report_picture *p, buf *out, cj_diag *d)
{
    static const char *const bins[BINS] = {"0-10%", "10-20%", "20-30%", "30-40%", "40-50%", "50-60%", "60-70%", "70-80%", "80-90%", "90-100%"};
    frame f;
    frame_of(r, &f);
    depth_maps *m = mem_zalloc(sizeof *m);
    if (!m) return diag_nomem(d, sizeof *m);
    for (int c = 0; c < f.columns; c++)
        for (int g = 0; g < f.groups && m->n < SVG_MAPS_MAX; g++) {
            title_of(p, f.group[g], f.column[c], m->title[m->n]);
            if (!fill_map(r, &f, f.column[c], f.group[g], m->value[m->n])) continue;
            m->map[m->n] = (svg_map){m->title[m->n], BINS, f.n_lengths, bins, f.lengths, m->value[m->n]};
            m->n++;
        }
    cj_err e = svg_maps(out, &p->head, m->map, m->n, d);
    mem_free(m);
    return e;
}

/* ---- share against length ---- */

typedef struct length_lines {
    svg_series series[SVG_SERIES_MAX];
    char title[SVG_SERIES_MAX][TITLE_MAX];
    double x[SVG_SERIES_MAX][REPORT_NAMES_MAX], y[SVG_SERIES_MAX][REPORT_NAMES_MAX];
    double low[SVG_SERIES_MAX][REPORT_NAMES_MAX], high[SVG_SERIES_MAX][REPORT_NAMES_MAX];
    int n;
} length_lines;

/* A series of the lengths at which something could be located; false: at none. */
static bool fill_line(const report *r, const frame *f, const char *column, const char *group, length_lines *l)
{
    int k = l->n, n = 0;
    for (int i = 0; i < f->n_lengths; i++) {
        report_sum s = report_count(r, &(report_filter){column, group, f->length[i], -1, -1});
        if (!s.n) continue;
        stats_interval interval = stats_share(s.among, s.n);
        l->x[k][n] = f->lengths[i];
        l->y[k][n] = (double)s.among / (double)s.n;
        l->low[k][n] = interval.low;
        l->high[k][n++] = interval.high;
    }
    l->series[k] = (svg_series){l->title[k], l->x[k], l->y[k], l->low[k], l->high[k], n};
    return n > 0;
}

cj_err report_draw_lengths(const report *r, const report_picture *p, buf *out, cj_diag *d)
{
    frame f;
    frame_of(r, &f);
    length_lines *l = mem_zalloc(sizeof *l);
    if (!l) return diag_nomem(d, sizeof *l);
    for (int c = 0; c < f.columns; c++)
        for (int g = 0; g < f.groups && l->n < SVG_SERIES_MAX; g++) {
            title_of(p, f.group[g], f.column[c], l->title[l->n]);
            l->n += fill_line(r, &f, f.column[c], f.group[g], l);
        }
    cj_err e = svg_lines(out, &p->head, (svg_axes){.log_x = true, .percent = true}, l->series, l->n, d);
    mem_free(l);
    return e;
}
