/* What is on the shelf, and keeping it tidy: list, removal, cutting back, what nobody needs any more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/folder.h"
#include "shelf/inner.h"

/* ---- list ---- */

static cj_err entry_bytes(shelf *s, entry_row *r, cj_diag *d)
{
    query q;
    bool row = false;
    TRY(query_open(&q, s, d,
                   "SELECT (SELECT sum(s.bytes) FROM links l JOIN segments s ON s.id = l.segment WHERE l.entry=?1), "
                   "(SELECT sum(length(data)) FROM blobs WHERE entry=?1)",
                   "i", r->id));
    cj_err e = query_step(&q, &row, d);
    if (row) r->info.bytes = query_int(&q, 0) + query_int(&q, 1);
    query_close(&q);
    return e;
}

cj_err shelf_each(shelf *s, bool (*visit)(void *user, const shelf_info *info, bool damaged), void *user, cj_diag *d)
{
    query q;
    bool row = true;
    TRY(query_open(&q, s, d, "SELECT " ENTRY_COLUMNS " FROM entries ORDER BY name, complete DESC, id", ""));
    cj_err e = CJ_OK;
    while (!e) {
        entry_row r;
        bool good;
        e = query_step(&q, &row, d);
        if (e || !row) break;
        e = entry_row_read(&q, &r, &good, d);
        const bool known = good || r.info.format;
        if (!e && known) e = entry_bytes(s, &r, d);
        bool on = !e && visit(user, &r.info, !known);
        entry_row_deinit(&r);
        if (!on) break;
    }
    query_close(&q);
    return e;
}

typedef struct finding {
    const char *name;
    shelf_named *out;
} finding;

static bool look(void *user, const shelf_info *info, bool damaged)
{
    const finding *f = user;
    shelf_named *o = f->out;
    if (strcmp(info->name, f->name) != 0) return true;
    if (damaged) o->is_damaged = true;
    else if (info->format) o->is_other = true, o->other = *info;
    else if (info->complete) o->is_complete = true, o->complete = *info;
    else o->is_unfinished = true, o->unfinished = *info;
    return true;
}

cj_err shelf_find(shelf *s, const char *name, shelf_named *out, cj_diag *d)
{
    finding f = {name, out};
    *out = (shelf_named){0};
    TRY(shelf_each(s, look, &f, d));
    if (out->is_complete || out->is_unfinished || out->is_other || out->is_damaged) return CJ_OK;
    return diag_fail(d, CJ_E_NOT_FOUND, MSG_SHELF_NO_ENTRY, "%s", name);
}

/* ---- removal ---- */

cj_err shelf_drop_entry(shelf *s, int64_t id, cj_diag *d)
{
    TRY(index_run(s, d, "DELETE FROM links WHERE entry=?", "i", id));
    TRY(index_run(s, d, "DELETE FROM blobs WHERE entry=?", "i", id));
    return index_run(s, d, "DELETE FROM entries WHERE id=?", "i", id);
}

cj_err shelf_drop_link(shelf *s, int64_t entry, int64_t start, cj_diag *d)
{
    query q;
    bool row = false, good = false;
    segment_row seg = {0};
    TRY(query_open(&q, s, d, "SELECT " SEGMENT_COLUMNS " FROM segments WHERE id=(SELECT segment FROM links WHERE entry=? AND start=?)", "ii", entry, start));
    cj_err e = query_step(&q, &row, d);
    if (!e && row) good = segment_row_read(&q, 0, &seg);
    query_close(&q);
    seg.state = SEGMENT_BAD;
    if (!e && row && good) e = segment_row_update(s, &seg, d);
    else if (!e && row) e = index_run(s, d, "DELETE FROM segments WHERE id=?", "i", seg.id);
    if (!e) e = index_run(s, d, "DELETE FROM links WHERE entry=? AND start=?", "ii", entry, start);
    return e ? e : entry_row_update(s, entry, start, false, d);
}

/* The first entry of a name; *found false: there is none (more). */
static cj_err first_of(shelf *s, const char *name, int64_t *id, bool *found, cj_diag *d)
{
    query q;
    TRY(query_open(&q, s, d, "SELECT id FROM entries WHERE name=? LIMIT 1", "t", name));
    cj_err e = query_step(&q, found, d);
    if (*found) *id = query_int(&q, 0);
    query_close(&q);
    return e;
}

static cj_err remove_named(shelf *s, const char *name, bool *any, cj_diag *d)
{
    int64_t id = 0;
    bool found = true;
    for (*any = false; found; *any = *any || found) {
        TRY(index_begin(s, d));
        cj_err e = first_of(s, name, &id, &found, d);
        if (!e && found) e = shelf_drop_entry(s, id, d);
        if (!e) e = index_commit(s, d);
        if (e) index_rollback(s);
        TRY(e);
        if (found) shelf_remove(shelf_files_path(s, id));
    }
    return CJ_OK;
}

cj_err shelf_rm(shelf *s, const char *name, int64_t *freed, cj_diag *d)
{
    int lock = -1;
    bool any = false;
    *freed = 0;
    if (s->read_only) return diag_fail(d, CJ_E_IO, MSG_SHELF_READ_ONLY, "%s", s->folder);
    TRY(shelf_lock_name(s, name, &lock, d));
    cj_err e = remove_named(s, name, &any, d);
    if (!e) shelf_unpause(s, name);
    folder_unlock(lock);
    if (!e && !any) e = diag_fail(d, CJ_E_NOT_FOUND, MSG_SHELF_NO_ENTRY, "%s", name);
    return e ? e : shelf_sweep(s, freed, d);
}

/* ---- cutting back ---- */

static cj_err name_of(shelf *s, int64_t entry, char name[SHELF_NAME_MAX + 1], bool *found, cj_diag *d)
{
    query q;
    TRY(query_open(&q, s, d, "SELECT name FROM entries WHERE id=?", "i", entry));
    cj_err e = query_step(&q, found, d);
    const unsigned char *text = *found ? sqlite3_column_text(q.st, 0) : NULL;
    snprintf(name, SHELF_NAME_MAX + 1, "%s", text ? (const char *)text : "");
    query_close(&q);
    return e;
}

/* In a transaction: the segment in which the position lies, if the entry has come that far. */
static cj_err forget(shelf *s, int64_t entry, int64_t position, cj_diag *d)
{
    query q;
    bool row = false;
    TRY(query_open(&q, s, d, "SELECT max(l.start) FROM links l JOIN entries e ON e.id = l.entry WHERE e.id=?1 AND e.tokens>?2 AND l.start<=?2", "ii", entry,
                   position));
    cj_err e = query_step(&q, &row, d);
    row = row && sqlite3_column_type(q.st, 0) == SQLITE_INTEGER;
    int64_t start = row ? query_int(&q, 0) : 0;
    query_close(&q);
    return e || !row ? e : shelf_drop_link(s, entry, start, d);
}

static cj_err forget_locked(shelf *s, int64_t entry, int64_t position, cj_diag *d)
{
    TRY(index_begin(s, d));
    cj_err e = forget(s, entry, position, d);
    if (!e) e = index_commit(s, d);
    if (e) index_rollback(s);
    return e;
}

cj_err shelf_forget(shelf *s, int64_t entry, int64_t position, cj_diag *d)
{
    int lock = -1;
    char name[SHELF_NAME_MAX + 1];
    bool found;
    if (s->read_only) return diag_fail(d, CJ_E_IO, MSG_SHELF_READ_ONLY, "%s", s->folder);
    TRY(name_of(s, entry, name, &found, d));
    if (!found) return CJ_OK; /* it went meanwhile */
    TRY(shelf_lock_name(s, name, &lock, d));
    cj_err e = forget_locked(s, entry, position, d);
    folder_unlock(lock);
    return e;
}

/* Whoever writes has to open the entry again: what it holds in memory goes further than the index says now. */
void shelf_note_damage(shelf_entry *e, int64_t start)
{
    int lock = -1;
    e->damage = start;
    if (e->shelf->read_only || (!e->writing && shelf_lock_name(e->shelf, e->row.info.name, &lock, NULL))) return;
    if (!index_begin(e->shelf, NULL)) {
        if (shelf_drop_link(e->shelf, e->row.id, start, NULL) || index_commit(e->shelf, NULL)) index_rollback(e->shelf);
    }
    e->broken = e->writing;
    folder_unlock(lock);
}

/* ---- what nobody needs ---- */

static void remove_counted(char *path, int64_t *freed)
{
    int64_t size = path ? i64_max(0, file_size(path)) : 0;
    shelf_remove(path);
    *freed += size;
}

/* The file of one segment that no entry has, whose row goes. *found false: there is none. */
static cj_err take_unused(shelf *s, segment_row *seg, bool *found, cj_diag *d)
{
    query q;
    bool good = false;
    TRY(index_begin(s, d));
    cj_err e = query_open(&q, s, d, "SELECT " SEGMENT_COLUMNS " FROM segments s WHERE NOT EXISTS (SELECT 1 FROM links WHERE segment = s.id) LIMIT 1", "");
    if (!e) {
        e = query_step(&q, found, d);
        if (!e && *found) good = segment_row_read(&q, 0, seg);
        query_close(&q);
    }
    if (!e && *found) e = index_run(s, d, "DELETE FROM segments WHERE id=?", "i", seg->id);
    if (!e) e = index_commit(s, d);
    if (e) index_rollback(s);
    if (!good) seg->file = 0; /* a row that is damaged names no file that may be removed */
    return e;
}

typedef struct sweep {
    shelf *s;
    int64_t freed;
    cj_err err;
    cj_diag *d;
} sweep;

/* Whether a row needs the file: a segment's, or the tail that an open one ends with. Other files are none of ours. */
static cj_err file_needed(sweep *w, const char *name, bool *needed)
{
    char *end;
    query q;
    bool row = false;
    segment_row seg = {0};
    *needed = true;
    unsigned long long file = strtoull(name, &end, 16);
    bool is_tail = *end == '-';
    long long tokens = is_tail ? strtoll(end + 1, &end, 10) : 0;
    if (strcmp(end, is_tail ? ".tail" : ".seg")) return CJ_OK;
    TRY(query_open(&q, w->s, w->d, "SELECT " SEGMENT_COLUMNS " FROM segments WHERE file=?", "i", (int64_t)file));
    cj_err e = query_step(&q, &row, w->d);
    bool good = !e && row && segment_row_read(&q, 0, &seg);
    query_close(&q);
    if (!e) *needed = row && (!is_tail || !good || (seg.state == SEGMENT_OPEN && tokens == seg.start + seg.tokens));
    return e;
}

static bool sweep_segment(void *user, const char *path, bool is_dir)
{
    sweep *w = user;
    bool needed = true;
    if (is_dir) return true;
    w->err = file_needed(w, strrchr(path, '/') + 1, &needed);
    if (!w->err && !needed) remove_counted(mem_strdup(path), &w->freed);
    return !w->err;
}

static bool sweep_files(void *user, const char *path, bool is_dir)
{
    sweep *w = user;
    query q;
    bool row = true;
    int64_t id = (int64_t)strtoull(strrchr(path, '/') + 1, NULL, 16);
    if (!is_dir) return true;
    w->err = query_open(&q, w->s, w->d, "SELECT 1 FROM entries WHERE id=?", "i", id);
    if (w->err) return false;
    w->err = query_step(&q, &row, w->d);
    query_close(&q);
    if (!w->err && !row) {
        w->freed += folder_size(path);
        shelf_remove(mem_strdup(path));
    }
    return !w->err;
}

static cj_err sweep_orphans(shelf *s, int64_t *freed, cj_diag *d)
{
    sweep w = {.s = s, .d = d};
    char *segments = file_join(s->folder, "segments"), *files = file_join(s->folder, "files");
    cj_err e = segments && files ? folder_each(segments, sweep_segment, &w, d) : diag_nomem(d, 64);
    if (!e && !w.err) e = folder_each(files, sweep_files, &w, d);
    mem_free(segments);
    mem_free(files);
    *freed += w.freed;
    return e ? e : w.err;
}

cj_err shelf_sweep(shelf *s, int64_t *freed, cj_diag *d)
{
    segment_row seg = {0};
    bool found = true;
    int alone = -1;
    *freed = 0;
    while (found) {
        TRY(take_unused(s, &seg, &found, d));
        if (found && seg.file) remove_counted(shelf_segment_path(s, seg.file), freed);
        if (found && seg.file) remove_counted(shelf_tail_path(s, seg.file, seg.start + seg.tokens), freed);
    }
    TRY(shelf_lock_alone(s, &alone, d));
    cj_err e = alone < 0 ? CJ_OK : sweep_orphans(s, freed, d);
    folder_unlock(alone);
    return e;
}

cj_err shelf_gc(shelf *s, int64_t *freed, cj_diag *d)
{
    int64_t before = 0, after = 0;
    char *path = file_join(s->folder, "index.db");
    if (!path) return diag_nomem(d, 64);
    cj_err e = s->read_only ? diag_fail(d, CJ_E_IO, MSG_SHELF_READ_ONLY, "%s", s->folder) : CJ_OK;
    if (!e) e = index_run(s, d, "DELETE FROM links WHERE entry<0", ""); /* adopted segments that nobody wanted */
    if (!e) e = index_run(s, d, "DELETE FROM blobs WHERE NOT EXISTS (SELECT 1 FROM entries WHERE id=blobs.entry)", "");
    if (!e) e = shelf_sweep(s, freed, d);
    before = file_size(path);
    if (!e) e = index_run(s, d, "PRAGMA incremental_vacuum", "");
    after = file_size(path);
    mem_free(path);
    if (!e) *freed += i64_max(0, before - after);
    return e;
}
