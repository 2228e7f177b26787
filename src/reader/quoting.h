/* Answers that quote: the form
 *
 *     「a stretch of the passage, letter for letter」
 *     the answer, a piece of that quote
 *
 * or the words that say the passage has none. A writer whose every token is asked about here cannot misquote. The words inside may be any bytes
 * of the passage, its own 「」 and line ends included; an answer is one line.
 */
#ifndef READER_QUOTING_H
#define READER_QUOTING_H

#include <stdbool.h>
#include <stddef.h>

enum { QUOTING_QUOTE_MAX = 768 /* bytes; what is longer is closed */ };

typedef struct quoting {
    const char *passage; /* [bytes] */
    size_t bytes;
    const char *absent;  /* what is written where the passage has no answer */
} quoting;

/* Whether text[0..n) can still become an answer in the form, or when `ended`, is one. */
bool quoting_fits(const quoting *q, const char *text, size_t n, bool ended);

/* The parts of a finished text. */
typedef struct quoted {
    size_t quote, quote_end;   /* bytes of the text */
    size_t answer, answer_end;
    size_t at;                 /* where in the passage the quote stands first */
} quoted;
/* False: it is not in the form, or says that there is no answer. */
bool quoting_parse(const quoting *q, const char *text, size_t n, quoted *out);

#endif
