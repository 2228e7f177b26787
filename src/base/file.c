/* Files. A file_out keeps this invariant: until commit, path is as it was; after commit or abort, temp is gone. */
#include "base/file.h"
#include "base/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { OUT_BUFFER = 1 << 20 };

static bool (*asked_to_stop)(void);

static _Atomic int64_t fail_after = -1;
static _Atomic int fail_errno;

void file_fail_after(int64_t n, int errnum)
{
    atomic_store(&fail_errno, errnum);
    atomic_store(&fail_after, n);
}

bool file_must_fail(void)
{
    int64_t n = atomic_load_explicit(&fail_after, memory_order_relaxed);
    if (n < 0) return false;
    if (n > 0) {
        atomic_fetch_sub(&fail_after, 1);
        return false;
    }
    errno = atomic_load(&fail_errno);
    return true;
}

void file_stop_when(bool (*asked)(void)) { asked_to_stop = asked; }

bool file_go_on(void) { return !asked_to_stop || !asked_to_stop(); }

/* flags: O_NONBLOCK for what must not wait until somebody writes to a pipe. */
static int open_read(const char *path, int flags)
{
    int fd;
    do fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    while (fd < 0 && errno == EINTR && file_go_on());
    return fd;
}

static void unmap(const file_map *m)
{
    size_t skip = (uintptr_t)m->data % (size_t)sysconf(_SC_PAGESIZE); /* of a part */
    munmap((void *)(m->data - skip), m->size + skip);
}

static cj_err begin_map(file_map *m, file_map fresh, bool whole, cj_diag *d)
{
    if (!mapped_add(&fresh, whole)) {
        unmap(&fresh);
        return diag_nomem(d, sizeof fresh);
    }
    *m = fresh;
    return CJ_OK;
}

cj_err file_map_open(file_map *m, const char *path, cj_diag *d)
{
    int fd = open_read(path, O_NONBLOCK);
    if (fd < 0) return diag_errno(d, errno, path);
    struct stat st;
    cj_err e = CJ_OK;
    void *p = NULL;
    if (fstat(fd, &st)) e = diag_errno(d, errno, path);
    else if (S_ISDIR(st.st_mode)) e = diag_errno(d, EISDIR, path);
    else if (!S_ISREG(st.st_mode)) e = diag_fail(d, CJ_E_INPUT, MSG_FILE_NOT_REGULAR, "%s", path);
    else if (st.st_size == 0) e = diag_fail(d, CJ_E_INPUT, MSG_FILE_EMPTY, "%s", path);
    else if ((p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED) e = diag_errno(d, errno, path);
    close(fd);
    return e ? e : begin_map(m, (file_map){p, (size_t)st.st_size}, true, d);
}

cj_err file_map_part(file_map *m, const char *path, int64_t at, size_t n, cj_diag *d)
{
    int fd = open_read(path, O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0) return diag_errno(d, errno, path);
    size_t skip = (size_t)at % (size_t)sysconf(_SC_PAGESIZE);
    struct stat st;
    cj_err e = CJ_OK;
    void *p = NULL;
    if (fstat(fd, &st)) e = diag_errno(d, errno, path);
    else if (!S_ISREG(st.st_mode)) e = diag_fail(d, CJ_E_INPUT, MSG_FILE_NOT_REGULAR, "%s", path);
    else if (at > st.st_size || n > (size_t)(st.st_size - at)) e = diag_fail(d, CJ_E_INPUT, MSG_FILE_SHORT, "%s", path);
    else if ((p = mmap(NULL, n + skip, PROT_READ, MAP_SHARED, fd, (off_t)at - (off_t)skip)) == MAP_FAILED) e = diag_errno(d, errno, path);
    close(fd);
    return e ? e : begin_map(m, (file_map){(uint8_t *)p + skip, n}, false, d);
}

void file_map_close(file_map *m)
{
    if (m->data) {
        mapped_remove(m);
        unmap(m);
    }
    *m = (file_map){0};
}


/* Reads fd to its end into out, refusing more than max bytes. */
static cj_err read_all(int fd, const char *path, size_t max, buf *out, cj_diag *d)
{
    for (;;) {
        TRY(buf_reserve(out, 65536, d));
        ssize_t n = read(fd, out->data + out->len, 65536);
        if (n < 0 && errno == EINTR && file_go_on()) continue;
        if (n < 0) return diag_errno(d, errno, path);
        if (n == 0) break;
        out->len += (size_t)n;
        if (out->len > max) return diag_fail(d, CJ_E_LIMIT, MSG_FILE_TOO_LARGE, "%s" ARG ">%zu" ARG "%zu", path, max, max);
    }
    out->data[out->len] = 0;
    return CJ_OK;
}

static cj_err read_whole(const char *path, bool standard, bool regular, size_t max, buf *out, cj_diag *d)
{
    int fd = standard ? STDIN_FILENO : open_read(path, regular ? O_NONBLOCK : 0);
    if (fd < 0) return diag_errno(d, errno, path);
    struct stat st;
    cj_err e = CJ_OK;
    buf_init(out, max < SIZE_MAX - 65537 ? max + 65537 : SIZE_MAX);
    if (fstat(fd, &st)) e = diag_errno(d, errno, path);
    else if (S_ISDIR(st.st_mode)) e = diag_errno(d, EISDIR, path);
    else if (regular && !S_ISREG(st.st_mode)) e = diag_fail(d, CJ_E_INPUT, MSG_FILE_NOT_REGULAR, "%s", path);
    else if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > max)
        e = diag_fail(d, CJ_E_LIMIT, MSG_FILE_TOO_LARGE, "%s" ARG "%lld" ARG "%zu", path, (long long)st.st_size, max);
    else e = read_all(fd, path, max, out, d);
    if (!standard) close(fd);
    if (e) buf_deinit(out);
    return e;
}

cj_err file_read(const char *path, size_t max, buf *out, cj_diag *d) { return read_whole(path, !strcmp(path, "-"), false, max, out, d); }
cj_err file_read_regular(const char *path, size_t max, buf *out, cj_diag *d) { return read_whole(path, false, true, max, out, d); }

/* Names of temporary files that exist, for file_out_abandon. More than these are not remembered. */
enum { UNFINISHED_MAX = 16 };
static const char *_Atomic unfinished[UNFINISHED_MAX];

static void remember(const char *temp)
{
    for (int i = 0; i < UNFINISHED_MAX; i++) {
        const char *none = NULL;
        if (atomic_compare_exchange_strong(&unfinished[i], &none, temp)) return;
    }
}

static void forget(const char *temp)
{
    for (int i = 0; i < UNFINISHED_MAX; i++) {
        const char *this = temp;
        if (atomic_compare_exchange_strong(&unfinished[i], &this, NULL)) return;
    }
}

void file_out_abandon(void)
{
    for (int i = 0; i < UNFINISHED_MAX; i++) {
        const char *temp = unfinished[i];
        if (temp && temp[0]) unlink(temp);
    }
}

cj_err file_out_open(file_out *f, const char *path, cj_diag *d)
{
    size_t n = strlen(path);
    *f = (file_out){.fd = -1, .path = mem_strdup(path), .temp = mem_alloc(n + 32), .buffer = mem_alloc(OUT_BUFFER)};
    if (!f->path || !f->temp || !f->buffer) {
        file_out_abort(f);
        return diag_nomem(d, n + OUT_BUFFER);
    }
    if (file_is_dir(path)) {
        f->temp[0] = 0;
        file_out_abort(f);
        return diag_errno(d, EISDIR, path);
    }
    snprintf(f->temp, n + 32, "%s.%ld.part", path, (long)getpid());
    f->fd = file_must_fail() ? -1 : open(f->temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (f->fd < 0) {
        cj_err e = diag_errno(d, errno, path);
        f->temp[0] = 0;
        file_out_abort(f);
        return e;
    }
    remember(f->temp);
    return CJ_OK;
}

static cj_err flush(file_out *f, const uint8_t *p, size_t n, cj_diag *d)
{
    while (n) {
        ssize_t w = file_must_fail() ? -1 : write(f->fd, p, n);
        if (w < 0 && errno == EINTR) continue;
        if (w < 0) return diag_errno(d, errno, f->path);
        p += w;
        n -= (size_t)w;
    }
    return CJ_OK;
}

cj_err file_out_write(file_out *f, const void *data, size_t n, cj_diag *d)
{
    if (!n) return CJ_OK; /* data may then be NULL, which memcpy does not take */
    f->written += n;
    if (f->fill + n > OUT_BUFFER) {
        TRY(flush(f, f->buffer, f->fill, d));
        f->fill = 0;
        if (n > OUT_BUFFER) return flush(f, data, n, d);
    }
    memcpy(f->buffer + f->fill, data, n);
    f->fill += n;
    return CJ_OK;
}

cj_err file_out_pad(file_out *f, size_t align, cj_diag *d)
{
    static const uint8_t zeros[256];
    size_t n = (align - f->written % align) % align;
    while (n) {
        size_t part = n < sizeof zeros ? n : sizeof zeros;
        TRY(file_out_write(f, zeros, part, d));
        n -= part;
    }
    return CJ_OK;
}

cj_err file_out_rewrite(file_out *f, int64_t at, const void *data, size_t n, cj_diag *d)
{
    TRY(flush(f, f->buffer, f->fill, d));
    f->fill = 0;
    ssize_t w = file_must_fail() ? -1 : pwrite(f->fd, data, n, (off_t)at);
    if (w < 0) return diag_errno(d, errno, f->path);
    return (size_t)w == n ? CJ_OK : diag_errno(d, ENOSPC, f->path);
}

cj_err file_out_sync(file_out *f, cj_diag *d)
{
    TRY(flush(f, f->buffer, f->fill, d));
    f->fill = 0;
    return file_must_fail() || fsync(f->fd) ? diag_errno(d, errno, f->path) : CJ_OK;
}

static cj_err commit(file_out *f, bool wait, cj_diag *d)
{
    cj_err e = flush(f, f->buffer, f->fill, d);
    if (!e && wait && (file_must_fail() || fsync(f->fd))) e = diag_errno(d, errno, f->path);
    if (close(f->fd) && !e) e = diag_errno(d, errno, f->path);
    f->fd = -1;
    if (!e && (file_must_fail() || rename(f->temp, f->path))) e = diag_errno(d, errno, f->path);
    if (!e) f->temp[0] = 0;
    file_out_abort(f);
    return e;
}

cj_err file_out_commit(file_out *f, cj_diag *d) { return commit(f, true, d); }
cj_err file_out_commit_soon(file_out *f, cj_diag *d) { return commit(f, false, d); }

void file_out_abort(file_out *f)
{
    if (f->fd >= 0) close(f->fd);
    if (f->temp && f->temp[0]) unlink(f->temp);
    if (f->temp) forget(f->temp);
    mem_free(f->path);
    mem_free(f->temp);
    mem_free(f->buffer);
    *f = (file_out){.fd = -1};
}

cj_err file_write(const char *path, const void *data, size_t n, cj_diag *d)
{
    file_out f;
    TRY(file_out_open(&f, path, d));
    cj_err e = file_out_write(&f, data, n, d);
    if (!e) return file_out_commit(&f, d);
    file_out_abort(&f);
    return e;
}

cj_err file_sync_folder(const char *path, cj_diag *d)
{
    int fd = file_must_fail() ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return diag_errno(d, errno, path);
    cj_err e = fsync(fd) && errno != EINVAL ? diag_errno(d, errno, path) : CJ_OK; /* EINVAL: such a disk has no need of it */
    close(fd);
    return e;
}

bool file_exists(const char *path) { return access(path, F_OK) == 0; }

bool file_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int64_t file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) ? -1 : (int64_t)st.st_size;
}

cj_err file_make_dirs(const char *path, cj_diag *d)
{
    char *p = mem_strdup(path);
    if (!p) return diag_nomem(d, strlen(path));
    cj_err e = CJ_OK;
    for (char *s = p + 1; !e; s++) {
        if (*s != '/' && *s) continue;
        char keep = *s;
        *s = 0;
        if (mkdir(p, 0700) && errno != EEXIST) e = diag_errno(d, errno, p);
        *s = keep;
        if (!keep) break;
    }
    if (!e && !file_is_dir(path)) e = diag_errno(d, ENOTDIR, path);
    mem_free(p);
    return e;
}

int64_t file_free_space(const char *path)
{
    struct statvfs v;
    char *p = mem_strdup(path);
    int64_t free_bytes = -1;
    while (p && *p) { /* the file may not exist yet: ask its nearest existing parent */
        if (!statvfs(p, &v)) { free_bytes = (int64_t)v.f_bavail * (int64_t)v.f_frsize; break; }
        char *slash = strrchr(p, '/');
        if (!slash) { if (!statvfs(".", &v)) free_bytes = (int64_t)v.f_bavail * (int64_t)v.f_frsize; break; }
        if (slash == p) slash[1] = 0; else *slash = 0;
    }
    mem_free(p);
    return free_bytes;
}

char *file_join(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    while (na > 1 && a[na - 1] == '/') na--;
    while (*b == '/') { b++; nb--; }
    char *p = mem_alloc(na + nb + 2);
    if (!p) return NULL;
    memcpy(p, a, na);
    p[na] = '/';
    memcpy(p + na + 1, b, nb + 1);
    return p;
}

char *file_absolute(const char *path)
{
    char here[PATH_MAX];
    return *path == '/' || !getcwd(here, sizeof here) ? mem_strdup(path) : file_join(here, path);
}

char *file_home(void)
{
    const char *s = getenv("JUAN_HOME");
    if (s && *s) return mem_strdup(s);
    s = getenv("XDG_DATA_HOME");
    if (s && *s) return file_join(s, "juan");
    s = getenv("HOME");
    return file_join(s && *s ? s : "/tmp", ".local/share/juan");
}
