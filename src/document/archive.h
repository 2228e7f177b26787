/* Zip archives that came from somewhere: parts are unpacked one at a time, within a budget, and never to disk. */
#ifndef DOCUMENT_ARCHIVE_H
#define DOCUMENT_ARCHIVE_H

#include "document/formats.h"
#include "document/xml.h"

#define ARCHIVE_PART_MAX ((size_t)128 << 20)  /* of one part, unpacked */
#define ARCHIVE_TOTAL_MAX ((size_t)512 << 20) /* of all that is unpacked */
enum { ARCHIVE_PARTS_MAX = 1 << 16, ARCHIVE_NAME_MAX = 1024 };

typedef struct archive {
    struct zip *zip;
    const char *path; /* for messages */
    size_t unpacked;
} archive;

CJ_NODISCARD cj_err archive_open(archive *a, const document_source *s, cj_diag *d);
void archive_close(archive *a);
bool archive_has(const archive *a, const char *part);
/* Unpacks a part into out, which is initialised here and must be given to buf_deinit whatever comes back. */
CJ_NODISCARD cj_err archive_read(archive *a, const char *part, buf *out, cj_diag *d);

/* The same, read as XML. */
CJ_NODISCARD cj_err archive_read_xml(archive *a, const char *part, const xml_reader *r, void *user, cj_diag *d);

/* The path of `reference` as seen from the part `from`: relative ones are resolved, percent signs decoded, what begins with # cut off.
 * False: it leads out of the archive, or is too long. */
bool archive_resolve(const char *from, const char *reference, char out[ARCHIVE_NAME_MAX]);

#endif
