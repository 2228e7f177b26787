/* Reading and writing numbers. strtod and printf use the decimal sign of the locale: reading goes through the C locale, and of
 * what printf writes only the digits are taken. */
#include "token/jinja_number.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "token/jinja_text.h"

static double parse_c(const char *s)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c) return strtod(s, NULL);
    double x = strtod_l(s, NULL, c);
    freelocale(c);
    return x;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Digits with single underscores between them: their length. */
static size_t digits(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && (is_digit(s[i]) || (s[i] == '_' && i && i + 1 < n && s[i - 1] != '_' && is_digit(s[i + 1])))) i++;
    return i;
}

/* The shape of a float with a fraction or an exponent at the front of s: its length or 0. */
static size_t float_length(const char *s, size_t n)
{
    size_t whole = digits(s, n), i = whole, fraction = 0;
    if (!whole) return 0;
    if (i < n && s[i] == '.' && (fraction = digits(s + i + 1, n - i - 1))) i += 1 + fraction;
    if (i < n && (s[i] | 32) == 'e') {
        size_t sign = i + 1 < n && (s[i + 1] == '+' || s[i + 1] == '-'), power = digits(s + i + 1 + sign, n - i - 1 - sign);
        if (power) return i + 1 + sign + power;
    }
    return fraction ? i : 0;
}

/* Parses a float whose shape was checked, without its underscores. */
static double float_value(const char *s, size_t n)
{
    char small[64], *copy = n < sizeof small ? small : mem_alloc(n + 1);
    if (!copy) return NAN;
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        if (s[i] != '_') copy[k++] = s[i];
    copy[k] = 0;
    double x = parse_c(copy);
    if (copy != small) mem_free(copy);
    return x;
}

static int digit_value(char c)
{
    if (is_digit(c)) return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'z' ? c - 'a' + 10 : 99;
}

/* The integer at the front of s in this base: its length, 0 when it does not fit or there is none. */
static size_t integer_scan(const char *s, size_t n, int base, int64_t *out)
{
    int64_t v = 0;
    size_t i = 0;
    for (; i < n; i++) {
        if (s[i] == '_' && i + 1 < n && s[i + 1] != '_' && digit_value(s[i + 1]) < base && i) continue;
        int d = digit_value(s[i]);
        if (d >= base) break;
        if (!i64_mul(v, base, &v) || !i64_add(v, d, &v)) return 0;
    }
    *out = v;
    return i;
}

static int prefix_base(const char *s, size_t n)
{
    if (n < 3 || *s != '0') return 10;
    char c = s[1] | 32;
    return c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 10;
}

size_t jinja_number_scan(const char *s, size_t n, bool floats, jinja_value *out)
{
    size_t length = floats ? float_length(s, n) : 0;
    if (length) {
        *out = jinja_float(float_value(s, length));
        return length;
    }
    int base = prefix_base(s, n);
    size_t skip = base == 10 ? 0 : s[2] == '_' ? 3 : 2;
    int64_t v = 0;
    if (base == 10 && n && *s == '0') { /* a zero is a literal of its own: 007 is three */
        for (length = 1; length < n && (s[length] == '0' || (s[length] == '_' && length + 1 < n && s[length + 1] == '0')); length++) {}
    } else
        length = integer_scan(s + skip, n - skip, base, &v);
    *out = jinja_integer(v);
    return length ? length + skip : 0;
}

size_t jinja_number_write(double x, char out[JINJA_NUMBER_MAX])
{
    if (!isfinite(x)) return (size_t)snprintf(out, JINJA_NUMBER_MAX, "%s", isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
    char text[JINJA_NUMBER_MAX], digit[24];
    for (int precision = 0; precision < 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, x);
        if (strtod(text, NULL) == x) break;
    }
    const char *exponent_at = strchr(text, 'e');
    int n = 0, exponent = atoi(exponent_at + 1);
    for (const char *s = text; s < exponent_at; s++)
        if (is_digit(*s)) digit[n++] = *s;
    while (n > 1 && digit[n - 1] == '0') n--;
    char *o = out;
    if (signbit(x)) *o++ = '-';
    if (exponent < -4 || exponent >= 16) {
        *o++ = digit[0];
        if (n > 1) *o++ = '.';
        for (int i = 1; i < n; i++) *o++ = digit[i];
        return (size_t)(o - out) + (size_t)sprintf(o, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
    }
    if (exponent < 0) {
        *o++ = '0';
        *o++ = '.';
        for (int i = -1; i > exponent; i--) *o++ = '0';
    }
    for (int i = 0; i < n || i <= exponent; i++) {
        if (i && i == exponent + 1) *o++ = '.';
        *o++ = i < n ? digit[i] : '0';
    }
    if (exponent >= 0 && n <= exponent + 1) {
        *o++ = '.';
        *o++ = '0';
    }
    *o = 0;
    return (size_t)(o - out);
}

int jinja_number_format(char *out, size_t size, char type, bool alternate, int precision, double x)
{
    const char format[] = {'%', alternate ? '#' : '-', '.', '*', type, 0};
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0), before = c ? uselocale(c) : (locale_t)0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int n = snprintf(out, size, format, precision, x);
#pragma GCC diagnostic pop
    if (c) {
        uselocale(before);
        freelocale(c);
    }
    return n;
}

size_t jinja_time_format(char *out, size_t size, const char *format, const struct tm *t)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c) return 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    size_t n = strftime_l(out, size, format, t, c);
#pragma GCC diagnostic pop
    freelocale(c);
    return n;
}

/* Cuts white space and one sign off the front. */
static bool split_sign(jinja_value *text, bool *negative)
{
    *text = jinja_strip(*text, NULL, true, true);
    *negative = text->size && *text->text == '-';
    if (text->size && (*text->text == '-' || *text->text == '+')) {
        text->text++;
        text->size--;
    }
    return text->size > 0;
}

static bool is_word(jinja_value text, const char *word)
{
    if (text.size != strlen(word)) return false;
    for (size_t i = 0; i < text.size; i++)
        if ((text.text[i] | 32) != word[i]) return false;
    return true;
}

bool jinja_float_read(jinja_value text, double *out)
{
    bool negative;
    if (!split_sign(&text, &negative)) return false;
    double x;
    const char *s = text.text;
    size_t n = text.size;
    size_t whole = digits(s, n);
    if (is_word(text, "inf") || is_word(text, "infinity")) x = INFINITY;
    else if (is_word(text, "nan")) x = NAN;
    else if (whole == n || float_length(s, n) == n) x = float_value(s, n);
    else if (whole && whole + 1 == n && s[whole] == '.') x = float_value(s, n);         /* "1." */
    else if (*s == '.' && n > 1) {                                                     /* ".5" */
        char padded[64];
        if (n + 1 >= sizeof padded) return false;
        padded[0] = '0';
        memcpy(padded + 1, s, n);
        if (float_length(padded, n + 1) != n + 1) return false;
        x = float_value(padded, n + 1);
    } else
        return false;
    *out = negative ? -x : x;
    return true;
}

bool jinja_integer_read(jinja_value text, int base, int64_t *out)
{
    bool negative;
    if (!split_sign(&text, &negative)) return false;
    int prefix = prefix_base(text.text, text.size);
    size_t skip = prefix != 10 && (base == 0 || base == prefix) ? 2 : 0;
    if (base == 0) base = prefix;
    if (skip && text.size > 3 && text.text[2] == '_') skip = 3;
    int64_t v;
    size_t n = text.size - skip;
    if (!n || integer_scan(text.text + skip, n, base, &v) != n) return false;
    *out = negative ? -v : v;
    return true;
}
