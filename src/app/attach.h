/* Files that go into a prompt. */
#ifndef APP_ATTACH_H
#define APP_ATTACH_H

#include "app/cli.h"

/* Appends text, with an empty line between it and what is there. */
CJ_NODISCARD cj_err attach_text(buf *out, const char *text, size_t n, cj_diag *d);
/* The same with a file's text ("-": standard input); says so when it was converted from another encoding. */
CJ_NODISCARD cj_err attach_file(const cli *c, const char *path, buf *out, cj_diag *d);

#endif
