/* Columns, styles, sizes and times. */
#include "app/term.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/utf8.h"

int term_columns(FILE *to)
{
    struct winsize w;
    if (ioctl(fileno(to), TIOCGWINSZ, &w) || w.ws_col < 20) return 80;
    return w.ws_col;
}

int term_width(const char *text, size_t n)
{
    int width = 0;
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        i += (size_t)utf8_decode(text + i, n - i, &cp);
        width += cp == UTF8_INVALID ? 1 : utf8_width(cp);
    }
    return width;
}

void term_pad(FILE *to, const char *text, int width)
{
    int spaces = width - term_width(text, strlen(text));
    fprintf(to, "%s%*s", text, spaces > 1 ? spaces : 1, "");
}

void term_label(const char *text)
{
    fputs(term_style_code(stdout, TERM_DIM), stdout);
    term_pad(stdout, text, TERM_LABEL);
    fputs(term_style_code(stdout, TERM_PLAIN), stdout);
}

/* Bytes up to the next place where a line may be folded: a word with the spaces behind it, or one wide character with the
 * punctuation that must not begin a line. */
static size_t fold_unit(const char *s, size_t n)
{
    static const char *const closing[] = {"，", "。", "、", "；", "：", "）", "”", "！", "？", "》", "」"};
    uint32_t cp;
    size_t i = (size_t)utf8_decode(s, n, &cp);
    if (utf8_width(cp) < 2) {
        while (i < n && s[i] != ' ' && s[i] != '\n' && s[i] != '\t') {
            size_t len = (size_t)utf8_decode(s + i, n - i, &cp);
            if (utf8_width(cp) == 2) break;
            i += len;
        }
    }
    for (size_t k = 0; k < sizeof closing / sizeof *closing; k++) {
        size_t len = strlen(closing[k]);
        if (n - i >= len && !memcmp(s + i, closing[k], len)) {
            i += len;
            k = (size_t)-1; /* there may be another */
        }
    }
    while (i < n && s[i] == ' ') i++;
    return i;
}

static void new_line(term_flow *f)
{
    fprintf(f->to, "\n%*s", f->indent, "");
    f->column = f->indent;
    f->spaces = 0;
    f->lines++;
}

/* Prints a unit, on the next line when it does not fit. */
static void put_unit(term_flow *f, const char *text, size_t n)
{
    size_t shown = n;
    while (shown && text[shown - 1] == ' ') shown--;
    int width = term_width(text, shown);
    if (shown && f->column + f->spaces + width > f->columns && f->column > f->indent) new_line(f);
    if (shown) {
        fprintf(f->to, "%*s", f->spaces, "");
        term_write(f->to, text, shown);
        f->column += f->spaces + width;
        f->spaces = 0;
    }
    f->spaces += (int)(n - shown);
}

/* Prints what is held, except for a last unit that may still grow, unless `all` is wanted. */
static void drain(term_flow *f, bool all)
{
    enum { TAB = 8 };
    size_t at = 0, n;
    for (; at < f->held_count; at += n) {
        const char *s = f->held + at;
        n = 1;
        if (*s == '\n') new_line(f);
        else if (*s == '\t') f->spaces += TAB - (f->column + f->spaces) % TAB;
        else {
            n = fold_unit(s, f->held_count - at);
            if (at + n == f->held_count && !all) break;
            put_unit(f, s, n);
        }
    }
    f->held_count -= at;
    memmove(f->held, f->held + at, f->held_count);
}

void term_flow_begin(term_flow *f, FILE *to, int at)
{
    *f = (term_flow){.to = to, .columns = isatty(fileno(to)) ? term_columns(to) : 0, .column = at, .lines = 1};
}

void term_flow_write(term_flow *f, const char *text, size_t n)
{
    if (!f->columns) {
        term_write(f->to, text, n);
        return;
    }
    for (size_t i = 0, len; i < n; i += len) {
        uint32_t cp;
        len = (size_t)utf8_decode(text + i, n - i, &cp);
        if (f->held_count + len > sizeof f->held) drain(f, true); /* no word of any language */
        memcpy(f->held + f->held_count, text + i, len);
        f->held_count += len;
        drain(f, false);
    }
}

void term_flow_end(term_flow *f) { drain(f, true); }

void term_fold(FILE *to, const char *text, int at, int indent, int columns)
{
    term_flow f = {.to = to, .columns = columns, .indent = indent, .column = at};
    term_flow_write(&f, text, strlen(text));
    term_flow_end(&f);
}

void term_write(FILE *to, const char *text, size_t n)
{
    if (!isatty(fileno(to))) {
        fwrite(text, 1, n, to);
        return;
    }
    for (size_t i = 0, len; i < n; i += len) {
        uint32_t cp;
        len = (size_t)utf8_decode(text + i, n - i, &cp);
        bool control = (utf8_is_control(cp) && cp != '\n' && cp != '\t') || cp == UTF8_INVALID;
        if (control) fputs("\xEF\xBF\xBD", to);
        else fwrite(text + i, 1, len, to);
    }
}

const char *term_style_code(FILE *to, term_style s)
{
    static const char *const codes[] = {"\033[0m", "\033[1m", "\033[2m", "\033[33m", "\033[32m"};
    const char *term = getenv("TERM"), *none = getenv("NO_COLOR");
    bool takes = isatty(fileno(to)) && term && strcmp(term, "dumb") && !(none && *none);
    return takes ? codes[s] : "";
}

const char *term_bytes(char out[TERM_TEXT], int64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    int u = 0;
    for (; v >= 1024 && u < 4; u++) v /= 1024;
    snprintf(out, TERM_TEXT, "%.*f %s", u && v < 10 ? 1 : 0, v, units[u]);
    return out;
}

const char *term_count(char out[TERM_TEXT], int64_t n)
{
    char digits[TERM_TEXT];
    int len = snprintf(digits, sizeof digits, "%" PRId64, n), at = 0;
    for (int i = 0; i < len && at < TERM_TEXT - 2; i++) {
        out[at++] = digits[i];
        int left = len - 1 - i;
        if (left && left % 3 == 0 && digits[i] != '-') out[at++] = ',';
    }
    out[at] = 0;
    return out;
}

const char *term_seconds(char out[TERM_TEXT], double seconds)
{
    if (!(seconds < 360000)) snprintf(out, TERM_TEXT, "> 99 h");
    else if (seconds < 60) snprintf(out, TERM_TEXT, "%.0f s", seconds);
    else if (seconds < 3600) snprintf(out, TERM_TEXT, "%d:%02d", (int)seconds / 60, (int)seconds % 60);
    else snprintf(out, TERM_TEXT, "%d:%02d:%02d", (int)seconds / 3600, (int)seconds / 60 % 60, (int)seconds % 60);
    return out;
}
