/* A document's text while an extractor puts it together: words, lines, headings, pages.
 *
 * White space is as in a printed page: runs of it are one space, none at the ends of lines, and no empty lines. What separates two
 * words (nothing, a space, a cell's edge, a line end) is only written when the second one comes; the strongest wins.
 */
#ifndef DOCUMENT_DRAFT_H
#define DOCUMENT_DRAFT_H

#include "document/document.h"

typedef enum draft_gap { DRAFT_NONE, DRAFT_SOFT_SPACE, DRAFT_SPACE, DRAFT_CELL, DRAFT_LINE } draft_gap;

typedef struct draft {
    buf text;
    document_chapter *headings; /* ends not set */
    size_t *pages;
    int n_headings, cap_headings, n_pages, cap_pages;
    draft_gap gap;      /* what is due before the next word; a soft space is none between two Chinese characters */
    bool markdown;      /* lines that begin with # are headings */
    size_t heading;     /* where the heading begins that is open; SIZE_MAX: none */
} draft;

void draft_init(draft *t);
void draft_deinit(draft *t);

/* Text in which ASCII white space only separates. */
CJ_NODISCARD cj_err draft_words(draft *t, const char *s, size_t n, cj_diag *d);
/* Text in which white space stands for itself. */
CJ_NODISCARD cj_err draft_verbatim(draft *t, const char *s, size_t n, cj_diag *d);
/* Asks for a gap before what comes next. Within a heading a line is a space. */
void draft_break(draft *t, draft_gap gap);

/* What lies between the two is a line of its own and begins a chapter; nothing between them: no chapter. */
void draft_heading_begin(draft *t);
CJ_NODISCARD cj_err draft_heading_end(draft *t, cj_diag *d);
/* Makes the line [byte, end) of the text a heading. */
CJ_NODISCARD cj_err draft_heading_at(draft *t, size_t byte, size_t end, cj_diag *d);
/* Appends another draft without pages, on lines of its own. One without headings gets `label` (may be NULL) for its heading: its first
 * line when that says the same, else a line before it. */
CJ_NODISCARD cj_err draft_append(draft *t, const draft *part, const char *label, cj_diag *d);
/* A page begins here. */
CJ_NODISCARD cj_err draft_page(draft *t, cj_diag *d);

#endif
