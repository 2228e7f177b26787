/* Whether an entry is being read, and the wish that it be not: for those who look on, and for whoever reads. The wish is a file, so that it
 * outlasts both processes and a restart of the machine. */
#include <stdio.h>
#include <string.h>

#include "base/folder.h"
#include "base/hash.h"
#include "shelf/index.h"

static char *mark_path(shelf *s, const char *name)
{
    char file[64];
    snprintf(file, sizeof file, "locks/%016llx.pause", (unsigned long long)hash_xxh3(name, strlen(name)));
    return file_join(s->folder, file);
}

bool shelf_is_written(shelf *s, const char *name)
{
    char file[64];
    int fd = -1;
    snprintf(file, sizeof file, "locks/%016llx", (unsigned long long)hash_xxh3(name, strlen(name)));
    char *path = file_join(s->folder, file);
    bool free = !path || !file_exists(path) || folder_lock_shared(path, &fd, NULL) || fd >= 0;
    folder_unlock(fd);
    mem_free(path);
    return !free;
}

bool shelf_is_paused(shelf *s, const char *name)
{
    char *path = mark_path(s, name);
    bool there = path && file_exists(path);
    mem_free(path);
    return there;
}

cj_err shelf_pause(shelf *s, const char *name, cj_diag *d)
{
    char *path = mark_path(s, name);
    file_out f;
    if (s->read_only || !path) {
        mem_free(path);
        return s->read_only ? diag_fail(d, CJ_E_IO, MSG_SHELF_READ_ONLY, "%s", s->folder) : diag_nomem(d, 64);
    }
    cj_err e = file_out_open(&f, path, d);
    if (!e) e = file_out_commit(&f, d);
    mem_free(path);
    return e;
}

void shelf_unpause(shelf *s, const char *name)
{
    char *path = mark_path(s, name);
    if (path && file_exists(path)) shelf_remove(path);
    else mem_free(path);
}
