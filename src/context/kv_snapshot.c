/* Snapshots of a context.
 *
 * Bytes, little-endian:  header { "CJKV", u32 version, u32 layers, u32 page_tokens, i64 count }
 *                        a layer { u32 type, heads, dk, dv; i64 window; i64 first page present }
 *                        u64 xxh3 of all that
 *                        then, layer by layer, each page from `first` on (of a recurrent layer: its state): { u64 xxh3 of the bytes, bytes }
 * A snapshot holds only what kv holds, without the states that are marked; it is read back into a context of the same layers.
 */
#include <string.h>

#include "base/hash.h"
#include "context/kv_inner.h"

typedef struct snapshot_head {
    char magic[4];
    uint32_t version, layers, page_tokens;
    int64_t count;
} snapshot_head;

typedef struct snapshot_layer {
    uint32_t type, heads, dk, dv;
    int64_t window, first;
} snapshot_layer;

static snapshot_head head_for(const kv_cache *kv)
{
    return (snapshot_head){{'C', 'J', 'K', 'V'}, KV_LAYOUT_VERSION, (uint32_t)kv->n_layers, KV_PAGE, kv->count};
}

static snapshot_layer layer_for(const layer_pages *l)
{
    const kv_layout *y = &l->spec.layout;
    return (snapshot_layer){(uint32_t)y->type, (uint32_t)y->heads, (uint32_t)y->dk, (uint32_t)y->dv, l->spec.window, l->first};
}

/* Bytes before the checksum that ends the front. */
static size_t heads_bytes(const kv_cache *kv) { return sizeof(snapshot_head) + (size_t)kv->n_layers * sizeof(snapshot_layer); }

cj_err kv_save(const kv_cache *kv, file_out *f, cj_diag *d)
{
    size_t heads = heads_bytes(kv);
    uint8_t *front = mem_alloc(heads + sizeof(uint64_t));
    if (!front) return diag_nomem(d, heads);
    snapshot_head h = head_for(kv);
    memcpy(front, &h, sizeof h);
    for (int i = 0; i < kv->n_layers; i++) {
        snapshot_layer l = layer_for(&kv->layer[i]);
        memcpy(front + sizeof h + (size_t)i * sizeof l, &l, sizeof l);
    }
    uint64_t front_sum = hash_xxh3(front, heads);
    memcpy(front + heads, &front_sum, sizeof front_sum);
    cj_err e = file_out_write(f, front, heads + sizeof front_sum, d);
    mem_free(front);
    TRY(e);
    for (int i = 0; i < kv->n_layers; i++) {
        const layer_pages *l = &kv->layer[i];
        size_t bytes = kv_page_bytes(&l->spec.layout);
        for (int64_t p = l->first; p < i64_ceil_div(kv->count, KV_PAGE); p++) {
            uint64_t sum = hash_xxh3(l->page[p], bytes);
            TRY(file_out_write(f, &sum, sizeof sum, d));
            TRY(file_out_write(f, l->page[p], bytes, d));
        }
    }
    return CJ_OK;
}

typedef struct reader {
    const uint8_t *at;
    size_t left;
} reader;

static bool take(reader *r, void *out, size_t n)
{
    if (r->left < n) return false;
    memcpy(out, r->at, n);
    r->at += n;
    r->left -= n;
    return true;
}

/* The header and the layers must be those of this context; fills count and each layer's first page. */
static bool read_heads(kv_cache *kv, reader *r, int64_t *count)
{
    snapshot_head h, want = head_for(kv);
    size_t heads = heads_bytes(kv);
    uint64_t front_sum;
    if (r->left < heads + sizeof front_sum) return false;
    memcpy(&front_sum, r->at + heads, sizeof front_sum);
    if (front_sum != hash_xxh3(r->at, heads)) return false;
    if (!take(r, &h, sizeof h) || h.count < 0) return false;
    want.count = h.count;
    if (memcmp(&h, &want, sizeof h)) return false;
    for (int i = 0; i < kv->n_layers; i++) {
        snapshot_layer l, mine = layer_for(&kv->layer[i]);
        if (!take(r, &l, sizeof l)) return false;
        mine.first = l.first;
        if (memcmp(&l, &mine, sizeof l) || l.first < 0 || l.first > h.count / KV_PAGE) return false;
        /* what a window still sees must be there */
        if (l.first && (!l.window || l.first * KV_PAGE > h.count - l.window)) return false;
        if (is_recurrent(&kv->layer[i]) && l.first != kv_first_needed(&kv->layer[i].spec, h.count)) return false;
        kv->layer[i].first = l.first;
    }
    *count = h.count;
    return take(r, &front_sum, sizeof front_sum);
}

/* Of the layout of its pages; 0: this is no snapshot. */
static uint32_t snapshot_version(const uint8_t *data, size_t size)
{
    snapshot_head h;
    if (size < sizeof h) return 0;
    memcpy(&h, data, sizeof h);
    return memcmp(h.magic, "CJKV", sizeof h.magic) ? 0 : h.version;
}

cj_err kv_load(kv_cache *kv, const uint8_t *data, size_t size, size_t *used, const char *name, cj_diag *d)
{
    reader r = {data, size};
    int64_t count = 0;
    kv_cut(kv, 0);
    bool good = read_heads(kv, &r, &count);
    /* every token takes bytes in the file: a count beyond it cannot make us allocate */
    if (good && (uint64_t)count > size) good = false;
    for (int i = 0; good && i < kv->n_layers; i++) {
        int64_t first = kv->layer[i].first;
        size_t bytes = kv_page_bytes(&kv->layer[i].spec.layout);
        if (r.left / bytes < (size_t)(i64_ceil_div(count, KV_PAGE) - first)) good = false;
    }
    uint32_t version = snapshot_version(data, size);
    if (!good && version != KV_LAYOUT_VERSION && version)
        return diag_fail(d, CJ_E_INPUT, MSG_SNAPSHOT_OLD, "%s" ARG "%d" ARG "%d", name, (int)version, KV_LAYOUT_VERSION);
    cj_err e = good ? kv_extend(kv, count, d) : CJ_OK;
    for (int i = 0; good && !e && i < kv->n_layers; i++) {
        layer_pages *l = &kv->layer[i];
        size_t bytes = kv_page_bytes(&l->spec.layout);
        for (int64_t p = l->first; good && p < i64_ceil_div(count, KV_PAGE); p++) {
            uint64_t sum;
            uint8_t *page = is_recurrent(l) ? l->next : l->page[p];
            good = take(&r, &sum, sizeof sum) && take(&r, page, bytes) && sum == hash_xxh3(page, bytes);
        }
    }
    if (good && !e) {
        for (int i = 0; i < kv->n_layers; i++) kv_summarise(kv, i, 0, count);
        kv_advance(kv, count);
        *used = size - r.left;
        return CJ_OK;
    }
    kv_cut(kv, 0);
    for (int i = 0; i < kv->n_layers; i++) kv->layer[i].first = 0;
    return e ? e : diag_fail(d, CJ_E_INPUT, MSG_SNAPSHOT_BAD, "%s", name);
}
