/* Chains of positions, and what rows find along them. */
#include "engine/repeats.h"

#include "base/mem.h"

enum {
    PAIRS = 1 << 20, /* keys of pairs; the same for every length, so that what is found does not depend on when room was made */
    WALK = 4,        /* positions passed over for each one wanted, at most */
};

void repeats_deinit(repeats *r)
{
    mem_free(r->token.before);
    mem_free(r->token.last);
    mem_free(r->pair.before);
    mem_free(r->pair.last);
    mem_free(r->at);
    mem_free(r->begin);
    *r = (repeats){0};
}

/* ---- keys ---- */

static int64_t token_key(const repeats *r, const int32_t *ids, int64_t i) { return ids[i] >= 0 && ids[i] < r->token.keys ? ids[i] : -1; }

static int64_t pair_key(const repeats *r, const int32_t *ids, int64_t i)
{
    if (i == 0) return -1;
    uint64_t h = ((uint64_t)(uint32_t)ids[i - 1] << 32 | (uint32_t)ids[i]) * 0x9e3779b97f4a7c15u;
    return (int64_t)(h >> 20 & (uint64_t)(r->pair.keys - 1));
}

static void chain_add(repeats_chain *c, int64_t key, int64_t i)
{
    c->before[i] = key < 0 ? -1 : c->last[key];
    if (key >= 0) c->last[key] = (int32_t)i;
}

static void chain_cut(repeats_chain *c, int64_t key, int64_t i)
{
    if (key >= 0) c->last[key] = c->before[i];
}

void repeats_cut(repeats *r, const int32_t *ids, int64_t n)
{
    for (; r->n > n; r->n--) {
        chain_cut(&r->token, token_key(r, ids, r->n - 1), r->n - 1);
        chain_cut(&r->pair, pair_key(r, ids, r->n - 1), r->n - 1);
    }
}

/* ---- room ---- */

/* A table of keys without positions. */
static cj_err table_new(int32_t **out, int64_t keys, cj_diag *d)
{
    int32_t *last = mem_array((size_t)keys, sizeof *last);
    if (!last) return diag_nomem(d, (size_t)keys * sizeof *last);
    for (int64_t i = 0; i < keys; i++) last[i] = -1;
    *out = last;
    return CJ_OK;
}

static cj_err grow(int32_t **array, int64_t n, int64_t cap, cj_diag *d)
{
    int32_t *more = mem_grow(*array, (size_t)n * sizeof *more, (size_t)cap * sizeof *more);
    if (!more) return diag_nomem(d, (size_t)cap * sizeof *more);
    *array = more;
    return CJ_OK;
}

static cj_err make_room(repeats *r, int64_t n, int64_t vocab, cj_diag *d)
{
    if (!r->token.last) {
        TRY(table_new(&r->token.last, vocab, d));
        r->token.keys = vocab;
    }
    if (!r->pair.last) {
        TRY(table_new(&r->pair.last, PAIRS, d));
        r->pair.keys = PAIRS;
    }
    if (n <= r->cap) return CJ_OK;
    const int64_t cap = i64_max(n, r->cap * 2);
    TRY(grow(&r->token.before, r->cap, cap, d));
    TRY(grow(&r->pair.before, r->cap, cap, d));
    r->cap = cap;
    return CJ_OK;
}

cj_err repeats_link(repeats *r, const int32_t *ids, int64_t n, int64_t vocab, cj_diag *d)
{
    TRY(make_room(r, n, vocab, d));
    for (; r->n < n; r->n++) {
        chain_add(&r->token, token_key(r, ids, r->n), r->n);
        chain_add(&r->pair, pair_key(r, ids, r->n), r->n);
    }
    return CJ_OK;
}

/* ---- what rows look back at ---- */

/* What follows the earlier occurrences of i in a chain, of tokens [KV_PAGE, end): the `most` nearest into out, nearest first. */
static int64_t follow(const repeats_chain *c, const int32_t *ids, int64_t i, bool pair, int64_t end, int64_t most, int32_t *out)
{
    int64_t n = 0, passed = 0;
    for (int64_t j = c->before[i]; j + 1 >= KV_PAGE && n < most && passed < WALK * most; j = c->before[j]) {
        if (j + 1 >= end) continue; /* nearer than a row's near pages: there are not many of these */
        if (pair && (ids[j] != ids[i] || ids[j - 1] != ids[i - 1])) passed++; /* another pair with the same hash */
        else out[n++] = (int32_t)(j + 1);
    }
    return n;
}

/* Two lists, the largest first, as one with the smallest first and nothing twice; returns its length. */
static int64_t merge(const int32_t *a, int64_t n, const int32_t *b, int64_t m, int32_t *out)
{
    int64_t len = 0;
    while (n > 0 || m > 0) {
        int32_t x = m == 0 || (n > 0 && a[n - 1] <= b[m - 1]) ? a[n - 1] : b[m - 1];
        n -= n > 0 && a[n - 1] == x;
        m -= m > 0 && b[m - 1] == x;
        out[len++] = x;
    }
    return len;
}

cj_err repeats_collect(repeats *r, const int32_t *ids, int64_t pos, int64_t count, int64_t near, int64_t most, op_repeats *out, cj_diag *d)
{
    /* Two lists of one row lie behind the room for all. */
    const int64_t room = (count + 1) * 2 * most;
    if (count + 1 > r->begin_cap) {
        int64_t *begin = mem_grow(r->begin, 0, (size_t)(count + 1) * sizeof *begin);
        if (!begin) return diag_nomem(d, (size_t)(count + 1) * sizeof *begin);
        r->begin = begin;
        r->begin_cap = count + 1;
    }
    if (room > r->at_cap) {
        TRY(grow(&r->at, 0, room, d));
        r->at_cap = room;
    }
    int32_t *by_token = r->at + r->at_cap - 2 * most, *by_pair = by_token + most;
    int64_t n = 0;
    for (int64_t k = 0; k < count; k++) {
        const int64_t i = pos + k, end = (i / KV_PAGE + 1 - near) * KV_PAGE;
        const int64_t tokens = token_key(r, ids, i) < 0 ? 0 : follow(&r->token, ids, i, false, end, most, by_token);
        const int64_t pairs = i == 0 ? 0 : follow(&r->pair, ids, i, true, end, most, by_pair);
        r->begin[k] = n;
        n += merge(by_token, tokens, by_pair, pairs, r->at + n);
    }
    r->begin[count] = n;
    *out = (op_repeats){r->begin, r->at};
    return CJ_OK;
}
