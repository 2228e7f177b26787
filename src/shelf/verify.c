/* Verifying: every row, blob, head, table and page. Nothing is changed, and no lock is held while files are read: what was
 * removed or replaced meanwhile is not damage. */
#include <stdio.h>
#include <string.h>

#include "shelf/inner.h"

/* One segment of one entry, as the index said when the verification began. */
typedef struct listed {
    int64_t start; /* of the link */
    segment_row row;
    bool good; /* the row */
} listed;

typedef struct check {
    shelf *s;
    const shelf_watch *watch;
    shelf_entry *entry;
    const segment_row *row;
    buf listed, seen; /* of this entry; int64 ids of segments found good */
    int64_t done, total, damages;
} check;

static void report(check *c, shelf_damage w)
{
    char file[64] = "";
    c->damages++;
    if (!w.what && c->row) snprintf(file, sizeof file, "segments/%016llx.seg", (unsigned long long)c->row->file);
    if (!w.what) w.what = file;
    if (!w.name) w.name = c->entry->row.info.name;
    if (c->entry) w.entry = c->entry->row.id;
    if (c->watch->damage) c->watch->damage(c->watch->user, &w);
}

static cj_err advance(check *c, int64_t bytes, cj_diag *d)
{
    c->done += bytes;
    bool on = !c->watch->progress || c->watch->progress(c->watch->user, c->done, i64_max(c->done, c->total));
    return on ? CJ_OK : diag_fail(d, CJ_E_CANCELLED, MSG_CANCELLED, "%s", "");
}

/* ---- the index ---- */

static cj_err check_index(check *c, cj_diag *d)
{
    query q;
    bool row = true;
    TRY(query_open(&q, c->s, d, "PRAGMA quick_check(8)", ""));
    cj_err e = CJ_OK;
    while (!e) {
        e = query_step(&q, &row, d);
        if (e || !row) break;
        const char *text = (const char *)sqlite3_column_text(q.st, 0);
        if (text && strcmp(text, "ok")) report(c, (shelf_damage){.kind = SHELF_DAMAGED_INDEX, .name = "", .what = text, .position = -1});
    }
    query_close(&q);
    return e;
}

static cj_err check_blobs(check *c, cj_diag *d)
{
    query q;
    bool row = true;
    TRY(query_open(&q, c->s, d, "SELECT " BLOB_COLUMNS " FROM blobs WHERE entry=?", "i", c->entry->row.id));
    cj_err e = CJ_OK;
    while (!e) {
        e = query_step(&q, &row, d);
        if (e || !row) break;
        const char *kind = (const char *)sqlite3_column_text(q.st, 2);
        if (!row_intact(&q, 0, TABLE_BLOBS)) report(c, (shelf_damage){.kind = SHELF_DAMAGED_BLOB, .what = kind ? kind : "?", .position = -1});
    }
    query_close(&q);
    return e;
}

/* ---- segments ---- */

static cj_err check_record(void *user, const segment_record *r, cj_diag *d)
{
    check *c = user;
    int layer = 0;
    for (int64_t page = 0; record_find_damage(r, &c->entry->row.shape, &layer, &page); page++)
        report(c, (shelf_damage){.kind = SHELF_DAMAGED_PAGE, .position = c->row->start, .layer = layer, .page = page});
    return advance(c, (int64_t)r->bytes, d);
}

static bool seen(const check *c, int64_t id)
{
    const int64_t *ids = (const int64_t *)(const void *)c->seen.data;
    for (size_t i = 0; i < c->seen.len / sizeof *ids; i++)
        if (ids[i] == id) return true;
    return false;
}

/* Whether the index still says the same. */
static cj_err row_stays(check *c, const segment_row *row, bool *stays, cj_diag *d)
{
    query q;
    bool there = false;
    TRY(query_open(&q, c->s, d, "SELECT 1 FROM segments WHERE id=? AND bytes=? AND state=?", "iii", row->id, row->bytes, (int64_t)row->state));
    cj_err e = query_step(&q, &there, d);
    *stays = there;
    query_close(&q);
    return e;
}

static cj_err check_tail(check *c, const segment_row *row, bool *good, cj_diag *d)
{
    file_map m = {0};
    segment_record r;
    *good = row->state != SEGMENT_OPEN || !c->entry->row.shape.n_window;
    if (*good) return CJ_OK;
    *good = entry_read_tail(c->s, &c->entry->row.shape, row, &m, &r);
    cj_err e = *good ? check_record(c, &r, d) : CJ_OK;
    file_map_close(&m);
    return e;
}

static cj_err check_segment(check *c, const segment_row *row, cj_diag *d)
{
    file_map m = {0};
    bool good = false, stays = true;
    int64_t before = c->damages;
    c->row = row;
    segment_visit v = {&c->entry->row.shape, shelf_entry_ids(c->entry), check_record, c};
    chain behind;
    cj_err e = entry_row_fits(c->entry, row, &behind) && row->state != SEGMENT_BAD ? shelf_map_segment(c->s, row, &m, &good, d) : CJ_OK;
    if (!e && good) e = segment_walk(&v, row, m.data, m.size, &good, d);
    file_map_close(&m);
    if (!e && good) e = check_tail(c, row, &good, d);
    if (!e && !good) e = row_stays(c, row, &stays, d);
    if (!e && !good && stays) report(c, (shelf_damage){.kind = SHELF_DAMAGED_SEGMENT, .position = row->start});
    if (!e && good && c->damages == before) e = buf_append(&c->seen, &row->id, sizeof row->id, d);
    c->row = NULL;
    return e;
}

static cj_err list_segments(check *c, cj_diag *d)
{
    query q;
    bool row = true;
    buf_clear(&c->listed);
    TRY(query_open(&q, c->s, d, LINKED_SEGMENTS, "i", c->entry->row.id));
    cj_err e = CJ_OK;
    while (!e) {
        e = query_step(&q, &row, d);
        if (e || !row) break;
        listed l = {.start = query_int(&q, 0)};
        l.good = segment_row_read(&q, 1, &l.row);
        e = buf_append(&c->listed, &l, sizeof l, d);
    }
    query_close(&q);
    return e;
}

/* The listed segments: without a gap from 0 to the tokens that are kept. What lies behind (kept for a repair) is looked at by it. */
static cj_err check_segments(check *c, cj_diag *d)
{
    const listed *l = (const listed *)(const void *)c->listed.data, *end = l + c->listed.len / sizeof *l;
    const shelf_info *i = &c->entry->row.info;
    int64_t at = 0;
    for (; l < end && at < i->tokens; l++) {
        if (l->start != at || !l->good) break;
        if (seen(c, l->row.id)) TRY(advance(c, l->row.bytes, d));
        else TRY(check_segment(c, &l->row, d));
        at = i64_min(l->start + l->row.tokens, i->tokens_total);
        chain_move(&c->entry->chain, shelf_entry_ids(c->entry), at);
    }
    if (at != i->tokens) report(c, (shelf_damage){.kind = SHELF_DAMAGED_ROW, .what = "index.db", .position = at});
    return CJ_OK;
}

/* ---- entries ---- */

/* What the index says of the entry, in one transaction. *good: its tokens can be compared with. */
static cj_err gather(check *c, entry_row *row, bool *good, cj_diag *d)
{
    TRY(entry_new(&c->entry, c->s, row, d));
    TRY(check_blobs(c, d));
    TRY(list_segments(c, d));
    cj_err e = entry_load_ids(c->entry, d);
    *good = !e;
    if (e != CJ_E_INPUT && e != CJ_E_NOT_FOUND) return e;
    report(c, (shelf_damage){.kind = SHELF_DAMAGED_ROW, .what = "index.db", .position = 0});
    return CJ_OK;
}

/* The entry after `id`, of the name if there is one. */
static cj_err next_entry(check *c, const char *name, int64_t *id, entry_row *row, bool *found, bool *good, cj_diag *d)
{
    query q;
    TRY(query_open(&q, c->s, d, "SELECT " ENTRY_COLUMNS " FROM entries WHERE id>?1 AND (?2='' OR name=?2) ORDER BY id LIMIT 1", "it", *id, name ? name : ""));
    cj_err e = query_step(&q, found, d);
    if (!e && *found) {
        e = entry_row_read(&q, row, good, d);
        *id = query_int(&q, 0);
    }
    query_close(&q);
    return e;
}

static cj_err bytes_in_all(check *c, const char *name, cj_diag *d)
{
    query q;
    bool row;
    TRY(query_open(&q, c->s, d,
                   "SELECT sum(s.bytes) FROM entries e JOIN links l ON l.entry = e.id JOIN segments s ON s.id = l.segment WHERE ?1='' OR e.name=?1", "t",
                   name ? name : ""));
    cj_err e = query_step(&q, &row, d);
    c->total = row ? query_int(&q, 0) : 0;
    query_close(&q);
    return e;
}

/* The next entry; *found false: there is none. */
static cj_err check_next(check *c, const char *name, int64_t *id, bool *found, cj_diag *d)
{
    entry_row row = {0};
    bool good = false;
    TRY(index_begin_read(c->s, d));
    cj_err e = next_entry(c, name, id, &row, found, &good, d);
    const bool whole = good || row.info.format;
    if (!e && *found && !whole) report(c, (shelf_damage){.kind = SHELF_DAMAGED_ROW, .name = row.info.name, .what = "index.db", .position = -1});
    if (!e && *found && whole && c->watch->entry) c->watch->entry(c->watch->user, &row.info);
    if (!e && good) e = gather(c, &row, &good, d);
    index_rollback(c->s);
    if (!e && good) e = check_segments(c, d);
    shelf_entry_close(&c->entry);
    entry_row_deinit(&row);
    return e;
}

static cj_err check_all(check *c, const char *name, cj_diag *d)
{
    int64_t id = -1;
    bool found = true, any = false;
    TRY(check_index(c, d));
    TRY(bytes_in_all(c, name, d));
    for (; found; any = any || found) TRY(check_next(c, name, &id, &found, d));
    return any || !name ? CJ_OK : diag_fail(d, CJ_E_NOT_FOUND, MSG_SHELF_NO_ENTRY, "%s", name);
}

cj_err shelf_verify(shelf *s, const char *name, const shelf_watch *watch, int64_t *damages, cj_diag *d)
{
    check c = {.s = s, .watch = watch};
    buf_init(&c.listed, SHELF_TOKENS_MAX);
    buf_init(&c.seen, SHELF_TOKENS_MAX);
    cj_err e = check_all(&c, name, d);
    buf_deinit(&c.listed);
    buf_deinit(&c.seen);
    *damages = c.damages;
    return e;
}
