/* Byte-pair merging: again and again the pair of neighbours that comes first in the order of the model, among equals the one
 * furthest left, becomes one symbol. Few symbols are searched for that pair every time; many keep their pairs in a heap, which
 * makes it O(n log n). Both give the same result. */
#include "token/merge.h"

#include <string.h>

#define NO_MERGE UINT32_MAX /* the rank of neighbours that do not merge */

/* The rank of merging the symbols left, text[0..size) together, and right; *merged is the token they become. */
static inline uint32_t pair_rank(const tokenizer *t, int32_t left, int32_t right, const char *text, size_t size, int32_t *merged)
{
    if (t->by_text) {
        *merged = vocab_find(t, text, size);
        return *merged < 0 ? NO_MERGE : t->priority[*merged];
    }
    if (left < 0 || right < 0) return NO_MERGE;
    const pair_slot *pair = vocab_pair(t, left, right);
    if (!pair) return NO_MERGE;
    *merged = pair->merged;
    return pair->rank;
}

/* The first symbol of text[0..n): its id, or -1; returns its size. */
static inline size_t first_symbol(const tokenizer *t, const char *text, size_t n, int32_t *id)
{
    if (t->kind == TOKEN_BPE_BYTES) {
        *id = t->byte_ids[(unsigned char)*text];
        return 1;
    }
    uint32_t cp;
    size_t size = (size_t)utf8_decode(text, n, &cp);
    *id = vocab_find(t, text, size);
    return size;
}

/* ---- few symbols ---- */

typedef struct few_symbols {
    size_t count;
    uint32_t starts[MERGE_SMALL + 1]; /* symbol i is text[starts[i]..starts[i + 1]) */
    int32_t ids[MERGE_SMALL];
    uint32_t ranks[MERGE_SMALL];      /* of symbols i and i + 1 */
    int32_t merged[MERGE_SMALL];
} few_symbols;

static void rank_few(const tokenizer *t, few_symbols *f, size_t i, const char *text)
{
    f->ranks[i] = pair_rank(t, f->ids[i], f->ids[i + 1], text + f->starts[i], f->starts[i + 2] - f->starts[i], &f->merged[i]);
}

static void merge_few(const tokenizer *t, few_symbols *f, const char *text)
{
    for (size_t i = 0; i + 1 < f->count; i++) rank_few(t, f, i, text);
    while (f->count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < f->count; i++)
            if (f->ranks[i] < f->ranks[best]) best = i;
        if (f->ranks[best] == NO_MERGE) return;
        f->ids[best] = f->merged[best];
        size_t moved = f->count - best - 2; /* symbols behind the two */
        memmove(f->starts + best + 1, f->starts + best + 2, (moved + 1) * sizeof *f->starts);
        memmove(f->ids + best + 1, f->ids + best + 2, moved * sizeof *f->ids);
        if (moved) {
            memmove(f->ranks + best + 1, f->ranks + best + 2, (moved - 1) * sizeof *f->ranks);
            memmove(f->merged + best + 1, f->merged + best + 2, (moved - 1) * sizeof *f->merged);
        }
        f->count--;
        if (best > 0) rank_few(t, f, best - 1, text);
        if (best + 1 < f->count) rank_few(t, f, best, text);
    }
}

/* false: there are more symbols than MERGE_SMALL. */
static bool split_few(const tokenizer *t, few_symbols *f, const char *text, size_t n)
{
    f->count = 0;
    for (size_t at = 0; at < n; f->count++) {
        if (f->count == MERGE_SMALL) return false;
        f->starts[f->count] = (uint32_t)at;
        at += first_symbol(t, text + at, n - at, &f->ids[f->count]);
    }
    f->starts[f->count] = (uint32_t)n;
    return true;
}

/* ---- many symbols ---- */

/* A symbol lives at the index where it begins in the order of the text; merging takes the right one out of the chain. */
typedef struct merge_symbol {
    uint32_t start;
    uint32_t previous, next; /* NONE at the ends */
    int32_t id;
    uint32_t rank;           /* of this symbol and the next one */
    int32_t merged;
} merge_symbol;
#define NONE UINT32_MAX

/* A heap entry is rank << 32 | index, so that the smallest is the pair to merge. An entry whose rank is no longer that of its
 * symbol is out of date. */
typedef struct merge_heap {
    uint64_t *entries;
    size_t count;
} merge_heap;

static void sift_down(merge_heap *h, size_t at)
{
    uint64_t entry = h->entries[at];
    for (;;) {
        size_t child = 4 * at + 1, end = child + 4 < h->count ? child + 4 : h->count;
        if (child >= h->count) break;
        size_t least = child;
        for (size_t i = child + 1; i < end; i++)
            if (h->entries[i] < h->entries[least]) least = i;
        if (h->entries[least] >= entry) break;
        h->entries[at] = h->entries[least];
        at = least;
    }
    h->entries[at] = entry;
}

static void heap_push(merge_heap *h, uint64_t entry)
{
    size_t at = h->count++;
    while (at > 0 && h->entries[(at - 1) / 4] > entry) {
        h->entries[at] = h->entries[(at - 1) / 4];
        at = (at - 1) / 4;
    }
    h->entries[at] = entry;
}

static uint64_t heap_pop(merge_heap *h)
{
    uint64_t top = h->entries[0];
    h->entries[0] = h->entries[--h->count];
    if (h->count) sift_down(h, 0);
    return top;
}

typedef struct merge_job {
    const tokenizer *t;
    const char *text;
    size_t n;
    merge_symbol *symbols;
    merge_heap heap;
} merge_job;

static void rank_symbol(merge_job *j, uint32_t i)
{
    merge_symbol *s = &j->symbols[i];
    s->rank = NO_MERGE;
    if (s->next == NONE) return;
    const merge_symbol *right = &j->symbols[s->next];
    size_t end = right->next == NONE ? j->n : j->symbols[right->next].start;
    s->rank = pair_rank(j->t, s->id, right->id, j->text + s->start, end - s->start, &s->merged);
}

static void merge_next(merge_job *j, uint32_t i)
{
    merge_symbol *s = &j->symbols[i], *gone = &j->symbols[s->next];
    s->id = s->merged;
    s->next = gone->next;
    gone->rank = NO_MERGE;
    if (s->next != NONE) j->symbols[s->next].previous = i;
    rank_symbol(j, i);
    if (s->rank != NO_MERGE) heap_push(&j->heap, (uint64_t)s->rank << 32 | i);
    if (s->previous == NONE) return;
    rank_symbol(j, s->previous);
    uint32_t rank = j->symbols[s->previous].rank;
    if (rank != NO_MERGE) heap_push(&j->heap, (uint64_t)rank << 32 | s->previous);
}

static size_t merge_many(merge_job *j, size_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        rank_symbol(j, i);
        if (j->symbols[i].rank != NO_MERGE) j->heap.entries[j->heap.count++] = (uint64_t)j->symbols[i].rank << 32 | i;
    }
    for (size_t i = j->heap.count / 4 + 1; i-- > 0;)
        if (i < j->heap.count) sift_down(&j->heap, i);
    while (j->heap.count) {
        uint64_t entry = heap_pop(&j->heap);
        uint32_t i = (uint32_t)entry;
        if (j->symbols[i].rank == entry >> 32) merge_next(j, i);
    }
    merge_result *results = (merge_result *)j->heap.entries; /* the heap is empty: its room is free */
    size_t n = 0;
    for (uint32_t i = 0; i != NONE; i = j->symbols[i].next, n++) {
        uint32_t next = j->symbols[i].next;
        size_t end = next == NONE ? j->n : j->symbols[next].start;
        results[n] = (merge_result){j->symbols[i].id, (uint32_t)(end - j->symbols[i].start)};
    }
    return n;
}

/* Room for `count` symbols; every merge pops one heap entry and pushes at most two. */
static cj_err make_room(merge_room *room, size_t count, cj_diag *d)
{
    if (count <= room->capacity) return CJ_OK;
    size_t capacity = count + count / 8, bytes;
    merge_room_deinit(room);
    if (!size_mul(capacity, sizeof *room->symbols, &bytes)) return diag_nomem(d, SIZE_MAX);
    room->symbols = mem_alloc(bytes);
    room->heap = mem_alloc(2 * capacity * sizeof *room->heap);
    if (!room->symbols || !room->heap) {
        merge_room_deinit(room);
        return diag_nomem(d, bytes);
    }
    room->capacity = capacity;
    return CJ_OK;
}

void merge_room_deinit(merge_room *room)
{
    mem_free(room->symbols);
    mem_free(room->heap);
    room->symbols = NULL;
    room->heap = NULL;
    room->capacity = 0;
}

cj_err merge_piece(const tokenizer *t, merge_room *room, const char *text, size_t n, const merge_result **results,
                   size_t *count, cj_diag *d)
{
    few_symbols few;
    if (split_few(t, &few, text, n)) {
        merge_few(t, &few, text);
        for (size_t i = 0; i < few.count; i++) room->few[i] = (merge_result){few.ids[i], few.starts[i + 1] - few.starts[i]};
        *results = room->few;
        *count = few.count;
        return CJ_OK;
    }
    size_t symbols = t->kind == TOKEN_BPE_BYTES ? n : utf8_count(text, n);
    TRY(make_room(room, symbols, d));
    for (size_t i = 0, at = 0; i < symbols; i++) {
        merge_symbol *s = &room->symbols[i];
        *s = (merge_symbol){.start = (uint32_t)at, .previous = i ? (uint32_t)i - 1 : NONE, .next = i + 1 < symbols ? (uint32_t)i + 1 : NONE};
        at += first_symbol(t, text + at, n - at, &s->id);
    }
    merge_job job = {.t = t, .text = text, .n = n, .symbols = room->symbols, .heap = {.entries = room->heap}};
    *count = merge_many(&job, symbols);
    *results = (const merge_result *)room->heap;
    return CJ_OK;
}
