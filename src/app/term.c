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

size_t term_fit(const char *text, int columns)
{
    size_t n = strlen(text), i = 0;
    while (i < n) {
        uint32_t cp;
        int len = utf8_decode(text + i, n - i, &cp);
        columns -= cp == UTF8_INVALID ? 1 : utf8_width(cp);
        if (columns < 0) break;
        i += (size_t)len;
    }
    return i;
}

void term_pad(FILE *to, const char *text, int width)
{
    int spaces = width - term_width(text, strlen(text));
    fprintf(to, "%s%*s", text, spaces > 1 ? spaces : 1, "");
}

/* Bytes up to the next place where a line may be folded: a word with the spaces behind it, or one wide character with the
 * punctuation that must not begin a line. */
static size_t fold_unit(const char *s)
{
    static const char *const closing[] = {"，", "。", "、", "；", "：", "）", "”", "！", "？", "》", "」"};
    size_t n = strlen(s), i = 0;
    uint32_t cp;
    i += (size_t)utf8_decode(s, n, &cp);
    if (utf8_width(cp) < 2) {
        while (i < n && s[i] != ' ' && s[i] != '\n') {
            size_t len = (size_t)utf8_decode(s + i, n - i, &cp);
            if (utf8_width(cp) == 2) break;
            i += len;
        }
    }
    for (size_t k = 0; k < sizeof closing / sizeof *closing; k++) {
        size_t len = strlen(closing[k]);
        if (!strncmp(s + i, closing[k], len)) {
            i += len;
            k = (size_t)-1; /* there may be another */
        }
    }
    while (s[i] == ' ') i++;
    return i;
}

void term_fold(FILE *to, const char *text, int at, int indent, int columns)
{
    int column = at, spaces = 0; /* spaces: not printed yet, so that no line ends in them */
    while (*text) {
        if (*text == '\n') {
            fprintf(to, "\n%*s", indent, "");
            column = indent;
            spaces = 0;
            text++;
            continue;
        }
        size_t n = fold_unit(text), shown = n;
        while (shown && text[shown - 1] == ' ') shown--;
        int width = term_width(text, shown);
        if (column + spaces + width > columns && column > indent) {
            fprintf(to, "\n%*s", indent, "");
            column = indent;
            spaces = 0;
        }
        fprintf(to, "%*s", spaces, "");
        fwrite(text, 1, shown, to);
        column += spaces + width;
        spaces = (int)(n - shown);
        text += n;
    }
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
        bool control = (cp < 0x20 && cp != '\n' && cp != '\t') || (cp >= 0x7F && cp < 0xA0) || cp == UTF8_INVALID;
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
