/* The bytes of segment files. See segment.h. */
#include "shelf/segment.h"

#include <string.h>

typedef struct stored_head {
    char magic[4];
    uint32_t version;
    uint64_t bytes; /* of the head with its shape, a multiple of 64 */
    int64_t start;
    uint8_t before[SEGMENT_HASH];
    uint64_t sum;   /* XXH3 of the head, this being 0 */
} stored_head;
_Static_assert(sizeof(stored_head) == SEGMENT_ALIGN, "no gaps");

typedef struct stored_record {
    char magic[4];
    uint32_t kind;
    int64_t from, to;
    uint64_t table_bytes, bytes; /* of the table; of the record with its pages */
    uint64_t table_sum, zero;
    uint64_t sum;                /* XXH3 of this, this being 0 */
} stored_record;
_Static_assert(sizeof(stored_record) == SEGMENT_ALIGN, "no gaps");

enum { HEAD_MAX = 1 << 16 };

static int64_t pages_for(int64_t tokens) { return i64_ceil_div(tokens, KV_PAGE); }
static bool of_kind(const kv_layer *l, record_kind kind) { return (l->window != 0) == (kind == RECORD_CHECKPOINT); }

/* ---- heads ---- */

static size_t head_bytes(const shelf_shape *s) { return size_round_up(sizeof(stored_head) + shape_bytes(s), SEGMENT_ALIGN); }

static void head_fill(uint8_t *out, const shelf_shape *s, int64_t start, const uint8_t before[SEGMENT_HASH])
{
    size_t n = head_bytes(s);
    stored_head h = {{'C', 'J', 'S', 'G'}, SEGMENT_VERSION, n, start, {0}, 0};
    memcpy(h.before, before, SEGMENT_HASH);
    memset(out, 0, n);
    shape_encode(s, out + sizeof h);
    memcpy(out, &h, sizeof h);
    h.sum = hash_xxh3(out, n);
    memcpy(out, &h, sizeof h);
}

cj_err segment_write_head(grow_file *g, const shelf_shape *s, int64_t start, const uint8_t before[SEGMENT_HASH], cj_diag *d)
{
    size_t n = head_bytes(s);
    uint8_t *bytes = mem_alloc(n);
    if (!bytes) return diag_nomem(d, n);
    head_fill(bytes, s, start, before);
    cj_err e = grow_write(g, bytes, n, d);
    mem_free(bytes);
    return e;
}

/* Of a head that is whole; any version has its size and checksum where ours are. */
static uint32_t head_version(const uint8_t *data, size_t size)
{
    stored_head h;
    memcpy(&h, data, sizeof h);
    if (memcmp(h.magic, "CJSG", 4) || h.bytes < sizeof h || h.bytes > size || h.bytes > HEAD_MAX) return SEGMENT_VERSION;
    uint8_t *copy = mem_alloc(h.bytes);
    if (!copy) return SEGMENT_VERSION;
    memcpy(copy, data, h.bytes);
    memset(copy + offsetof(stored_head, sum), 0, sizeof h.sum);
    uint64_t sum = hash_xxh3(copy, h.bytes);
    mem_free(copy);
    return sum == h.sum ? h.version : SEGMENT_VERSION;
}

/* The head at data[0..size): its length, 0 when it is damaged or another segment's; *version: of a whole one. */
static size_t head_check(const uint8_t *data, size_t size, const shelf_shape *s, int64_t start, const uint8_t before[SEGMENT_HASH], uint32_t *version)
{
    enum { SMALL = 4096 };
    uint8_t small[SMALL];
    size_t n = head_bytes(s);
    *version = SEGMENT_VERSION;
    if (size < n) return 0;
    *version = head_version(data, size);
    uint8_t *want = n <= SMALL ? small : mem_alloc(n);
    if (!want) return 0;
    head_fill(want, s, start, before);
    bool same = !memcmp(want, data, n);
    if (want != small) mem_free(want);
    return same ? n : 0;
}

/* ---- sizes of records ---- */

/* Pages that [from, to) filled: of those the record has summaries. */
static int64_t pages_filled(int64_t from, int64_t to) { return i64_max(0, to / KV_PAGE - from / KV_PAGE); }

static size_t sums_bytes(const shelf_shape *s, int64_t from, int64_t to)
{
    return (size_t)(pages_for(to) - from / KV_PAGE) * (size_t)s->n_full * sizeof(uint64_t);
}
static size_t ids_bytes(int64_t from, int64_t to) { return size_round_up((size_t)(to - from) * sizeof(int32_t), sizeof(uint64_t)); }

static size_t pages_table(const shelf_shape *s, int64_t from, int64_t to)
{
    return size_round_up(sums_bytes(s, from, to) + ids_bytes(from, to) + (size_t)pages_filled(from, to) * s->summary_bytes, SEGMENT_ALIGN);
}

int64_t segment_estimate(const shelf_shape *s, int64_t tokens)
{
    int64_t checkpoint = 0;
    for (int i = 0; i < s->n_layers; i++)
        if (s->layers[i].window) checkpoint += (s->layers[i].window / KV_PAGE + 2) * (int64_t)kv_page_bytes(&s->layers[i].layout);
    int64_t page = (int64_t)(s->page_bytes + s->summary_bytes) + (int64_t)KV_PAGE * (int64_t)sizeof(int32_t);
    return (pages_for(tokens) + 1) * page + (tokens / SHELF_SEGMENT + 3) * checkpoint;
}

/* ---- writing ---- */

static cj_err write_record(grow_file *g, record_kind kind, int64_t from, int64_t to, const uint8_t *table, size_t table_bytes, size_t bytes, cj_diag *d)
{
    stored_record r = {{'C', 'J', 'S', 'R'}, kind, from, to, table_bytes, sizeof r + table_bytes + bytes, hash_xxh3(table, table_bytes), 0, 0};
    r.sum = hash_xxh3(&r, sizeof r);
    TRY(grow_write(g, &r, sizeof r, d));
    return grow_write(g, table, table_bytes, d);
}

/* Sums of the layer's pages [first, end) at *at, which moves on. */
static void put_sums(uint8_t **at, const kv_cache *kv, int layer, int64_t first, int64_t end)
{
    size_t bytes = kv_page_bytes(&kv_layer_at(kv, layer)->layout);
    for (int64_t p = first; p < end; p++, *at += sizeof(uint64_t)) {
        uint64_t sum = hash_xxh3(kv_pages(kv, layer)[p], bytes);
        memcpy(*at, &sum, sizeof sum);
    }
}

static cj_err write_layer(grow_file *g, const kv_cache *kv, int layer, int64_t first, int64_t end, cj_diag *d)
{
    size_t bytes = kv_page_bytes(&kv_layer_at(kv, layer)->layout);
    for (int64_t p = first; p < end; p++) TRY(grow_write(g, kv_pages(kv, layer)[p], bytes, d));
    return CJ_OK;
}

static void fill_pages_table(uint8_t *at, const shelf_shape *s, const kv_cache *kv, const int32_t *ids, int64_t from, int64_t to)
{
    int64_t first = from / KV_PAGE, filled = pages_filled(from, to);
    for (int i = 0; i < s->n_layers; i++)
        if (!s->layers[i].window) put_sums(&at, kv, i, first, pages_for(to));
    memcpy(at, ids + from, (size_t)(to - from) * sizeof *ids);
    at += ids_bytes(from, to);
    for (int i = 0; filled && i < s->n_layers; i++) {
        const kv_layout *y = &s->layers[i].layout;
        if (s->layers[i].window) continue;
        for (int64_t p = 0; p < filled; p++, at += summary_bytes(y)) summary_get(y, kv_summaries(kv, i), first + p, at);
    }
}

cj_err segment_write_pages(grow_file *g, const shelf_shape *s, const kv_cache *kv, const int32_t *ids, int64_t from, int64_t to, cj_diag *d)
{
    int64_t first = from / KV_PAGE, end = pages_for(to);
    size_t table_bytes = pages_table(s, from, to);
    uint8_t *table = mem_zalloc(table_bytes);
    if (!table) return diag_nomem(d, table_bytes);
    fill_pages_table(table, s, kv, ids, from, to);
    cj_err e = write_record(g, RECORD_PAGES, from, to, table, table_bytes, (size_t)(end - first) * s->page_bytes, d);
    mem_free(table);
    for (int i = 0; !e && i < s->n_layers; i++)
        if (!s->layers[i].window) e = write_layer(g, kv, i, first, end, d);
    return e;
}

cj_err segment_write_checkpoint(grow_file *g, const shelf_shape *s, const kv_cache *kv, cj_diag *d)
{
    int64_t to = kv_count(kv), end = pages_for(to);
    size_t pages = 0, bytes = 0;
    for (int i = 0; i < s->n_layers; i++) {
        if (!s->layers[i].window) continue;
        int64_t n = end - kv_first_needed(&s->layers[i], to);
        pages += (size_t)n;
        bytes += (size_t)n * kv_page_bytes(&s->layers[i].layout);
    }
    size_t table_bytes = size_round_up(((size_t)s->n_window + pages) * sizeof(int64_t), SEGMENT_ALIGN);
    uint8_t *table = mem_zalloc(table_bytes), *firsts = table, *sums = table + (size_t)s->n_window * sizeof(int64_t);
    if (!table) return diag_nomem(d, table_bytes);
    for (int i = 0; i < s->n_layers; i++) {
        if (!s->layers[i].window) continue;
        int64_t first = kv_first_needed(&s->layers[i], to);
        memcpy(firsts, &first, sizeof first);
        firsts += sizeof first;
        put_sums(&sums, kv, i, first, end);
    }
    cj_err e = write_record(g, RECORD_CHECKPOINT, to, to, table, table_bytes, bytes, d);
    mem_free(table);
    for (int i = 0; !e && i < s->n_layers; i++)
        if (s->layers[i].window) e = write_layer(g, kv, i, kv_first_needed(&s->layers[i], to), end, d);
    return e;
}

/* ---- reading ---- */

static int64_t load_i64(const uint8_t *p)
{
    int64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* A checkpoint's table: the first page of each window layer, then the sums. *bytes: of its pages. */
static bool checkpoint_sizes(const uint8_t *table, size_t table_bytes, const shelf_shape *s, int64_t to, size_t *bytes)
{
    size_t firsts = (size_t)s->n_window * sizeof(int64_t), sums = 0;
    if (table_bytes < firsts) return false;
    *bytes = 0;
    for (int i = 0; i < s->n_layers; i++) {
        if (!s->layers[i].window) continue;
        int64_t first = load_i64(table);
        table += sizeof first;
        if (first < 0 || first > kv_first_needed(&s->layers[i], to)) return false;
        sums += (size_t)(pages_for(to) - first) * sizeof(uint64_t);
        *bytes += (size_t)(pages_for(to) - first) * kv_page_bytes(&s->layers[i].layout);
    }
    return table_bytes == size_round_up(firsts + sums, SEGMENT_ALIGN);
}

bool segment_record_read(const uint8_t *data, size_t size, const shelf_shape *s, int64_t at, segment_record *out)
{
    stored_record r;
    if (size < sizeof r) return false;
    memcpy(&r, data, sizeof r);
    uint64_t sum = r.sum;
    r.sum = 0;
    if (sum != hash_xxh3(&r, sizeof r) || memcmp(r.magic, "CJSR", 4) || r.zero) return false;
    if (r.bytes > size || r.bytes < sizeof r || r.table_bytes > r.bytes - sizeof r || r.from != at || r.to < r.from || r.to > SHELF_TOKENS_MAX) return false;
    const uint8_t *table = data + sizeof r;
    size_t pages = 0;
    segment_record v = {.kind = (record_kind)r.kind, .from = r.from, .to = r.to, .bytes = r.bytes, .pages = table + r.table_bytes};
    if (r.kind == RECORD_PAGES) {
        if (r.to == r.from || r.to - r.from > SHELF_SEGMENT || r.table_bytes != pages_table(s, r.from, r.to)) return false;
        pages = (size_t)(pages_for(r.to) - r.from / KV_PAGE) * s->page_bytes;
        v.sums = table;
        v.ids = table + sums_bytes(s, r.from, r.to);
        v.summaries = v.ids + ids_bytes(r.from, r.to);
    } else if (r.kind == RECORD_CHECKPOINT) {
        if (r.to != r.from || !checkpoint_sizes(table, r.table_bytes, s, r.to, &pages)) return false;
        v.firsts = table;
        v.sums = table + (size_t)s->n_window * sizeof(int64_t);
    } else
        return false;
    if (r.bytes != sizeof r + r.table_bytes + pages || r.table_sum != hash_xxh3(table, r.table_bytes)) return false;
    *out = v;
    return true;
}

/* Which of the layers of its kind a layer is. */
static size_t rank_of(const segment_record *r, const shelf_shape *s, int layer)
{
    size_t rank = 0;
    for (int i = 0; i < layer; i++) rank += of_kind(&s->layers[i], r->kind);
    return rank;
}

int64_t record_first(const segment_record *r, const shelf_shape *s, int layer)
{
    return r->kind == RECORD_PAGES ? r->from / KV_PAGE : load_i64(r->firsts + rank_of(r, s, layer) * sizeof(int64_t));
}

int64_t record_count(const segment_record *r, const shelf_shape *s, int layer) { return pages_for(r->to) - record_first(r, s, layer); }

const uint8_t *record_page(const segment_record *r, const shelf_shape *s, int layer, int64_t page, uint64_t *sum)
{
    size_t sums = 0, bytes = 0;
    for (int i = 0; i < layer; i++) {
        if (!of_kind(&s->layers[i], r->kind)) continue;
        sums += (size_t)record_count(r, s, i);
        bytes += (size_t)record_count(r, s, i) * kv_page_bytes(&s->layers[i].layout);
    }
    size_t i = (size_t)(page - record_first(r, s, layer));
    memcpy(sum, r->sums + (sums + i) * sizeof *sum, sizeof *sum);
    return r->pages + bytes + i * kv_page_bytes(&s->layers[layer].layout);
}

const uint8_t *record_summaries(const segment_record *r, const shelf_shape *s, int layer, int64_t *n)
{
    size_t before = 0;
    for (int i = 0; i < layer; i++)
        if (!s->layers[i].window) before += summary_bytes(&s->layers[i].layout);
    *n = pages_filled(r->from, r->to);
    return r->summaries + (size_t)*n * before;
}

bool record_find_damage(const segment_record *r, const shelf_shape *s, int *layer, int64_t *page)
{
    for (int i = *layer; i < s->n_layers; i++) {
        if (!of_kind(&s->layers[i], r->kind)) continue;
        for (int64_t p = i64_max(record_first(r, s, i), i == *layer ? *page : 0); p < pages_for(r->to); p++) {
            uint64_t sum;
            const uint8_t *bytes = record_page(r, s, i, p, &sum);
            if (hash_xxh3(bytes, kv_page_bytes(&s->layers[i].layout)) == sum) continue;
            *layer = i;
            *page = p;
            return true;
        }
    }
    return false;
}

/* ---- whole files ---- */

static cj_err walk_records(const segment_visit *v, const segment_row *row, const uint8_t *data, size_t size, bool *good, cj_diag *d)
{
    int64_t at = row->start, end = row->start + row->tokens;
    bool closed = false;
    while (size) {
        segment_record r;
        if (closed || !segment_record_read(data, size, v->shape, at, &r) || r.to > end) return CJ_OK;
        if (r.kind == RECORD_CHECKPOINT) closed = true;
        else if (memcmp(r.ids, v->ids + r.from, (size_t)(r.to - r.from) * sizeof(int32_t))) return CJ_OK;
        TRY(v->record(v->user, &r, d));
        at = r.to;
        data += r.bytes;
        size -= r.bytes;
    }
    *good = at == end && closed == (row->state == SEGMENT_CLOSED);
    return CJ_OK;
}

cj_err segment_walk(const segment_visit *v, const segment_row *row, const uint8_t *data, size_t size, bool *good, cj_diag *d)
{
    uint32_t version;
    size_t head = head_check(data, size, v->shape, row->start, row->before, &version);
    *good = false;
    if (version > SEGMENT_VERSION)
        return diag_fail(d, CJ_E_UNSUPPORTED, MSG_SHELF_SEGMENT_NEWER, "%016llx.seg" ARG "%u" ARG "%d", (unsigned long long)row->file, version, SEGMENT_VERSION);
    return head ? walk_records(v, row, data + head, size - head, good, d) : CJ_OK;
}

bool segment_tail_read(const uint8_t *data, size_t size, const shelf_shape *s, const segment_row *row, segment_record *out)
{
    uint32_t version;
    size_t head = head_check(data, size, s, row->start, row->before, &version);
    return head && segment_record_read(data + head, size - head, s, row->start + row->tokens, out) && out->kind == RECORD_CHECKPOINT
           && out->bytes == size - head;
}

/* The shape in a head that is whole. */
static cj_err scan_shape(const uint8_t *data, size_t size, shelf_shape *shape, stored_head *h, bool *good, cj_diag *d)
{
    *good = false;
    if (size < sizeof *h || head_version(data, size) != SEGMENT_VERSION) return CJ_OK;
    memcpy(h, data, sizeof *h);
    if (h->start < 0 || h->start > SHELF_TOKENS_MAX || h->bytes > size || h->bytes < sizeof *h) return CJ_OK;
    const size_t n = shape_peek(data + sizeof *h, h->bytes - sizeof *h);
    if (!n) return CJ_OK;
    cj_err e = shape_decode(shape, data + sizeof *h, n, d);
    if (e) return e == CJ_E_NOMEM ? e : CJ_OK;
    uint32_t version;
    *good = head_check(data, size, shape, h->start, h->before, &version) == h->bytes;
    if (!*good) shape_deinit(shape);
    return CJ_OK;
}

cj_err segment_scan(const uint8_t *data, size_t size, shelf_shape *shape, segment_row *row, chain *c, bool *good, cj_diag *d)
{
    stored_head h;
    bool closed = false;
    TRY(scan_shape(data, size, shape, &h, good, d));
    if (!*good) return CJ_OK;
    int64_t at = h.start;
    size_t bytes = h.bytes;
    for (segment_record r; !closed && segment_record_read(data + bytes, size - bytes, shape, at, &r) && r.to - h.start <= SHELF_SEGMENT; bytes += r.bytes) {
        if (r.kind == RECORD_CHECKPOINT) closed = true;
        else if (c) hash_sha256_add(&c->hash, r.ids, (size_t)(r.to - r.from) * sizeof(int32_t));
        at = r.to;
    }
    if (c) c->at = at;
    *row = (segment_row){.start = h.start, .tokens = at - h.start, .bytes = (int64_t)bytes, .state = SEGMENT_CLOSED};
    memcpy(row->before, h.before, SEGMENT_HASH);
    *good = closed && row->tokens > 0;
    if (!*good) shape_deinit(shape);
    return CJ_OK;
}
