/* What the fuzz targets of the shelf share: tiny layers, a text. */
#ifndef FUZZ_SHELF_FUZZ_H
#define FUZZ_SHELF_FUZZ_H

#include <stdlib.h>

#include "folder_fuzz.h"
#include "shelf/inner.h"

static const kv_layer fuzz_layers[] = {
    {.layout = {KV_Q8, 1, 4, 4}, .window = 0},
    {.layout = {KV_F32, 1, 4, 4}, .window = 130},
};
enum { FUZZ_LAYERS = 2, FUZZ_TOKENS = 300 };

static inline shelf_key fuzz_key(void) { return (shelf_key){.model = 1, .mode = 0, .layers = fuzz_layers, .n_layers = FUZZ_LAYERS}; }

static inline const int32_t *fuzz_ids(void)
{
    static int32_t ids[FUZZ_TOKENS];
    for (int i = 0; i < FUZZ_TOKENS; i++) ids[i] = i * 3 + 1;
    return ids;
}

/* All pages of an entry, if its layers are of an ordinary size. */
static inline void fuzz_read(shelf *s, const char *name)
{
    shelf_entry *e = NULL;
    kv_cache *kv = NULL;
    int64_t count = 0;
    if (shelf_read(s, &e, name, NULL)) return;
    const shelf_shape *shape = &e->row.shape;
    if (kv_open(&kv, shape->layers, shape->n_layers, NULL) == CJ_OK && shelf_attach(e, kv, SHELF_TOKENS_MAX, &count, NULL) == CJ_OK) {
        assert(count >= 0 && count <= e->row.info.tokens);
        for (int l = 0; l < shape->n_layers; l++)
            if (kv_check(kv, l, 0, i64_ceil_div(count, KV_PAGE), NULL)) break;
    }
    kv_close(&kv);
    shelf_entry_close(&e);
}

#endif
