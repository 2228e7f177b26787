/* How much some rows attend to every key: exact probabilities of one head, summed over the rows.
 *
 * Two passes over the pages: the first finds each row's maximum and sum (by splits of the keys, joined in order), the second
 * computes the scores again and adds their probabilities; a key belongs to one item, so nothing is added by two threads.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernel/attn_work.h"

enum { MASS_PAGES = OP_MASS_BIN_MAX / KV_PAGE }; /* pages of one item: no bin lies in two */

typedef struct mass_job {
    kernel_ctx *ctx;
    const op_attn_args *a;
    const op_mass *to;
    attn_item rows;       /* the rows of this round; page, page_end: all they see */
    float *max;           /* [items][ATTN_ROWS], then [ATTN_ROWS] joined */
    double *sum;          /* the same */
    bool second;
    char *workers;
    size_t worker_bytes;
} mass_job;

static void add_mass(const mass_job *j, const attn_tile *t, int64_t base, int n)
{
    const int64_t bin = j->to->bin;
    for (int r = 0; r < t->st.rows; r++) {
        float *mass = j->to->mass + (j->rows.row - j->to->row0 + r) * j->to->ld;
        for (int i = 0; i < n; i++) mass[(base + i) / bin] += t->s[r * KV_PAGE + i] * t->alpha[r];
    }
}

/* The weights are relative to the row's final maximum, which no score of the page passes. */
static void restore_rows(const mass_job *j, attn_tile *t)
{
    for (int r = 0; r < t->st.rows; r++) {
        t->st.max[r] = j->max[r];
        t->st.sum[r] = 0;
    }
}

static void mass_item(void *arg, int64_t index, int worker)
{
    mass_job *j = arg;
    const attn_table *k = &j->ctx->table.attn;
    const vec_table *v = &j->ctx->table.vec;
    attn_item it = j->rows;
    it.page = i64_max(j->rows.page, (j->rows.page / MASS_PAGES + index) * MASS_PAGES);
    it.page_end = i64_min(j->rows.page_end, (j->rows.page / MASS_PAGES + index + 1) * MASS_PAGES);
    attn_tile t;
    attn_tile_place(&t, j->workers + (size_t)worker * j->worker_bytes, j->a, &it, true);
    attn_state_reset(&t.st);
    int64_t chunk = -1;
    for (int64_t p = it.page; p < it.page_end; p++) {
        const rope_spec *spec = j->a->rope ? j->a->rope->spec : NULL;
        int64_t m = spec && spec->dims ? p * KV_PAGE / spec->stride : 0;
        if (m != chunk) attn_tile_queries(k, v, &t, j->a, &it, chunk = m);
        int n;
        attn_tile_scores(k, v, &t, j->a, &it, p, &n);
        if (j->second) restore_rows(j, &t);
        k->softmax(&t, n);
        if (!j->second) continue;
        for (int r = 0; r < t.st.rows; r++) t.alpha[r] = j->sum[r] != 0 ? (float)(1.0 / j->sum[r]) : 0;
        add_mass(j, &t, p * KV_PAGE, n);
    }
    if (j->second) return;
    memcpy(j->max + (index + 1) * ATTN_ROWS, t.st.max, (size_t)t.st.rows * sizeof *t.st.max);
    memcpy(j->sum + (index + 1) * ATTN_ROWS, t.st.sum, (size_t)t.st.rows * sizeof *t.st.sum);
}

/* Joins the items' maxima and sums into entry 0, and the sink of the head if it has one. */
static void join(mass_job *j, int64_t items, int head)
{
    attn_state all = {.rows = j->rows.rows, .max = j->max, .sum = j->sum, .out = j->max}; /* ld 0: no outputs */
    for (int64_t i = 1; i <= items; i++) {
        attn_state part = {.rows = all.rows, .max = j->max + i * ATTN_ROWS, .sum = j->sum + i * ATTN_ROWS, .out = j->max};
        attn_state_merge(&all, &part);
    }
    for (int r = 0; r < all.rows && j->a->sinks; r++) attn_state_sink(&all, r, j->a->sinks[head] * ATTN_LOG2_E);
}

static void reset(mass_job *j)
{
    for (int r = 0; r < ATTN_ROWS; r++) {
        j->max[r] = -INFINITY;
        j->sum[r] = 0;
    }
}

cj_err op_attention_mass(kernel_ctx *ctx, const op_attn_args *a, const op_mass *m, cj_diag *d)
{
    const int64_t row0 = m->row0, rows = m->rows;
    const int head = m->head;
    const attn_seq *seq = a->seqs;
    int64_t items_max = i64_ceil_div(i64_ceil_div(row0 + rows + seq->pos, KV_PAGE), MASS_PAGES);
    mass_job j = {.ctx = ctx, .a = a, .to = m, .worker_bytes = attn_worker_bytes(a->kv->dk, a->kv->dv)};
    j.workers = mem_array((size_t)kernel_threads(ctx), j.worker_bytes);
    j.sum = mem_array((size_t)items_max + 1, ATTN_ROWS * (sizeof *j.sum + sizeof *j.max));
    assert(m->bin >= 1 && OP_MASS_BIN_MAX % m->bin == 0);
    cj_err e = j.workers && j.sum ? CJ_OK : diag_nomem(d, ((size_t)items_max + 1) * ATTN_ROWS * (sizeof *j.sum + sizeof *j.max));
    j.max = (float *)(j.sum + (items_max + 1) * ATTN_ROWS);
    for (int64_t row = row0; !e && row < row0 + rows; row += ATTN_ROWS) {
        j.rows = (attn_item){.seq = seq, .row = row, .rows = (int)i64_min(ATTN_ROWS, row0 + rows - row), .head = head, .heads = 1,
                             .kv_head = head / (a->heads / a->kv->heads)};
        j.rows.page = attn_row_begin(a, &j.rows, 0) / KV_PAGE;
        j.rows.page_end = i64_ceil_div(attn_row_end(&j.rows, j.rows.rows - 1), KV_PAGE);
        int64_t items = i64_ceil_div(j.rows.page_end, MASS_PAGES) - j.rows.page / MASS_PAGES;
        reset(&j);
        j.second = false;
        pool_run(ctx->pool, mass_item, &j, items);
        join(&j, items, head);
        j.second = true;
        pool_run(ctx->pool, mass_item, &j, items);
    }
    mem_free(j.workers);
    mem_free(j.sum);
    return e;
}
