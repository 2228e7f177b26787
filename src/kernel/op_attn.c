/* Attention over all threads: cuts the batch into items (attn_work.h), runs them, joins what was cut along the keys.
 *
 * Fast mode also cuts a tile's keys into splits, so that a single row of a long sequence still is work for every thread. Where
 * it cuts depends on the batch and never on the number of threads. In exact mode nothing is cut along the keys: a row's result is
 * the same bits in every batch and chunk.
 */
#include <assert.h>

#include "kernel/attn_work.h"

enum {
    SPLITS = 64,         /* the longest item is about 1/SPLITS of the work ... */
    SPLIT_PAGES_MIN = 4, /* ... but no shorter than this, or joining costs more than it brings */
};

/* A tile longer than a split has at most twice as many parts as its share of the work is splits. */
enum { PARTS_MAX = 2 * SPLITS };

typedef struct attn_job {
    kernel_ctx *ctx;
    const op_attn_args *a;
    attn_item *items;
    char *parts, *workers;
    size_t part_bytes, worker_bytes;
    int64_t n_items;
} attn_job;

static size_t items_bytes(const kernel_limits *l)
{
    return size_round_up(((size_t)l->rows * (size_t)l->heads + PARTS_MAX) * sizeof(attn_item), MEM_ALIGN);
}

size_t op_attn_scratch(const kernel_ctx *ctx, const kernel_limits *l)
{
    size_t part = size_round_up(attn_state_bytes(ATTN_ROWS, l->dv), MEM_ALIGN);
    return items_bytes(l) + PARTS_MAX * part + (size_t)kernel_threads(ctx) * attn_worker_bytes(l->dk, l->dv);
}

/* ---- running an item ---- */

static attn_state part_state(const attn_job *j, const attn_item *it, int part)
{
    attn_state s;
    attn_state_place(&s, j->parts + (size_t)part * j->part_bytes, it->rows * it->heads, j->a->kv->dv);
    return s;
}

static void run_item(void *arg, int64_t index, int worker)
{
    attn_job *j = arg;
    const attn_item *it = &j->items[index];
    const attn_table *k = &j->ctx->table.attn;
    const vec_table *v = &j->ctx->table.vec;
    attn_tile t;
    attn_tile_place(&t, j->workers + (size_t)worker * j->worker_bytes, j->a, it, j->ctx->exact);
    if (it->parts > 1) t.st = part_state(j, it, it->part);
    attn_state_reset(&t.st);
    int64_t chunk = -1;
    for (int64_t p = it->page; p < it->page_end; p++) {
        const rope_spec *spec = j->a->rope ? j->a->rope->spec : NULL;
        int64_t m = spec && spec->dims ? p * KV_PAGE / spec->stride : 0;
        if (m != chunk) attn_tile_queries(k, v, &t, j->a, it, chunk = m);
        int n;
        bool edge = attn_tile_scores(k, v, &t, j->a, it, p, &n);
        k->softmax(&t, n);
        const uint8_t *head = attn_page_head(j->a, it, p);
        t.next = p + 1 < it->page_end ? attn_page_head(j->a, it, p + 1) : NULL;
        if (edge && !attn_values_finite(j->a->kv, head, n)) attn_values_careful(&t, head, n);
        else k->values(&t, head, n);
    }
    if (it->parts == 1) attn_finish(k, j->a, it, &t.st);
}

/* Joins the parts of a tile, in the order of its keys. */
static void join_item(void *arg, int64_t index, int worker)
{
    attn_job *j = arg;
    const attn_item *it = &j->items[index];
    if (it->parts == 1 || !it->first) return;
    attn_state all = part_state(j, it, it->part);
    for (int p = 1; p < it->parts; p++) {
        attn_state part = part_state(j, it, it->part + p);
        attn_state_merge(&all, &part);
    }
    attn_finish(&j->ctx->table.attn, j->a, it, &all);
}

/* ---- cutting the batch ---- */

typedef struct plan {
    attn_job *job;
    int64_t pages, split; /* pages over all tiles; the longest run of pages of one item */
    int64_t work;         /* multiplications over all tiles */
    int parts;            /* shared states given out */
} plan;

static void plan_tile(plan *p, attn_item it, bool emit)
{
    const op_attn_args *a = p->job->a;
    it.page = attn_row_begin(a, &it, 0) / KV_PAGE;
    it.page_end = i64_ceil_div(attn_row_end(&it, it.rows - 1), KV_PAGE);
    int64_t pages = it.page_end - it.page;
    if (!emit) {
        p->pages += pages;
        p->work += pages * KV_PAGE * it.rows * it.heads * (a->kv->dk + a->kv->dv);
        return;
    }
    it.parts = (int)i64_ceil_div(pages, p->split);
    for (int part = 0; part < it.parts; part++) {
        attn_item *out = &p->job->items[p->job->n_items++];
        *out = it;
        out->page = it.page + part * p->split;
        out->page_end = i64_min(it.page_end, out->page + p->split);
        out->first = part == 0;
        out->part = it.parts > 1 ? p->parts++ : 0;
    }
}

/* Every tile of the batch; the last rows first, since they see the most. */
static void plan_tiles(plan *p, bool emit)
{
    const op_attn_args *a = p->job->a;
    const int group = a->heads / a->kv->heads, fold = (int)i64_min(group, ATTN_ROWS), rows = ATTN_ROWS / fold;
    for (int s = 0; s < a->n_seqs; s++)
        for (int64_t tile = i64_ceil_div(a->seqs[s].count, rows) - 1; tile >= 0; tile--)
            for (int kv_head = 0; kv_head < a->kv->heads; kv_head++)
                for (int h = 0; h < group; h += fold) {
                    attn_item it = {.seq = &a->seqs[s], .row = tile * rows, .head = kv_head * group + h, .kv_head = kv_head};
                    it.rows = (int)i64_min(rows, a->seqs[s].count - it.row);
                    it.heads = (int)i64_min(fold, group - h);
                    plan_tile(p, it, emit);
                }
}

void op_attention(kernel_ctx *ctx, const op_attn_args *a)
{
    enum { WORTH_A_FORK = 1 << 17 }; /* multiplications */
    attn_job j = {.ctx = ctx, .a = a};
    j.items = ctx->attn.block;
    j.part_bytes = size_round_up(attn_state_bytes(ATTN_ROWS, a->kv->dv), MEM_ALIGN);
    j.worker_bytes = attn_worker_bytes(a->kv->dk, a->kv->dv);
    j.parts = (char *)ctx->attn.block + items_bytes(&ctx->limits);
    j.workers = j.parts + PARTS_MAX * j.part_bytes;
    plan p = {.job = &j};
    plan_tiles(&p, false);
    p.split = ctx->exact ? i64_max(1, p.pages) : i64_max(SPLIT_PAGES_MIN, i64_ceil_div(p.pages, SPLITS));
    plan_tiles(&p, true);
    assert(p.parts <= PARTS_MAX && j.workers + kernel_threads(ctx) * (int64_t)j.worker_bytes <= (char *)ctx->attn.block + ctx->attn.bytes);
    pool *threads = p.work < WORTH_A_FORK ? NULL : ctx->pool;
    pool_run(threads, run_item, &j, j.n_items);
    if (p.parts) pool_run(threads, join_item, &j, j.n_items);
}

/* ---- storing ---- */

typedef struct store_job {
    kernel_ctx *ctx;
    const kv_layout *l;
    const attn_seq *seq;
    const float *k, *v;
} store_job;

/* One page and one head: no two threads write the same line. */
static void store_item(void *arg, int64_t index, int worker)
{
    const store_job *j = arg;
    const kv_layout *l = j->l;
    const attn_seq *q = j->seq;
    int64_t page = q->pos / KV_PAGE + index / l->heads, h = index % l->heads;
    int64_t begin = i64_max(q->pos, page * KV_PAGE), end = i64_min(q->pos + q->count, (page + 1) * KV_PAGE);
    int64_t row = (q->row + begin - q->pos) * l->heads + h;
    j->ctx->table.attn.store(l, q->pages[page] + (size_t)h * kv_head_bytes(l), (int)(begin - page * KV_PAGE), (int)(end - begin),
                             j->k + row * l->dk, (int64_t)l->heads * l->dk, j->v + row * l->dv, (int64_t)l->heads * l->dv);
}

void op_kv_store(kernel_ctx *ctx, const kv_layout *l, const attn_seq *seqs, int n_seqs, const float *k, const float *v)
{
    enum { WORTH_A_FORK = 1 << 15 }; /* elements */
    for (int s = 0; s < n_seqs; s++) {
        if (!seqs[s].count) continue;
        store_job j = {ctx, l, &seqs[s], k, v};
        int64_t pages = (seqs[s].pos + seqs[s].count - 1) / KV_PAGE - seqs[s].pos / KV_PAGE + 1;
        bool fork = seqs[s].count * l->heads * (l->dk + l->dv) >= WORTH_A_FORK;
        pool_run(fork ? ctx->pool : NULL, store_item, &j, pages * l->heads);
    }
}
