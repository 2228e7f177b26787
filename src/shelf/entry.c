/* Loading an entry: its rows, its segments, the tables of its pages; attaching them to a context. */
#include <stdio.h>
#include <string.h>

#include "base/folder.h"
#include "base/mapped.h"
#include "shelf/inner.h"

static int64_t pages_for(int64_t tokens) { return i64_ceil_div(tokens, KV_PAGE); }

cj_err entry_new(shelf_entry **out, shelf *s, entry_row *row, cj_diag *d)
{
    shelf_entry *e = mem_zalloc(sizeof *e);
    if (e) *e = (shelf_entry){.shelf = s, .damage = -1, .lock = -1, .store_lock = -1, .file = {.fd = -1}, .append = {.tail = {.fd = -1}}};
    if (e) e->layer = mem_array((size_t)row->shape.n_layers, sizeof *e->layer);
    if (!e || !e->layer) {
        mem_free(e);
        return diag_nomem(d, sizeof *e);
    }
    e->n_layers = row->shape.n_layers;
    e->row = *row;
    *row = (entry_row){0};
    *out = e;
    return CJ_OK;
}

void shelf_entry_close(shelf_entry **pe)
{
    shelf_entry *e = *pe;
    if (!e) return;
    entry_append_drop(e);
    for (int i = 0; i < e->n_layers; i++) mem_free(e->layer[i].page);
    for (int64_t i = 0; i < e->n_maps; i++) file_map_close(&e->map[i]);
    grow_close(&e->file);
    buf_deinit(&e->ids);
    folder_unlock(e->lock);
    folder_unlock(e->store_lock);
    mem_free(e->cut);
    mem_free(e->map);
    mem_free(e->segment);
    mem_free(e->layer);
    entry_row_deinit(&e->row);
    mem_free(e);
    *pe = NULL;
}

/* Room for one more in array[n] of elements of `size` bytes. */
static cj_err room(void **array, int64_t n, int64_t *cap, size_t size, cj_diag *d)
{
    if (n < *cap) return CJ_OK;
    int64_t more = *cap ? 2 * *cap : 16;
    void *p = mem_grow(*array, (size_t)*cap * size, (size_t)more * size);
    if (!p) return diag_nomem(d, (size_t)more * size);
    *array = p;
    *cap = more;
    return CJ_OK;
}

cj_err entry_keep_map(shelf_entry *e, file_map *m, cj_diag *d)
{
    void *p = e->map;
    TRY(room(&p, e->n_maps, &e->cap_maps, sizeof *e->map, d));
    e->map = p;
    e->map[e->n_maps++] = *m;
    *m = (file_map){0};
    return CJ_OK;
}

cj_err entry_room_segment(shelf_entry *e, cj_diag *d)
{
    void *p = e->segment;
    TRY(room(&p, e->n_segments, &e->cap_segments, sizeof *e->segment, d));
    e->segment = p;
    return CJ_OK;
}

static cj_err room_pages(layer_refs *l, int64_t pages, cj_diag *d)
{
    if (pages <= l->cap) return CJ_OK;
    int64_t cap = i64_max(pages, 2 * l->cap);
    page_ref *more = mem_array((size_t)cap, sizeof *more);
    if (!more) return diag_nomem(d, (size_t)cap * sizeof *more);
    if (l->cap) memcpy(more, l->page, (size_t)l->cap * sizeof *more);
    mem_free(l->page);
    l->page = more;
    l->cap = cap;
    return CJ_OK;
}

cj_err entry_room_pages(shelf_entry *e, int64_t tokens, cj_diag *d)
{
    for (int i = 0; i < e->row.shape.n_layers; i++)
        if (!e->row.shape.layers[i].window) TRY(room_pages(&e->layer[i], pages_for(tokens), d));
    return CJ_OK;
}

void entry_add_record(shelf_entry *e, const segment_record *r)
{
    const shelf_shape *s = &e->row.shape;
    for (int i = 0; i < s->n_layers; i++) {
        if (s->layers[i].window) continue;
        int64_t filled, first = record_first(r, s, i), n = record_count(r, s, i);
        const uint8_t *summaries = record_summaries(r, s, i, &filled);
        for (int64_t p = 0; p < n; p++) {
            page_ref *ref = &e->layer[i].page[first + p];
            ref->bytes = record_page(r, s, i, first + p, &ref->sum);
            ref->summary = p < filled ? summaries + (size_t)p * summary_bytes(&s->layers[i].layout) : NULL;
        }
    }
}

bool entry_row_fits(const shelf_entry *e, const segment_row *row, chain *behind)
{
    uint8_t hash[SEGMENT_HASH];
    if (row->start != e->chain.at || row->tokens > e->row.info.tokens_total - row->start) return false;
    chain_digest(&e->chain, hash);
    if (memcmp(hash, row->before, SEGMENT_HASH)) return false;
    *behind = e->chain;
    chain_move(behind, shelf_entry_ids(e), row->start + row->tokens);
    chain_digest(behind, hash);
    return !memcmp(hash, row->after, SEGMENT_HASH);
}

bool entry_read_tail(shelf *s, const shelf_shape *shape, const segment_row *row, file_map *map, segment_record *out)
{
    char *path = shelf_tail_path(s, row->file, row->start + row->tokens);
    bool good = path && !file_map_open(map, path, NULL);
    mem_free(path);
    if (good && segment_tail_read(map->data, map->size, shape, row, out)) return true;
    if (good) file_map_close(map);
    return false;
}

/* A record of the segment that is being added. */
typedef struct adding {
    shelf_entry *entry;
    entry_segment *segment;
} adding;

static cj_err add_record(void *user, const segment_record *r, cj_diag *d)
{
    const adding *a = user;
    if (r->kind == RECORD_CHECKPOINT) {
        a->segment->has_checkpoint = true;
        a->segment->checkpoint = *r;
        return CJ_OK;
    }
    TRY(entry_room_pages(a->entry, r->to, d));
    entry_add_record(a->entry, r);
    return CJ_OK;
}

cj_err shelf_map_segment(shelf *s, const segment_row *row, file_map *m, bool *good, cj_diag *d)
{
    char *path = shelf_segment_path(s, row->file);
    if (!path) return diag_nomem(d, 64);
    cj_err e = file_map_part(m, path, 0, (size_t)row->bytes, d);
    mem_free(path);
    *good = !e;
    return e == CJ_E_NOT_FOUND || e == CJ_E_INPUT ? CJ_OK : e; /* absent or cut short: damaged */
}

cj_err entry_add_segment(shelf_entry *e, const segment_row *row, bool *good, cj_diag *d)
{
    chain behind;
    *good = false;
    if (!entry_row_fits(e, row, &behind) || row->state == SEGMENT_BAD || (row->state == SEGMENT_OPEN && row->owner != e->row.id)) return CJ_OK;
    TRY(entry_room_segment(e, d));
    file_map m = {0};
    TRY(shelf_map_segment(e->shelf, row, &m, good, d));
    if (!*good) return CJ_OK;
    entry_segment seg = {.row = *row};
    adding a = {e, &seg};
    segment_visit v = {&e->row.shape, shelf_entry_ids(e), add_record, &a};
    cj_err err = segment_walk(&v, row, m.data, m.size, good, d);
    if (!err) err = entry_keep_map(e, &m, d); /* damaged or not: tables may point into it */
    if (err) file_map_close(&m);
    if (err || !*good) return err;
    e->segment[e->n_segments++] = seg;
    e->row.info.bytes += row->bytes;
    e->chain = behind;
    return CJ_OK;
}

static cj_err load_links(shelf_entry *e, int64_t *damaged, cj_diag *d)
{
    query q;
    bool row = true, good = true;
    TRY(query_open(&q, e->shelf, d, LINKED_SEGMENTS, "i", e->row.id));
    cj_err err = CJ_OK;
    while (!err && good && e->chain.at < e->row.info.tokens) {
        segment_row seg;
        err = query_step(&q, &row, d);
        if (err) break;
        good = row && query_int(&q, 0) == e->chain.at && segment_row_read(&q, 1, &seg);
        if (good) err = entry_add_segment(e, &seg, &good, d);
    }
    query_close(&q);
    int64_t last = e->n_segments ? e->segment[e->n_segments - 1].row.start : 0;
    *damaged = !good ? e->chain.at : e->chain.at > e->row.info.tokens ? last : -1;
    return err;
}

cj_err entry_load_tail(shelf_entry *e, cj_diag *d)
{
    entry_segment *last = e->n_segments ? &e->segment[e->n_segments - 1] : NULL;
    if (!last || last->has_checkpoint || last->row.state != SEGMENT_OPEN || !e->row.shape.n_window) return CJ_OK;
    file_map m = {0};
    if (!entry_read_tail(e->shelf, &e->row.shape, &last->row, &m, &last->checkpoint)) return CJ_OK;
    cj_err err = entry_keep_map(e, &m, d);
    if (err) file_map_close(&m);
    last->has_checkpoint = !err;
    return err;
}

cj_err entry_load_ids(shelf_entry *e, cj_diag *d)
{
    const shelf_info *i = &e->row.info;
    uint8_t hash[SEGMENT_HASH];
    if (!e->ids.data) TRY(index_blob_get(e->shelf, &e->row, BLOB_IDS, &e->ids, d));
    TRY(chain_begin(&e->chain, &e->row.shape, d));
    bool good = e->ids.len == (size_t)i->tokens_total * sizeof(int32_t);
    if (good) {
        chain all = e->chain;
        chain_move(&all, shelf_entry_ids(e), i->tokens_total);
        chain_digest(&all, hash);
        good = !memcmp(hash, e->row.hash, SEGMENT_HASH);
    }
    return good ? CJ_OK : diag_fail(d, CJ_E_INPUT, MSG_SHELF_ROW_DAMAGED, "%s", i->name);
}

cj_err entry_load(shelf_entry *e, int64_t *damaged, cj_diag *d)
{
    *damaged = -1;
    TRY(entry_load_ids(e, d));
    return load_links(e, damaged, d);
}

/* ---- reading ---- */

cj_err shelf_unusable(const char *name, uint32_t format, cj_diag *d)
{
    if (!format) return diag_fail(d, CJ_E_INPUT, MSG_SHELF_ROW_DAMAGED, "%s", name);
    return diag_fail(d, CJ_E_UNSUPPORTED, MSG_SHELF_OTHER_VERSION, "%s" ARG "%u" ARG "%d", name, format, KV_LAYOUT_VERSION);
}

/* The row of a name: the complete one if there are two, or the one that is not. */
static cj_err find_row(shelf *s, const char *name, bool unfinished, entry_row *out, cj_diag *d)
{
    query q;
    bool row = false, good = false;
    TRY(query_open(&q, s, d, "SELECT " ENTRY_COLUMNS " FROM entries WHERE name=? AND complete<=? ORDER BY complete DESC, id DESC", "ti", name,
                   (int64_t)!unfinished));
    cj_err e = query_step(&q, &row, d);
    if (!e && !row) e = diag_fail(d, CJ_E_NOT_FOUND, MSG_SHELF_NO_ENTRY, "%s", name);
    if (!e) e = entry_row_read(&q, out, &good, d);
    if (!e && !good) {
        entry_row_deinit(out);
        e = shelf_unusable(name, out->info.format, d);
    }
    query_close(&q);
    return e;
}

cj_err shelf_peek(shelf *s, const char *name, const char *kind, buf *out, cj_diag *d)
{
    entry_row row;
    TRY(find_row(s, name, false, &row, d));
    cj_err e = index_blob_get(s, &row, kind, out, d);
    entry_row_deinit(&row);
    return e;
}

static cj_err read_once(shelf *s, shelf_entry **out, const char *name, bool unfinished, cj_diag *d)
{
    entry_row row;
    int64_t damaged = -1;
    shelf_entry *e = NULL;
    TRY(find_row(s, name, unfinished, &row, d));
    cj_err err = entry_new(&e, s, &row, d);
    if (!err) err = entry_load(e, &damaged, d);
    if (!err && damaged >= 0 && unfinished) e->row.info.tokens = damaged;
    else if (!err && damaged >= 0) {
        char what[64];
        snprintf(what, sizeof what, "%lld", (long long)damaged);
        err = diag_fail(d, CJ_E_INPUT, MSG_SHELF_SEGMENT_DAMAGED, "%s" ARG "%s", name, what);
    }
    if (!err) err = entry_load_tail(e, d); /* now: when the reading goes on, the next tail takes its place */
    entry_row_deinit(&row);
    if (err) shelf_entry_close(&e);
    *out = e;
    return err;
}

static cj_err read_either(shelf *s, shelf_entry **out, const char *name, bool unfinished, cj_diag *d)
{
    enum { TRIES = 3 }; /* between the index and a file, somebody may have put another entry in its place */
    cj_err err = CJ_E_INPUT;
    for (int i = 0; i < TRIES && err == CJ_E_INPUT; i++) {
        TRY(index_begin_read(s, d));
        err = read_once(s, out, name, unfinished, d);
        index_rollback(s);
    }
    return err;
}

cj_err shelf_read(shelf *s, shelf_entry **out, const char *name, cj_diag *d) { return read_either(s, out, name, false, d); }
cj_err shelf_read_unfinished(shelf *s, shelf_entry **out, const char *name, cj_diag *d) { return read_either(s, out, name, true, d); }

cj_err shelf_get(const shelf_entry *e, const char *kind, buf *out, cj_diag *d) { return index_blob_get(e->shelf, &e->row, kind, out, d); }
const shelf_info *shelf_entry_info(const shelf_entry *e) { return &e->row.info; }
const int32_t *shelf_entry_ids(const shelf_entry *e) { return (const int32_t *)(const void *)e->ids.data; }

cj_err shelf_entry_fits(const shelf_entry *e, const shelf_key *key, const char *model_name, cj_diag *d)
{
    shelf_shape other;
    TRY(shape_init(&other, key, d));
    bool same = shape_same(&e->row.shape, &other);
    shape_deinit(&other);
    if (same) return CJ_OK;
    const shelf_info *i = &e->row.info;
    return diag_fail(d, CJ_E_UNSUPPORTED, MSG_SHELF_MODEL, "%s" ARG "%s" ARG "%s", i->name, i->model_name, model_name);
}

/* ---- files that changed under us ---- */

/* Which segment is cut: the one in which the first page lies that the mapping holds. */
static const segment_row *row_of_map(const shelf_entry *e, const file_map *m)
{
    const segment_row *row = &e->segment[0].row;
    for (int i = 0; i < e->n_layers; i++)
        for (int64_t p = 0; p < e->layer[i].cap; p++) {
            const uint8_t *bytes = e->layer[i].page[p].bytes;
            if (!bytes || bytes < m->data || bytes >= m->data + m->size) continue;
            for (int64_t k = 0; k < e->n_segments && e->segment[k].row.start <= p * KV_PAGE; k++) row = &e->segment[k].row;
            return row;
        }
    return e->n_segments ? &e->segment[e->n_segments - 1].row : row; /* a tail */
}

cj_err shelf_entry_sound(shelf_entry *e, cj_diag *d)
{
    for (int64_t i = 0; mapped_any_cut() && e->n_segments && i < e->n_maps; i++) {
        if (!mapped_is_cut(&e->map[i])) continue;
        const segment_row *row = row_of_map(e, &e->map[i]);
        if (e->damage < 0) shelf_note_damage(e, row->start);
        return diag_fail(d, CJ_E_INPUT, MSG_SHELF_FILE_CUT, "%s" ARG "%016llx.seg" ARG "%lld", e->row.info.name, (unsigned long long)row->file,
                         (long long)row->start);
    }
    return CJ_OK;
}

void shelf_entry_ahead(const shelf_entry *e, int layer, int64_t end, int64_t bytes)
{
    const layer_refs *l = &e->layer[layer];
    const int64_t page = (int64_t)kv_page_bytes(&e->row.shape.layers[layer].layout);
    const int64_t last = i64_min(l->cap, pages_for(i64_min(end, e->row.info.tokens)));
    for (int64_t p = i64_max(0, last - bytes / page), first = p; p < last; p++) { /* pages that lie one behind the other at once */
        if (p + 1 < last && l->page[p + 1].bytes == l->page[p].bytes + page) continue;
        if (l->page[first].bytes) mapped_ahead(l->page[first].bytes, (size_t)((p + 1 - first) * page));
        first = p + 1;
    }
}

/* ---- attaching ---- */

/* The segment that a token lies in. */
static const entry_segment *segment_at(const shelf_entry *e, int64_t token)
{
    for (int64_t i = e->n_segments - 1; i > 0; i--)
        if (e->segment[i].row.start <= token) return &e->segment[i];
    return &e->segment[0];
}

static cj_err page_damaged(shelf_entry *e, int layer, int64_t page, cj_diag *d)
{
    const segment_row *row = &segment_at(e, i64_min((page + 1) * KV_PAGE, e->row.info.tokens) - 1)->row;
    shelf_note_damage(e, row->start);
    return diag_fail(d, CJ_E_INPUT, MSG_SHELF_PAGE_DAMAGED, "%s" ARG "%lld" ARG "%d" ARG "%016llx.seg" ARG "%lld", e->row.info.name, (long long)page, layer,
                     (unsigned long long)row->file, (long long)row->start);
}

/* Called by the context before a page is used for the first time. */
static cj_err check_page(void *arg, int layer, int64_t page, const uint8_t *bytes, cj_diag *d)
{
    shelf_entry *e = arg;
    const layer_refs *l = &e->layer[layer];
    size_t n = kv_page_bytes(&e->row.shape.layers[layer].layout);
    if (page < l->cap && hash_xxh3(bytes, n) == l->page[page].sum) return CJ_OK;
    return page_damaged(e, layer, page, d);
}

/* The latest position not after `most` from which a context can go on. *at: its checkpoint, NULL where none is needed. */
static int64_t latest(const shelf_entry *e, int64_t most, const segment_record **at)
{
    *at = NULL;
    if (!e->row.shape.n_window) return i64_min(most, e->row.info.tokens);
    for (int64_t i = e->n_segments; i-- > 0;) {
        const segment_row *r = &e->segment[i].row;
        if (!e->segment[i].has_checkpoint || r->start + r->tokens > most) continue;
        *at = &e->segment[i].checkpoint;
        return r->start + r->tokens;
    }
    return 0;
}

int64_t shelf_entry_reach(const shelf_entry *e, int64_t most)
{
    const segment_record *at;
    return latest(e, most, &at);
}

static cj_err attach_window(shelf_entry *e, kv_cache *kv, int layer, const segment_record *r, cj_diag *d)
{
    const shelf_shape *s = &e->row.shape;
    for (int64_t p = kv_first_needed(&s->layers[layer], r->to); p < pages_for(r->to); p++) {
        uint64_t sum;
        const uint8_t *bytes = record_page(r, s, layer, p, &sum);
        if (hash_xxh3(bytes, kv_page_bytes(&s->layers[layer].layout)) != sum) return page_damaged(e, layer, p, d);
        TRY(kv_attach(kv, layer, p, bytes, true, d));
    }
    return CJ_OK;
}

static cj_err attach_full(shelf_entry *e, kv_cache *kv, int layer, int64_t count, cj_diag *d)
{
    const page_ref *page = e->layer[layer].page;
    for (int64_t p = 0; p < pages_for(count); p++) TRY(kv_attach(kv, layer, p, page[p].bytes, false, d));
    uint8_t *summaries = kv_summaries(kv, layer);
    for (int64_t p = 0; p < count / KV_PAGE; p++)
        if (page[p].summary) summary_put(&e->row.shape.layers[layer].layout, summaries, p, page[p].summary);
    kv_summarise_groups(kv, layer, 0, count);
    return CJ_OK;
}

static bool layers_fit(const shelf_entry *e, const kv_cache *kv)
{
    const shelf_shape *s = &e->row.shape;
    bool fit = kv_layers(kv) == s->n_layers;
    for (int i = 0; fit && i < s->n_layers; i++) {
        const kv_layer *a = kv_layer_at(kv, i), *b = &s->layers[i];
        fit = a->window == b->window && a->layout.type == b->layout.type && a->layout.heads == b->layout.heads && a->layout.dk == b->layout.dk
              && a->layout.dv == b->layout.dv;
    }
    return fit;
}

cj_err shelf_attach(shelf_entry *e, kv_cache *kv, int64_t most, int64_t *count, cj_diag *d)
{
    const shelf_info *i = &e->row.info;
    const segment_record *at;
    if (!layers_fit(e, kv)) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_SHELF_MODEL, "%s" ARG "%s" ARG "%s", i->name, i->model_name, "?");
    TRY(entry_load_tail(e, d));
    int64_t n = latest(e, most, &at);
    kv_source source = {e, check_page};
    cj_err err = kv_resume(kv, n, &source, d);
    for (int l = 0; !err && n && l < e->row.shape.n_layers; l++)
        err = e->row.shape.layers[l].window ? attach_window(e, kv, l, at, d) : attach_full(e, kv, l, n, d);
    if (!err) err = shelf_entry_sound(e, d);
    if (err) kv_cut(kv, 0);
    else *count = n;
    return err;
}
