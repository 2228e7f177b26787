/* Needles: facts planted in a text, asked for in their own words, in other words, and two at once.
 *
 * A file of needles has one a line: fact, question in the fact's words, question in other words, answer and, if there is one, a
 * sentence of the same form about something else, parted by tabs; lines that begin with # are passed over. Untrusted input.
 */
#ifndef EVAL_NEEDLES_H
#define EVAL_NEEDLES_H

#include "eval/task.h"

enum { NEEDLES_MAX = 1024, NEEDLE_FIELD_MAX = 1024, NEEDLES_BYTES_MAX = 1 << 22, NEEDLES_DEPTHS_MAX = 64 };

typedef struct needle {
    const char *fact, *words, *other, *answer, *distractor; /* distractor: NULL when there is none */
} needle;

typedef struct needle_set {
    buf text;
    needle *item; /* [n], pointing into text */
    int n;
} needle_set;

CJ_NODISCARD cj_err needles_open(needle_set *s, const char *path, cj_diag *d);
/* The same over bytes in memory, which are copied; `name` is used in messages. */
CJ_NODISCARD cj_err needles_parse(needle_set *s, const char *name, const char *bytes, size_t n, cj_diag *d);
void needles_close(needle_set *s);

typedef struct needles_options {
    int64_t chars;       /* of the finished text */
    uint64_t seed;       /* which fact lies where */
    const double *depth; /* [n_depths] where facts are wanted, in turn; none: spread evenly */
    int n_depths;
    bool distractors;
} needles_options;

/* As many of the facts as make up no more than a quarter of the text. Questions' groups: "words", "other", "pair". */
CJ_NODISCARD cj_err needles_task(eval_task *t, const needle_set *s, const char *haystack, size_t bytes, const needles_options *opt, cj_diag *d);

#endif
