/* A context: the keys and values of one timeline of tokens, page by page and layer by layer.
 *
 * Invariants
 *  1. count tokens are held; page p of a layer holds the positions [p * KV_PAGE, (p + 1) * KV_PAGE).
 *  2. A page is reference-counted. A page that more than one context holds is never written: kv_extend copies it first.
 *  3. A layer with a window drops pages that lie more than window + KV_SLACK tokens behind; their entries are NULL.
 *     Layers without a window keep everything.
 *  4. Nothing is allocated before it is needed: a long context costs nothing until its tokens are there.
 *  5. A recurrent layer (layout KV_STATE, window 1) keeps no tokens but a state: the entry of the newest token's page is the state after
 *     `count` tokens, all others are NULL. A forward pass reads kv_state and writes kv_next_state, which takes its place in kv_advance: a pass
 *     that is dropped has changed nothing. What a state was can only be had back where it was marked (kv_mark).
 *  6. A page may be attached: it then lies in somebody else's memory (a mapped file), is only read, and is copied before a write.
 * A context belongs to one thread at a time; pages may be shared between threads.
 */
#ifndef CONTEXT_KV_H
#define CONTEXT_KV_H

#include "base/file.h"
#include "kernel/summary.h"

enum { KV_MARKS = 4 }; /* states that a context remembers beside its own */
enum { KV_SLACK = 4096 }; /* how far back a context with windows can be cut without reading again */

typedef struct kv_layer {
    kv_layout layout;
    int64_t window; /* 0: none */
} kv_layer;

typedef struct kv_cache kv_cache;

CJ_NODISCARD cj_err kv_open(kv_cache **out, const kv_layer *layers, int n_layers, cj_diag *d);
void kv_close(kv_cache **kv);
/* A second timeline with the same past; full pages are shared, the last is copied when either writes on. */
CJ_NODISCARD cj_err kv_fork(kv_cache **out, const kv_cache *kv, cj_diag *d);

int64_t kv_count(const kv_cache *kv);
int kv_layers(const kv_cache *kv);
const kv_layer *kv_layer_at(const kv_cache *kv, int layer);
/* Pages of a layer, for attn_seq. Valid until the context is changed. */
uint8_t *const *kv_pages(const kv_cache *kv, int layer);
/* Bytes of the pages held (a shared page counts in full), without states that are remembered or being written. */
size_t kv_bytes(const kv_cache *kv);

/* Makes the slots [count, count + tokens) writable. On failure nothing has changed but unused pages. */
CJ_NODISCARD cj_err kv_extend(kv_cache *kv, int64_t tokens, cj_diag *d);
/* The slots have been written in every layer: count += tokens, and windows move on. */
void kv_advance(kv_cache *kv, int64_t tokens);
/* Forgets everything from position n on. Returns how many tokens are left: n, or 0 when a window has already left n behind; with recurrent
 * layers the last marked position not after n, or 0. */
int64_t kv_cut(kv_cache *kv, int64_t n);

/* The state of a recurrent layer after kv_count tokens, NULL before the first; and where that after the tokens of kv_extend goes. */
const float *kv_state(const kv_cache *kv, int layer);
float *kv_next_state(const kv_cache *kv, int layer);
/* Remembers the states where the context stands, in place of those that were marked, or cut to, the longest time ago. Without recurrent layers
 * there is nothing to remember: every position can be cut to. */
void kv_mark(kv_cache *kv);

/* Who checks attached pages. */
typedef struct kv_source {
    void *arg;
    /* A page that is about to be used for the first time: CJ_OK, or what is wrong with it. */
    cj_err (*check)(void *arg, int layer, int64_t page, const uint8_t *bytes, cj_diag *d);
} kv_source;

/* First page that a layer of a context of `count` tokens must have to go on: what lies behind a window is not needed. */
int64_t kv_first_needed(const kv_layer *l, int64_t count);
/* Makes the context stand at `count` tokens with no page at all. Every page from kv_first_needed on must be attached before it is used.
 * source may be NULL when all of them will be checked ones. */
CJ_NODISCARD cj_err kv_resume(kv_cache *kv, int64_t count, const kv_source *source, cj_diag *d);
/* Page `page` of a layer is bytes from now on; a page that kv holds there is dropped. The bytes, aligned to 64, must stay until kv and all
 * forks of it are closed. An unchecked page goes through the source before it is used. */
CJ_NODISCARD cj_err kv_attach(kv_cache *kv, int layer, int64_t page, const uint8_t *bytes, bool checked, cj_diag *d);
/* Checks those of the pages [first, end) of a layer that have not been checked. */
CJ_NODISCARD cj_err kv_check(kv_cache *kv, int layer, int64_t first, int64_t end, cj_diag *d);

/* The pages that hold the summaries of a layer's pages (kernel/summary.h); NULL for layers with a window. Valid until the next kv_extend,
 * kv_resume or kv_attach. */
uint8_t *kv_summaries(const kv_cache *kv, int layer);
const uint8_t *kv_groups(const kv_cache *kv, int layer);
/* The slots [pos, pos + count) of a layer have been written: makes the summaries of the pages, and of the groups of pages, that this filled. */
void kv_summarise(kv_cache *kv, int layer, int64_t pos, int64_t count);
/* Only those of the groups that this filled: the summaries of the pages are there. */
void kv_summarise_groups(kv_cache *kv, int layer, int64_t pos, int64_t count);

/* A snapshot of the whole context as bytes: header, then every page present with its checksum. */
CJ_NODISCARD cj_err kv_save(const kv_cache *kv, file_out *f, cj_diag *d);
/* Reads a snapshot made with the same layers from data[0..size); *used is its length. Refused with a sentence when anything
 * differs or is damaged; kv is then empty. `name` names the file in messages. */
CJ_NODISCARD cj_err kv_load(kv_cache *kv, const uint8_t *data, size_t size, size_t *used, const char *name, cj_diag *d);

#endif
