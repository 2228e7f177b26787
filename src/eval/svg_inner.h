/* Shared by the heat maps and the charts. */
#ifndef EVAL_SVG_INNER_H
#define EVAL_SVG_INNER_H

#include "eval/svg.h"

enum { MARGIN = 18 };

CJ_NODISCARD cj_err svg_escaped(buf *out, const char *text, cj_diag *d);
/* Opens the picture: white ground, title above, note below. */
CJ_NODISCARD cj_err svg_begin(buf *out, const svg_head *head, double width, double height, cj_diag *d);
/* About how wide a text is that is so many units high: nothing here knows the font. */
double svg_width(const char *text, double size);
CJ_NODISCARD cj_err svg_text(buf *out, double x, double y, const char *anchor, const char *more, const char *text, cj_diag *d);

#endif
