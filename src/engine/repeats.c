/* A chain of positions for each token. */
#include "engine/repeats.h"

#include "base/mem.h"

void repeats_deinit(repeats *r)
{
    mem_free(r->before);
    mem_free(r->last);
    *r = (repeats){0};
}

static bool known(const repeats *r, int32_t id) { return id >= 0 && id < r->vocab; }

void repeats_cut(repeats *r, const int32_t *ids, int64_t n)
{
    for (; r->n > n; r->n--)
        if (known(r, ids[r->n - 1])) r->last[ids[r->n - 1]] = r->before[r->n - 1];
}

static cj_err make_room(repeats *r, int64_t n, int64_t vocab, cj_diag *d)
{
    if (!r->last) {
        r->last = mem_array((size_t)vocab, sizeof *r->last);
        if (!r->last) return diag_nomem(d, (size_t)vocab * sizeof *r->last);
        r->vocab = vocab;
        for (int64_t i = 0; i < vocab; i++) r->last[i] = -1;
    }
    if (n <= r->cap) return CJ_OK;
    int64_t cap = i64_max(n, r->cap * 2);
    int32_t *before = mem_grow(r->before, (size_t)r->cap * sizeof *before, (size_t)cap * sizeof *before);
    if (!before) return diag_nomem(d, (size_t)cap * sizeof *before);
    r->before = before;
    r->cap = cap;
    return CJ_OK;
}

cj_err repeats_link(repeats *r, const int32_t *ids, int64_t n, int64_t vocab, cj_diag *d)
{
    TRY(make_room(r, n, vocab, d));
    for (; r->n < n; r->n++) {
        int32_t id = ids[r->n];
        r->before[r->n] = known(r, id) ? r->last[id] : -1;
        if (known(r, id)) r->last[id] = (int32_t)r->n;
    }
    return CJ_OK;
}
