/* Charts of agreement against depth. */
#include "eval/agreement_svg.h"

#include <math.h>

enum { LINE_SPARSE, LINE_CONTROL, LINE_EXACT, LINE_AIM, LINES, CHART_KL = 0, CHART_LIKELIEST, CHART_COPIED, CHART_BEST, CHARTS };

static const double aims[CHARTS] = {[CHART_KL] = 0.01, [CHART_LIKELIEST] = 0.99, [CHART_COPIED] = NAN, [CHART_BEST] = 0.95};

typedef struct picture {
    double x[AGREEMENT_DEPTHS_MAX], y[CHARTS][LINES][AGREEMENT_DEPTHS_MAX];
    svg_series series[CHARTS][LINES];
} picture;

/* NaN where there is nothing: such points are left out. */
static double share(int64_t part, int64_t all) { return all ? (double)part / (double)all : NAN; }

static void fill_depth(picture *p, const agreement_depth *a, int n_heads, int i)
{
    static const agreement_way ways[] = {[LINE_SPARSE] = AGREEMENT_SPARSE, [LINE_CONTROL] = AGREEMENT_CONTROL, [LINE_EXACT] = AGREEMENT_EXACT};
    agreement_best best = {0};
    for (int h = 0; h < n_heads; h++) best.pages += a->best[h].pages, best.kept += a->best[h].kept;
    p->x[i] = (double)a->at;
    for (int line = LINE_SPARSE; line <= LINE_EXACT; line++) {
        const agreement_sum *s = &a->way[ways[line]];
        const bool exact = line == LINE_EXACT; /* agrees with itself */
        p->y[CHART_KL][line][i] = exact ? NAN : s->kl / (double)s->rows;
        p->y[CHART_LIKELIEST][line][i] = exact ? NAN : share(s->same_led, s->led);
        p->y[CHART_COPIED][line][i] = a->copies.tokens ? a->copies.nll[ways[line]] / (double)a->copies.tokens : NAN;
        p->y[CHART_BEST][line][i] = line == LINE_SPARSE ? share(best.kept, best.pages) : NAN;
    }
    for (int c = 0; c < CHARTS; c++) p->y[c][LINE_AIM][i] = aims[c];
}

static bool has_points(const double *y, int n)
{
    for (int i = 0; i < n; i++)
        if (isfinite(y[i])) return true;
    return false;
}

cj_err agreement_draw(const agreement_depth *depth, int n, int n_heads, const agreement_picture *names, buf *out, cj_diag *d)
{
    const char *const line[LINES] = {names->sparse, names->control, names->exact, names->aim};
    const char *const y_name[CHARTS] = {names->kl, names->likeliest, names->copied, names->best};
    svg_chart chart[CHARTS];
    int charts = 0;
    picture *p = mem_zalloc(sizeof *p);
    if (!p) return diag_nomem(d, sizeof *p);
    for (int i = 0; i < n; i++) fill_depth(p, &depth[i], n_heads, i);
    for (int c = 0; c < CHARTS; c++) {
        for (int l = 0; l < LINES; l++) p->series[c][l] = (svg_series){.name = line[l], .x = p->x, .y = p->y[c][l], .n = n};
        const svg_axes axes = {.log_x = true, .log_y = c == CHART_KL, .percent = c == CHART_LIKELIEST || c == CHART_BEST};
        if (c == CHART_KL || has_points(p->y[c][LINE_SPARSE], n)) chart[charts++] = (svg_chart){y_name[c], axes, p->series[c]};
    }
    cj_err e = svg_charts(out, &names->head, chart, charts, LINES, d);
    mem_free(p);
    return e;
}
