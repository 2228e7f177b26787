/* SQLite under the same faults as our own files and memory: its writes, syncs, cuts and removals fail with file_must_fail, its
 * allocations go through mem_alloc. Call faulty_sqlite once, before SQLite is used. */
#ifndef SUPPORT_FAULT_VFS_H
#define SUPPORT_FAULT_VFS_H

#include <errno.h>
#include <sqlite3.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

typedef struct faulty_file {
    sqlite3_file base;
    sqlite3_file *real;
} faulty_file;

static sqlite3_vfs *faulty_real;

static sqlite3_file *faulty_of(sqlite3_file *f) { return ((faulty_file *)(void *)f)->real; }
#define FORWARD(f, call, ...) faulty_of(f)->pMethods->call(faulty_of(f), ##__VA_ARGS__)

static int faulty_close(sqlite3_file *f) { return FORWARD(f, xClose); }
static int faulty_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at) { return FORWARD(f, xRead, p, n, at); }
static int faulty_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    if (file_must_fail()) return errno == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    return FORWARD(f, xWrite, p, n, at);
}
static int faulty_truncate(sqlite3_file *f, sqlite3_int64 n) { return file_must_fail() ? SQLITE_IOERR_TRUNCATE : FORWARD(f, xTruncate, n); }
static int faulty_sync(sqlite3_file *f, int flags) { return file_must_fail() ? SQLITE_IOERR_FSYNC : FORWARD(f, xSync, flags); }
static int faulty_size(sqlite3_file *f, sqlite3_int64 *n) { return FORWARD(f, xFileSize, n); }
static int faulty_lock(sqlite3_file *f, int kind) { return FORWARD(f, xLock, kind); }
static int faulty_unlock(sqlite3_file *f, int kind) { return FORWARD(f, xUnlock, kind); }
static int faulty_reserved(sqlite3_file *f, int *out) { return FORWARD(f, xCheckReservedLock, out); }
static int faulty_control(sqlite3_file *f, int op, void *arg) { return FORWARD(f, xFileControl, op, arg); }
static int faulty_sector(sqlite3_file *f) { return FORWARD(f, xSectorSize); }
static int faulty_device(sqlite3_file *f) { return FORWARD(f, xDeviceCharacteristics); }

static int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out_flags)
{
    static const sqlite3_io_methods methods = {
        .iVersion = 1, .xClose = faulty_close, .xRead = faulty_read, .xWrite = faulty_write, .xTruncate = faulty_truncate, .xSync = faulty_sync,
        .xFileSize = faulty_size, .xLock = faulty_lock, .xUnlock = faulty_unlock, .xCheckReservedLock = faulty_reserved,
        .xFileControl = faulty_control, .xSectorSize = faulty_sector, .xDeviceCharacteristics = faulty_device,
    };
    (void)vfs;
    faulty_file *mine = (faulty_file *)(void *)f;
    mine->real = (sqlite3_file *)(void *)(mine + 1);
    int rc = faulty_real->xOpen(faulty_real, name, mine->real, flags, out_flags);
    f->pMethods = rc == SQLITE_OK ? &methods : NULL;
    return rc;
}

static int faulty_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    (void)vfs;
    return file_must_fail() ? SQLITE_IOERR_DELETE : faulty_real->xDelete(faulty_real, name, sync);
}

/* A block of SQLite's: its size comes before it. */
enum { FAULTY_FRONT = MEM_ALIGN };
static void *faulty_malloc(int n)
{
    uint8_t *p = mem_alloc((size_t)n + FAULTY_FRONT);
    if (p) memcpy(p, &n, sizeof n);
    return p ? p + FAULTY_FRONT : NULL;
}
static void faulty_free(void *p) { mem_free((uint8_t *)p - FAULTY_FRONT); }
static int faulty_msize(void *p)
{
    int n;
    memcpy(&n, (uint8_t *)p - FAULTY_FRONT, sizeof n);
    return n;
}
static void *faulty_realloc(void *old, int n)
{
    uint8_t *p = faulty_malloc(n);
    if (!p) return NULL;
    int had = faulty_msize(old);
    memcpy(p, old, (size_t)(had < n ? had : n));
    faulty_free(old);
    return p;
}
static int faulty_roundup(int n) { return (n + 7) & ~7; }
static int faulty_init(void *p)
{
    (void)p;
    return SQLITE_OK;
}
static void faulty_shutdown(void *p) { (void)p; }

static inline void faulty_sqlite(void)
{
    static sqlite3_vfs vfs;
    static const sqlite3_mem_methods memory = {faulty_malloc, faulty_free, faulty_realloc, faulty_msize, faulty_roundup, faulty_init, faulty_shutdown, NULL};
    sqlite3_config(SQLITE_CONFIG_MALLOC, &memory);
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0); /* so that every allocation counts */
    faulty_real = sqlite3_vfs_find(NULL);
    vfs = *faulty_real;
    vfs.zName = "faulty";
    vfs.szOsFile = (int)sizeof(faulty_file) + faulty_real->szOsFile;
    vfs.xOpen = faulty_open;
    vfs.xDelete = faulty_delete;
    sqlite3_vfs_register(&vfs, 1);
}

#endif
