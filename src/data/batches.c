/* Batches. */
#include "data/batches.h"

#include <string.h>

#include "base/random.h"

cj_err feed_open(batch_feed *f, const sample_set *set, bool held, int64_t tokens, batch_place at, cj_diag *d)
{
    *f = (batch_feed){.set = set, .held = held, .tokens = tokens, .at = at, .order_epoch = -1};
    f->order = mem_array((size_t)set->n_groups, sizeof *f->order);
    if (!f->order) return diag_nomem(d, (size_t)set->n_groups * sizeof *f->order);
    for (int64_t i = 0; i < set->n_groups; i++) f->n_groups += set->group[i].held == held;
    cj_err e = CJ_OK;
    if (!f->n_groups) e = diag_fail(d, CJ_E_INPUT, MSG_DATA_NO_PART, "%lld", (long long)set->n_groups);
    else if (at.epoch < 0 || at.index < 0 || at.index >= f->n_groups)
        e = diag_fail(d, CJ_E_INPUT, MSG_DATA_PLACE, "%lld" ARG "%lld", (long long)at.index, (long long)f->n_groups);
    if (e) feed_close(f);
    return e;
}

/* The epoch's order: always drawn anew from the groups' own, so that it does not depend on the epochs before. */
static void draw_order(batch_feed *f)
{
    random_state r = {f->at.seed ^ 0x6F72646572u};
    random_state epoch = {random_bits(&r) + (uint64_t)f->at.epoch};
    int64_t n = 0;
    for (int64_t i = 0; i < f->set->n_groups; i++) {
        if (f->set->group[i].held != f->held) continue;
        int64_t j = random_below(&epoch, n + 1);
        f->order[n] = f->order[j];
        f->order[j] = i;
        n++;
    }
    f->order_epoch = f->at.epoch;
}

static cj_err make_room(batch_feed *f, int64_t rows, int64_t sequences, cj_diag *d)
{
    training_batch *b = &f->batch;
    if (rows > f->rows_cap) {
        mem_free(b->ids);
        mem_free(b->targets);
        b->ids = mem_array((size_t)rows, sizeof *b->ids);
        b->targets = mem_array((size_t)rows, sizeof *b->targets);
        f->rows_cap = b->ids && b->targets ? rows : 0;
        if (!f->rows_cap) return diag_nomem(d, (size_t)rows * sizeof *b->ids);
    }
    if (sequences > f->sequences_cap) {
        mem_free(b->sequence);
        b->sequence = mem_array((size_t)sequences, sizeof *b->sequence);
        f->sequences_cap = b->sequence ? sequences : 0;
        if (!f->sequences_cap) return diag_nomem(d, (size_t)sequences * sizeof *b->sequence);
    }
    return CJ_OK;
}

/* A sample's last token is only predicted: it has no row. */
static void put_sample(batch_feed *f, const sample_group *g, int64_t index)
{
    const sample *s = &f->set->sample[index];
    const int32_t *ids = f->set->tokens + s->first;
    const uint8_t *scored = f->set->scored + s->first;
    training_batch *b = &f->batch;
    b->sequence[b->n++] = (batch_sequence){index, g->passage, b->rows, s->n - 1};
    for (int64_t i = 0; i + 1 < s->n; i++, b->rows++) {
        b->ids[b->rows] = ids[i];
        b->targets[b->rows] = scored[i + 1] ? ids[i + 1] : -1;
        b->scored += scored[i + 1];
    }
}

cj_err feed_next(batch_feed *f, const training_batch **out, cj_diag *d)
{
    const sample_group *group = f->set->group;
    int64_t end = f->at.index, rows = 0, sequences = 0;
    if (f->order_epoch != f->at.epoch) draw_order(f);
    for (; end < f->n_groups; end++) {
        const sample_group *g = &group[f->order[end]];
        if (rows && rows + g->tokens > f->tokens) break;
        rows += g->tokens;
        sequences += g->n;
    }
    TRY(make_room(f, rows, sequences, d));
    f->batch.rows = f->batch.n = f->batch.scored = 0;
    for (int64_t i = f->at.index; i < end; i++) {
        const sample_group *g = &group[f->order[i]];
        for (int64_t k = 0; k < g->n; k++) put_sample(f, g, g->first + k);
    }
    f->at.index = end;
    if (end == f->n_groups) {
        f->at.index = 0;
        f->at.epoch++;
    }
    *out = &f->batch;
    return CJ_OK;
}

void feed_close(batch_feed *f)
{
    mem_free(f->order);
    mem_free(f->batch.ids);
    mem_free(f->batch.targets);
    mem_free(f->batch.sequence);
    *f = (batch_feed){0};
}
