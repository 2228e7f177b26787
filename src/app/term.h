/* Writing to a terminal: columns, styles, sizes and times in words. */
#ifndef APP_TERM_H
#define APP_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Columns of the terminal that `to` is; 80 when it is none. */
int term_columns(FILE *to);
/* Columns that text[0..n) takes. */
int term_width(const char *text, size_t n);
/* Prints text and spaces up to `width` columns; at least one space. */
void term_pad(FILE *to, const char *text, int width);
/* The name of a row on standard output: dim, so wide that what it tells begins at column TERM_LABEL. */
enum { TERM_LABEL = 14 };
void term_label(const char *text);
/* Prints text folded at `columns`, later lines indented by `indent` columns; the first begins at column `at`. No line break at
 * the end. Folds at spaces and between wide characters. */
void term_fold(FILE *to, const char *text, int at, int indent, int columns);

/* The same for text that a model or a file made up and that comes in pieces of whole characters. Folded on a terminal only. What may still
 * grow, a word or a character that punctuation may follow, waits for the next piece. */
typedef struct term_flow {
    FILE *to;
    int columns, indent;      /* columns 0: nothing is folded */
    int column, spaces;       /* where the next character goes; spaces not printed yet, so that no line ends in them */
    int lines;                /* begun so far */
    char held[256];
    size_t held_count;
} term_flow;
void term_flow_begin(term_flow *f, FILE *to, int at); /* at: the column where it begins */
void term_flow_write(term_flow *f, const char *text, size_t n);
void term_flow_end(term_flow *f);

/* Writes text that a model or a file made up: control characters, which could steer the terminal, become U+FFFD on one. */
void term_write(FILE *to, const char *text, size_t n);

/* Styles: "" unless `to` is a terminal that takes them (NO_COLOR is heard). */
typedef enum term_style { TERM_PLAIN, TERM_BOLD, TERM_DIM, TERM_WARN, TERM_GOOD } term_style;
const char *term_style_code(FILE *to, term_style s);

enum { TERM_TEXT = 32 };
const char *term_bytes(char out[TERM_TEXT], int64_t bytes);     /* "241 MiB" */
const char *term_count(char out[TERM_TEXT], int64_t n);         /* "32,768" */
const char *term_seconds(char out[TERM_TEXT], double seconds);  /* "8 s", "1:05", "2:10:00" */

#endif
