/* XML that came from somewhere, as a stream. No entity of a document's own is taken, and nothing is loaded from anywhere. */
#ifndef DOCUMENT_XML_H
#define DOCUMENT_XML_H

#include "base/err.h"
#include "base/mem.h"

typedef struct xml_element {
    const char *space, *name;    /* its namespace ("" when it has none) and its name without prefix */
    const void *attributes;
    int n_attributes;
} xml_element;

/* Copies the attribute called `name`, whatever its namespace; false, and out "": there is none, or it does not fit. */
bool xml_attribute(const xml_element *e, const char *name, char *out, size_t size);
/* The same as a number; `otherwise` when it is none. */
int64_t xml_number(const xml_element *e, const char *name, int64_t otherwise);

/* The first call that fails ends the reading. Any may be NULL. */
typedef struct xml_reader {
    cj_err (*begin)(void *user, const xml_element *e, cj_diag *d);
    cj_err (*end)(void *user, const xml_element *e, cj_diag *d); /* without attributes */
    cj_err (*text)(void *user, const char *s, size_t n, cj_diag *d);
} xml_reader;

/* `path` and `part` name the document and its part in messages. */
CJ_NODISCARD cj_err xml_read(const char *bytes, size_t n, const char *path, const char *part, const xml_reader *r, void *user, cj_diag *d);

#endif
