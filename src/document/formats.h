/* Formats: how each is told from the bytes, and which file of this room reads it. */
#ifndef DOCUMENT_FORMATS_H
#define DOCUMENT_FORMATS_H

#include "base/process.h"
#include "document/draft.h"

/* The most that an extractor may take: memory beside the file, bytes of text, seconds of work. */
enum { FORMATS_SECONDS = 120 };
#define FORMATS_MEMORY ((size_t)1 << 30)
#define FORMATS_OUTPUT ((size_t)256 << 20)

typedef struct document_source {
    const char *path;          /* for messages */
    const char *name;          /* that the document will have */
    const char *bytes;         /* [n] of the file */
    size_t n;
    bool (*go_on)(void *user); /* false cancels; NULL: as file_stop_when says */
    void *user;
} document_source;

/* Reads a document of whatever format it is. */
CJ_NODISCARD cj_err formats_read(document **out, const document_source *s, cj_diag *d);

/* Whether the beginning of a file, s, shows that it is of no format that can be read. */
bool formats_is_binary(const document_source *s);

/* The fence that a source is extracted behind. */
process_fence formats_fence(const document_source *s);

/* The extractors: each writes what it finds into the draft. Those of complex formats run behind a fence, with nothing to open;
 * pdf_extract has pdftotext run behind one. */
typedef cj_err format_extract(const document_source *s, draft *out, cj_diag *d);
CJ_NODISCARD cj_err html_extract(const document_source *s, draft *out, cj_diag *d);
CJ_NODISCARD cj_err pdf_extract(const document_source *s, draft *out, cj_diag *d);
CJ_NODISCARD cj_err docx_extract(const document_source *s, draft *out, cj_diag *d);
CJ_NODISCARD cj_err epub_extract(const document_source *s, draft *out, cj_diag *d);

#endif
