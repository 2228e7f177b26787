/* Numbers and dates as text, in Python's way and independent of the locale. */
#ifndef TOKEN_JINJA_NUMBER_H
#define TOKEN_JINJA_NUMBER_H

#include <time.h>

#include "token/jinja_value.h"

enum { JINJA_NUMBER_MAX = 40 };

/* The number literal at the front of s[0..n): its length, 0 when there is none or it does not fit. Binary, octal, hexadecimal,
 * underscores, exponents. Without `floats` only an integer is read. */
size_t jinja_number_scan(const char *s, size_t n, bool floats, jinja_value *out);
/* Python's repr of a float: the shortest digits that read back as x. Returns the length. */
size_t jinja_number_write(double x, char out[JINJA_NUMBER_MAX]);
/* printf's conversion `type` (f, e, g, ...) of x; as snprintf, returns the length needed. */
int jinja_number_format(char *out, size_t size, char type, bool alternate, int precision, double x);
/* strftime; returns the length, 0 when the text does not fit. */
size_t jinja_time_format(char *out, size_t size, const char *format, const struct tm *t);
/* Python's float(text) and int(text, base); base 0 reads prefixes. False when the text is no such number. */
bool jinja_float_read(jinja_value text, double *out);
bool jinja_integer_read(jinja_value text, int base, int64_t *out);

#endif
