/* Files that go into a prompt. */
#include "app/attach.h"

#include "app/documents.h"

cj_err attach_text(buf *out, const char *text, size_t n, cj_diag *d)
{
    if (!n) return CJ_OK;
    if (out->len) TRY(buf_puts(out, "\n\n", d));
    return buf_append(out, text, n, d);
}

cj_err attach_file(const cli *c, const char *path, buf *out, cj_diag *d)
{
    document *doc;
    TRY(document_open(&doc, path, d));
    documents_say_of(c, doc);
    cj_err e = attach_text(out, document_text(doc), document_bytes(doc), d);
    document_close(&doc);
    return e;
}
