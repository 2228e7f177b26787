/* The inside of kv_cache, for kv.c and kv_snapshot.c. */
#ifndef CONTEXT_KV_INNER_H
#define CONTEXT_KV_INNER_H

#include "base/mem.h"
#include "context/kv.h"

/* Whose a page is. */
enum { PAGE_OURS, PAGE_ATTACHED, PAGE_UNCHECKED /* attached, and not checked yet */ };

typedef struct layer_pages {
    kv_layer spec;
    uint8_t **page;     /* [cap], NULL where absent */
    uint8_t *whose;     /* [cap] */
    uint8_t *summary;   /* pages of summaries (kernel/summary.h), of every full page; NULL where the layer has a window */
    int64_t cap, first; /* entries before `first` were dropped by the window */
    int64_t unchecked;  /* how many are */
} layer_pages;

struct kv_cache {
    int64_t count;
    kv_source source;
    int n_layers;
    layer_pages layer[];
};

#endif
