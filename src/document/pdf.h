/* PDF, by poppler's pdftotext. */
#ifndef DOCUMENT_PDF_H
#define DOCUMENT_PDF_H

#include "document/draft.h"

/* What pdftotext writes, pages ending in form feeds, with lines that were only broken by the width of the page joined again. What is
 * no text in it is blanked first. */
CJ_NODISCARD cj_err pdf_text_to_draft(char *text, size_t n, draft *out, cj_diag *d);

#endif
