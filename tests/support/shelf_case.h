/* Synthetic contexts for the tests of the shelf: small layers whose pages say which token and which text they belong to. */
#ifndef SUPPORT_SHELF_CASE_H
#define SUPPORT_SHELF_CASE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/hash.h"
#include "shelf/shelf.h"

/* Two layers that keep everything, one with a window; a page is about two kilobytes. */
static const kv_layer case_layers[] = {
    {.layout = {KV_Q8, 1, 4, 4}, .window = 0},
    {.layout = {KV_Q8, 1, 4, 8}, .window = 200},
    {.layout = {KV_BF16, 1, 4, 4}, .window = 0},
};
enum { CASE_LAYERS = 3, CASE_WINDOW = 1 };

static inline shelf_key case_key(void) { return (shelf_key){.model = 0x1234, .mode = 1, .layers = case_layers, .n_layers = CASE_LAYERS}; }

/* Tokens of a text: those from `change` on are another's. */
static inline int32_t *case_ids(int64_t n, int64_t change, int32_t text)
{
    int32_t *ids = malloc((size_t)n * sizeof *ids);
    for (int64_t i = 0; i < n; i++) ids[i] = (int32_t)(i * 7 % 50000) + (i >= change ? text : 0);
    return ids;
}

/* The byte that stands for position p in the page that holds it. */
static inline uint8_t case_mark(const int32_t *ids, int64_t p, int layer) { return (uint8_t)((uint32_t)ids[p] * 2654435761u >> (11 + layer)); }

/* Reads the tokens [kv_count, to) as a model would. */
static inline cj_err case_read(kv_cache *kv, const int32_t *ids, int64_t to, cj_diag *d)
{
    int64_t from = kv_count(kv);
    cj_err e = kv_extend(kv, to - from, d);
    if (e) return e;
    for (int l = 0; l < CASE_LAYERS; l++)
        for (int64_t p = from; p < to; p++) kv_pages(kv, l)[p / KV_PAGE][p % KV_PAGE] = case_mark(ids, p, l);
    kv_advance(kv, to - from);
    for (int l = 0; l < CASE_LAYERS; l++) kv_summarise(kv, l, from, to - from);
    return CJ_OK;
}

/* Whether a page's summary is what its bytes give. */
static inline bool case_summary_is_right(const kv_cache *kv, int layer, int64_t p)
{
    const kv_layout *l = &case_layers[layer].layout, y = summary_layout(l);
    uint8_t *fresh = calloc(1, kv_page_bytes(&y)), a[256], b[256];
    if (!fresh || summary_bytes(l) > sizeof a) abort();
    summary_make(l, kv_pages(kv, layer)[p], fresh, 0);
    summary_get(l, fresh, 0, a);
    summary_get(l, kv_summaries(kv, layer), p, b);
    free(fresh);
    return !memcmp(a, b, summary_bytes(l));
}

/* The first position whose mark in a layer, or whose page's summary, is not as it was read; -1: all are. Checks pages as attention would. */
static inline int64_t case_wrong(kv_cache *kv, const int32_t *ids, cj_diag *d)
{
    for (int l = 0; l < CASE_LAYERS; l++) {
        int64_t first = kv_first_needed(&case_layers[l], kv_count(kv)) * KV_PAGE;
        if (kv_check(kv, l, 0, i64_ceil_div(kv_count(kv), KV_PAGE), d)) return -2;
        for (int64_t p = first; p < kv_count(kv); p++)
            if (kv_pages(kv, l)[p / KV_PAGE][p % KV_PAGE] != case_mark(ids, p, l)) return p;
        for (int64_t p = 0; l != CASE_WINDOW && p < kv_count(kv) / KV_PAGE; p++)
            if (!case_summary_is_right(kv, l, p)) return p * KV_PAGE;
    }
    return -1;
}

static inline shelf_plan case_plan(const char *name, const int32_t *ids, int64_t n)
{
    return (shelf_plan){.name = name, .key = case_key(), .model_name = "tiny", .model_path = "/nowhere/tiny.gguf", .ids = ids, .n = n, .documents = 1,
                        .characters = n};
}

/* As a reader does it: what was read last becomes acknowledged while it reads on. */
static inline cj_err case_keep(shelf_entry *e, kv_cache *kv, cj_diag *d)
{
    TRY(shelf_append_end(e, kv, d));
    return kv_count(kv) < shelf_entry_next(e) ? shelf_append_begin(e, kv, d) : shelf_append(e, kv, d);
}

/* Reads an entry to position `to` in steps, as the reader would: attach, then read and append, segment by segment. */
static inline cj_err case_write(shelf *s, const shelf_plan *p, int64_t to, int64_t step, int64_t *resumed, cj_diag *d)
{
    shelf_entry *e = NULL;
    kv_cache *kv = NULL;
    int64_t count = 0;
    cj_err err = kv_open(&kv, p->key.layers, p->key.n_layers, d);
    if (!err) err = shelf_write(s, &e, p, d);
    if (!err) err = shelf_attach(e, kv, p->n, &count, d);
    if (resumed) *resumed = count;
    while (!err && kv_count(kv) < to) {
        err = case_read(kv, p->ids, i64_min(i64_min(to, shelf_entry_next(e)), kv_count(kv) + step), d);
        if (!err) err = case_keep(e, kv, d);
        if (!err && shelf_entry_info(e)->tokens > kv_count(kv)) err = shelf_attach(e, kv, p->n, &count, d);
    }
    if (!err) err = shelf_append_end(e, kv, d);
    if (!err && to == p->n) err = shelf_finish(e, d);
    kv_close(&kv);
    shelf_entry_close(&e);
    return err;
}

static inline char *case_folder(void)
{
    char *path = malloc(256);
    snprintf(path, 256, "%s/cj-shelf-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm"); /* where a sync costs nothing */
    return mkdtemp(path);
}

static inline void case_remove(char *folder)
{
    if (folder_remove(folder, NULL)) fprintf(stderr, "%s stays\n", folder);
    free(folder);
}

#endif
