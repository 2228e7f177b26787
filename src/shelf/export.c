/* Writing an entry as one file. */
#include <stdio.h>
#include <string.h>

#include "shelf/carry.h"

typedef struct exporting {
    shelf_entry *entry;
    const shelf_watch *watch;
    file_out out;
    int64_t done, total;
} exporting;

static cj_err write_section(exporting *x, carry_kind kind, uint64_t bytes, uint64_t summed, uint64_t body_sum, cj_diag *d)
{
    carry_section s = {{'C', 'J', 'X', 'S'}, kind, bytes, summed, body_sum, {0}, 0};
    s.sum = hash_xxh3(&s, sizeof s);
    return file_out_write(&x->out, &s, sizeof s, d);
}

/* A section of a front and a body, both under the checksum. */
static cj_err write_small(exporting *x, carry_kind kind, const void *front, size_t n_front, const void *body, size_t n_body, cj_diag *d)
{
    uint8_t *all = mem_alloc(n_front + n_body);
    if (!all) return diag_nomem(d, n_front + n_body);
    memcpy(all, front, n_front);
    if (n_body) memcpy(all + n_front, body, n_body);
    cj_err e = write_section(x, kind, n_front + n_body, n_front + n_body, hash_xxh3(all, n_front + n_body), d);
    if (!e) e = file_out_write(&x->out, all, n_front + n_body, d);
    if (!e) e = file_out_pad(&x->out, SEGMENT_ALIGN, d);
    mem_free(all);
    return e;
}

static cj_err write_entry(exporting *x, cj_diag *d)
{
    const shelf_info *i = &x->entry->row.info;
    carry_entry c = {.tokens = i->tokens_total, .characters = i->characters, .documents = i->documents, .created = i->created};
    memcpy(c.hash, x->entry->row.hash, SEGMENT_HASH);
    memcpy(c.name, i->name, strlen(i->name));
    memcpy(c.model_name, i->model_name, strlen(i->model_name));
    size_t n = shape_bytes(&x->entry->row.shape);
    uint8_t *shape = mem_alloc(n);
    if (!shape) return diag_nomem(d, n);
    shape_encode(&x->entry->row.shape, shape);
    cj_err e = write_small(x, CARRY_ENTRY, &c, sizeof c, shape, n, d);
    mem_free(shape);
    return e;
}

static cj_err write_blobs(exporting *x, cj_diag *d)
{
    query q;
    bool row = true;
    TRY(query_open(&q, x->entry->shelf, d, "SELECT " BLOB_COLUMNS " FROM blobs WHERE entry=? ORDER BY kind", "i", x->entry->row.id));
    cj_err e = CJ_OK;
    while (!e) {
        carry_blob c = {{0}};
        e = query_step(&q, &row, d);
        if (e || !row) break;
        const char *kind = (const char *)sqlite3_column_text(q.st, 2);
        size_t n = (size_t)sqlite3_column_bytes(q.st, 3);
        if (!row_intact(&q, 0, TABLE_BLOBS) || !kind || strlen(kind) > SHELF_KIND_MAX)
            e = diag_fail(d, CJ_E_INPUT, MSG_SHELF_DAMAGED, "%s" ARG "%s", x->entry->row.info.name, kind ? kind : "?");
        else {
            memcpy(c.kind, kind, strlen(kind));
            e = write_small(x, CARRY_BLOB, &c, sizeof c, sqlite3_column_blob(q.st, 3), n, d);
        }
    }
    query_close(&q);
    return e;
}

static cj_err advance(exporting *x, int64_t bytes, cj_diag *d)
{
    x->done += bytes;
    bool on = !x->watch->progress || x->watch->progress(x->watch->user, x->done, x->total);
    return on ? CJ_OK : diag_fail(d, CJ_E_CANCELLED, MSG_CANCELLED, "%s", "");
}

static cj_err check_record(void *user, const segment_record *r, cj_diag *d)
{
    exporting *x = user;
    int layer = 0;
    int64_t page = 0;
    if (!record_find_damage(r, &x->entry->row.shape, &layer, &page)) return advance(x, (int64_t)r->bytes, d);
    return diag_fail(d, CJ_E_INPUT, MSG_SHELF_PAGE_DAMAGED, "%s" ARG "%lld" ARG "%d" ARG "%s" ARG "%lld", x->entry->row.info.name, (long long)page, layer,
                     "segments", (long long)r->from);
}

/* What is checked is what is written: both read the same mapping. */
static cj_err write_segment(exporting *x, const segment_row *row, cj_diag *d)
{
    enum { PART = 1 << 20 };
    shelf_entry *e = x->entry;
    carry_segment c = {.start = row->start, .tokens = row->tokens};
    memcpy(c.before, row->before, SEGMENT_HASH);
    memcpy(c.after, row->after, SEGMENT_HASH);
    file_map m = {0};
    bool good;
    segment_visit v = {&e->row.shape, shelf_entry_ids(e), check_record, x};
    TRY(shelf_map_segment(e->shelf, row, &m, &good, d));
    cj_err err = good ? segment_walk(&v, row, m.data, m.size, &good, d) : CJ_OK;
    if (!err && !good) err = diag_fail(d, CJ_E_INPUT, MSG_SHELF_SEGMENT_DAMAGED, "%s" ARG "%lld", e->row.info.name, (long long)row->start);
    if (!err) err = write_section(x, CARRY_SEGMENT, sizeof c + m.size, sizeof c, hash_xxh3(&c, sizeof c), d);
    if (!err) err = file_out_write(&x->out, &c, sizeof c, d);
    for (size_t at = 0; !err && at < m.size; at += PART) {
        size_t n = m.size - at < PART ? m.size - at : PART;
        err = file_out_write(&x->out, m.data + at, n, d);
        if (!err) err = advance(x, (int64_t)n, d);
    }
    if (!err) err = file_out_pad(&x->out, SEGMENT_ALIGN, d);
    if (!err) err = file_out_sync(&x->out, d); /* a wish to stop never waits for more than one segment */
    file_map_close(&m);
    return err;
}

/* The head has the file's length: it is written last, over the place kept for it. */
static cj_err write_all(exporting *x, cj_diag *d)
{
    shelf_entry *e = x->entry;
    carry_head h = {{'C', 'J', 'S', 'X'}, CARRY_VERSION, 0, {0}, 0};
    TRY(file_out_write(&x->out, &h, sizeof h, d));
    TRY(write_entry(x, d));
    TRY(write_blobs(x, d));
    for (int64_t i = 0; i < e->n_segments; i++) TRY(write_segment(x, &e->segment[i].row, d));
    TRY(write_section(x, CARRY_END, 0, 0, hash_xxh3("", 0), d));
    h.bytes = x->out.written;
    h.sum = hash_xxh3(&h, sizeof h);
    return file_out_rewrite(&x->out, 0, &h, sizeof h, d);
}

cj_err shelf_export(shelf *s, const char *name, const char *path, const shelf_watch *watch, cj_diag *d)
{
    shelf_entry *e = NULL;
    TRY(shelf_read(s, &e, name, d));
    const shelf_info *i = &e->row.info;
    cj_err err = i->complete ? CJ_OK
                             : diag_fail(d, CJ_E_USAGE, MSG_SHELF_INCOMPLETE, "%s" ARG "%lld" ARG "%lld", name, (long long)i->tokens, (long long)i->tokens_total);
    exporting x = {.entry = e, .watch = watch, .total = 2 * i->bytes};
    if (!err) err = file_out_open(&x.out, path, d);
    if (!err) {
        err = write_all(&x, d);
        if (!err) err = file_out_commit(&x.out, d);
        else file_out_abort(&x.out);
    }
    shelf_entry_close(&e);
    return err;
}
