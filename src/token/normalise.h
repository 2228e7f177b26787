/* What happens to a text before it is cut and merged, and the way back from a place in the result to one in the source.
 * Private to token/. */
#ifndef TOKEN_NORMALISE_H
#define TOKEN_NORMALISE_H

#include "token/vocab.h"

/* The result's bytes [text_end - text_size, text_end) stand for the source's [source_end - source_size, source_end); between two
 * edits the bytes are the same. */
typedef struct text_edit {
    size_t text_end, text_size, source_end, source_size;
} text_edit;

typedef struct normal_text {
    const char *text; /* the source itself when nothing had to be changed, else in `changed` */
    size_t size;
    buf changed;
    text_edit *edits;
    size_t edit_count, edit_capacity;
    size_t edit_at, text_base, source_base; /* for normal_text_source */
} normal_text;

void normal_text_init(normal_text *x);
void normal_text_deinit(normal_text *x);
/* As the tokenizer wants source[0..n). at_start: nothing, or a special token, stands before it. */
CJ_NODISCARD cj_err normal_text_set(normal_text *x, const tokenizer *t, const char *source, size_t n, bool at_start,
                                    bool verbatim, cj_diag *d);
/* The place in the source of text[at]; inside an edit, where the edit begins. `at` must not decrease from call to call. */
size_t normal_text_source(normal_text *x, size_t at);

#endif
