/* Folders. Nothing here follows a symbolic link downwards. */
#include "base/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

cj_err folder_each(const char *path, folder_visit visit, void *user, cj_diag *d)
{
    DIR *dir = opendir(path);
    if (!dir) return diag_errno(d, errno, path);
    cj_err e = CJ_OK;
    for (struct dirent *entry; !e && (entry = readdir(dir));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        char *child = file_join(path, entry->d_name);
        struct stat st;
        if (!child) e = diag_nomem(d, strlen(path));
        else if (!lstat(child, &st) && !visit(user, child, S_ISDIR(st.st_mode))) {
            mem_free(child);
            break;
        }
        mem_free(child);
    }
    closedir(dir);
    return e;
}

bool folder_is_file(const char *path)
{
    struct stat st;
    return !lstat(path, &st) && S_ISREG(st.st_mode);
}

static bool add_size(void *user, const char *path, bool is_dir)
{
    struct stat st;
    if (is_dir) *(int64_t *)user += folder_size(path);
    else if (!lstat(path, &st)) *(int64_t *)user += st.st_size;
    return true;
}

int64_t folder_size(const char *path)
{
    int64_t sum = 0;
    return folder_each(path, add_size, &sum, NULL) ? 0 : sum;
}

typedef struct removal {
    cj_err err;
    cj_diag *d;
} removal;

static bool remove_child(void *user, const char *path, bool is_dir)
{
    removal *r = user;
    if (is_dir) r->err = folder_remove(path, r->d);
    else if (unlink(path) && errno != ENOENT) r->err = diag_errno(r->d, errno, path);
    return !r->err;
}

cj_err folder_remove(const char *path, cj_diag *d)
{
    struct stat st;
    if (lstat(path, &st)) return errno == ENOENT || errno == ENOTDIR ? CJ_OK : diag_errno(d, errno, path);
    if (!S_ISDIR(st.st_mode)) return unlink(path) && errno != ENOENT ? diag_errno(d, errno, path) : CJ_OK;
    removal r = {.d = d};
    TRY(folder_each(path, remove_child, &r, d));
    if (r.err) return r.err;
    return rmdir(path) && errno != ENOENT ? diag_errno(d, errno, path) : CJ_OK;
}

static cj_err lock(const char *path, int kind, int *fd, cj_diag *d)
{
    int f = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f < 0) return diag_errno(d, errno, path);
    if (flock(f, kind | LOCK_NB)) {
        int why = errno;
        close(f);
        if (why != EWOULDBLOCK) return diag_errno(d, why, path);
        f = -1;
    }
    *fd = f;
    return CJ_OK;
}

cj_err folder_lock(const char *path, int *fd, cj_diag *d) { return lock(path, LOCK_EX, fd, d); }
cj_err folder_lock_shared(const char *path, int *fd, cj_diag *d) { return lock(path, LOCK_SH, fd, d); }

void folder_unlock(int fd)
{
    if (fd >= 0) close(fd);
}

/* ---- a folder of a process' own ---- */

#define OWN_LOCK "lock"

/* Removes a folder that nobody holds. */
static void sweep(const char *path)
{
    int fd = -1;
    char *own = file_join(path, OWN_LOCK);
    if (own && !folder_lock(own, &fd, NULL) && fd >= 0) (void)!folder_remove(path, NULL); /* else another process will */
    folder_unlock(fd);
    mem_free(own);
}

/* The lock tells of processes of other machines and containers as well; the process number of folders that were made without one. */
static bool sweep_left(void *user, const char *path, bool is_dir)
{
    const char *prefix = user, *name = strrchr(path, '/') + 1;
    const size_t n = strlen(prefix);
    char *end;
    if (!is_dir || strncmp(name, prefix, n) || name[n] < '1' || name[n] > '9') return true;
    const long pid = strtol(name + n, &end, 10);
    const bool gone = pid == (long)getpid() || (kill((pid_t)pid, 0) && errno == ESRCH);
    if (!*end && gone) sweep(path);
    return true;
}

cj_err folder_own(const char *parent, const char *prefix, char **path, int *lock, cj_diag *d)
{
    char name[64];
    *path = NULL;
    *lock = -1;
    (void)!folder_each(parent, sweep_left, (void *)(uintptr_t)prefix, NULL); /* it may be about to be made */
    snprintf(name, sizeof name, "%s%ld", prefix, (long)getpid());
    char *folder = file_join(parent, name), *own = folder ? file_join(folder, OWN_LOCK) : NULL;
    cj_err e = own ? file_make_dirs(folder, d) : diag_nomem(d, sizeof name);
    if (!e) e = folder_lock(own, lock, d);
    mem_free(own);
    if (e) mem_free(folder);
    else *path = folder;
    return e;
}

void folder_disown(char **path, int *lock)
{
    if (!*path) return;
    (void)!folder_remove(*path, NULL); /* what is left goes with the next sweep */
    folder_unlock(*lock);
    mem_free(*path);
    *path = NULL;
    *lock = -1;
}

bool folder_stamp_of(const char *path, folder_stamp *stamp)
{
    struct stat st;
    if (stat(path, &st) || !S_ISREG(st.st_mode)) return false;
    *stamp = (folder_stamp){st.st_size, (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec};
    return true;
}

cj_err folder_move(const char *from, const char *to, cj_diag *d) { return rename(from, to) ? diag_errno(d, errno, to) : CJ_OK; }

cj_err folder_link(const char *target, const char *path, cj_diag *d)
{
    if (unlink(path) && errno != ENOENT) return diag_errno(d, errno, path);
    return symlink(target, path) ? diag_errno(d, errno, path) : CJ_OK;
}
