/* Growing files. Invariant: while open, the file has exactly `size` bytes. */
#include "base/grow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static cj_err open_as(grow_file *g, const char *path, int flags, cj_diag *d)
{
    *g = (grow_file){.fd = -1, .path = mem_strdup(path)};
    if (!g->path) return diag_nomem(d, strlen(path));
    g->fd = (flags & O_RDWR) && file_must_fail() ? -1 : open(path, flags | O_CLOEXEC, 0644);
    struct stat st;
    if (g->fd < 0 || fstat(g->fd, &st)) {
        cj_err e = diag_errno(d, errno, path);
        grow_close(g);
        return e;
    }
    g->size = st.st_size;
    return CJ_OK;
}

cj_err grow_open(grow_file *g, const char *path, int64_t keep, cj_diag *d)
{
    TRY(open_as(g, path, O_RDWR | O_CREAT | O_NOFOLLOW, d));
    cj_err e = g->size > keep ? grow_cut(g, keep, d) : CJ_OK;
    if (e) grow_close(g);
    return e;
}

cj_err grow_read_only(grow_file *g, const char *path, cj_diag *d) { return open_as(g, path, O_RDONLY, d); }

cj_err grow_write(grow_file *g, const void *data, size_t n, cj_diag *d)
{
    const char *p = data;
    while (n) {
        ssize_t w = file_must_fail() ? -1 : pwrite(g->fd, p, n, g->size);
        if (w < 0 && errno == EINTR) continue;
        if (w < 0) return diag_errno(d, errno, g->path);
        g->size += w;
        p += w;
        n -= (size_t)w;
    }
    return CJ_OK;
}

cj_err grow_read(grow_file *g, int64_t at, void *out, size_t n, size_t *got, cj_diag *d)
{
    for (*got = 0; *got < n;) {
        ssize_t r = pread(g->fd, (char *)out + *got, n - *got, at + (int64_t)*got);
        if (r < 0 && errno == EINTR) continue;
        if (r < 0) return diag_errno(d, errno, g->path);
        if (r == 0) break;
        *got += (size_t)r;
    }
    return CJ_OK;
}

cj_err grow_cut(grow_file *g, int64_t size, cj_diag *d)
{
    if (file_must_fail() || ftruncate(g->fd, size)) return diag_errno(d, errno, g->path);
    g->size = size;
    return CJ_OK;
}

cj_err grow_sync(grow_file *g, cj_diag *d) { return file_must_fail() || fsync(g->fd) ? diag_errno(d, errno, g->path) : CJ_OK; }

cj_err grow_finish(grow_file *g, const char *path, cj_diag *d)
{
    cj_err e = grow_sync(g, d);
    if (close(g->fd) && !e) e = diag_errno(d, errno, g->path);
    g->fd = -1;
    if (!e && rename(g->path, path)) e = diag_errno(d, errno, path);
    grow_close(g);
    return e;
}

void grow_close(grow_file *g)
{
    if (g->fd >= 0) close(g->fd);
    mem_free(g->path);
    *g = (grow_file){.fd = -1};
}
