/* Finding chapters in plain text and Markdown. */
#ifndef DOCUMENT_CHAPTERS_H
#define DOCUMENT_CHAPTERS_H

#include "document/document.h"

/* Fills *out [*n] (mem_free it) from headings: lines like 第十二回 ..., 卷三, Chapter 4 ..., # .... */
CJ_NODISCARD cj_err chapters_find(const char *text, size_t bytes, document_chapter **out, int *n, cj_diag *d);

#endif
