/* Pictures of figures as SVG, to be read on a screen and on paper, in colour and in grey.
 *
 * Heat maps: light is good, dark is bad, the number stands in the cell. Charts: every series has a colour, a dash and a marker of its own.
 * Texts may be in any language; what the pictures add themselves is numbers only. Colours are on white, so that a dark page does no harm.
 */
#ifndef EVAL_SVG_H
#define EVAL_SVG_H

#include "base/mem.h"

enum { SVG_BYTES_MAX = 1 << 24, SVG_MAPS_MAX = 64, SVG_CELLS_MAX = 64, SVG_SERIES_MAX = 12, SVG_CHARTS_MAX = 8, SVG_POINTS_MAX = 4096 };

typedef struct svg_head {
    const char *title;
    const char *note;            /* below, smaller; NULL: none */
    const char *x_name, *y_name; /* what the columns and rows, or the axes, are */
    bool chinese;                /* 20,000 is 2万, not 20K */
} svg_head;

typedef struct svg_map {
    const char *title;
    int rows, columns;           /* at most SVG_CELLS_MAX of each */
    const char *const *row;      /* [rows] names */
    const double *column;        /* [columns] numbers, written as lengths */
    const double *value;         /* [rows][columns] 0..1; NaN leaves the cell empty */
} svg_map;

/* Maps side by side, three in a row, with one scale. */
CJ_NODISCARD cj_err svg_maps(buf *out, const svg_head *head, const svg_map *map, int n, cj_diag *d);

typedef struct svg_series {
    const char *name;
    const double *x, *y;         /* [n]; points that are not finite, or not positive on a logarithmic axis, are left out */
    const double *low, *high;    /* [n] the interval of each y; NULL: none */
    int n;
} svg_series;

typedef struct svg_axes {
    bool log_x, log_y;
    bool percent;                /* y is a share: 0 to 100% */
} svg_axes;

CJ_NODISCARD cj_err svg_lines(buf *out, const svg_head *head, svg_axes axes, const svg_series *series, int n, cj_diag *d);

/* One of several charts. */
typedef struct svg_chart {
    const char *y_name;
    svg_axes axes;
    const svg_series *series;    /* as many for every chart; one without points is left out of it */
} svg_chart;
/* Charts below one another over one x axis (the first's; head->y_name is not used). Series i looks alike in all of them, and the legend names it as
 * the first chart does. */
CJ_NODISCARD cj_err svg_charts(buf *out, const svg_head *head, const svg_chart *chart, int n_charts, int n_series, cj_diag *d);

/* A number as the pictures write it: 1.2M, 20K, 350; 120万, 2万, 350. */
void svg_number(char *out, size_t size, double v, bool chinese);

#endif
