/* Files and folders given to a command, opened, with what their reader should know said. */
#ifndef APP_DOCUMENTS_H
#define APP_DOCUMENTS_H

#include "app/cli.h"
#include "document/set.h"

/* What of one document its reader should know. */
void documents_say_of(const cli *c, const document *doc);
/* Opens the first n arguments. Says which were converted, which pages hold no text, and what was left out of folders. out must be given
 * to document_set_close whatever comes back. */
CJ_NODISCARD cj_err documents_open(document_set *out, const cli *c, int n, cj_diag *d);

#endif
