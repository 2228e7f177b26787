/* Text encodings: from bytes of unknown encoding to UTF-8. */
#ifndef DOCUMENT_ENCODING_H
#define DOCUMENT_ENCODING_H

#include "base/err.h"
#include "base/mem.h"

typedef struct encoding_found {
    const char *from; /* the encoding's name; NULL: UTF-8 */
    int64_t unread;   /* broken characters: U+FFFD stands in the place of each */
} encoding_found;

/* Appends bytes[0..n) as UTF-8 to out. In this order: a byte order mark, valid UTF-8, UTF-16 by its zero bytes, UTF-8 that is a little broken, what
 * the document says itself ("": nothing), a guess from the statistics of the bytes (GB18030, Big5, ...). Where more than a few characters are broken
 * the encoding is another one, or the file is refused. */
CJ_NODISCARD cj_err encoding_to_utf8(const char *name, const char *said, const char *bytes, size_t n, buf *out, encoding_found *found, cj_diag *d);

#endif
