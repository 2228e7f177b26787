/* A text index: which passages of a text have pieces in common with a question.
 *
 * One SQLite file beside the text, which itself is not in it: an FTS5 table of our own pieces (text_pieces.h: one token for each CJK
 * character, so that a phrase is an exact run of characters, and one for each pair), and where every passage lies. No model is needed
 * to build it or to ask it. The file is untrusted when opened: it may be refused or find nonsense, but a hit lies within the text
 * whose size was given. An index does not change once built; one thread uses an open one at a time.
 */
#ifndef SHELF_TEXT_INDEX_H
#define SHELF_TEXT_INDEX_H

#include "base/err.h"

enum {
    TEXT_INDEX_PASSAGES_MAX = 1 << 24,
    TEXT_INDEX_PASSAGE_BYTES_MAX = 1 << 24,
    TEXT_INDEX_PIECES_MAX = 1024, /* of a question; what follows in a longer one is not looked up */
};

typedef struct text_index text_index;

typedef struct text_range {
    size_t byte, end;
} text_range;

typedef struct text_hit {
    int64_t passage;
    text_range range; /* of the text */
    float score;      /* 0..1: how much of the question stands there, what is rare counting more */
} text_hit;

/* Writes the index of text[0..bytes) to path, which is replaced in one step. passages[n]: in order of the text, not overlapping.
 * on_progress (may be NULL) is told passages done; false cancels. */
CJ_NODISCARD cj_err text_index_build(const char *path, const char *text, size_t bytes, const text_range *passages, int64_t n,
                                     bool (*on_progress)(void *arg, int64_t done, int64_t total), void *arg, cj_diag *d);

/* bytes: of the text. A file that is no index, a damaged one and one of a longer text are refused. */
CJ_NODISCARD cj_err text_index_open(text_index **out, const char *path, size_t bytes, cj_diag *d);
void text_index_close(text_index **ix);
int64_t text_index_passages(const text_index *ix);
text_range text_index_range(const text_index *ix, int64_t passage);

/* The `most` passages with the highest scores, best first, earlier ones first among equals; *n of them. Zero is not an error. */
CJ_NODISCARD cj_err text_index_find(text_index *ix, const char *question, text_hit *hits, int most, int *n, cj_diag *d);

#endif
