/* HTML and XHTML: pages of their own, and the parts of books. */
#ifndef DOCUMENT_HTML_H
#define DOCUMENT_HTML_H

#include "document/draft.h"

/* Appends what a reader of the page would see. title (may be NULL): its <title> is appended to it. */
CJ_NODISCARD cj_err html_to_draft(const char *bytes, size_t n, const char *encoding, draft *out, buf *title, cj_diag *d);

/* The encoding that a page names for itself, "" when it names none. */
void html_charset(const char *bytes, size_t n, char *name, size_t size);

#endif
