/* The inside of kv_cache, for kv.c and kv_snapshot.c. */
#ifndef CONTEXT_KV_INNER_H
#define CONTEXT_KV_INNER_H

#include "base/mem.h"
#include "context/kv.h"

typedef struct layer_pages {
    kv_layer spec;
    uint8_t **page;     /* [cap], NULL where absent */
    int64_t cap, first; /* entries before `first` were dropped by the window */
} layer_pages;

struct kv_cache {
    int64_t count;
    int n_layers;
    layer_pages layer[];
};

#endif
