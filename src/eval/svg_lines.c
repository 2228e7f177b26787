/* Line charts. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eval/svg_inner.h"

enum {
    WIDTH = 760, PLOT_HEIGHT = 340, PLOT_HEIGHT_OF_MANY = 210, LEFT = 76, RIGHT = 24, TOP = 56, BETWEEN = 38, BELOW = 52, LEGEND_LINE = 22, LEGEND_COLUMN = 350,
    NOTE_ROOM = 20, TICKS_MAX = 40,
};

/* Colours far apart in brightness as well; with dash and marker no two series look alike in grey. */
static const char *const colours[] = {"#1b4f8f", "#c8531b", "#2a8c55", "#8a3a86", "#9a7a00", "#444444"};
static const char *const dashes[] = {"none", "7 4", "2 3", "9 3 2 3"};
enum { COLOURS = 6, DASHES = 4, MARKERS = 4 };

typedef struct axis {
    bool log;
    double low, high;       /* of the values, or of their logarithms */
    double from, to;        /* pixels */
    double tick[TICKS_MAX]; /* values */
    int ticks;
} axis;

static bool usable(const axis *a, double v) { return isfinite(v) && (!a->log || v > 0); }
static double place(const axis *a, double v) { return a->from + ((a->log ? log10(v) : v) - a->low) / (a->high - a->low) * (a->to - a->from); }

static void take(axis *a, double v)
{
    if (!usable(a, v)) return;
    v = a->log ? log10(v) : v;
    a->low = fmin(a->low, v);
    a->high = fmax(a->high, v);
}

/* At 1, 2 and 5 of each decade; at the decades alone where there are many. */
static void log_ticks(axis *a)
{
    bool few = a->high - a->low < 3.2;
    for (double decade = floor(a->low); decade <= a->high && a->ticks < TICKS_MAX - 3; decade++)
        for (int k = 0; k < 3; k++) {
            double v = pow(10, decade) * (double[]){1, 2, 5}[k], l = log10(v);
            if ((k == 0 || few) && l >= a->low - 1e-9 && l <= a->high + 1e-9) a->tick[a->ticks++] = v;
        }
}

static void even_ticks(axis *a)
{
    double rough = (a->high - a->low) / 6, ten = pow(10, floor(log10(rough))), step = ten * (rough / ten > 5 ? 10 : rough / ten > 2 ? 5 : rough / ten > 1 ? 2 : 1);
    for (double v = ceil(a->low / step - 1e-9) * step; v <= a->high + step * 1e-9 && a->ticks < TICKS_MAX; v += step) a->tick[a->ticks++] = fabs(v) < step / 2 ? 0 : v;
}

static void settle(axis *a, bool share)
{
    if (share) a->low = 0, a->high = 1;
    if (a->low > a->high) a->low = 0, a->high = 1; /* no points at all */
    if (!a->log && !share) a->low = fmin(a->low, 0);
    double room = a->high - a->low > 0 ? 0.03 * (a->high - a->low) : 0.5;
    if (a->log) a->low -= room;
    if (!share) a->high += room;
    if (a->log) log_ticks(a);
    else even_ticks(a);
}

static cj_err draw_marker(buf *out, int kind, const char *colour, double x, double y, cj_diag *d)
{
    switch (kind % MARKERS) {
    case 0: return buf_printf(out, d, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/>\n", x, y, colour);
    case 1: return buf_printf(out, d, "<rect x=\"%.1f\" y=\"%.1f\" width=\"8\" height=\"8\" fill=\"%s\"/>\n", x - 4, y - 4, colour);
    case 2: return buf_printf(out, d, "<path d=\"M%.1f %.1fl5 9h-10z\" fill=\"%s\"/>\n", x, y - 6, colour);
    default: return buf_printf(out, d, "<path d=\"M%.1f %.1fl5 5-5 5-5-5z\" fill=\"#fff\" stroke=\"%s\" stroke-width=\"2\"/>\n", x, y - 5, colour);
    }
}

/* x_name NULL: it stands below another chart. */
static cj_err draw_grid(buf *out, const svg_head *head, const char *x_name, const char *y_name, const axis *x, const axis *y, bool percent, cj_diag *d)
{
    char name[32];
    for (int i = 0; i < x->ticks; i++) {
        double at = place(x, x->tick[i]);
        TRY(buf_printf(out, d, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#e3e3e3\"/>\n", at, y->from, at, y->to));
        svg_number(name, sizeof name, x->tick[i], head->chinese);
        TRY(svg_text(out, at, y->from + 17, "middle", "font-size=\"12\"", name, d));
    }
    for (int i = 0; i < y->ticks; i++) {
        double at = place(y, y->tick[i]);
        TRY(buf_printf(out, d, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#e3e3e3\"/>\n", x->from, at, x->to, at));
        if (percent) snprintf(name, sizeof name, "%.0f%%", 100 * y->tick[i]);
        else svg_number(name, sizeof name, y->tick[i], head->chinese);
        TRY(svg_text(out, x->from - 7, at + 4, "end", "font-size=\"12\"", name, d));
    }
    TRY(buf_printf(out, d, "<path d=\"M%.1f %.1fV%.1fH%.1f\" fill=\"none\" stroke=\"#555\"/>\n", x->from, y->to, y->from, x->to));
    if (x_name) TRY(svg_text(out, (x->from + x->to) / 2, y->from + 38, "middle", "", x_name, d));
    TRY(buf_printf(out, d, "<g transform=\"rotate(-90 %d %.1f)\">", MARGIN + 2, (y->from + y->to) / 2));
    TRY(svg_text(out, MARGIN + 2, (y->from + y->to) / 2, "middle", "", y_name, d));
    return buf_puts(out, "</g>\n", d);
}

static cj_err draw_line(buf *out, const axis *x, const axis *y, const svg_series *s, const char *colour, const char *dash, cj_diag *d)
{
    bool pen = false;
    TRY(buf_puts(out, "<path fill=\"none\" d=\"", d));
    for (int i = 0; i < s->n; i++) {
        if (!usable(x, s->x[i]) || !usable(y, s->y[i])) continue;
        TRY(buf_printf(out, d, "%c%.1f %.1f", pen ? 'L' : 'M', place(x, s->x[i]), place(y, s->y[i])));
        pen = true;
    }
    return buf_printf(out, d, "%s\" stroke=\"%s\" stroke-width=\"2\" stroke-dasharray=\"%s\"/>\n", pen ? "" : "M0 0", colour, dash);
}

static cj_err draw_series(buf *out, const axis *x, const axis *y, const svg_series *s, int k, cj_diag *d)
{
    const char *colour = colours[k % COLOURS];
    TRY(draw_line(out, x, y, s, colour, dashes[k % DASHES], d));
    for (int i = 0; i < s->n; i++) {
        if (!usable(x, s->x[i]) || !usable(y, s->y[i])) continue;
        double at = place(x, s->x[i]);
        if (s->low && s->high && usable(y, s->low[i]) && usable(y, s->high[i])) /* aside by a little: intervals of several series overlap */
            TRY(buf_printf(out, d, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" opacity=\"0.55\"/>\n", at + 2 * k, place(y, s->low[i]), at + 2 * k,
                           place(y, s->high[i]), colour));
        TRY(draw_marker(out, k, colour, at, place(y, s->y[i]), d));
    }
    return CJ_OK;
}

static cj_err draw_legend(buf *out, const svg_series *series, int n, double y, cj_diag *d)
{
    for (int i = 0; i < n; i++) {
        double x = LEFT + i % 2 * LEGEND_COLUMN, at = y + i / 2 * LEGEND_LINE;
        TRY(buf_printf(out, d, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"2\" stroke-dasharray=\"%s\"/>\n", x, at, x + 34, at,
                       colours[i % COLOURS], dashes[i % DASHES]));
        TRY(draw_marker(out, i, colours[i % COLOURS], x + 17, at, d));
        TRY(svg_text(out, x + 42, at + 4, "start", "", series[i].name, d));
    }
    return CJ_OK;
}

static cj_err check_sizes(const svg_chart *chart, int n_charts, int n_series, cj_diag *d)
{
    if (n_charts > SVG_CHARTS_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "charts", SVG_CHARTS_MAX);
    if (n_series > SVG_SERIES_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "series", SVG_SERIES_MAX);
    for (int c = 0; c < n_charts; c++)
        for (int i = 0; i < n_series; i++)
            if (chart[c].series[i].n > SVG_POINTS_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "points", SVG_POINTS_MAX);
    return CJ_OK;
}

static axis x_axis(const svg_chart *chart, int n_charts, int n_series)
{
    axis x = {.log = chart->axes.log_x, .low = DBL_MAX, .high = -DBL_MAX, .from = LEFT, .to = WIDTH - RIGHT};
    for (int c = 0; c < n_charts; c++)
        for (int i = 0; i < n_series; i++)
            for (int k = 0; k < chart[c].series[i].n; k++) take(&x, chart[c].series[i].x[k]);
    settle(&x, false);
    return x;
}

static axis y_axis(const svg_chart *chart, int n_series, double from, double to)
{
    axis y = {.log = chart->axes.log_y, .low = DBL_MAX, .high = -DBL_MAX, .from = from, .to = to};
    for (int i = 0; i < n_series; i++)
        for (int k = 0; k < chart->series[i].n; k++) {
            take(&y, chart->series[i].y[k]);
            if (chart->series[i].high) take(&y, chart->series[i].high[k]);
        }
    settle(&y, chart->axes.percent);
    return y;
}

cj_err svg_charts(buf *out, const svg_head *head, const svg_chart *chart, int n_charts, int n_series, cj_diag *d)
{
    TRY(check_sizes(chart, n_charts, n_series, d));
    const axis x = x_axis(chart, n_charts, n_series);
    const double plot = n_charts > 1 ? PLOT_HEIGHT_OF_MANY : PLOT_HEIGHT, legend = TOP + n_charts * (plot + BETWEEN) - BETWEEN + BELOW + 12;
    TRY(svg_begin(out, head, WIDTH, legend + (n_series + 1) / 2 * LEGEND_LINE + NOTE_ROOM + MARGIN / 2.0, d));
    for (int c = 0; c < n_charts; c++) {
        const double top = TOP + c * (plot + BETWEEN);
        const axis y = y_axis(&chart[c], n_series, top + plot, top);
        TRY(draw_grid(out, head, c + 1 == n_charts ? head->x_name : NULL, chart[c].y_name, &x, &y, chart[c].axes.percent, d));
        for (int i = 0; i < n_series; i++) TRY(draw_series(out, &x, &y, &chart[c].series[i], i, d));
    }
    TRY(draw_legend(out, chart->series, n_series, legend, d));
    return buf_puts(out, "</svg>\n", d);
}

cj_err svg_lines(buf *out, const svg_head *head, svg_axes axes, const svg_series *series, int n, cj_diag *d)
{
    return svg_charts(out, head, &(svg_chart){head->y_name, axes, series}, 1, n, d);
}
