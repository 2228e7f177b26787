/* What pages depend on: stored form { u64 model, u64 mode, u32 layers, u32 page_tokens, u32 layout version, u32 0 }, then a layer
 * { u32 type, heads, dk, dv; i64 window }. And the chain of hashes that begins with it. */
#include <string.h>

#include "shelf/segment.h"

typedef struct stored_shape {
    uint64_t model, mode;
    uint32_t layers, page_tokens, layout, zero;
} stored_shape;

typedef struct stored_layer {
    uint32_t type, heads, dk, dv;
    int64_t window;
} stored_layer;

/* Larger than any model's: so that sizes computed from them cannot overflow. */
enum { HEADS_MAX = 4096, ELEMENTS_MAX = 65536, PAGE_MAX = 1 << 28 };

static bool layer_good(const kv_layer *l)
{
    const kv_layout *y = &l->layout;
    return y->type >= 0 && y->type < KV_TYPES && (y->type != KV_STATE || l->window == 1) && y->heads > 0 && y->heads <= HEADS_MAX && y->dk > 0 && y->dk <= ELEMENTS_MAX && y->dk % 4 == 0
           && y->dv > 0 && y->dv <= ELEMENTS_MAX && y->dv % 4 == 0 && l->window >= 0 && l->window <= SHELF_TOKENS_MAX
           && kv_page_bytes(y) <= PAGE_MAX;
}

cj_err shape_init(shelf_shape *out, const shelf_key *key, cj_diag *d)
{
    shelf_shape s = {.model = key->model, .mode = key->mode, .n_layers = key->n_layers};
    if (s.n_layers < 1 || s.n_layers > SHELF_LAYERS_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "layers", SHELF_LAYERS_MAX);
    s.layers = mem_array((size_t)s.n_layers, sizeof *s.layers);
    if (!s.layers) return diag_nomem(d, (size_t)s.n_layers * sizeof *s.layers);
    for (int i = 0; i < s.n_layers; i++) {
        const kv_layer *l = &key->layers[i];
        if (!layer_good(l)) {
            mem_free(s.layers);
            return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "bytes of a page", PAGE_MAX);
        }
        s.layers[i] = *l;
        if (l->window) s.n_window++;
        else {
            s.n_full++;
            s.page_bytes += kv_page_bytes(&l->layout);
            s.summary_bytes += summary_bytes(&l->layout);
        }
    }
    *out = s;
    return CJ_OK;
}

void shape_deinit(shelf_shape *s)
{
    mem_free(s->layers);
    *s = (shelf_shape){0};
}

size_t shape_bytes(const shelf_shape *s) { return sizeof(stored_shape) + (size_t)s->n_layers * sizeof(stored_layer); }

void shape_encode(const shelf_shape *s, uint8_t *out)
{
    stored_shape h = {s->model, s->mode, (uint32_t)s->n_layers, KV_PAGE, KV_LAYOUT_VERSION, 0};
    memcpy(out, &h, sizeof h);
    for (int i = 0; i < s->n_layers; i++) {
        const kv_layout *y = &s->layers[i].layout;
        stored_layer l = {(uint32_t)y->type, (uint32_t)y->heads, (uint32_t)y->dk, (uint32_t)y->dv, s->layers[i].window};
        memcpy(out + sizeof h + (size_t)i * sizeof l, &l, sizeof l);
    }
}

size_t shape_peek(const uint8_t *bytes, size_t n)
{
    stored_shape h;
    if (n < sizeof h) return 0;
    memcpy(&h, bytes, sizeof h);
    const size_t layers = h.layers;
    return layers >= 1 && layers <= SHELF_LAYERS_MAX && layers <= (n - sizeof h) / sizeof(stored_layer) ? sizeof h + layers * sizeof(stored_layer) : 0;
}

uint32_t shape_layout(const uint8_t *bytes, size_t n)
{
    stored_shape h;
    if (!n || shape_peek(bytes, n) != n) return 0;
    memcpy(&h, bytes, sizeof h);
    return h.layout;
}

cj_err shape_decode(shelf_shape *out, const uint8_t *bytes, size_t n, cj_diag *d)
{
    stored_shape h = {0};
    if (n >= sizeof h) memcpy(&h, bytes, sizeof h);
    if (h.layers < 1 || h.layers > SHELF_LAYERS_MAX || h.page_tokens != KV_PAGE || h.layout != KV_LAYOUT_VERSION || h.zero
        || n != sizeof h + h.layers * sizeof(stored_layer))
        return diag_fail(d, CJ_E_INPUT, MSG_SNAPSHOT_OLD, "%s" ARG "%u" ARG "%d", "shape", h.layout, KV_LAYOUT_VERSION);
    kv_layer *layers = mem_array(h.layers, sizeof *layers);
    if (!layers) return diag_nomem(d, h.layers * sizeof *layers);
    bool small = true;
    for (uint32_t i = 0; i < h.layers; i++) {
        stored_layer l;
        memcpy(&l, bytes + sizeof h + i * sizeof l, sizeof l);
        small = small && l.type < KV_TYPES && l.heads <= HEADS_MAX && l.dk <= ELEMENTS_MAX && l.dv <= ELEMENTS_MAX;
        if (small) layers[i] = (kv_layer){{(kv_type)l.type, (int)l.heads, (int)l.dk, (int)l.dv}, l.window};
    }
    shelf_key key = {h.model, h.mode, layers, (int)h.layers};
    cj_err e = small ? shape_init(out, &key, d) : diag_fail(d, CJ_E_INPUT, MSG_LIMIT, "%s" ARG "%d", "bytes of a page", PAGE_MAX);
    mem_free(layers);
    return e;
}

bool shape_same(const shelf_shape *a, const shelf_shape *b)
{
    bool same = a->model == b->model && a->mode == b->mode && a->n_layers == b->n_layers;
    for (int i = 0; same && i < a->n_layers; i++) {
        const kv_layer *x = &a->layers[i], *y = &b->layers[i];
        same = x->layout.type == y->layout.type && x->layout.heads == y->layout.heads && x->layout.dk == y->layout.dk
               && x->layout.dv == y->layout.dv && x->window == y->window;
    }
    return same;
}

/* ---- the chain ---- */

cj_err chain_begin(chain *c, const shelf_shape *s, cj_diag *d)
{
    size_t n = shape_bytes(s);
    uint8_t *bytes = mem_alloc(n);
    if (!bytes) return diag_nomem(d, n);
    shape_encode(s, bytes);
    hash_sha256_init(&c->hash);
    hash_sha256_add(&c->hash, bytes, n);
    c->at = 0;
    mem_free(bytes);
    return CJ_OK;
}

void chain_move(chain *c, const int32_t *ids, int64_t to)
{
    hash_sha256_add(&c->hash, ids + c->at, (size_t)(to - c->at) * sizeof *ids);
    c->at = to;
}

void chain_digest(const chain *c, uint8_t out[SEGMENT_HASH])
{
    hash_sha256 copy = c->hash;
    hash_sha256_end(&copy, out);
}
