/* Finding chapters and articles in text that says no more of its structure. */
#ifndef DOCUMENT_CHAPTERS_H
#define DOCUMENT_CHAPTERS_H

#include "document/document.h"

/* Fills *out [*n] (mem_free it) from headings: lines like 第十二回 ..., 卷三, Chapter 4 ..., and in Markdown # .... */
CJ_NODISCARD cj_err chapters_find(const char *text, size_t bytes, bool markdown, document_chapter **out, int *n, cj_diag *d);
/* Sets the ends of chapters in order, and drops headings that have no text of their own before the next one; returns how many stay. */
int chapters_close(document_chapter *list, int n, const char *text, size_t bytes);
/* Whether a line, without spaces around it, begins a chapter or an article. */
bool chapters_is_heading(const char *s, const char *end);
/* The same from lines that begin 第十二条, 第十二条之一, Article 12. */
CJ_NODISCARD cj_err articles_find(const char *text, size_t bytes, document_article **out, int *n, cj_diag *d);

#endif
