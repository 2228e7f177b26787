/* Samples as batches. See lessons.h. */
#include "train/lessons.h"

#include <string.h>

#include "base/hash.h"
#include "model/forward.h"

enum { READ_ROWS = 512 }; /* of a passage at a time */

struct lessons {
    const model *m;
    const sample_set *set;
    lessons_options opt;
    batch_feed feed;
    model_job *reader;
    kv_cache **passage;  /* [n_passages] what was read; NULL: not, or not any more */
    int64_t *used;       /* [n_passages] the batch that asked for it last */
    int64_t n_passages, batches;
    size_t bytes;        /* of all that are kept */
    grad_seq *seqs;      /* [seqs_cap] of the batch */
    int64_t seqs_cap;
    uint64_t fingerprint;
};

/* ---- passages ---- */

static void forget(lessons *l, int64_t p)
{
    if (!l->passage[p]) return;
    l->bytes -= kv_bytes(l->passage[p]);
    kv_close(&l->passage[p]);
}

/* Forgets those that were asked for last, none of this batch: an epoch asks for each once, so their turn comes after that of all others. */
static void make_room(lessons *l)
{
    while (l->bytes > l->opt.passage_bytes) {
        int64_t last = -1;
        for (int64_t p = 0; p < l->n_passages; p++)
            if (l->passage[p] && l->used[p] < l->batches && (last < 0 || l->used[p] > l->used[last])) last = p;
        if (last < 0) return;
        forget(l, last);
    }
}

static cj_err read_rows(lessons *l, kv_cache *kv, const int32_t *ids, int64_t n, cj_diag *d)
{
    for (int64_t at = 0; at < n; at += READ_ROWS) {
        const model_rows rows = {.kv = kv, .ids = ids + at, .count = i64_min(READ_ROWS, n - at), .logits = WANT_NONE};
        TRY(model_job_begin(l->reader, &(model_batch){.seqs = &rows, .n_seqs = 1}, d));
        for (bool done = false; !done;) TRY(model_job_step(l->reader, &done, d));
    }
    return CJ_OK;
}

static cj_err need_passage(lessons *l, int64_t p, cj_diag *d)
{
    const sample_prefix *prefix = &l->set->prefix[p];
    kv_cache *kv = NULL;
    l->used[p] = l->batches;
    if (l->passage[p]) return CJ_OK;
    TRY(model_kv_open(l->m, l->opt.kv, &kv, d));
    cj_err e = read_rows(l, kv, l->set->tokens + prefix->first, prefix->n, d);
    if (e) {
        kv_close(&kv);
        return e;
    }
    l->passage[p] = kv;
    l->bytes += kv_bytes(kv);
    make_room(l);
    return CJ_OK;
}

/* ---- batches ---- */

static cj_err need_seqs(lessons *l, int64_t n, cj_diag *d)
{
    if (n <= l->seqs_cap) return CJ_OK;
    grad_seq *more = mem_grow(l->seqs, (size_t)l->seqs_cap * sizeof *more, (size_t)n * sizeof *more);
    if (!more) return diag_nomem(d, (size_t)n * sizeof *more);
    l->seqs = more;
    l->seqs_cap = n;
    return CJ_OK;
}

static cj_err next(void *arg, train_cursor *cursor, grad_batch *out, cj_diag *d)
{
    lessons *l = arg;
    const training_batch *b;
    *out = (grad_batch){0};
    if (l->opt.held && cursor->at[0]) return CJ_OK;
    l->feed.at = (batch_place){l->opt.seed, (int64_t)cursor->at[0], (int64_t)cursor->at[1]};
    TRY(feed_next(&l->feed, &b, d));
    TRY(need_seqs(l, b->n, d));
    l->batches++;
    for (int64_t i = 0; i < b->n; i++) {
        const batch_sequence *s = &b->sequence[i];
        const bool after = s->passage >= 0 && l->set->prefix[s->passage].n;
        if (after) TRY(need_passage(l, s->passage, d));
        l->seqs[i] = (grad_seq){.prefix = after ? l->passage[s->passage] : NULL, .ids = b->ids + s->first, .targets = b->targets + s->first, .count = s->n};
    }
    out->seqs = l->seqs;
    out->n_seqs = (int)b->n;
    cursor->at[0] = (uint64_t)l->feed.at.epoch;
    cursor->at[1] = (uint64_t)l->feed.at.index;
    return CJ_OK;
}

/* ---- */

/* Of all that decides what the batches are. */
static uint64_t fingerprint_of(const sample_set *s, const lessons_options *o)
{
    uint64_t parts[] = {hash_xxh3(s->tokens, (size_t)s->n_tokens * sizeof *s->tokens), hash_xxh3(s->scored, (size_t)s->n_tokens),
                        (uint64_t)s->n, (uint64_t)s->n_groups, 0, o->held, (uint64_t)o->tokens, o->seed, (uint64_t)o->kv};
    for (int64_t i = 0; i < s->n_groups; i++) {
        const sample_group *g = &s->group[i];
        const int64_t group[] = {(int64_t)parts[4], g->passage, g->first, g->n, g->held};
        parts[4] = hash_xxh3(group, sizeof group);
    }
    return hash_xxh3(parts, sizeof parts);
}

int64_t lessons_rows(const lessons *l)
{
    int64_t most = l->opt.tokens;
    for (int64_t i = 0; i < l->set->n_groups; i++) most = i64_max(most, l->set->group[i].tokens);
    return most;
}

static int64_t count_passages(const sample_set *s)
{
    int64_t n = 0;
    for (int64_t i = 0; i < s->n_groups; i++) n = i64_max(n, s->group[i].passage + 1);
    return n;
}

cj_err lessons_open(lessons **out, const model *m, const sample_set *set, const lessons_options *o, cj_diag *d)
{
    lessons *l = mem_zalloc(sizeof *l);
    if (!l) return diag_nomem(d, sizeof *l);
    *l = (lessons){.m = m, .set = set, .opt = *o, .n_passages = count_passages(set), .fingerprint = fingerprint_of(set, o)};
    cj_err e = feed_open(&l->feed, set, o->held, o->tokens, (batch_place){.seed = o->seed}, d);
    const size_t n = (size_t)l->n_passages + 1;
    l->passage = mem_array(n, sizeof *l->passage);
    l->used = mem_array(n, sizeof *l->used);
    if (!e && (!l->passage || !l->used)) e = diag_nomem(d, n * sizeof *l->passage);
    if (!e) e = model_job_open(&l->reader, m, READ_ROWS, d);
    if (e) {
        lessons_close(&l);
        return e;
    }
    *out = l;
    return CJ_OK;
}

void lessons_close(lessons **pl)
{
    lessons *l = *pl;
    if (!l) return;
    for (int64_t p = 0; l->passage && p < l->n_passages; p++) kv_close(&l->passage[p]);
    model_job_close(&l->reader);
    feed_close(&l->feed);
    mem_free(l->passage);
    mem_free(l->used);
    mem_free(l->seqs);
    mem_free(l);
    *pl = NULL;
}

train_source lessons_source(lessons *l) { return (train_source){.arg = l, .fingerprint = l->fingerprint, .next = next}; }
