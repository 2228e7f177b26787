/* Files that go into a prompt. */
#ifndef APP_ATTACH_H
#define APP_ATTACH_H

#include "app/cli.h"

/* Appends a file's text ("-": standard input) and an empty line; says so when it was converted from another encoding. */
CJ_NODISCARD cj_err attach_file(const cli *c, const char *path, buf *out, cj_diag *d);

#endif
