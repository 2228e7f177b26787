/* Heat maps. */
#include <math.h>
#include <stdio.h>

#include "eval/svg_inner.h"

enum {
    CELL_WIDTH = 52, CELL_HEIGHT = 26, ROW_NAMES = 86, ABOVE = 52, PANEL_TITLE = 26, COLUMN_NAMES = 44, GAP = 18,
    PANELS_IN_ROW = 3, TITLE_SIZE = 13, NOTE_SIZE = 11, HEAD_SIZE = 17, SCALE_WIDTH = 240, SCALE_HEIGHT = 12, SCALE_ROOM = 46, NOTE_ROOM = 22, SCALE_STEPS = 48,
};

/* From dark to light: every step is brighter than the one before, so it reads in grey too. */
static const int anchors[][3] = {{44, 30, 80}, {60, 86, 140}, {62, 150, 152}, {146, 198, 116}, {247, 234, 140}};
enum { ANCHORS = sizeof anchors / sizeof *anchors };

static void colour_of(double v, char out[8])
{
    double at = fmin(fmax(v, 0), 1) * (ANCHORS - 1);
    int i = (int)fmin(at, ANCHORS - 2);
    unsigned c[3];
    for (int k = 0; k < 3; k++) c[k] = (unsigned)lround(anchors[i][k] + (at - i) * (anchors[i + 1][k] - anchors[i][k])) & 0xFF;
    snprintf(out, 8, "#%02x%02x%02x", c[0], c[1], c[2]);
}

static const char *ink_on(double v) { return v < 0.6 ? "fill=\"#fff\"" : "fill=\"#111\""; }

static cj_err draw_cell(buf *out, double x, double y, double v, cj_diag *d)
{
    char colour[8], percent[16];
    if (!isfinite(v))
        return buf_printf(out, d, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#ccc\"/>\n", x, y, CELL_WIDTH - 2, CELL_HEIGHT - 2);
    colour_of(v, colour);
    TRY(buf_printf(out, d, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%d\" height=\"%d\" fill=\"%s\"/>\n", x, y, CELL_WIDTH - 2, CELL_HEIGHT - 2, colour));
    snprintf(percent, sizeof percent, "%.0f", 100 * v);
    return svg_text(out, x + CELL_WIDTH / 2.0 - 1, y + CELL_HEIGHT / 2.0 + 4, "middle", ink_on(v), percent, d);
}

/* Its title may be wider than its cells. */
static double panel_width(const svg_map *m) { return ROW_NAMES + fmax(m->columns * CELL_WIDTH, svg_width(m->title, TITLE_SIZE)); }
static double panel_height(const svg_map *m) { return PANEL_TITLE + m->rows * CELL_HEIGHT + COLUMN_NAMES; }

static cj_err draw_panel(buf *out, const svg_head *head, const svg_map *m, double x, double y, cj_diag *d)
{
    char name[32];
    double left = x + ROW_NAMES, top = y + PANEL_TITLE, bottom = top + m->rows * CELL_HEIGHT;
    TRY(svg_text(out, left, y + 16, "start", "font-weight=\"bold\"", m->title, d));
    for (int r = 0; r < m->rows; r++) {
        TRY(svg_text(out, left - 6, top + r * CELL_HEIGHT + CELL_HEIGHT / 2.0 + 4, "end", "font-size=\"12\"", m->row[r], d));
        for (int c = 0; c < m->columns; c++) TRY(draw_cell(out, left + c * CELL_WIDTH, top + r * CELL_HEIGHT, m->value[r * m->columns + c], d));
    }
    for (int c = 0; c < m->columns; c++) {
        svg_number(name, sizeof name, m->column[c], head->chinese);
        TRY(svg_text(out, left + c * CELL_WIDTH + CELL_WIDTH / 2.0 - 1, bottom + 15, "middle", "font-size=\"12\"", name, d));
    }
    TRY(svg_text(out, left + m->columns * CELL_WIDTH / 2.0, bottom + 33, "middle", "font-size=\"12\"", head->x_name, d));
    TRY(buf_printf(out, d, "<g transform=\"rotate(-90 %.1f %.1f)\">", x + 14, (top + bottom) / 2));
    TRY(svg_text(out, x + 14, (top + bottom) / 2, "middle", "font-size=\"12\"", head->y_name, d));
    return buf_puts(out, "</g>\n", d);
}

static cj_err draw_scale(buf *out, double x, double y, cj_diag *d)
{
    char colour[8], percent[16];
    for (int i = 0; i < SCALE_STEPS; i++) {
        colour_of((i + 0.5) / SCALE_STEPS, colour);
        TRY(buf_printf(out, d, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n", x + i * (double)SCALE_WIDTH / SCALE_STEPS, y,
                       (double)SCALE_WIDTH / SCALE_STEPS + 0.5, SCALE_HEIGHT, colour));
    }
    for (int i = 0; i <= 4; i++) {
        snprintf(percent, sizeof percent, "%d%%", 25 * i);
        TRY(svg_text(out, x + i * SCALE_WIDTH / 4.0, y + SCALE_HEIGHT + 14, "middle", "font-size=\"11\"", percent, d));
    }
    return CJ_OK;
}

cj_err svg_maps(buf *out, const svg_head *head, const svg_map *map, int n, cj_diag *d)
{
    double width = 2 * MARGIN + fmax(SCALE_WIDTH + 40, fmax(svg_width(head->title, HEAD_SIZE), head->note ? svg_width(head->note, NOTE_SIZE) : 0)), row_width = 0, row_height = 0, height = ABOVE;
    double x[SVG_MAPS_MAX], y[SVG_MAPS_MAX];
    if (n > SVG_MAPS_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "maps", SVG_MAPS_MAX);
    for (int i = 0; i < n; i++) {
        if (map[i].rows > SVG_CELLS_MAX || map[i].columns > SVG_CELLS_MAX)
            return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "rows or columns", SVG_CELLS_MAX);
        if (i % PANELS_IN_ROW == 0) {
            height += row_height;
            row_width = row_height = 0;
        }
        x[i] = MARGIN + row_width;
        y[i] = height;
        row_width += panel_width(&map[i]) + GAP;
        row_height = fmax(row_height, panel_height(&map[i]) + GAP / 2.0);
        width = fmax(width, row_width - GAP + 2 * MARGIN);
    }
    height += row_height;
    TRY(svg_begin(out, head, width, height + SCALE_ROOM + NOTE_ROOM, d));
    for (int i = 0; i < n; i++) TRY(draw_panel(out, head, &map[i], x[i], y[i], d));
    TRY(draw_scale(out, MARGIN + 20, height + 4, d));
    return buf_puts(out, "</svg>\n", d);
}
