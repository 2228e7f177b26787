/* A shelf's folder: opening, paths, locks. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/folder.h"
#include "shelf/index.h"

static const char *const parts[] = {"segments", "locks", "files"};

/* Makes the folder `path` if it is not there, so that it outlasts a power failure; *made: it was not. */
static cj_err make_folder(char *path, bool *made, cj_diag *d)
{
    if (!path) return diag_nomem(d, 64);
    bool there = file_is_dir(path);
    cj_err e = there ? CJ_OK : file_make_dirs(path, d);
    *made = *made || !there;
    mem_free(path);
    return e;
}

static cj_err sync_folder(char *path, cj_diag *d)
{
    if (!path) return diag_nomem(d, 64);
    cj_err e = file_sync_folder(path, d);
    mem_free(path);
    return e;
}

/* What is not there yet; a disk that cannot be written only has to have an index already. */
static cj_err make_folders(const char *folder, cj_diag *d)
{
    bool made = false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) TRY(make_folder(file_join(folder, parts[i]), &made, d));
    if (!made) return CJ_OK;
    TRY(sync_folder(file_join(folder, "."), d));
    return sync_folder(file_join(folder, ".."), d);
}

static bool has_index(const char *folder)
{
    char *path = file_join(folder, "index.db");
    bool there = path && file_exists(path);
    mem_free(path);
    return there;
}

cj_err shelf_open(shelf **out, const char *folder, cj_diag *d)
{
    shelf *s = mem_zalloc(sizeof *s);
    char *home = folder ? NULL : file_home();
    if (s) s->folder = folder ? mem_strdup(folder) : home ? file_join(home, "shelf") : NULL;
    mem_free(home);
    if (!s || !s->folder) {
        shelf_close(&s);
        return diag_nomem(d, sizeof *s);
    }
    cj_err e = make_folders(s->folder, d);
    if (e && e != CJ_E_NOMEM && has_index(s->folder)) e = CJ_OK;
    if (!e) e = index_open(s, d);
    if (e) {
        shelf_close(&s);
        return e;
    }
    *out = s;
    return CJ_OK;
}

void shelf_close(shelf **ps)
{
    shelf *s = *ps;
    if (!s) return;
    sqlite3_close(s->db);
    mem_free(s->folder);
    mem_free(s);
    *ps = NULL;
}

static char *path_of(const shelf *s, const char *name) { return file_join(s->folder, name); }

char *shelf_segment_path(shelf *s, int64_t file)
{
    char name[64];
    snprintf(name, sizeof name, "segments/%016llx.seg", (unsigned long long)file);
    return path_of(s, name);
}

char *shelf_tail_path(shelf *s, int64_t file, int64_t tokens)
{
    char name[64];
    snprintf(name, sizeof name, "segments/%016llx-%lld.tail", (unsigned long long)file, (long long)tokens);
    return path_of(s, name);
}

char *shelf_files_path(shelf *s, int64_t entry)
{
    char name[64];
    snprintf(name, sizeof name, "files/%016llx", (unsigned long long)entry);
    return path_of(s, name);
}

/* Two names with one hash only keep each other waiting. Who only looks whether somebody writes (shelf_is_written) is gone in a moment. */
cj_err shelf_lock_name(shelf *s, const char *name, int *fd, cj_diag *d)
{
    enum { TRIES = 4 }; /* of 10 ms */
    char file[64];
    snprintf(file, sizeof file, "locks/%016llx", (unsigned long long)hash_xxh3(name, strlen(name)));
    char *path = path_of(s, file);
    if (!path) return diag_nomem(d, sizeof file);
    cj_err e = folder_lock(path, fd, d);
    for (int i = 1; !e && *fd < 0 && i < TRIES; i++) {
        clock_sleep(0.01);
        e = folder_lock(path, fd, d);
    }
    mem_free(path);
    if (!e && *fd < 0) e = diag_fail(d, CJ_E_IO, MSG_SHELF_BUSY, "%s", name);
    return e;
}

static cj_err lock_writers(shelf *s, bool alone, int *fd, cj_diag *d)
{
    char *path = path_of(s, "locks/writers");
    if (!path) return diag_nomem(d, 64);
    cj_err e = alone ? folder_lock(path, fd, d) : folder_lock_shared(path, fd, d);
    mem_free(path);
    return e;
}

cj_err shelf_lock_alone(shelf *s, int *fd, cj_diag *d) { return lock_writers(s, true, fd, d); }

cj_err shelf_lock_writers(shelf *s, int *fd, cj_diag *d)
{
    enum { TRIES = 1000 }; /* of 10 ms: a sweep takes moments */
    *fd = -1;
    for (int i = 0; i < TRIES && *fd < 0; i++) {
        if (i) clock_sleep(0.01);
        TRY(lock_writers(s, false, fd, d));
    }
    return *fd < 0 ? diag_fail(d, CJ_E_IO, MSG_SHELF_INDEX_BUSY, "%s", s->folder) : CJ_OK;
}

void shelf_remove(char *path)
{
    if (path && folder_remove(path, NULL)) { /* what stays is found by the next sweep */
    }
    mem_free(path);
}

cj_err shelf_new_segment(shelf *s, grow_file *g, int64_t *file, cj_diag *d)
{
    char *path = NULL;
    do {
        mem_free(path);
        *file = (int64_t)(clock_seed() >> 1);
        path = shelf_segment_path(s, *file);
        if (!path) return diag_nomem(d, 64);
    } while (file_exists(path));
    cj_err e = grow_open(g, path, 0, d);
    mem_free(path);
    return e;
}

cj_err shelf_sync_segments(shelf *s, cj_diag *d)
{
    return sync_folder(path_of(s, "segments"), d);
}
