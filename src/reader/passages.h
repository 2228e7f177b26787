/* Passages: a text cut into sentences, the smallest thing that is quoted as evidence. */
#ifndef READER_PASSAGES_H
#define READER_PASSAGES_H

#include "document/document.h"

typedef struct passage {
    size_t byte, end; /* without white space around it */
} passage;

typedef struct passage_list {
    passage *item;
    int64_t n, cap;
} passage_list;

/* Cuts text[0..bytes) at the ends of sentences (。！？… and their Latin fellows, with the quotation marks that close after them)
 * and at line ends. A sentence longer than PASSAGE_CHARS_MAX is cut at a comma, one shorter than PASSAGE_CHARS_MIN joined to the
 * next of its line. */
enum { PASSAGE_CHARS_MIN = 8, PASSAGE_CHARS_MAX = 160 };
CJ_NODISCARD cj_err passages_cut(const char *text, size_t bytes, passage_list *out, cj_diag *d);
/* How many bytes of a text that may have been cut short are whole sentences; 0: none ends. */
size_t passages_whole(const char *text, size_t bytes);
void passages_deinit(passage_list *l);

#endif
