/* Cutting a batch into parts; a worker's layouts of keys, values and queries. */
#include "kernel/attn_train_work.h"

#include <assert.h>
#include <string.h>

enum {
    PARTS = 32,        /* about so many parts in all, so that they are work for every thread ... */
    CELLS_MORE = 2048, /* ... as long as there is no more than this, and twice the rows, to join */
};

static int padded(int d) { return (d + ATTN_COLS - 1) / ATTN_COLS * ATTN_COLS; }
static int64_t cells_max(int64_t rows) { return 2 * rows + CELLS_MORE; } /* of one query head */

static size_t cell_bytes(int dk, int dv)
{
    size_t forward = (size_t)padded(dv) * sizeof(float) + sizeof(double) + sizeof(float), backward = (size_t)padded(dk) * sizeof(float);
    return forward > backward ? forward : backward;
}

size_t train_worker_bytes(int dk, int dv)
{
    size_t d = (size_t)padded(dk) + (size_t)padded(dv);
    size_t floats = TRAIN_BLOCKS * KV_PAGE * 3 * d + TRAIN_ROWS * (2 * d + (size_t)padded(dk)) + 2 * TRAIN_ROWS * TRAIN_LD;
    return size_round_up(floats * sizeof(float), 4096);
}

static size_t parts_bytes(const kernel_limits *l)
{
    return size_round_up((size_t)cells_max(l->train_rows) * (size_t)l->heads * sizeof(train_part), MEM_ALIGN);
}

size_t op_attn_train_scratch(const kernel_ctx *ctx, const kernel_limits *l)
{
    if (!l->train_rows) return 0;
    size_t cells = (size_t)cells_max(l->train_rows) * (size_t)l->heads * cell_bytes(l->dk, l->dv);
    return parts_bytes(l) + size_round_up(cells, MEM_ALIGN) + MEM_ALIGN + (size_t)kernel_threads(ctx) * train_worker_bytes(l->dk, l->dv);
}

/* ---- cutting ---- */

static int64_t first_block(const op_attn_args *a, const attn_seq *q)
{
    return a->window ? i64_min(q->pos / KV_PAGE, i64_max(0, q->pos + 1 - a->window) / KV_PAGE) : 0;
}

/* Blocks are numbered as pages are; the page of positions where the batch's own rows begin may be two blocks. */
static int64_t end_block(const attn_seq *q) { return i64_ceil_div(q->pos + q->count, KV_PAGE) + (q->pos % KV_PAGE ? 1 : 0); }

static train_keys keys_of(const attn_seq *q, int64_t block)
{
    int64_t prefix = i64_ceil_div(q->pos, KV_PAGE), page = block < prefix ? block : block - prefix + q->pos / KV_PAGE;
    train_keys k = {.base = page * KV_PAGE, .own = block >= prefix};
    int64_t end = i64_min((page + 1) * KV_PAGE, k.own ? q->pos + q->count : q->pos);
    if (k.own) k.base = i64_max(k.base, q->pos);
    k.n = (int)(end - k.base);
    return k;
}

static int64_t block_at(const attn_seq *q, int64_t position)
{
    return position < q->pos ? position / KV_PAGE : i64_ceil_div(q->pos, KV_PAGE) + position / KV_PAGE - q->pos / KV_PAGE;
}

void train_part_of_keys(const op_attn_args *a, train_part *p, int64_t begin, int64_t end)
{
    const attn_seq *q = p->seq;
    end = i64_min(end, q->pos + q->count);
    p->block = p->block_end = 0;
    if (begin >= end) return;
    p->block_end = block_at(q, end - 1) + 1;
    p->block = i64_min(i64_max(block_at(q, begin), first_block(a, q)), p->block_end);
}

static int64_t blocks_of(const op_attn_args *a, const attn_seq *q) { return q->count ? end_block(q) - first_block(a, q) : 0; }

static int64_t cells_for(const op_attn_args *a, int64_t split)
{
    int64_t cells = 0;
    for (int s = 0; s < a->n_seqs; s++) cells += i64_ceil_div(blocks_of(a, &a->seqs[s]), split) * a->seqs[s].count;
    return cells;
}

static void add_parts(train_job *j, const attn_seq *q, int kv_head, int64_t split)
{
    const op_attn_args *a = &j->t->a;
    int64_t first = first_block(a, q), blocks = blocks_of(a, q), parts = i64_ceil_div(blocks, split);
    for (int64_t p = 0; p < parts; p++) {
        j->parts[j->n_parts++] = (train_part){.seq = q, .kv_head = kv_head, .block = first + blocks * p / parts, .block_end = first + blocks * (p + 1) / parts,
                                              .cells = j->cells, .parts = p ? 0 : (int)parts};
        j->cells += q->count * (a->heads / a->kv->heads);
    }
}

void train_plan(train_job *j)
{
    kernel_ctx *ctx = j->ctx;
    const op_attn_args *a = &j->t->a;
    int64_t rows = 0, blocks = 0;
    for (int s = 0; s < a->n_seqs; s++) {
        rows += a->seqs[s].count;
        blocks += blocks_of(a, &a->seqs[s]) * a->kv->heads;
    }
    assert(rows <= ctx->limits.train_rows && a->heads <= ctx->limits.heads && "kernel_limits.train_rows");
    j->parts = ctx->train.block;
    j->cell_block = (char *)ctx->train.block + parts_bytes(&ctx->limits);
    j->worker_bytes = train_worker_bytes(a->kv->dk, a->kv->dv);
    j->workers = (char *)ctx->train.block + ctx->train.bytes - (size_t)kernel_threads(ctx) * j->worker_bytes;
    int64_t split = i64_max(1, i64_ceil_div(blocks, PARTS));
    while (cells_for(a, split) > cells_max(rows)) split *= 2;
    for (int s = 0; s < a->n_seqs; s++)
        for (int h = 0; h < a->kv->heads; h++) add_parts(j, &a->seqs[s], h, split);
    assert(j->cell_block + (size_t)j->cells * cell_bytes(a->kv->dk, a->kv->dv) <= j->workers);
}

pool *train_pool(const train_job *j)
{
    enum { WORTH_A_FORK = 1 << 17 }; /* multiplications */
    const op_attn_args *a = &j->t->a;
    int64_t work = 0;
    for (int s = 0; s < a->n_seqs; s++) work += blocks_of(a, &a->seqs[s]) * KV_PAGE * a->seqs[s].count * a->heads * (a->kv->dk + a->kv->dv);
    return work < WORTH_A_FORK ? NULL : j->ctx->pool;
}

/* ---- a worker ---- */

void train_work_open(train_work *w, const train_job *j, const train_part *part, int worker)
{
    const op_attn_args *a = &j->t->a;
    *w = (train_work){.j = j, .k = &j->ctx->table.attn, .v = &j->ctx->table.vec, .part = part, .group = a->heads / a->kv->heads,
                      .dk = padded(a->kv->dk), .dv = padded(a->kv->dv), .next = part ? part->block : 0};
    float *f = (float *)(void *)(j->workers + (size_t)worker * j->worker_bytes);
    const int64_t keys = TRAIN_BLOCKS * KV_PAGE;
    w->keys_turned = f, f += keys * w->dk;
    w->key_panels = f, f += keys * w->dk;
    w->values_turned = f, f += keys * w->dv;
    w->value_panels = f, f += keys * w->dv;
    w->sum_k = f, f += keys * w->dk;
    w->sum_v = f, f += keys * w->dv;
    w->q = f, f += TRAIN_ROWS * w->dk;
    w->q_panels = f, f += TRAIN_ROWS * w->dk;
    w->dq = f, f += TRAIN_ROWS * w->dk;
    w->dout = f, f += TRAIN_ROWS * w->dv;
    w->dout_panels = f, f += TRAIN_ROWS * w->dv;
    w->s = f, f += TRAIN_ROWS * TRAIN_LD;
    w->dp = f;
}

static const rope_spec *spec_of(const train_work *w)
{
    const rope_tables *r = w->j->t->a.rope;
    return r && r->spec->dims ? r->spec : NULL;
}

/* Panels of one block: forward needs keys turned and values, backward also keys, and values turned. */
static void lay_out(train_work *w, int b, bool backward)
{
    const op_attn_train *t = w->j->t;
    const kv_layout *l = t->a.kv;
    const train_keys *k = &w->keys[b];
    const int64_t at_k = (int64_t)b * KV_PAGE * w->dk, at_v = (int64_t)b * KV_PAGE * w->dv;
    if (k->own) {
        const int64_t row = w->part->seq->row + k->base - w->part->seq->pos, ldk = (int64_t)l->heads * l->dk, ldv = (int64_t)l->heads * l->dv;
        const float *keys = t->k + row * ldk + (int64_t)w->part->kv_head * l->dk, *values = t->v + row * ldv + (int64_t)w->part->kv_head * l->dv;
        w->k->panels_turned(w->keys_turned + at_k, 16 * w->dk, keys, ldk, k->n, l->dk);
        if (backward) {
            w->k->panels(w->key_panels + at_k, 16 * KV_PAGE, keys, ldk, k->n, l->dk);
            w->k->panels_turned(w->values_turned + at_v, 16 * w->dv, values, ldv, k->n, l->dv);
        } else
            w->k->panels(w->value_panels + at_v, 16 * KV_PAGE, values, ldv, k->n, l->dv);
        return;
    }
    const uint8_t *head = w->part->seq->pages[k->base / KV_PAGE] + (size_t)w->part->kv_head * kv_head_bytes(l);
    w->k->page_keys(l, head, k->n, w->keys_turned + at_k, 16 * w->dk);
    w->k->page_values(l, head, k->n, w->value_panels + at_v, 16 * KV_PAGE);
    for (int i = 0; backward && i < k->n; i += 16) /* turned back */
        w->k->panels_turned(w->key_panels + at_k + i * 16, 16 * KV_PAGE, w->keys_turned + at_k + (int64_t)i * w->dk, 16, l->dk, 16);
    for (int c = 0; backward && c < w->dv; c += 16)
        w->k->panels_turned(w->values_turned + at_v + c * 16, 16 * w->dv, w->value_panels + at_v + c * KV_PAGE, 16, k->n, 16);
}

bool train_next_group(train_work *w, bool backward)
{
    const attn_seq *q = w->part->seq;
    const rope_spec *spec = spec_of(w);
    if (w->next == w->part->block_end) return false;
    w->n_keys = 0;
    for (; w->next < w->part->block_end && w->n_keys < TRAIN_BLOCKS; w->next++) {
        train_keys k = keys_of(q, w->next);
        int64_t chunk = spec ? k.base / spec->stride : 0;
        if (w->n_keys && (k.own != w->own || chunk != w->chunk)) break;
        w->own = k.own;
        w->chunk = chunk;
        w->keys[w->n_keys++] = k;
    }
    w->coded = !w->own && kv_coded(w->j->t->a.kv->type);
    w->last_prefix = !w->own && (w->next == w->part->block_end || keys_of(q, w->next).own);
    for (int b = 0; b < w->n_keys; b++) lay_out(w, b, backward);
    return true;
}

bool train_next_tile(train_work *w, int head, int64_t from)
{
    const attn_seq *q = w->part->seq;
    const train_keys *first = &w->keys[0], *last = &w->keys[w->n_keys - 1];
    const int64_t window = w->j->t->a.window, begin = first->base - q->pos, end = last->base + last->n - q->pos; /* rows of the keys, negative in the prefix */
    w->head = head;
    w->row = i64_max(from, begin);
    w->rows = (int)i64_min(TRAIN_ROWS, (window ? i64_min(q->count, end - 1 + window) : q->count) - w->row);
    return w->rows > 0;
}

const float *train_rotation(const train_work *w, int i)
{
    const rope_spec *spec = spec_of(w);
    const attn_seq *q = w->part->seq;
    return spec ? rope_row(w->j->t->a.rope, q->row + w->row + i, (q->pos + w->row + i) / spec->stride - w->chunk) : NULL;
}

void train_queries(train_work *w)
{
    const op_attn_args *a = &w->j->t->a;
    const rope_spec *spec = spec_of(w);
    const float scale = a->softcap > 0 ? a->scale : a->scale * ATTN_LOG2_E;
    for (int i = 0; i < w->rows; i++) {
        float *q = w->q + i * w->dk;
        memcpy(q, a->q + ((w->part->seq->row + w->row + i) * a->heads + w->head) * a->kv->dk, (size_t)a->kv->dk * sizeof *q);
        w->v->scale(q, scale, a->kv->dk);
        if (spec) w->v->rope(q, train_rotation(w, i), spec->dims, spec->interleaved);
        if (w->coded) w->k->rotate(q, a->kv->dk, kv_key_rotation(a->kv->type));
    }
}

bool train_sees_all(train_work *w, int b)
{
    const train_keys *k = &w->keys[b];
    const int64_t window = w->j->t->a.window, first = w->part->seq->pos + w->row - k->base; /* the first row's position, counted from the block */
    for (int i = 0; i < w->rows; i++) {
        w->end[i] = (int)i64_max(0, i64_min(k->n, first + i + 1));
        w->begin[i] = window ? (int)i64_max(0, i64_min(k->n, first + i + 1 - window)) : 0;
    }
    return w->end[0] == k->n && w->begin[w->rows - 1] == 0;
}

void train_scores(train_work *w, int b, int r, int r_end)
{
    const op_attn_args *a = &w->j->t->a;
    const int from = w->begin[r] & ~15, n = w->end[r_end - 1] - from;
    const int64_t ld = 16 * w->dk;
    w->k->product(&(attn_product){.c = w->s + r * TRAIN_LD + from, .ldc = TRAIN_LD, .a = w->q + r * w->dk, .lda = w->dk,
                                  .b = w->keys_turned + (int64_t)b * KV_PAGE * w->dk + from / 16 * ld, .ldb = ld, .m = r_end - r, .n = n, .k = a->kv->dk});
    for (; a->softcap > 0 && r < r_end; r++) {
        w->v->softcap(w->s + r * TRAIN_LD + from, a->softcap, n);
        w->v->scale(w->s + r * TRAIN_LD + from, ATTN_LOG2_E, n);
    }
}

double train_aim_mass(const op_attn_train *t, const op_attn_aim *m)
{
    double sum = 0;
    for (int64_t i = 0; i < train_aim_rows(t, m); i++) sum += (double)m->mass[i];
    sum /= (double)train_aim_rows(t, m);
    return sum < 1e-30 ? 1e-30 : sum; /* a NaN stays one */
}
