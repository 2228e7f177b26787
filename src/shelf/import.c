/* Taking in an exported entry: the file is mapped and gone through twice. First every byte is checked; then the segments are copied and
 * synced, and one transaction makes the entry known. Until then nothing of it is on the shelf. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/utf8.h"
#include "shelf/carry.h"

typedef struct importing {
    shelf *s;
    const char *path;
    const shelf_watch *watch;
    file_map map;
    entry_row row;
    const uint8_t *ids; /* of the blob of tokens */
    chain chain;
    int64_t *file;      /* [n_files] that were copied */
    int64_t n_files, n_segments;
    int64_t done, total;
} importing;

static cj_err bad(const importing *x, const char *what, cj_diag *d) { return diag_fail(d, CJ_E_INPUT, MSG_SHELF_NO_EXPORT, "%s" ARG "%s", x->path, what); }

static cj_err advance(importing *x, int64_t bytes, cj_diag *d)
{
    x->done += bytes;
    bool on = !x->watch->progress || x->watch->progress(x->watch->user, x->done, x->total);
    return on ? CJ_OK : diag_fail(d, CJ_E_CANCELLED, MSG_CANCELLED, "%s", "");
}

/* ---- going through the sections ---- */

typedef struct section {
    carry_kind kind;
    const uint8_t *body;
    size_t bytes;
} section;

static bool zeros(const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        if (b[i]) return false;
    return true;
}

/* The section at *at, which moves behind it. `deep`: its checksum is compared too. */
static bool next_section(const importing *x, size_t *at, bool deep, section *out)
{
    carry_section c;
    if (x->map.size - *at < sizeof c) return false;
    memcpy(&c, x->map.data + *at, sizeof c);
    uint64_t sum = c.sum;
    c.sum = 0;
    if (sum != hash_xxh3(&c, sizeof c) || memcmp(c.magic, "CJXS", 4) || !zeros(c.zero, sizeof c.zero)) return false;
    *at += sizeof c;
    const uint8_t *body = x->map.data + *at;
    if (c.bytes > x->map.size - *at || c.summed > c.bytes || (c.kind != CARRY_SEGMENT && c.summed != c.bytes)) return false;
    if (deep && c.body_sum != hash_xxh3(body, c.summed)) return false;
    size_t padded = size_round_up(c.bytes, SEGMENT_ALIGN);
    if (padded > x->map.size - *at || !zeros(body + c.bytes, padded - c.bytes)) return false;
    *out = (section){(carry_kind)c.kind, body, c.bytes};
    *at += padded;
    return true;
}

static cj_err check_head(const importing *x, cj_diag *d)
{
    carry_head h;
    if (x->map.size < sizeof h) return bad(x, "head", d);
    memcpy(&h, x->map.data, sizeof h);
    uint64_t sum = h.sum;
    h.sum = 0;
    if (memcmp(h.magic, "CJSX", 4) || sum != hash_xxh3(&h, sizeof h)) return bad(x, "head", d);
    if (h.version > CARRY_VERSION)
        return diag_fail(d, CJ_E_UNSUPPORTED, MSG_SHELF_EXPORT_NEWER, "%s" ARG "%u" ARG "%d", x->path, h.version, CARRY_VERSION);
    if (h.version != CARRY_VERSION || !zeros(h.zero, sizeof h.zero)) return bad(x, "head", d);
    return h.bytes == x->map.size ? CJ_OK : bad(x, "length", d);
}

/* ---- the first time: checking ---- */

static bool text_field(const char *p, size_t size, char *out)
{
    size_t n = strnlen(p, size);
    if (n == size || !zeros(p + n, size - n) || utf8_valid_prefix(p, n) != n) return false;
    memcpy(out, p, n + 1);
    return true;
}

static cj_err check_entry(importing *x, const section *s, cj_diag *d)
{
    carry_entry c;
    if (s->bytes < sizeof c || x->row.shape.layers) return bad(x, "entry", d);
    memcpy(&c, s->body, sizeof c);
    shelf_info *i = &x->row.info;
    *i = (shelf_info){.tokens = c.tokens, .tokens_total = c.tokens, .characters = c.characters, .documents = c.documents, .created = c.created,
                      .changed = clock_wall(), .complete = true};
    memcpy(x->row.hash, c.hash, SEGMENT_HASH);
    if (!text_field(c.name, sizeof c.name, i->name) || !text_field(c.model_name, sizeof c.model_name, i->model_name) || !shelf_name_good(i->name)
        || c.tokens < 1 || c.tokens > SHELF_TOKENS_MAX || c.characters < 0 || c.documents < 0 || !isfinite(c.created))
        return bad(x, "entry", d);
    cj_err e = shape_decode(&x->row.shape, s->body + sizeof c, s->bytes - sizeof c, d);
    if (e == CJ_E_NOMEM) return e;
    if (e) return bad(x, "layers", d);
    i->model = x->row.shape.model;
    i->mode = x->row.shape.mode;
    return chain_begin(&x->chain, &x->row.shape, d);
}

static cj_err check_blob(importing *x, const section *s, cj_diag *d)
{
    carry_blob c;
    char kind[sizeof c.kind];
    if (s->bytes < sizeof c || s->bytes - sizeof c > SHELF_BLOB_MAX || !x->row.shape.layers) return bad(x, "blob", d);
    memcpy(&c, s->body, sizeof c);
    if (!text_field(c.kind, sizeof c.kind, kind)) return bad(x, "blob", d);
    if (strcmp(kind, BLOB_IDS)) return shelf_kind_good(kind) ? CJ_OK : bad(x, "blob", d);
    uint8_t hash[SEGMENT_HASH];
    if (x->ids || s->bytes - sizeof c != (size_t)x->row.info.tokens_total * sizeof(int32_t)) return bad(x, "tokens", d);
    x->ids = s->body + sizeof c;
    chain all = x->chain;
    chain_move(&all, (const int32_t *)(const void *)x->ids, x->row.info.tokens_total);
    chain_digest(&all, hash);
    return memcmp(hash, x->row.hash, SEGMENT_HASH) ? bad(x, "tokens", d) : CJ_OK;
}

static cj_err check_record(void *user, const segment_record *r, cj_diag *d)
{
    importing *x = user;
    int layer = 0;
    int64_t page = 0;
    if (record_find_damage(r, &x->row.shape, &layer, &page)) return bad(x, "page", d);
    return advance(x, (int64_t)r->bytes, d);
}

static bool segment_fields(const section *s, segment_row *row)
{
    carry_segment c;
    if (s->bytes <= sizeof c) return false;
    memcpy(&c, s->body, sizeof c);
    *row = (segment_row){.start = c.start, .tokens = c.tokens, .bytes = (int64_t)(s->bytes - sizeof c), .state = SEGMENT_CLOSED};
    memcpy(row->before, c.before, SEGMENT_HASH);
    memcpy(row->after, c.after, SEGMENT_HASH);
    return zeros(c.zero, sizeof c.zero);
}

static cj_err check_segment(importing *x, const section *s, cj_diag *d)
{
    segment_row row;
    uint8_t hash[SEGMENT_HASH];
    if (!x->ids || !segment_fields(s, &row) || row.start != x->chain.at || row.tokens < 1 || row.tokens > SHELF_SEGMENT
        || row.tokens > x->row.info.tokens_total - row.start)
        return bad(x, "segment", d);
    chain_digest(&x->chain, hash);
    if (memcmp(hash, row.before, SEGMENT_HASH)) return bad(x, "segment", d);
    chain_move(&x->chain, (const int32_t *)(const void *)x->ids, row.start + row.tokens);
    chain_digest(&x->chain, hash);
    if (memcmp(hash, row.after, SEGMENT_HASH)) return bad(x, "segment", d);
    bool good;
    segment_visit v = {&x->row.shape, (const int32_t *)(const void *)x->ids, check_record, x};
    TRY(segment_walk(&v, &row, s->body + sizeof(carry_segment), (size_t)row.bytes, &good, d));
    x->n_segments++;
    return good ? CJ_OK : bad(x, "segment", d);
}

static cj_err check_all(importing *x, cj_diag *d)
{
    section s = {0};
    TRY(check_head(x, d));
    for (size_t at = sizeof(carry_head); s.kind != CARRY_END;) {
        if (!next_section(x, &at, true, &s)) return bad(x, "section", d);
        if (s.kind == CARRY_ENTRY) TRY(check_entry(x, &s, d));
        else if (s.kind == CARRY_BLOB) TRY(check_blob(x, &s, d));
        else if (s.kind == CARRY_SEGMENT) TRY(check_segment(x, &s, d));
        else if (s.kind != CARRY_END || at != x->map.size) return bad(x, "section", d);
    }
    return x->ids && x->chain.at == x->row.info.tokens_total ? CJ_OK : bad(x, "end", d);
}

/* ---- the second time: taking ---- */

static cj_err copy_segment(importing *x, const section *s, cj_diag *d)
{
    enum { PART = 1 << 20 };
    grow_file g = {.fd = -1};
    if (x->n_files == x->n_segments) return bad(x, "segment", d); /* the file has changed since it was checked */
    TRY(shelf_new_segment(x->s, &g, &x->file[x->n_files], d));
    x->n_files++;
    cj_err e = CJ_OK;
    for (size_t at = sizeof(carry_segment); !e && at < s->bytes; at += PART) {
        size_t n = s->bytes - at < PART ? s->bytes - at : PART;
        e = grow_write(&g, s->body + at, n, d);
        if (!e) e = advance(x, (int64_t)n, d);
    }
    if (!e) e = grow_sync(&g, d);
    grow_close(&g);
    return e;
}

/* Each section of a kind, in order. */
static cj_err each_section(importing *x, carry_kind kind, cj_err (*take)(importing *x, const section *s, cj_diag *d), cj_diag *d)
{
    section s = {0};
    for (size_t at = sizeof(carry_head); s.kind != CARRY_END;) {
        if (!next_section(x, &at, false, &s)) return bad(x, "section", d);
        if (s.kind == kind) TRY(take(x, &s, d));
    }
    return CJ_OK;
}

static cj_err link_segment(importing *x, const section *s, cj_diag *d)
{
    segment_row row;
    if (!segment_fields(s, &row)) return bad(x, "segment", d);
    row.file = x->file[x->n_files++];
    row.owner = x->row.id;
    TRY(segment_row_insert(x->s, &row, d));
    return index_run(x->s, d, "INSERT INTO links(entry, start, segment) VALUES(?,?,?)", "iii", x->row.id, row.start, row.id);
}

static cj_err put_blob(importing *x, const section *s, cj_diag *d)
{
    if (s->bytes < sizeof(carry_blob)) return bad(x, "blob", d);
    return index_blob_put(x->s, x->row.id, (const char *)s->body, s->body + sizeof(carry_blob), s->bytes - sizeof(carry_blob), d);
}

static cj_err name_free(importing *x, cj_diag *d)
{
    query q;
    bool row = false;
    TRY(query_open(&q, x->s, d, "SELECT 1 FROM entries WHERE name=?", "t", x->row.info.name));
    cj_err e = query_step(&q, &row, d);
    query_close(&q);
    return !e && row ? diag_fail(d, CJ_E_USAGE, MSG_SHELF_EXISTS, "%s", x->row.info.name) : e;
}

static cj_err make_known(importing *x, cj_diag *d)
{
    TRY(name_free(x, d));
    TRY(entry_row_insert(x->s, &x->row, d));
    TRY(each_section(x, CARRY_BLOB, put_blob, d));
    x->n_files = 0;
    return each_section(x, CARRY_SEGMENT, link_segment, d);
}

static cj_err take_all(importing *x, cj_diag *d)
{
    int64_t room = file_free_space(x->s->folder);
    TRY(name_free(x, d));
    if (room >= 0 && room < (int64_t)x->map.size)
        return diag_fail(d, CJ_E_NOSPACE, MSG_SHELF_IMPORT_FULL, "%s" ARG "%lld" ARG "%lld", x->s->folder, (long long)room >> 20, (long long)(x->map.size >> 20) + 1);
    x->file = mem_array((size_t)x->n_segments, sizeof *x->file);
    if (!x->file) return diag_nomem(d, (size_t)x->n_segments * sizeof *x->file);
    cj_err e = each_section(x, CARRY_SEGMENT, copy_segment, d);
    int64_t copied = x->n_files;
    if (!e) e = shelf_sync_segments(x->s, d);
    if (!e) e = index_begin(x->s, d);
    if (!e) {
        e = make_known(x, d);
        if (e) index_rollback(x->s);
    }
    for (int64_t i = 0; e && i < copied; i++) shelf_remove(shelf_segment_path(x->s, x->file[i]));
    if (e) return e;
    e = index_commit(x->s, d);
    if (e) index_rollback(x->s); /* it may have come through all the same: the files stay, gc knows whether they are needed */
    return e;
}

static cj_err import_checked(importing *x, const char *as, cj_diag *d)
{
    int lock = -1, store = -1;
    if (as) snprintf(x->row.info.name, sizeof x->row.info.name, "%s", as);
    TRY(shelf_lock_name(x->s, x->row.info.name, &lock, d));
    cj_err e = shelf_lock_writers(x->s, &store, d);
    if (!e) e = take_all(x, d);
    folder_unlock(store);
    folder_unlock(lock);
    return e;
}

cj_err shelf_import(shelf *s, const char *path, const char *as, const shelf_watch *watch, char *name, cj_diag *d)
{
    importing x = {.s = s, .path = path, .watch = watch};
    if (s->read_only) return diag_fail(d, CJ_E_IO, MSG_SHELF_READ_ONLY, "%s", s->folder);
    if (as && !shelf_name_good(as)) return diag_fail(d, CJ_E_USAGE, MSG_SHELF_NAME_BAD, "%s", as);
    TRY(file_map_open(&x.map, path, d));
    x.total = 2 * (int64_t)x.map.size;
    cj_err e = check_all(&x, d);
    if (!e) e = import_checked(&x, as, d);
    if (!e && name) snprintf(name, SHELF_NAME_MAX + 1, "%s", x.row.info.name);
    mem_free(x.file);
    entry_row_deinit(&x.row);
    file_map_close(&x.map);
    return e;
}
