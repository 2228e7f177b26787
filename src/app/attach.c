/* Files that go into a prompt. */
#include "app/attach.h"

#include "document/document.h"

cj_err attach_file(const cli *c, const char *path, buf *out, cj_diag *d)
{
    document *doc;
    TRY(document_open(&doc, path, d));
    const char *from = document_converted_from(doc);
    if (from) cli_say(c, MSG_ASK_CONVERTED, "%s" ARG "%s", document_name(doc), from);
    cj_err e = buf_append(out, document_text(doc), document_bytes(doc), d);
    document_close(&doc);
    return e ? e : buf_puts(out, "\n\n", d);
}
