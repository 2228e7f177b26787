/* Rows of the index: sealed with a checksum, read with every field checked. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "shelf/index.h"

static const struct { const char *select, *seal; int columns; } tables[] = {
    [TABLE_ENTRIES] = {"SELECT " ENTRY_COLUMNS " FROM entries WHERE id=?", "UPDATE entries SET sum=? WHERE id=?", 16},
    [TABLE_SEGMENTS] = {"SELECT " SEGMENT_COLUMNS " FROM segments WHERE id=?", "UPDATE segments SET sum=? WHERE id=?", 10},
    [TABLE_BLOBS] = {"SELECT " BLOB_COLUMNS " FROM blobs WHERE id=?", "UPDATE blobs SET sum=? WHERE id=?", 5},
};
enum { COLUMNS_MAX = 16 };

/* XXH3 of type, length and hash of every column but the last. */
static int64_t row_sum(const query *q, int first, index_table table)
{
    uint64_t parts[3 * COLUMNS_MAX];
    int n = tables[table].columns - 1;
    for (int i = 0; i < n; i++) {
        int type = sqlite3_column_type(q->st, first + i);
        int64_t number = type == SQLITE_INTEGER ? query_int(q, first + i) : 0;
        double real = type == SQLITE_FLOAT ? sqlite3_column_double(q->st, first + i) : 0;
        const void *p = type == SQLITE_INTEGER ? (const void *)&number : type == SQLITE_FLOAT ? (const void *)&real : sqlite3_column_blob(q->st, first + i);
        size_t bytes = type == SQLITE_INTEGER || type == SQLITE_FLOAT ? 8 : p ? (size_t)sqlite3_column_bytes(q->st, first + i) : 0;
        parts[3 * i] = (uint64_t)type;
        parts[3 * i + 1] = bytes;
        parts[3 * i + 2] = bytes ? hash_xxh3(p, bytes) : 0;
    }
    return (int64_t)hash_xxh3(parts, (size_t)n * 3 * sizeof *parts);
}

bool row_intact(const query *q, int first, index_table table)
{
    int last = first + tables[table].columns - 1;
    return sqlite3_column_type(q->st, last) == SQLITE_INTEGER && query_int(q, last) == row_sum(q, first, table);
}

cj_err row_seal(shelf *s, index_table table, int64_t id, cj_diag *d)
{
    query q;
    bool row = false;
    TRY(query_open(&q, s, d, tables[table].select, "i", id));
    cj_err e = query_step(&q, &row, d);
    int64_t sum = row ? row_sum(&q, 0, table) : 0;
    query_close(&q);
    return e ? e : index_run(s, d, tables[table].seal, "ii", sum, id);
}

/* ---- entries ---- */

static bool text_column(const query *q, int column, char *out, size_t size)
{
    const unsigned char *t = sqlite3_column_text(q->st, column);
    size_t n = (size_t)sqlite3_column_bytes(q->st, column);
    if (!t || n >= size || strlen((const char *)t) != n) return false;
    memcpy(out, t, n + 1);
    return true;
}

static bool hash_column(const query *q, int column, uint8_t out[SEGMENT_HASH])
{
    const void *p = sqlite3_column_blob(q->st, column);
    if (!p || sqlite3_column_bytes(q->st, column) != SEGMENT_HASH) return false;
    memcpy(out, p, SEGMENT_HASH);
    return true;
}

static bool read_info(const query *q, entry_row *r)
{
    shelf_info *i = &r->info;
    r->id = query_int(q, 0);
    i->complete = query_int(q, 2) != 0;
    i->model = (uint64_t)query_int(q, 3);
    i->mode = (uint64_t)query_int(q, 4);
    i->characters = query_int(q, 8);
    i->documents = query_int(q, 9);
    i->tokens = query_int(q, 10);
    i->tokens_total = query_int(q, 11);
    i->created = sqlite3_column_double(q->st, 13);
    i->changed = sqlite3_column_double(q->st, 14);
    return text_column(q, 1, i->name, sizeof i->name) && text_column(q, 6, i->model_name, sizeof i->model_name)
           && text_column(q, 7, i->model_path, sizeof i->model_path) && hash_column(q, 12, r->hash) && i->tokens >= 0
           && i->tokens <= i->tokens_total && i->tokens_total > 0 && i->tokens_total <= SHELF_TOKENS_MAX && isfinite(i->created) && isfinite(i->changed);
}

cj_err entry_row_read(const query *q, entry_row *out, bool *good, cj_diag *d)
{
    *out = (entry_row){0};
    *good = false;
    bool intact = row_intact(q, 0, TABLE_ENTRIES);
    bool read = read_info(q, out); /* the name, if nothing else, even of a damaged one */
    if (!intact || !read) return CJ_OK;
    const void *shape = sqlite3_column_blob(q->st, 5);
    const size_t n = shape ? (size_t)sqlite3_column_bytes(q->st, 5) : 0;
    const uint32_t layout = shape_layout(shape, n);
    if (layout != KV_LAYOUT_VERSION) {
        out->info.format = layout;
        return CJ_OK;
    }
    cj_err e = shape_decode(&out->shape, shape, n, d);
    if (e == CJ_E_NOMEM) return e;
    *good = !e && out->shape.model == out->info.model && out->shape.mode == out->info.mode;
    return CJ_OK;
}

void entry_row_deinit(entry_row *r) { shape_deinit(&r->shape); }

cj_err entry_row_insert(shelf *s, entry_row *r, cj_diag *d)
{
    size_t n = shape_bytes(&r->shape);
    uint8_t *shape = mem_alloc(n);
    if (!shape) return diag_nomem(d, n);
    shape_encode(&r->shape, shape);
    const shelf_info *i = &r->info;
    cj_err e = index_run(s, d,
                         "INSERT INTO entries(name, complete, model, mode, shape, model_name, model_path, characters, documents, tokens, tokens_total,"
                         " hash, created, changed) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                         "tiiibttiiiibrr", i->name, (int64_t)i->complete, (int64_t)i->model, (int64_t)i->mode, (const void *)shape, n, i->model_name,
                         i->model_path, i->characters, i->documents, i->tokens, i->tokens_total, (const void *)r->hash, (size_t)SEGMENT_HASH,
                         i->created, i->changed);
    mem_free(shape);
    TRY(e);
    r->id = sqlite3_last_insert_rowid(s->db);
    return row_seal(s, TABLE_ENTRIES, r->id, d);
}

cj_err entry_row_update(shelf *s, int64_t id, int64_t tokens, bool complete, cj_diag *d)
{
    TRY(index_run(s, d, "UPDATE entries SET tokens=?, complete=?, changed=? WHERE id=?", "iiri", tokens, (int64_t)complete, clock_wall(), id));
    return row_seal(s, TABLE_ENTRIES, id, d);
}

/* ---- segments ---- */

bool segment_row_read(const query *q, int first, segment_row *r)
{
    *r = (segment_row){.id = query_int(q, first),         .file = query_int(q, first + 1),      .start = query_int(q, first + 2),
                       .tokens = query_int(q, first + 5), .bytes = query_int(q, first + 6),     .owner = query_int(q, first + 8),
                       .state = (segment_state)query_int(q, first + 7)};
    return row_intact(q, first, TABLE_SEGMENTS) && hash_column(q, first + 3, r->before) && hash_column(q, first + 4, r->after) && r->start >= 0
           && r->tokens > 0 && r->tokens <= SHELF_SEGMENT && r->start <= SHELF_TOKENS_MAX - r->tokens && r->bytes > 0;
}

#define HASH(h) (const void *)(h), (size_t)SEGMENT_HASH

cj_err segment_row_insert(shelf *s, segment_row *r, cj_diag *d)
{
    TRY(index_run(s, d, "INSERT INTO segments(file, start, before, after, tokens, bytes, state, owner) VALUES(?,?,?,?,?,?,?,?)", "iibbiiii", r->file,
                  r->start, HASH(r->before), HASH(r->after), r->tokens, r->bytes, (int64_t)r->state, r->owner));
    r->id = sqlite3_last_insert_rowid(s->db);
    return row_seal(s, TABLE_SEGMENTS, r->id, d);
}

cj_err segment_row_update(shelf *s, const segment_row *r, cj_diag *d)
{
    TRY(index_run(s, d, "UPDATE segments SET after=?, tokens=?, bytes=?, state=? WHERE id=?", "biiii", HASH(r->after), r->tokens, r->bytes,
                  (int64_t)r->state, r->id));
    return row_seal(s, TABLE_SEGMENTS, r->id, d);
}

/* ---- blobs ---- */

cj_err index_blob_put(shelf *s, int64_t entry, const char *kind, const void *data, size_t n, cj_diag *d)
{
    if (n > SHELF_BLOB_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", kind, SHELF_BLOB_MAX);
    TRY(index_run(s, d, "DELETE FROM blobs WHERE entry=? AND kind=?", "it", entry, kind));
    TRY(index_run(s, d, "INSERT INTO blobs(entry, kind, data) VALUES(?,?,?)", "itb", entry, kind, data, n));
    return row_seal(s, TABLE_BLOBS, sqlite3_last_insert_rowid(s->db), d);
}

static cj_err blob_read(const query *q, const entry_row *entry, const char *kind, buf *out, cj_diag *d)
{
    const void *p = sqlite3_column_blob(q->st, 3);
    size_t n = (size_t)sqlite3_column_bytes(q->st, 3);
    if (!p && n) return diag_nomem(d, n);
    if (!row_intact(q, 0, TABLE_BLOBS) || n > SHELF_BLOB_MAX) return diag_fail(d, CJ_E_INPUT, MSG_SHELF_DAMAGED, "%s" ARG "%s", entry->info.name, kind);
    buf_init(out, n);
    cj_err e = n ? buf_append(out, p, n, d) : CJ_OK;
    if (e) buf_deinit(out);
    return e;
}

cj_err index_blob_get(shelf *s, const entry_row *entry, const char *kind, buf *out, cj_diag *d)
{
    query q;
    bool row = false;
    TRY(query_open(&q, s, d, "SELECT " BLOB_COLUMNS " FROM blobs WHERE entry=? AND kind=?", "it", entry->id, kind));
    cj_err e = query_step(&q, &row, d);
    if (!e && !row) e = diag_fail(d, CJ_E_NOT_FOUND, MSG_SHELF_NO_BLOB, "%s" ARG "%s", entry->info.name, kind);
    if (!e) e = blob_read(&q, entry, kind, out, d);
    query_close(&q);
    return e;
}
