/* What both pictures are made of. */
#include "eval/svg_inner.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

cj_err svg_escaped(buf *out, const char *text, cj_diag *d)
{
    for (; *text; text++) {
        switch (*text) {
        case '&': TRY(buf_puts(out, "&amp;", d)); break;
        case '<': TRY(buf_puts(out, "&lt;", d)); break;
        case '>': TRY(buf_puts(out, "&gt;", d)); break;
        case '"': TRY(buf_puts(out, "&quot;", d)); break;
        default:
            if ((unsigned char)*text >= ' ') TRY(buf_append(out, text, 1, d));
        }
    }
    return CJ_OK;
}

cj_err svg_begin(buf *out, const svg_head *head, double width, double height, cj_diag *d)
{
    TRY(buf_printf(out, d, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
                   "font-family=\"'Noto Sans CJK SC','Source Han Sans SC','PingFang SC','Microsoft YaHei','WenQuanYi Micro Hei','DejaVu Sans',sans-serif\" "
                   "font-size=\"13\" fill=\"#222\">\n<title>", width, height, width, height));
    TRY(svg_escaped(out, head->title, d));
    TRY(buf_puts(out, "</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n", d));
    TRY(svg_text(out, MARGIN, MARGIN + 10, "start", "font-size=\"17\" font-weight=\"bold\"", head->title, d));
    return head->note ? svg_text(out, MARGIN, height - MARGIN + 4, "start", "font-size=\"11\" fill=\"#555\"", head->note, d) : CJ_OK;
}

cj_err svg_text(buf *out, double x, double y, const char *anchor, const char *more, const char *text, cj_diag *d)
{
    TRY(buf_printf(out, d, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" %s>", x, y, anchor, more));
    TRY(svg_escaped(out, text, d));
    return buf_puts(out, "</text>\n", d);
}

double svg_width(const char *text, double size)
{
    const double column = 0.58; /* of its height, a letter's width in bold; a Chinese character is two columns wide */
    uint32_t c;
    int columns = 0;
    for (size_t at = 0, n = strlen(text); at < n; columns += utf8_width(c)) at += (size_t)utf8_decode(text + at, n - at, &c);
    return columns * column * size;
}

/* Three digits at most, no zeros behind the point. */
static void short_number(char *out, size_t size, double v, const char *unit)
{
    snprintf(out, size, "%.3g", v);
    size_t n = strlen(out);
    snprintf(out + n, size - n, "%s", unit);
}

void svg_number(char *out, size_t size, double v, bool chinese)
{
    if (chinese) short_number(out, size, fabs(v) >= 1e8 ? v / 1e8 : fabs(v) >= 1e4 ? v / 1e4 : v, fabs(v) >= 1e8 ? "亿" : fabs(v) >= 1e4 ? "万" : "");
    else short_number(out, size, fabs(v) >= 1e6 ? v / 1e6 : fabs(v) >= 1e4 ? v / 1e3 : v, fabs(v) >= 1e6 ? "M" : fabs(v) >= 1e4 ? "K" : "");
    if (fabs(v) >= 1 && strchr(out, 'e')) snprintf(out, size, "%.0f", v);
}
