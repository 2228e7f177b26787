/* Folders. Nothing here follows a symbolic link downwards. */
#include "base/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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
