/* Text encodings: from bytes of unknown encoding to UTF-8. */
#ifndef DOCUMENT_ENCODING_H
#define DOCUMENT_ENCODING_H

#include "base/err.h"
#include "base/mem.h"

/* Appends bytes[0..n) as UTF-8 to out. In this order: a byte order mark, valid UTF-8, UTF-16 by its zero bytes, what the document
 * says itself ("": nothing), a guess from the statistics of the bytes (GB18030, Big5, ...). *from is the encoding's name, or NULL for
 * UTF-8. */
CJ_NODISCARD cj_err encoding_to_utf8(const char *name, const char *said, const char *bytes, size_t n, buf *out, const char **from, cj_diag *d);

#endif
