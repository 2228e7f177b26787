/* The inside of kv_cache, for kv.c and kv_snapshot.c. */
#ifndef CONTEXT_KV_INNER_H
#define CONTEXT_KV_INNER_H

#include "base/mem.h"
#include "context/kv.h"

/* Whose a page is. */
enum { PAGE_OURS, PAGE_ATTACHED, PAGE_UNCHECKED /* attached, and not checked yet */ };

/* A state that is remembered: shared with the context where it stands there too. */
typedef struct marked_state {
    uint8_t *page;
    uint8_t whose;
} marked_state;

typedef struct layer_pages {
    kv_layer spec;
    uint8_t **page;     /* [cap], NULL where absent */
    uint8_t *whose;     /* [cap] */
    uint8_t *summary;   /* pages of summaries (kernel/summary.h), of every full page; NULL where the layer has a window */
    uint8_t *groups;    /* and of their groups: NULL likewise */
    int64_t cap, first; /* entries before `first` were dropped by the window */
    int64_t unchecked;  /* how many are */
    uint8_t *next;      /* of a recurrent layer: where the state after the running pass goes; NULL until kv_extend */
    marked_state mark[KV_MARKS];
} layer_pages;

struct kv_cache {
    int64_t count;
    kv_source source;
    int n_layers;
    bool recurrent;               /* some layer is */
    int64_t mark_at[KV_MARKS];    /* positions; 0: free */
    int64_t mark_used[KV_MARKS];  /* by `turn`: the smallest goes first */
    int64_t turn;
    layer_pages layer[];
};

static inline bool is_recurrent(const layer_pages *l) { return l->spec.layout.type == KV_STATE; }

#endif
