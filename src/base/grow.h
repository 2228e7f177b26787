/* A file that grows over several runs (a download): opened with what is there, appended to, cut back, made durable, put in
 * its place. One thread owns it. */
#ifndef BASE_GROW_H
#define BASE_GROW_H

#include "base/err.h"

typedef struct grow_file {
    int fd;       /* -1: closed */
    char *path;   /* own copy */
    int64_t size; /* bytes in the file, where the next one goes */
} grow_file;

/* Opens or makes path and cuts it to `keep` bytes; fewer are there: size says how many. */
CJ_NODISCARD cj_err grow_open(grow_file *g, const char *path, int64_t keep, cj_diag *d);
CJ_NODISCARD cj_err grow_read_only(grow_file *g, const char *path, cj_diag *d); /* follows links; only grow_read, grow_close */
CJ_NODISCARD cj_err grow_write(grow_file *g, const void *data, size_t n, cj_diag *d);
/* Reads up to n bytes at `at`; *got is less than n only at the end of the file. */
CJ_NODISCARD cj_err grow_read(grow_file *g, int64_t at, void *out, size_t n, size_t *got, cj_diag *d);
CJ_NODISCARD cj_err grow_cut(grow_file *g, int64_t size, cj_diag *d);
CJ_NODISCARD cj_err grow_sync(grow_file *g, cj_diag *d);
/* Makes it durable, closes it and moves it to `path` in one step. On failure the file stays where it was, closed. */
CJ_NODISCARD cj_err grow_finish(grow_file *g, const char *path, cj_diag *d);
void grow_close(grow_file *g); /* keeps the file */

#endif
