/* What the files of this room share: the document's fields, and how its text is made into one. */
#ifndef DOCUMENT_INSIDE_H
#define DOCUMENT_INSIDE_H

#include "base/hash.h"
#include "document/document.h"
#include "document/draft.h"

enum { DOCUMENT_NAME_MAX = 4096, DOCUMENT_MARK_BYTES = 4096 };

struct document {
    char *name;
    buf text;
    char *converted_from;      /* NULL: from nothing */
    int64_t unread;
    char sha256[65];
    int64_t *marks;            /* the number of characters before every DOCUMENT_MARK_BYTES-th byte */
    int64_t chars;
    document_chapter *chapters;
    document_article *articles;
    size_t *pages;             /* where each begins, in order; an empty page begins where the next one does */
    int n_chapters, n_articles, n_pages;
};

/* Makes the document of a draft, whose text it takes. Headings are looked for in the text as well. */
CJ_NODISCARD cj_err document_of_draft(document **out, const char *name, draft *from, cj_diag *d);
/* Counts the characters of a text that is in place, and finds its articles. */
CJ_NODISCARD cj_err document_count_chars(document *doc, cj_diag *d);

#endif
