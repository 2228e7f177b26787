/* Pages of keys and values. See kv.h for the invariants. */
#include <stdatomic.h>
#include <string.h>

#include "context/kv_inner.h"

/* A page's bytes follow its count; the pointer handed out is to the bytes. */
typedef struct page_head {
    _Atomic int refs;
    char pad[MEM_ALIGN - sizeof(int)];
} page_head;
_Static_assert(sizeof(page_head) == MEM_ALIGN, "page bytes stay aligned");

static page_head *head_of(uint8_t *page) { return (page_head *)(void *)(page - sizeof(page_head)); }

static uint8_t *page_new(const kv_layout *l)
{
    page_head *h = mem_zalloc(sizeof *h + kv_page_bytes(l)); /* zeroed: kernels may load slots not yet written */
    if (!h) return NULL;
    atomic_init(&h->refs, 1);
    return (uint8_t *)(h + 1);
}

static void page_release(uint8_t *page, uint8_t whose)
{
    if (page && whose == PAGE_OURS && atomic_fetch_sub_explicit(&head_of(page)->refs, 1, memory_order_acq_rel) == 1) mem_free(head_of(page));
}

static void page_share(uint8_t *page, uint8_t whose)
{
    if (page && whose == PAGE_OURS) atomic_fetch_add_explicit(&head_of(page)->refs, 1, memory_order_relaxed);
}

static void page_drop(layer_pages *l, int64_t p)
{
    page_release(l->page[p], l->whose[p]);
    l->unchecked -= l->whose[p] == PAGE_UNCHECKED;
    l->page[p] = NULL;
    l->whose[p] = PAGE_OURS;
}

static int64_t pages_for(int64_t tokens) { return i64_ceil_div(tokens, KV_PAGE); }

/* ---- recurrent layers ---- */

/* The entry of the state after `count` tokens. */
static int64_t state_entry(int64_t count) { return i64_max(count - 1, 0) / KV_PAGE; }

const float *kv_state(const kv_cache *kv, int layer)
{
    return kv->count ? (const float *)(const void *)kv->layer[layer].page[state_entry(kv->count)] : NULL;
}

float *kv_next_state(const kv_cache *kv, int layer) { return (float *)(void *)kv->layer[layer].next; }

static void mark_drop(kv_cache *kv, int m)
{
    for (int i = 0; kv->mark_at[m] && i < kv->n_layers; i++) {
        marked_state *s = &kv->layer[i].mark[m];
        page_release(s->page, s->whose);
        *s = (marked_state){0};
    }
    kv->mark_at[m] = 0;
}

void kv_mark(kv_cache *kv)
{
    int m = 0;
    if (!kv->recurrent || !kv->count) return;
    for (int i = 0; i < KV_MARKS; i++)
        if (kv->mark_at[i] == kv->count) {
            kv->mark_used[i] = ++kv->turn;
            return;
        }
    for (int i = 1; i < KV_MARKS && kv->mark_at[m]; i++)
        if (!kv->mark_at[i] || kv->mark_used[i] < kv->mark_used[m]) m = i;
    mark_drop(kv, m);
    for (int i = 0; i < kv->n_layers; i++) {
        layer_pages *l = &kv->layer[i];
        if (!is_recurrent(l)) continue;
        const int64_t p = state_entry(kv->count);
        l->mark[m] = (marked_state){l->page[p], l->whose[p]};
        page_share(l->mark[m].page, l->mark[m].whose);
    }
    kv->mark_at[m] = kv->count;
    kv->mark_used[m] = ++kv->turn;
}

/* The mark at the last position not after n; -1: none. */
static int mark_before(const kv_cache *kv, int64_t n)
{
    int best = -1;
    for (int m = 0; m < KV_MARKS; m++)
        if (kv->mark_at[m] && kv->mark_at[m] <= n && (best < 0 || kv->mark_at[m] > kv->mark_at[best])) best = m;
    return best;
}

/* The states of mark m (-1: none, as before the first token) are the context's; marks behind position n are of another text now. */
static void states_restore(kv_cache *kv, int m, int64_t n)
{
    for (int i = 0; i < kv->n_layers; i++) {
        layer_pages *l = &kv->layer[i];
        if (!is_recurrent(l)) continue;
        for (int64_t p = l->first; p < l->cap; p++) page_drop(l, p);
        l->first = state_entry(n);
        if (m < 0) continue;
        l->page[l->first] = l->mark[m].page;
        l->whose[l->first] = l->mark[m].whose;
        l->unchecked += l->whose[l->first] == PAGE_UNCHECKED;
        page_share(l->mark[m].page, l->mark[m].whose);
    }
    if (m >= 0) kv->mark_used[m] = ++kv->turn;
    for (int i = 0; i < KV_MARKS; i++)
        if (kv->mark_at[i] > n) mark_drop(kv, i);
}

/* The state that was written takes the place of the one before, whose memory takes the next if nobody else has it. */
static void state_advance(layer_pages *l, int64_t before, int64_t count)
{
    const int64_t p = state_entry(before), to = state_entry(count);
    uint8_t *old = before ? l->page[p] : NULL;
    const bool spare = old && l->whose[p] == PAGE_OURS && atomic_load_explicit(&head_of(old)->refs, memory_order_acquire) == 1;
    if (spare) l->page[p] = NULL;
    else if (before) page_drop(l, p);
    l->page[to] = l->next;
    l->whose[to] = PAGE_OURS;
    l->first = to;
    l->next = spare ? old : NULL;
}

/* ---- */

cj_err kv_open(kv_cache **out, const kv_layer *layers, int n_layers, cj_diag *d)
{
    size_t bytes = sizeof(kv_cache) + (size_t)n_layers * sizeof(layer_pages);
    kv_cache *kv = mem_zalloc(bytes);
    if (!kv) return diag_nomem(d, bytes);
    kv->n_layers = n_layers;
    for (int i = 0; i < n_layers; i++) {
        kv->layer[i].spec = layers[i];
        kv->recurrent |= is_recurrent(&kv->layer[i]);
    }
    *out = kv;
    return CJ_OK;
}

void kv_close(kv_cache **pkv)
{
    kv_cache *kv = *pkv;
    if (!kv) return;
    for (int m = 0; m < KV_MARKS; m++) mark_drop(kv, m);
    for (int i = 0; i < kv->n_layers; i++) {
        layer_pages *l = &kv->layer[i];
        page_release(l->next, PAGE_OURS);
        for (int64_t p = 0; p < l->cap; p++) page_drop(l, p);
        mem_free(l->page);
        mem_free(l->whose);
        mem_free(l->summary);
        mem_free(l->groups);
    }
    mem_free(kv);
    *pkv = NULL;
}

int64_t kv_count(const kv_cache *kv) { return kv->count; }
int kv_layers(const kv_cache *kv) { return kv->n_layers; }
const kv_layer *kv_layer_at(const kv_cache *kv, int layer) { return &kv->layer[layer].spec; }
uint8_t *const *kv_pages(const kv_cache *kv, int layer) { return kv->layer[layer].page; }
uint8_t *kv_summaries(const kv_cache *kv, int layer) { return kv->layer[layer].summary; }
const uint8_t *kv_groups(const kv_cache *kv, int layer) { return kv->layer[layer].groups; }

size_t kv_bytes(const kv_cache *kv)
{
    size_t bytes = 0;
    for (int i = 0; i < kv->n_layers; i++) {
        const layer_pages *l = &kv->layer[i];
        for (int64_t p = l->first; p < l->cap; p++)
            if (l->page[p]) bytes += kv_page_bytes(&l->spec.layout);
    }
    return bytes;
}

/* A longer copy of array[n] in *out, zeros at its end. */
static cj_err array_grow(void **array, size_t size, int64_t n, int64_t cap, cj_diag *d)
{
    void *more = mem_array((size_t)cap, size);
    if (!more) return diag_nomem(d, (size_t)cap * size);
    if (n) memcpy(more, *array, (size_t)n * size);
    mem_free(*array);
    *array = more;
    return CJ_OK;
}

/* Pages that hold the summaries of the groups of so many pages. */
static int64_t group_pages(int64_t pages) { return pages_for(i64_ceil_div(pages, SUMMARY_GROUP)); }

/* Room for `pages` entries in the layer's tables. */
static cj_err table_grow(layer_pages *l, int64_t pages, cj_diag *d)
{
    if (pages <= l->cap) return CJ_OK;
    int64_t cap = i64_max(pages, l->cap * 2);
    void *page = l->page, *whose = l->whose, *summary = l->summary, *groups = l->groups;
    cj_err e = array_grow(&page, sizeof *l->page, l->cap, cap, d);
    if (!e) e = array_grow(&whose, sizeof *l->whose, l->cap, cap, d);
    const kv_layout y = summary_layout(&l->spec.layout);
    if (!e && !l->spec.window) e = array_grow(&summary, kv_page_bytes(&y), pages_for(l->cap), pages_for(cap), d);
    if (!e && !l->spec.window) e = array_grow(&groups, kv_page_bytes(&y), group_pages(l->cap), group_pages(cap), d);
    l->page = page;
    l->whose = whose;
    l->summary = summary;
    l->groups = groups;
    if (!e) l->cap = cap;
    return e;
}

/* Makes page p of the layer present and ours alone. */
static cj_err page_own(kv_cache *kv, int layer, int64_t p, cj_diag *d)
{
    layer_pages *l = &kv->layer[layer];
    uint8_t *old = l->page[p];
    if (old && l->whose[p] == PAGE_OURS && atomic_load_explicit(&head_of(old)->refs, memory_order_acquire) == 1) return CJ_OK;
    TRY(kv_check(kv, layer, p, p + 1, d));
    uint8_t *page = page_new(&l->spec.layout);
    if (!page) return diag_nomem(d, kv_page_bytes(&l->spec.layout));
    if (old) memcpy(page, old, kv_page_bytes(&l->spec.layout));
    page_drop(l, p);
    l->page[p] = page;
    return CJ_OK;
}

cj_err kv_extend(kv_cache *kv, int64_t tokens, cj_diag *d)
{
    int64_t end = kv->count + tokens;
    for (int i = 0; i < kv->n_layers; i++) {
        layer_pages *l = &kv->layer[i];
        TRY(table_grow(l, pages_for(end), d));
        if (is_recurrent(l)) {
            if (!l->next) l->next = page_new(&l->spec.layout);
            if (!l->next) return diag_nomem(d, kv_page_bytes(&l->spec.layout));
            continue;
        }
        for (int64_t p = i64_max(l->first, kv->count / KV_PAGE); p < pages_for(end); p++) TRY(page_own(kv, i, p, d));
    }
    return CJ_OK;
}

void kv_advance(kv_cache *kv, int64_t tokens)
{
    kv->count += tokens;
    for (int i = 0; tokens && i < kv->n_layers; i++) {
        layer_pages *l = &kv->layer[i];
        if (is_recurrent(l)) state_advance(l, kv->count - tokens, kv->count);
        if (is_recurrent(l) || !l->spec.window) continue;
        int64_t keep = kv->count - l->spec.window - KV_SLACK;
        for (; (l->first + 1) * KV_PAGE <= keep; l->first++) page_drop(l, l->first);
    }
}

int64_t kv_cut(kv_cache *kv, int64_t n)
{
    n = i64_min(n, kv->count);
    const bool back = kv->recurrent && n != kv->count;
    int mark = back ? mark_before(kv, n) : -1;
    if (back) n = mark < 0 ? 0 : kv->mark_at[mark];
    for (int i = 0; i < kv->n_layers; i++) {
        const layer_pages *l = &kv->layer[i];
        if (!is_recurrent(l) && l->first && l->first * KV_PAGE > i64_max(0, n - l->spec.window)) n = 0;
    }
    if (back) states_restore(kv, n ? mark : -1, n);
    for (int i = 0; i < kv->n_layers; i++) {
        layer_pages *l = &kv->layer[i];
        for (int64_t p = pages_for(n); p < l->cap; p++) page_drop(l, p);
        if (n == 0) l->first = 0;
    }
    kv->count = n;
    return n;
}

cj_err kv_fork(kv_cache **out, const kv_cache *kv, cj_diag *d)
{
    size_t bytes = sizeof(kv_cache) + (size_t)kv->n_layers * sizeof(layer_pages);
    kv_cache *copy = mem_zalloc(bytes);
    if (!copy) return diag_nomem(d, bytes);
    copy->n_layers = kv->n_layers;
    copy->count = kv->count;
    copy->source = kv->source;
    copy->recurrent = kv->recurrent;
    copy->turn = kv->turn;
    memcpy(copy->mark_at, kv->mark_at, sizeof copy->mark_at);
    memcpy(copy->mark_used, kv->mark_used, sizeof copy->mark_used);
    for (int i = 0; i < kv->n_layers; i++) {
        const layer_pages *from = &kv->layer[i];
        layer_pages *to = &copy->layer[i];
        to->spec = from->spec;
        to->first = from->first;
        cj_err e = table_grow(to, pages_for(kv->count), d);
        if (e) {
            kv_close(&copy);
            return e;
        }
        for (int64_t p = from->first; p < pages_for(kv->count); p++) {
            to->page[p] = from->page[p];
            to->whose[p] = from->whose[p];
            page_share(to->page[p], to->whose[p]);
        }
        memcpy(to->mark, from->mark, sizeof to->mark);
        for (int m = 0; m < KV_MARKS; m++) page_share(to->mark[m].page, to->mark[m].whose);
        to->unchecked = from->unchecked;
        const kv_layout y = summary_layout(&to->spec.layout);
        if (to->summary) memcpy(to->summary, from->summary, (size_t)pages_for(pages_for(kv->count)) * kv_page_bytes(&y));
        if (to->groups) memcpy(to->groups, from->groups, (size_t)group_pages(pages_for(kv->count)) * kv_page_bytes(&y));
    }
    *out = copy;
    return CJ_OK;
}

void kv_summarise(kv_cache *kv, int layer, int64_t pos, int64_t count)
{
    layer_pages *l = &kv->layer[layer];
    for (int64_t p = pos / KV_PAGE; l->summary && p < (pos + count) / KV_PAGE; p++) summary_make(&l->spec.layout, l->page[p], l->summary, p);
    kv_summarise_groups(kv, layer, pos, count);
}

void kv_summarise_groups(kv_cache *kv, int layer, int64_t pos, int64_t count)
{
    enum { TOKENS = SUMMARY_GROUP * KV_PAGE };
    layer_pages *l = &kv->layer[layer];
    for (int64_t g = pos / TOKENS; l->groups && g < (pos + count) / TOKENS; g++) summary_make_group(&l->spec.layout, l->summary, l->groups, g);
}

/* ---- attached pages ---- */

int64_t kv_first_needed(const kv_layer *l, int64_t count) { return l->window ? i64_max(0, count - l->window) / KV_PAGE : 0; }

cj_err kv_resume(kv_cache *kv, int64_t count, const kv_source *source, cj_diag *d)
{
    kv_cut(kv, 0);
    for (int i = 0; i < kv->n_layers; i++) TRY(table_grow(&kv->layer[i], pages_for(count), d));
    for (int i = 0; i < kv->n_layers; i++) kv->layer[i].first = kv_first_needed(&kv->layer[i].spec, count);
    kv->count = count;
    if (source) kv->source = *source;
    return CJ_OK;
}

cj_err kv_attach(kv_cache *kv, int layer, int64_t page, const uint8_t *bytes, bool checked, cj_diag *d)
{
    layer_pages *l = &kv->layer[layer];
    TRY(table_grow(l, page + 1, d));
    page_drop(l, page);
    l->page[page] = (uint8_t *)(uintptr_t)bytes; /* never written: page_own copies first */
    l->whose[page] = checked ? PAGE_ATTACHED : PAGE_UNCHECKED;
    l->unchecked += !checked;
    return CJ_OK;
}

cj_err kv_check(kv_cache *kv, int layer, int64_t first, int64_t end, cj_diag *d)
{
    layer_pages *l = &kv->layer[layer];
    for (int64_t p = i64_max(first, l->first); l->unchecked && p < i64_min(end, l->cap); p++) {
        if (l->whose[p] != PAGE_UNCHECKED) continue;
        TRY(kv->source.check(kv->source.arg, layer, p, l->page[p], d));
        l->whose[p] = PAGE_ATTACHED;
        l->unchecked--;
    }
    return CJ_OK;
}
