/* Operations on text: what Python's str does, counted in characters (code points), over valid UTF-8. */
#ifndef TOKEN_JINJA_TEXT_H
#define TOKEN_JINJA_TEXT_H

#include "base/utf8.h"
#include "token/jinja_value.h"

bool jinja_is_space(uint32_t cp); /* Python's str.isspace, the wide blank of Chinese text among it */
bool jinja_is_letter(uint32_t cp);
bool jinja_is_digit(uint32_t cp);
bool jinja_is_printable(uint32_t cp); /* repr shows it as it is */
size_t jinja_space_prefix(const char *s, size_t n); /* bytes of white space at the front */
size_t jinja_space_suffix(const char *s, size_t n); /* ... and at the end */

size_t jinja_length(jinja_value text);                         /* characters */
size_t jinja_offset(jinja_value text, size_t character);       /* byte where it begins; size when past the end */
jinja_value jinja_cut(jinja_value text, size_t from, size_t to); /* by bytes; keeps the mark */
/* Strips white space, or the characters of *set. */
jinja_value jinja_strip(jinja_value text, const jinja_value *set, bool left, bool right);
/* Byte position of `what` at or after from, at or before which it must end; SIZE_MAX when absent. `last`: the last one. */
size_t jinja_find(jinja_value text, jinja_value what, size_t from, size_t to, bool last);
bool jinja_starts(jinja_value text, jinja_value with);
bool jinja_ends(jinja_value text, jinja_value with);

typedef enum jinja_case { JINJA_UPPER, JINJA_LOWER, JINJA_CAPITAL, JINJA_TITLE, JINJA_TITLE_FILTER } jinja_case;
/* In the case asked for. TITLE begins words after anything without case, TITLE_FILTER after blanks, -, (, [, { and < only. */
CJ_NODISCARD cj_err jinja_change_case(jinja_work *w, jinja_value text, jinja_case to, jinja_value *out);
/* The text of a string literal, escapes resolved as Python does. */
CJ_NODISCARD cj_err jinja_unescape(jinja_work *w, const char *s, size_t n, jinja_value *out);
/* & < > ' " as HTML writes them. */
CJ_NODISCARD cj_err jinja_escape(jinja_work *w, jinja_value text, jinja_value *out);
/* Every `old` replaced, at most `limit` of them when limit >= 0. */
CJ_NODISCARD cj_err jinja_replace(jinja_work *w, jinja_value text, jinja_value old, jinja_value with, int64_t limit, jinja_value *out);
/* Python's split and rsplit (`from_end`); without a separator at runs of white space. limit < 0: all. */
CJ_NODISCARD cj_err jinja_split(jinja_work *w, jinja_value text, const jinja_value *separator, int64_t limit, bool from_end,
                                jinja_list **out);
CJ_NODISCARD cj_err jinja_split_lines(jinja_work *w, jinja_value text, bool keep_ends, jinja_list **out);

/* Text that grows; cheaply so while it is the last thing taken from the memory. */
typedef struct jinja_writer {
    jinja_work *work;
    char *data;
    size_t size, capacity;
} jinja_writer;
CJ_NODISCARD cj_err jinja_write(jinja_writer *out, const char *s, size_t n);
CJ_NODISCARD cj_err jinja_write_char(jinja_writer *out, uint32_t cp);
jinja_value jinja_written(jinja_writer *out); /* gives back what was reserved too much */

#endif
