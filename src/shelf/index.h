/* The index: SQLite behind few calls. The file is hostile input like any other: defensive settings, no triggers, views or functions of
 * the schema's own, limits on everything, and a checksum in every row of entries, segments and blobs (the last column, `sum`). */
#ifndef SHELF_INDEX_H
#define SHELF_INDEX_H

#include <sqlite3.h>

#include "shelf/segment.h"

enum { INDEX_VERSION = 1 };

struct shelf {
    char *folder;
    sqlite3 *db;
    bool read_only;
    int looks; /* at a statement that runs long */
};

#define ENTRY_COLUMNS                                                                                                                  \
    "id, name, complete, model, mode, shape, model_name, model_path, characters, documents, tokens, tokens_total, hash, created, changed, sum"
#define SEGMENT_COLUMNS "id, file, start, before, after, tokens, bytes, state, owner, sum"
/* The start of each link of an entry, and the columns of its segment (NULL when it has none). */
#define LINKED_SEGMENTS                                                                                                                \
    "SELECT l.start, s.id, s.file, s.start, s.before, s.after, s.tokens, s.bytes, s.state, s.owner, s.sum FROM links l"                \
    " LEFT JOIN segments s ON s.id = l.segment WHERE l.entry=? ORDER BY l.start"
#define BLOB_COLUMNS "id, entry, kind, data, sum"

CJ_NODISCARD cj_err index_open(shelf *s, cj_diag *d);
/* The sentence for what SQLite said; s->db may be NULL. */
cj_err index_fail(shelf *s, int rc, cj_diag *d);

/* ---- statements ----
 * kinds: a letter for each "?": i int64_t, r double, t text, b bytes and their number (const void *, size_t). */
typedef struct query {
    shelf *shelf;
    sqlite3_stmt *st;
} query;
CJ_NODISCARD cj_err query_open(query *q, shelf *s, cj_diag *d, const char *sql, const char *kinds, ...);
CJ_NODISCARD cj_err query_step(query *q, bool *row, cj_diag *d);
void query_close(query *q);
int64_t query_int(const query *q, int column);
/* A statement without rows. */
CJ_NODISCARD cj_err index_run(shelf *s, cj_diag *d, const char *sql, const char *kinds, ...);

CJ_NODISCARD cj_err index_begin(shelf *s, cj_diag *d);       /* to write: one process at a time */
CJ_NODISCARD cj_err index_begin_read(shelf *s, cj_diag *d);  /* what is read then belongs together */
CJ_NODISCARD cj_err index_commit(shelf *s, cj_diag *d);
void index_rollback(shelf *s);

/* ---- rows ---- */

typedef struct entry_row {
    int64_t id;
    shelf_info info; /* bytes aside */
    shelf_shape shape;
    uint8_t hash[SEGMENT_HASH]; /* of shape and all tokens */
} entry_row;

typedef enum index_table { TABLE_ENTRIES, TABLE_SEGMENTS, TABLE_BLOBS } index_table;

/* Whether the row that q stands on, whose columns are those above from `first` on, is what was written. */
bool row_intact(const query *q, int first, index_table table);
/* Writes the checksum of a row. */
CJ_NODISCARD cj_err row_seal(shelf *s, index_table table, int64_t id, cj_diag *d);

/* Reads the row q stands on. False: it is damaged, or of another format (info.format says). CJ_E_NOMEM aside nothing goes wrong. */
CJ_NODISCARD cj_err entry_row_read(const query *q, entry_row *out, bool *good, cj_diag *d);
void entry_row_deinit(entry_row *r);
bool segment_row_read(const query *q, int first, segment_row *out);
CJ_NODISCARD cj_err segment_row_insert(shelf *s, segment_row *r, cj_diag *d); /* sets r->id */
CJ_NODISCARD cj_err segment_row_update(shelf *s, const segment_row *r, cj_diag *d);
CJ_NODISCARD cj_err entry_row_insert(shelf *s, entry_row *r, cj_diag *d); /* sets r->id */
/* Sets tokens, complete and the time of an entry. */
CJ_NODISCARD cj_err entry_row_update(shelf *s, int64_t id, int64_t tokens, bool complete, cj_diag *d);

/* Blobs by entry and kind; our own kinds begin with a dot. */
CJ_NODISCARD cj_err index_blob_put(shelf *s, int64_t entry, const char *kind, const void *data, size_t n, cj_diag *d);
CJ_NODISCARD cj_err index_blob_get(shelf *s, const entry_row *entry, const char *kind, buf *out, cj_diag *d);
#define BLOB_IDS ".ids"

/* Into a new index, in its transaction: every closed segment whose file is there and whose chain of hashes begins at 0. Entries that are read again
 * find them; until then, or until gc, links of their own (entry = -id) keep them. */
CJ_NODISCARD cj_err shelf_adopt(shelf *s, cj_diag *d);

/* ---- files ---- (mem_free what is returned; NULL: no memory) */

char *shelf_segment_path(shelf *s, int64_t file);
char *shelf_tail_path(shelf *s, int64_t file, int64_t tokens);
char *shelf_files_path(shelf *s, int64_t entry);
bool shelf_name_good(const char *name);
bool shelf_kind_good(const char *kind);
CJ_NODISCARD cj_err shelf_new_segment(shelf *s, grow_file *g, int64_t *file, cj_diag *d); /* a file with a name nobody has */
CJ_NODISCARD cj_err shelf_sync_segments(shelf *s, cj_diag *d);                             /* the folder */
void shelf_remove(char *path); /* a file or folder, as far as it can be now (gc finds the rest); takes the path */
CJ_NODISCARD cj_err shelf_lock_writers(shelf *s, int *fd, cj_diag *d); /* shared by all writers; keeps shelf_sweep from their files */
CJ_NODISCARD cj_err shelf_lock_alone(shelf *s, int *fd, cj_diag *d);   /* -1: somebody writes */
CJ_NODISCARD cj_err shelf_lock_name(shelf *s, const char *name, int *fd, cj_diag *d);

#endif
