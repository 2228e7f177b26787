/* Writing an entry: begun or gone on with, appended to, finished.
 *
 * An append is acknowledged in this order, so that a crash at any point leaves what the index says:
 *     1. the record (and the checkpoint that closes the segment) is written and synced; an open segment's checkpoint, to a tail of its own.
 *        A thread waits for the disk, so that reading may go on meanwhile (shelf_append_begin)
 *     2. one transaction: the segment's length, the link to it, the entry's count of tokens
 *     3. the tail before is removed
 */
#include <string.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/utf8.h"
#include "shelf/inner.h"

enum { OTHERS_MAX = 8 }; /* entries of one name that a finished one replaces; there is hardly ever more than one */

bool shelf_name_good(const char *name)
{
    size_t n = strlen(name);
    bool seen = false;
    if (!n || n > SHELF_NAME_MAX || !utf8_is_plain(name, n)) return false;
    for (size_t i = 0; i < n; i++) seen = seen || name[i] != ' ';
    return seen;
}

bool shelf_kind_good(const char *kind)
{
    size_t n = strlen(kind);
    return n && n <= SHELF_KIND_MAX && kind[0] != '.' && strspn(kind, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == n;
}

/* ---- the row ---- */

static cj_err plan_row(const shelf_plan *p, entry_row *out, cj_diag *d)
{
    if (!shelf_name_good(p->name)) return diag_fail(d, CJ_E_USAGE, MSG_SHELF_NAME_BAD, "%s", p->name);
    if (p->n < 1 || p->n > SHELF_TOKENS_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", p->name, SHELF_TOKENS_MAX);
    entry_row r = {0};
    chain c;
    TRY(shape_init(&r.shape, &p->key, d));
    cj_err e = chain_begin(&c, &r.shape, d);
    if (e) {
        entry_row_deinit(&r);
        return e;
    }
    chain_move(&c, p->ids, p->n);
    chain_digest(&c, r.hash);
    r.info = (shelf_info){.model = p->key.model, .mode = p->key.mode, .tokens_total = p->n, .characters = p->characters,
                          .documents = p->documents, .created = clock_wall()};
    r.info.changed = r.info.created;
    strncpy(r.info.name, p->name, sizeof r.info.name - 1);
    if (p->model_name) strncpy(r.info.model_name, p->model_name, utf8_valid_prefix(p->model_name, strnlen(p->model_name, sizeof r.info.model_name - 1)));
    if (p->model_path) strncpy(r.info.model_path, p->model_path, strnlen(p->model_path, sizeof r.info.model_path - 1));
    *out = r;
    return CJ_OK;
}

/* Looks for a row with the plan's name, shape and tokens (wanted, which it replaces): *found. The complete one first. */
static cj_err find_same(shelf *s, entry_row *wanted, bool *found, cj_diag *d)
{
    query q;
    bool row = true, good;
    *found = false;
    TRY(query_open(&q, s, d, "SELECT " ENTRY_COLUMNS " FROM entries WHERE name=? ORDER BY complete DESC, id DESC", "t", wanted->info.name));
    cj_err e = CJ_OK;
    while (!e && !*found) {
        entry_row r;
        e = query_step(&q, &row, d);
        if (e || !row) break;
        e = entry_row_read(&q, &r, &good, d);
        if (e) break;
        *found = good && r.info.tokens_total == wanted->info.tokens_total && !memcmp(r.hash, wanted->hash, SEGMENT_HASH);
        if (*found) {
            entry_row_deinit(wanted);
            *wanted = r;
        } else
            entry_row_deinit(&r);
    }
    query_close(&q);
    return e;
}

/* ---- segments that are there already ---- */

/* Closes the open segment of a row with its tail: others may then go on behind it. *closed: whether it could be. */
static cj_err close_segment(shelf *s, const shelf_shape *shape, segment_row *row, bool *closed, cj_diag *d)
{
    file_map m = {0};
    segment_record r;
    int layer = 0;
    int64_t page = 0;
    *closed = false;
    if (!entry_read_tail(s, shape, row, &m, &r)) return CJ_OK;
    grow_file g = {.fd = -1};
    char *path = shelf_segment_path(s, row->file);
    cj_err e = path ? CJ_OK : diag_nomem(d, 64);
    bool good = !e && !record_find_damage(&r, shape, &layer, &page) && file_size(path) >= row->bytes;
    if (good) e = grow_open(&g, path, row->bytes, d);
    if (good && !e) e = grow_write(&g, m.data + (m.size - r.bytes), r.bytes, d);
    if (good && !e) e = grow_sync(&g, d);
    grow_close(&g);
    mem_free(path);
    if (good && !e) {
        row->bytes += (int64_t)r.bytes;
        row->state = SEGMENT_CLOSED;
        e = segment_row_update(s, row, d);
        *closed = !e;
    }
    file_map_close(&m);
    return e;
}

/* The open segment of an entry that is about to be given up, where a checkpoint makes it useful to the next. */
static cj_err close_last(shelf *s, const entry_row *entry, cj_diag *d)
{
    query q;
    bool row = false, closed;
    segment_row seg;
    if (!entry->shape.n_window) return CJ_OK;
    TRY(query_open(&q, s, d, "SELECT " SEGMENT_COLUMNS " FROM segments WHERE owner=? AND state=0", "i", entry->id));
    cj_err e = query_step(&q, &row, d);
    row = row && segment_row_read(&q, 0, &seg);
    query_close(&q);
    return e || !row ? e : close_segment(s, &entry->shape, &seg, &closed, d);
}

/* In a transaction: takes up every closed segment that goes on where the entry stands, one after the other. */
static cj_err link_following(shelf_entry *e, cj_diag *d)
{
    for (bool linked = true; linked && e->row.info.tokens < e->row.info.tokens_total;) {
        query q;
        bool row = true;
        uint8_t hash[SEGMENT_HASH];
        chain_digest(&e->chain, hash);
        TRY(query_open(&q, e->shelf, d, "SELECT " SEGMENT_COLUMNS " FROM segments WHERE before=? AND start=? AND state=1 ORDER BY tokens DESC, id DESC", "bi",
                       (const void *)hash, (size_t)SEGMENT_HASH, e->row.info.tokens));
        cj_err err = CJ_OK;
        linked = false;
        while (!err && !linked) {
            segment_row seg;
            err = query_step(&q, &row, d);
            if (err || !row) break;
            if (segment_row_read(&q, 0, &seg)) err = entry_add_segment(e, &seg, &linked, d);
        }
        query_close(&q);
        if (!err && linked) {
            const segment_row *seg = &e->segment[e->n_segments - 1].row;
            err = index_run(e->shelf, d, "INSERT OR REPLACE INTO links(entry, start, segment) VALUES(?,?,?)", "iii", e->row.id, seg->start, seg->id);
            if (!err) err = index_run(e->shelf, d, "DELETE FROM links WHERE entry=?", "i", -seg->id); /* it may have been adopted */
            e->row.info.tokens = seg->start + seg->tokens;
        }
        TRY(err);
    }
    return CJ_OK;
}

/* ---- beginning ---- */

/* Where the segment that begins at the entry's end has to end. */
static void find_next(shelf_entry *e)
{
    int64_t at = e->row.info.tokens, start = at;
    if (e->n_segments && e->segment[e->n_segments - 1].row.state == SEGMENT_OPEN) start = e->segment[e->n_segments - 1].row.start;
    e->next = i64_min(e->row.info.tokens_total, start + SHELF_SEGMENT);
    for (int i = 0; i < e->n_cuts; i++)
        if (e->cut[i] > at && e->cut[i] - start >= SHELF_SEGMENT_LEAST) e->next = i64_min(e->next, e->cut[i]);
    if (e->kept > at) e->next = i64_min(e->next, e->kept);
}

/* Where the next segment begins that the entry still has behind a gap: what is read then has to end there. */
static cj_err find_kept(shelf_entry *e, cj_diag *d)
{
    query q;
    bool row = false;
    TRY(query_open(&q, e->shelf, d, "SELECT min(start) FROM links WHERE entry=? AND start>?", "ii", e->row.id, e->row.info.tokens));
    cj_err err = query_step(&q, &row, d);
    e->kept = row ? query_int(&q, 0) : 0;
    query_close(&q);
    return err;
}

static cj_err set_texts(shelf_entry *e, const shelf_plan *p, cj_diag *d)
{
    size_t n = (size_t)p->n * sizeof *p->ids;
    buf_init(&e->ids, n);
    TRY(buf_append(&e->ids, p->ids, n, d));
    if (!p->n_cuts) return CJ_OK;
    e->cut = mem_array((size_t)p->n_cuts, sizeof *e->cut);
    if (!e->cut) return diag_nomem(d, (size_t)p->n_cuts * sizeof *e->cut);
    memcpy(e->cut, p->cuts, (size_t)p->n_cuts * sizeof *e->cut);
    e->n_cuts = p->n_cuts;
    return CJ_OK;
}

/* Loads what is there. What is damaged is dropped, and what is left loaded again. */
static cj_err load_good(shelf_entry **pe, const shelf_plan *p, cj_diag *d)
{
    for (;;) {
        shelf_entry *e = *pe;
        int64_t damaged = -1;
        TRY(set_texts(e, p, d));
        TRY(entry_load(e, &damaged, d));
        if (damaged < 0) TRY(entry_load_tail(e, d));
        const entry_segment *last = e->n_segments ? &e->segment[e->n_segments - 1] : NULL;
        if (damaged < 0 && e->row.shape.n_window && last && !last->has_checkpoint) damaged = last->row.start; /* its tail is gone */
        if (damaged < 0) return CJ_OK;
        TRY(shelf_drop_link(e->shelf, e->row.id, damaged, d));
        entry_row row = e->row;
        shelf *s = e->shelf;
        e->row = (entry_row){0};
        shelf_entry_close(pe);
        row.info.tokens = damaged;
        row.info.complete = false;
        cj_err err = entry_new(pe, s, &row, d);
        entry_row_deinit(&row);
        TRY(err);
    }
}

/* Other entries of the name that are not complete end here; what their last segment holds may be of use. */
static cj_err drop_unfinished(shelf *s, const entry_row *mine, cj_diag *d)
{
    for (;;) {
        query q;
        bool row = false, good = false;
        entry_row other = {0};
        TRY(query_open(&q, s, d, "SELECT " ENTRY_COLUMNS " FROM entries WHERE name=? AND complete=0 AND id<>?", "ti", mine->info.name, mine->id));
        cj_err e = query_step(&q, &row, d);
        if (!e && row) e = entry_row_read(&q, &other, &good, d);
        query_close(&q);
        if (!e && good) e = close_last(s, &other, d);
        if (!e && row) e = shelf_drop_entry(s, other.id, d);
        entry_row_deinit(&other);
        if (e || !row) return e;
    }
}

/* In a transaction. */
static cj_err begin_entry(shelf *s, shelf_entry **out, entry_row *row, const shelf_plan *p, cj_diag *d)
{
    bool found, intact = true;
    buf blob = {0};
    TRY(find_same(s, row, &found, d));
    if (!found) TRY(entry_row_insert(s, row, d));
    if (found) intact = !index_blob_get(s, row, BLOB_IDS, &blob, NULL);
    buf_deinit(&blob);
    if (!found || !intact) TRY(index_blob_put(s, row->id, BLOB_IDS, p->ids, (size_t)p->n * sizeof *p->ids, d));
    TRY(drop_unfinished(s, row, d));
    TRY(entry_new(out, s, row, d));
    TRY(load_good(out, p, d));
    int64_t before = (*out)->row.info.tokens;
    TRY(link_following(*out, d));
    shelf_info *i = &(*out)->row.info;
    if (i->tokens != before) TRY(entry_row_update(s, (*out)->row.id, i->tokens, i->complete, d));
    return find_kept(*out, d);
}

/* Goes on in the open segment, without what was not acknowledged. */
static cj_err open_segment(shelf_entry *e, cj_diag *d)
{
    const entry_segment *last = e->n_segments ? &e->segment[e->n_segments - 1] : NULL;
    if (!last || last->row.state != SEGMENT_OPEN) return CJ_OK;
    char *path = shelf_segment_path(e->shelf, last->row.file);
    if (!path) return diag_nomem(d, 64);
    cj_err err = grow_open(&e->file, path, last->row.bytes, d);
    mem_free(path);
    return err;
}

cj_err shelf_write(shelf *s, shelf_entry **out, const shelf_plan *p, cj_diag *d)
{
    entry_row row = {0};
    shelf_entry *e = NULL;
    int lock = -1, store = -1;
    if (s->read_only) return diag_fail(d, CJ_E_IO, MSG_SHELF_READ_ONLY, "%s", s->folder);
    TRY(plan_row(p, &row, d));
    cj_err err = shelf_lock_name(s, p->name, &lock, d);
    if (!err) err = shelf_lock_writers(s, &store, d);
    if (!err) err = index_begin(s, d);
    if (!err) {
        err = begin_entry(s, &e, &row, p, d);
        if (!err) err = index_commit(s, d);
        if (err) index_rollback(s);
    }
    if (!err) err = open_segment(e, d);
    entry_row_deinit(&row);
    if (err) {
        shelf_entry_close(&e);
        folder_unlock(lock);
        folder_unlock(store);
        return err;
    }
    e->lock = lock;
    e->store_lock = store;
    e->writing = true;
    find_next(e);
    *out = e;
    return CJ_OK;
}

int64_t shelf_entry_next(const shelf_entry *e) { return e->next; }

/* ---- appending ---- */

/* A segment that begins at the entry's end: its file, with a head. */
static cj_err new_segment(shelf_entry *e, segment_row *row, cj_diag *d)
{
    *row = (segment_row){.start = e->row.info.tokens, .owner = e->row.id, .state = SEGMENT_OPEN};
    chain_digest(&e->chain, row->before);
    grow_close(&e->file);
    TRY(shelf_new_segment(e->shelf, &e->file, &row->file, d));
    return segment_write_head(&e->file, &e->row.shape, row->start, row->before, d);
}

static cj_err write_tail(shelf_entry *e, const kv_cache *kv, const segment_row *row, grow_file *g, cj_diag *d)
{
    char *path = shelf_tail_path(e->shelf, row->file, row->start + row->tokens);
    if (!path) return diag_nomem(d, 64);
    cj_err err = grow_open(g, path, 0, d);
    mem_free(path);
    if (!err) err = segment_write_head(g, &e->row.shape, row->start, row->before, d);
    return err ? err : segment_write_checkpoint(g, &e->row.shape, kv, d);
}

/* Writes what makes the row's segment reach kv's end. The row says how it is then. */
static cj_err write_segment(shelf_entry *e, const kv_cache *kv, entry_append *a, cj_diag *d)
{
    const shelf_shape *s = &e->row.shape;
    segment_row *row = &a->segment.row;
    chain ahead = e->chain;
    chain_move(&ahead, shelf_entry_ids(e), a->to);
    chain_digest(&ahead, row->after);
    row->tokens = a->to - row->start;
    row->state = a->to == e->next ? SEGMENT_CLOSED : SEGMENT_OPEN;
    TRY(segment_write_pages(&e->file, s, kv, shelf_entry_ids(e), a->from, a->to, d));
    if (row->state == SEGMENT_CLOSED) TRY(segment_write_checkpoint(&e->file, s, kv, d));
    row->bytes = e->file.size;
    bool tail = row->state == SEGMENT_OPEN && s->n_window;
    a->folder = a->fresh || tail;
    return tail ? write_tail(e, kv, row, &a->tail, d) : CJ_OK;
}

/* In the append's thread. */
static void *sync_files(void *arg)
{
    shelf_entry *e = arg;
    entry_append *a = &e->append;
    a->err = grow_sync(&e->file, &a->diag);
    if (!a->err && a->tail.fd >= 0) a->err = grow_sync(&a->tail, &a->diag);
    if (!a->err && a->folder) a->err = shelf_sync_segments(e->shelf, &a->diag);
    return NULL;
}

void entry_append_drop(shelf_entry *e)
{
    task_wait(&e->append.sync);
    grow_close(&e->append.tail);
    e->append = (entry_append){.tail = {.fd = -1}};
}

/* Maps what was written from `at` on. The checkpoint, if the segment ends with one, in *seg. */
static cj_err map_written(shelf_entry *e, int64_t at, segment_record *pages, entry_segment *seg, cj_diag *d)
{
    file_map m = {0};
    size_t n = (size_t)(e->file.size - at);
    TRY(file_map_part(&m, e->file.path, at, n, d));
    cj_err err = entry_keep_map(e, &m, d);
    if (err) {
        file_map_close(&m);
        return err;
    }
    const uint8_t *p = e->map[e->n_maps - 1].data;
    bool good = segment_record_read(p, n, &e->row.shape, e->row.info.tokens, pages);
    if (good && pages->bytes < n)
        good = seg->has_checkpoint = segment_record_read(p + pages->bytes, n - pages->bytes, &e->row.shape, pages->to, &seg->checkpoint);
    return good ? CJ_OK : diag_fail(d, CJ_E_INTERNAL, MSG_INTERNAL, "%s", "shelf: what was written reads otherwise");
}

static cj_err acknowledge(shelf_entry *e, segment_row *row, bool fresh, cj_diag *d)
{
    shelf *s = e->shelf;
    TRY(index_begin(s, d));
    cj_err err = fresh ? segment_row_insert(s, row, d) : segment_row_update(s, row, d);
    if (!err && fresh)
        err = index_run(s, d, "INSERT OR REPLACE INTO links(entry, start, segment) VALUES(?,?,?)", "iii", e->row.id, row->start, row->id);
    if (!err) err = entry_row_update(s, e->row.id, row->start + row->tokens, false, d);
    if (!err) {
        err = index_commit(s, d);
        e->broken = err != CJ_OK; /* it may have come through: only the index knows */
    }
    if (err) index_rollback(s);
    return err;
}

/* kv's full pages that are kept now are read from the file. It goes on with its own where that fails. */
static void exchange(shelf_entry *e, kv_cache *kv, int64_t from, int64_t to)
{
    for (int i = 0; i < e->row.shape.n_layers; i++) {
        if (e->row.shape.layers[i].window) continue;
        for (int64_t p = from / KV_PAGE; p < to / KV_PAGE; p++)
            if (kv_attach(kv, i, p, e->layer[i].page[p].bytes, true, NULL)) return;
    }
}

/* Writes, and has the disk begin. */
static cj_err append_begin(shelf_entry *e, const kv_cache *kv, cj_diag *d)
{
    entry_append *a = &e->append;
    const entry_segment *last = e->n_segments ? &e->segment[e->n_segments - 1] : NULL;
    a->from = e->row.info.tokens;
    a->to = kv_count(kv);
    a->fresh = !last || last->row.state != SEGMENT_OPEN;
    TRY(entry_room_segment(e, d));
    TRY(entry_room_pages(e, a->to, d));
    last = e->n_segments ? &e->segment[e->n_segments - 1] : NULL; /* it may have moved */
    if (a->fresh) TRY(new_segment(e, &a->segment.row, d));
    else {
        a->segment.row = last->row;
        if (e->file.size > last->row.bytes) TRY(grow_cut(&e->file, last->row.bytes, d)); /* of an attempt that failed */
    }
    a->at = e->file.size;
    TRY(write_segment(e, kv, a, d));
    a->active = true;
    task_start(&a->sync, sync_files, e);
    return CJ_OK;
}

/* What was written is on the disk: acknowledges it. */
static cj_err append_end(shelf_entry *e, kv_cache *kv, cj_diag *d)
{
    entry_append *a = &e->append;
    segment_record pages;
    task_wait(&a->sync);
    if (a->err) {
        if (d) *d = a->diag;
        return a->err;
    }
    entry_segment *last = e->n_segments ? &e->segment[e->n_segments - 1] : NULL;
    entry_segment *seg = &a->segment;
    const int64_t from = a->from, to = a->to;
    TRY(map_written(e, a->at, &pages, seg, d));
    TRY(acknowledge(e, &seg->row, a->fresh, d));
    entry_add_record(e, &pages);
    e->row.info.bytes += seg->row.bytes - (a->fresh ? 0 : last->row.bytes);
    if (!a->fresh && e->row.shape.n_window) shelf_remove(shelf_tail_path(e->shelf, last->row.file, last->row.start + last->row.tokens));
    if (a->fresh) e->segment[e->n_segments++] = *seg;
    else *last = *seg;
    e->row.info.tokens = to;
    chain_move(&e->chain, shelf_entry_ids(e), to);
    if (seg->row.state == SEGMENT_CLOSED) grow_close(&e->file);
    exchange(e, kv, from, to);
    return CJ_OK;
}

/* Behind a closed segment there may be others that fit. */
static cj_err link_more(shelf_entry *e, cj_diag *d)
{
    int64_t before = e->row.info.tokens;
    TRY(index_begin(e->shelf, d));
    cj_err err = link_following(e, d);
    if (!err && e->row.info.tokens != before) err = entry_row_update(e->shelf, e->row.id, e->row.info.tokens, false, d);
    if (!err) err = find_kept(e, d);
    if (!err) err = index_commit(e->shelf, d);
    if (err) index_rollback(e->shelf);
    e->broken = err != CJ_OK;
    return err;
}

static cj_err no_room(const shelf_entry *e, cj_err err, cj_diag *d)
{
    if (err != CJ_E_NOSPACE) return err;
    return diag_fail(d, CJ_E_NOSPACE, MSG_SHELF_FULL, "%s" ARG "%lld" ARG "%s", e->shelf->folder, (long long)(shelf_entry_needs(e) >> 20) + 1,
                     e->row.info.name);
}

cj_err shelf_append_end(shelf_entry *e, kv_cache *kv, cj_diag *d)
{
    const shelf_info *i = &e->row.info;
    if (!e->append.active) return CJ_OK;
    cj_err err = e->broken ? diag_fail(d, CJ_E_IO, MSG_SHELF_BROKEN, "%s", i->name) : append_end(e, kv, d);
    entry_append_drop(e);
    if (!err && i->tokens == e->next) err = link_more(e, d);
    if (!err) find_next(e);
    return no_room(e, err, d);
}

cj_err shelf_append_begin(shelf_entry *e, kv_cache *kv, cj_diag *d)
{
    TRY(shelf_append_end(e, kv, d));
    const shelf_info *i = &e->row.info;
    if (kv_count(kv) <= i->tokens) return CJ_OK;
    if (!e->writing || kv_count(kv) > e->next) return diag_fail(d, CJ_E_INTERNAL, MSG_INTERNAL, "%s", "shelf: kv stands beyond the segment's end");
    if (e->broken) return diag_fail(d, CJ_E_IO, MSG_SHELF_BROKEN, "%s", i->name);
    cj_err err = append_begin(e, kv, d);
    if (err) entry_append_drop(e);
    return no_room(e, err, d);
}

cj_err shelf_append(shelf_entry *e, kv_cache *kv, cj_diag *d)
{
    TRY(shelf_append_begin(e, kv, d));
    return shelf_append_end(e, kv, d);
}

int64_t shelf_entry_needs(const shelf_entry *e)
{
    int64_t left = e->row.info.tokens_total - e->row.info.tokens;
    return left ? segment_estimate(&e->row.shape, left) : 0;
}

/* ---- the end ---- */

/* In a transaction: the blobs of another entry that are handed on become this one's, damaged ones aside. */
static cj_err take_blobs(shelf_entry *e, int64_t other, cj_diag *d)
{
    for (int64_t id = 0;;) {
        query q;
        bool row = false;
        TRY(query_open(&q, e->shelf, d,
                       "SELECT " BLOB_COLUMNS " FROM blobs b WHERE entry=? AND id>? AND substr(kind, 1, ?)=?"
                       " AND NOT EXISTS (SELECT 1 FROM blobs WHERE entry=? AND kind=b.kind) ORDER BY id LIMIT 1",
                       "iiiti", other, id, (int64_t)strlen(SHELF_HANDED_ON), SHELF_HANDED_ON, e->row.id));
        cj_err err = query_step(&q, &row, d);
        id = row ? query_int(&q, 0) : 0;
        const bool intact = row && row_intact(&q, 0, TABLE_BLOBS);
        query_close(&q);
        if (!err && intact) err = index_run(e->shelf, d, "UPDATE blobs SET entry=? WHERE id=?", "ii", e->row.id, id);
        if (!err && intact) err = row_seal(e->shelf, TABLE_BLOBS, id, d);
        if (err || !row) return err;
    }
}

/* Ids of the other entries of the name, which this one replaces. At most a few: a name has one complete and one unfinished. */
static cj_err drop_others(shelf_entry *e, int64_t *dropped, int *n, cj_diag *d)
{
    for (*n = 0; *n < OTHERS_MAX;) {
        query q;
        bool row = false;
        TRY(query_open(&q, e->shelf, d, "SELECT id FROM entries WHERE name=? AND id<>?", "ti", e->row.info.name, e->row.id));
        cj_err err = query_step(&q, &row, d);
        int64_t id = row ? query_int(&q, 0) : 0;
        query_close(&q);
        if (!err && row) err = take_blobs(e, id, d);
        if (!err && row) err = shelf_drop_entry(e->shelf, id, d);
        if (err || !row) return err;
        dropped[(*n)++] = id;
    }
    return CJ_OK;
}

static cj_err finish(shelf_entry *e, int64_t *dropped, int *n, cj_diag *d)
{
    TRY(index_begin(e->shelf, d));
    cj_err err = index_run(e->shelf, d, "DELETE FROM links WHERE entry=?", "i", e->row.id);
    for (int64_t i = 0; !err && i < e->n_segments; i++)
        err = index_run(e->shelf, d, "INSERT INTO links(entry, start, segment) VALUES(?,?,?)", "iii", e->row.id, e->segment[i].row.start, e->segment[i].row.id);
    if (!err) err = drop_others(e, dropped, n, d);
    if (!err) err = entry_row_update(e->shelf, e->row.id, e->row.info.tokens, true, d);
    if (!err) err = index_commit(e->shelf, d);
    if (err) index_rollback(e->shelf);
    return err;
}

cj_err shelf_finish(shelf_entry *e, cj_diag *d)
{
    shelf_info *i = &e->row.info;
    int64_t dropped[OTHERS_MAX], freed;
    int n = 0;
    if (i->tokens < i->tokens_total)
        return diag_fail(d, CJ_E_USAGE, MSG_SHELF_INCOMPLETE, "%s" ARG "%lld" ARG "%lld", i->name, (long long)i->tokens, (long long)i->tokens_total);
    if (i->complete) return CJ_OK;
    TRY(finish(e, dropped, &n, d));
    i->complete = true;
    for (int k = 0; k < n; k++) shelf_remove(shelf_files_path(e->shelf, dropped[k]));
    if (shelf_sweep(e->shelf, &freed, NULL)) return CJ_OK; /* gc does it later: the entry is complete */
    return CJ_OK;
}

/* In a transaction: somebody may have removed the entry, or put another in its place. */
static cj_err still_there(const shelf_entry *e, cj_diag *d)
{
    query q;
    bool row = false;
    TRY(query_open(&q, e->shelf, d, "SELECT 1 FROM entries WHERE id=?", "i", e->row.id));
    cj_err err = query_step(&q, &row, d);
    query_close(&q);
    return err || row ? err : diag_fail(d, CJ_E_NOT_FOUND, MSG_SHELF_NO_ENTRY, "%s", e->row.info.name);
}

cj_err shelf_put(shelf_entry *e, const char *kind, const void *data, size_t n, cj_diag *d)
{
    if (!shelf_kind_good(kind)) return diag_fail(d, CJ_E_USAGE, MSG_OPTION_BAD, "%s" ARG "%s", "kind", kind);
    buf there = {0};
    bool same = !index_blob_get(e->shelf, &e->row, kind, &there, NULL) && there.len == n && (!n || !memcmp(there.data, data, n));
    buf_deinit(&there);
    if (same) return CJ_OK;
    TRY(index_begin(e->shelf, d));
    cj_err err = still_there(e, d);
    if (!err) err = index_blob_put(e->shelf, e->row.id, kind, data, n, d);
    if (!err) err = index_commit(e->shelf, d);
    if (err) index_rollback(e->shelf);
    return err;
}

cj_err shelf_entry_file(const shelf_entry *e, const char *kind, char **out, cj_diag *d)
{
    cj_err err = shelf_kind_good(kind) ? CJ_OK : diag_fail(d, CJ_E_USAGE, MSG_OPTION_BAD, "%s" ARG "%s", "kind", kind);
    char *folder = err ? NULL : shelf_files_path(e->shelf, e->row.id), *path = NULL;
    if (!err && !folder) err = diag_nomem(d, 64);
    if (!err && !file_is_dir(folder)) err = file_make_dirs(folder, d);
    if (!err) path = file_join(folder, kind);
    if (!err && !path) err = diag_nomem(d, 64);
    mem_free(folder);
    *out = path;
    return err;
}
