/* Opening the index, statements, transactions. */
#include "shelf/index.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    APPLICATION = 0x434a5348, /* "CJSH" */
    BUSY_MS = 10000,
    STEPS_BETWEEN_LOOKS = 1 << 20, LOOKS_MAX = 256,
    SQL_MAX = 4096,
};

static const char schema[] =
    "CREATE TABLE entries(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, complete INTEGER NOT NULL, model INTEGER NOT NULL,"
    " mode INTEGER NOT NULL, shape BLOB NOT NULL, model_name TEXT NOT NULL, model_path TEXT NOT NULL, characters INTEGER NOT NULL,"
    " documents INTEGER NOT NULL, tokens INTEGER NOT NULL, tokens_total INTEGER NOT NULL, hash BLOB NOT NULL, created REAL NOT NULL,"
    " changed REAL NOT NULL, sum INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX entries_name ON entries(name);"
    "CREATE TABLE segments(id INTEGER PRIMARY KEY AUTOINCREMENT, file INTEGER NOT NULL, start INTEGER NOT NULL, before BLOB NOT NULL,"
    " after BLOB NOT NULL, tokens INTEGER NOT NULL, bytes INTEGER NOT NULL, state INTEGER NOT NULL, owner INTEGER NOT NULL,"
    " sum INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX segments_before ON segments(before);"
    "CREATE TABLE links(entry INTEGER NOT NULL, start INTEGER NOT NULL, segment INTEGER NOT NULL, PRIMARY KEY(entry, start));"
    "CREATE INDEX links_segment ON links(segment);"
    "CREATE TABLE blobs(id INTEGER PRIMARY KEY, entry INTEGER NOT NULL, kind TEXT NOT NULL, data BLOB NOT NULL, sum INTEGER NOT NULL DEFAULT 0);"
    "CREATE UNIQUE INDEX blobs_kind ON blobs(entry, kind);";

cj_err index_fail(shelf *s, int rc, cj_diag *d)
{
    int os = s->db ? sqlite3_system_errno(s->db) : 0;
    char path[1024];
    snprintf(path, sizeof path, "%s/index.db", s->folder);
    switch (rc & 0xff) {
    case SQLITE_NOMEM: return diag_nomem(d, 0);
    case SQLITE_FULL: return diag_fail(d, CJ_E_NOSPACE, MSG_SHELF_INDEX_FULL, "%s", s->folder);
    case SQLITE_BUSY: case SQLITE_LOCKED: return diag_fail(d, CJ_E_IO, MSG_SHELF_INDEX_BUSY, "%s", s->folder);
    case SQLITE_READONLY: return diag_fail(d, CJ_E_IO, MSG_SHELF_READ_ONLY, "%s", s->folder);
    case SQLITE_IOERR:
        if (rc == SQLITE_IOERR_NOMEM) return diag_nomem(d, 0);
        if (os == ENOSPC || os == EDQUOT || os == EFBIG) return diag_fail(d, CJ_E_NOSPACE, MSG_SHELF_INDEX_FULL, "%s", s->folder);
        return diag_errno(d, os ? os : EIO, path);
    case SQLITE_CANTOPEN: case SQLITE_PERM: case SQLITE_AUTH: return diag_errno(d, os ? os : EACCES, path);
    default: return diag_fail(d, CJ_E_INPUT, MSG_SHELF_INDEX_DAMAGED, "%s" ARG "%s", path, s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc));
    }
}

/* ---- statements ---- */

static int bind(sqlite3_stmt *st, const char *kinds, va_list ap)
{
    int rc = SQLITE_OK;
    for (int i = 1; *kinds && rc == SQLITE_OK; kinds++, i++) switch (*kinds) {
        case 'i': rc = sqlite3_bind_int64(st, i, va_arg(ap, int64_t)); break;
        case 'r': rc = sqlite3_bind_double(st, i, va_arg(ap, double)); break;
        case 't': rc = sqlite3_bind_text(st, i, va_arg(ap, const char *), -1, SQLITE_STATIC); break;
        default: {
            const void *p = va_arg(ap, const void *);
            rc = sqlite3_bind_blob64(st, i, p ? p : "", va_arg(ap, size_t), SQLITE_STATIC);
        }
        }
    return rc;
}

static cj_err open_query(query *q, shelf *s, cj_diag *d, const char *sql, const char *kinds, va_list ap)
{
    *q = (query){.shelf = s};
    s->looks = 0;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &q->st, NULL);
    if (rc == SQLITE_OK) rc = bind(q->st, kinds, ap);
    if (rc == SQLITE_OK) return CJ_OK;
    cj_err e = index_fail(s, rc, d);
    query_close(q);
    return e;
}

cj_err query_open(query *q, shelf *s, cj_diag *d, const char *sql, const char *kinds, ...)
{
    va_list ap;
    va_start(ap, kinds);
    cj_err e = open_query(q, s, d, sql, kinds, ap);
    va_end(ap);
    return e;
}

cj_err query_step(query *q, bool *row, cj_diag *d)
{
    int rc = sqlite3_step(q->st);
    *row = rc == SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? CJ_OK : index_fail(q->shelf, sqlite3_extended_errcode(q->shelf->db), d);
}

void query_close(query *q)
{
    sqlite3_finalize(q->st);
    q->st = NULL;
}

int64_t query_int(const query *q, int column) { return sqlite3_column_int64(q->st, column); }

cj_err index_run(shelf *s, cj_diag *d, const char *sql, const char *kinds, ...)
{
    query q;
    va_list ap;
    va_start(ap, kinds);
    cj_err e = open_query(&q, s, d, sql, kinds, ap);
    va_end(ap);
    bool row = true;
    while (!e && row) e = query_step(&q, &row, d);
    query_close(&q);
    return e;
}

cj_err index_begin(shelf *s, cj_diag *d)
{
    if (s->read_only) return diag_fail(d, CJ_E_IO, MSG_SHELF_READ_ONLY, "%s", s->folder);
    return index_run(s, d, "BEGIN IMMEDIATE", "");
}
cj_err index_begin_read(shelf *s, cj_diag *d) { return index_run(s, d, "BEGIN", ""); }
cj_err index_commit(shelf *s, cj_diag *d) { return index_run(s, d, "COMMIT", ""); }

void index_rollback(shelf *s)
{
    if (!sqlite3_get_autocommit(s->db) && index_run(s, NULL, "ROLLBACK", "")) return; /* it was rolled back by what failed */
}

/* ---- opening ---- */

static cj_err run_all(shelf *s, const char *sql, cj_diag *d)
{
    int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? CJ_OK : index_fail(s, sqlite3_extended_errcode(s->db), d);
}

static cj_err pragma_int(shelf *s, const char *sql, int64_t *out, cj_diag *d)
{
    query q;
    bool row = false;
    TRY(query_open(&q, s, d, sql, ""));
    cj_err e = query_step(&q, &row, d);
    *out = row ? query_int(&q, 0) : 0;
    query_close(&q);
    return e;
}

/* A schema, or a file, that makes a statement run for ever is stopped. */
static int too_long(void *looks) { return ++*(int *)looks > LOOKS_MAX; }

static void harden(sqlite3 *db, int *looks)
{
    static const struct { int what, most; } limits[] = {
        {SQLITE_LIMIT_LENGTH, SHELF_BLOB_MAX + 65536}, {SQLITE_LIMIT_SQL_LENGTH, SQL_MAX}, {SQLITE_LIMIT_COLUMN, 64},
        {SQLITE_LIMIT_EXPR_DEPTH, 32}, {SQLITE_LIMIT_COMPOUND_SELECT, 2}, {SQLITE_LIMIT_VDBE_OP, 5000}, {SQLITE_LIMIT_FUNCTION_ARG, 8},
        {SQLITE_LIMIT_ATTACHED, 0}, {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 64}, {SQLITE_LIMIT_VARIABLE_NUMBER, 32},
        {SQLITE_LIMIT_TRIGGER_DEPTH, 1}, {SQLITE_LIMIT_WORKER_THREADS, 0},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) sqlite3_limit(db, limits[i].what, limits[i].most);
    static const struct { int what, on; } settings[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1}, {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0}, {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
        {SQLITE_DBCONFIG_ENABLE_VIEW, 0}, {SQLITE_DBCONFIG_DQS_DML, 0}, {SQLITE_DBCONFIG_DQS_DDL, 0},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) sqlite3_db_config(db, settings[i].what, settings[i].on, NULL);
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, BUSY_MS);
    sqlite3_progress_handler(db, STEPS_BETWEEN_LOOKS, too_long, looks);
}

/* An empty file becomes an index; several processes may try at once. */
static cj_err make_schema(shelf *s, cj_diag *d)
{
    char sql[128];
    int64_t tables = 0;
    TRY(run_all(s, "PRAGMA auto_vacuum=INCREMENTAL", d));
    TRY(index_begin(s, d));
    cj_err e = pragma_int(s, "SELECT count(*) FROM sqlite_schema", &tables, d);
    snprintf(sql, sizeof sql, "PRAGMA application_id=%d; PRAGMA user_version=%d;", APPLICATION, INDEX_VERSION);
    if (!e && !tables) e = run_all(s, schema, d);
    if (!e && !tables) e = run_all(s, sql, d);
    if (!e && !tables) e = shelf_adopt(s, d);
    if (!e) e = index_commit(s, d);
    if (e) index_rollback(s);
    return e;
}

static cj_err check_version(shelf *s, cj_diag *d)
{
    int64_t application = 0, version = 0, tables = 0;
    TRY(pragma_int(s, "SELECT count(*) FROM sqlite_schema", &tables, d));
    if (!tables) TRY(make_schema(s, d));
    TRY(pragma_int(s, "PRAGMA application_id", &application, d));
    TRY(pragma_int(s, "PRAGMA user_version", &version, d));
    if (application != APPLICATION)
        return diag_fail(d, CJ_E_INPUT, MSG_SHELF_INDEX_DAMAGED, "%s/index.db" ARG "%s", s->folder, "application_id");
    if (version > INDEX_VERSION) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_SHELF_NEWER, "%s" ARG "%d" ARG "%d", s->folder, (int)version, INDEX_VERSION);
    if (version != INDEX_VERSION)
        return diag_fail(d, CJ_E_INPUT, MSG_SHELF_INDEX_DAMAGED, "%s/index.db" ARG "%s", s->folder, "user_version");
    return CJ_OK;
}

cj_err index_open(shelf *s, cj_diag *d)
{
    char *path = file_join(s->folder, "index.db");
    if (!path) return diag_nomem(d, strlen(s->folder));
    int rc = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_PRIVATECACHE, NULL);
    mem_free(path);
    if (rc != SQLITE_OK) return index_fail(s, rc, d);
    harden(s->db, &s->looks);
    s->read_only = sqlite3_db_readonly(s->db, "main") != 0;
    TRY(run_all(s, "PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY", d));
    if (!s->read_only) TRY(run_all(s, "PRAGMA synchronous=EXTRA", d));
    return check_version(s, d);
}
