/* Files: read-only mappings, whole reads with a cap, atomic replacement, folders. The only room that calls the operating
 * system for files. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/err.h"
#include "base/mem.h"

/* Waiting for a pipe or a terminal goes on after a signal unless `asked` says that it was a wish to stop (CJ_E_CANCELLED then). */
void file_stop_when(bool (*asked)(void));
bool file_go_on(void); /* no such wish has been told */

/* A read-only mapping of a whole file. */
typedef struct file_map {
    const uint8_t *data;
    size_t size;
} file_map;
CJ_NODISCARD cj_err file_map_open(file_map *m, const char *path, cj_diag *d); /* a directory or an empty file is refused */
/* The bytes [at, at + n) of a file, n > 0; one that is shorter is refused (CJ_E_INPUT). */
CJ_NODISCARD cj_err file_map_part(file_map *m, const char *path, int64_t at, size_t n, cj_diag *d);
void file_map_close(file_map *m);

/* Reads a whole file or pipe, or standard input for "-", of at most max bytes into out (initialised here; *out ends in 0). */
CJ_NODISCARD cj_err file_read(const char *path, size_t max, buf *out, cj_diag *d);
/* The same, of a regular file only: what is found beside another file must not make us wait for somebody to write to it. */
CJ_NODISCARD cj_err file_read_regular(const char *path, size_t max, buf *out, cj_diag *d);

/* Writes to a temporary file beside path; commit renames it over path after fsync, abort removes it. */
typedef struct file_out {
    int fd;
    char *path, *temp;
    uint8_t *buffer; /* 1 MiB, gathers small writes */
    size_t fill;
    uint64_t written;
} file_out;
CJ_NODISCARD cj_err file_out_open(file_out *f, const char *path, cj_diag *d);
CJ_NODISCARD cj_err file_out_write(file_out *f, const void *data, size_t n, cj_diag *d);
CJ_NODISCARD cj_err file_out_pad(file_out *f, size_t align, cj_diag *d); /* zero bytes up to a multiple of align */
CJ_NODISCARD cj_err file_out_rewrite(file_out *f, int64_t at, const void *data, size_t n, cj_diag *d); /* over what was written */
CJ_NODISCARD cj_err file_out_sync(file_out *f, cj_diag *d); /* now and then, so that commit has little left to wait for */
CJ_NODISCARD cj_err file_out_commit(file_out *f, cj_diag *d);            /* closes f whatever happens */
/* The same without waiting for the disk: after a loss of power the file may be a damaged one. For what is checked when it is read and can be made again. */
CJ_NODISCARD cj_err file_out_commit_soon(file_out *f, cj_diag *d);
void file_out_abort(file_out *f);
/* All of these at once. */
CJ_NODISCARD cj_err file_write(const char *path, const void *data, size_t n, cj_diag *d);
/* Removes what is half-written by every open file_out: for a signal handler that is about to end the process. */
void file_out_abandon(void);

/* Makes what was made, moved or removed in a folder durable. */
CJ_NODISCARD cj_err file_sync_folder(const char *path, cj_diag *d);

/* Test hook, like mem_fail_after: after n more writes, syncs, cuts, moves and openings for writing every one fails with errnum,
 * until called with a negative n. Per process. */
void file_fail_after(int64_t n, int errnum);
/* For those who do such a thing: whether it must fail; errno is then set. */
bool file_must_fail(void);

bool file_exists(const char *path);
bool file_is_dir(const char *path);
int64_t file_size(const char *path);    /* -1 when there is none */
CJ_NODISCARD cj_err file_make_dirs(const char *path, cj_diag *d); /* like mkdir -p, mode 0700 for what it makes */
int64_t file_free_space(const char *path); /* bytes free for us where path lies; -1 unknown */
/* Joins with one '/'; the caller frees with mem_free; NULL: no memory. */
char *file_join(const char *a, const char *b);
/* The path as it is found from any folder: what is a link stays one. mem_free it; NULL: no memory. */
char *file_absolute(const char *path);
/* The folder of models, shelf and settings: $JUAN_HOME, else $XDG_DATA_HOME/juan, else ~/.local/share/juan. mem_free it. */
char *file_home(void);

#endif
