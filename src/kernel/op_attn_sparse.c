/* Attention over the pages that matter, the others standing in as their means.
 *
 * First, an item is up to a page of rows of one sequence (all in the same page of positions, so that what is chosen does not depend on how a
 * text is cut into batches) and one query head:
 *
 *   1. scores of all its rows with the summaries of the pages far behind (summary.h): what each page might get;
 *   2. the `keep` pages that get most over all rows, by a softmax of those scores (after FlashPrefill); some heads keep more than others;
 *   3. exact attention over the first page (a sink), the pages kept, and the pages near the rows;
 *   4. every other page goes on as one key and one value, its means, with the weight of KV_PAGE tokens: nothing is left out altogether.
 *
 * Then an item is one row and the query heads of one KV head:
 *
 *   5. the row's repeats (op_repeats) join: tokens looked at one by one, here one and there one, which no choice of pages finds. Heads that
 *      continue what was said before look there (induction heads, Olsson et al. 2022). Step 3 leaves them out.
 *
 * All of it is one running softmax (attn.h). A page of summaries is a page, and repeats are gathered into pages (gather.h), so that it runs on
 * the kernels for pages.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernel/attn_work.h"
#include "kernel/gather.h"
#include "kernel/summary.h"

typedef struct sparse_job {
    kernel_ctx *ctx;
    const op_attn_args *a;
    const op_sparse *s;
    kv_layout means;    /* of the pages of summaries */
    char *workers;
    size_t worker_bytes;
    float *max;         /* [rows][heads] of the running softmax between the steps; its sums of values are in a->out */
    double *sum;        /* [rows][heads] */
    int64_t slots;      /* room for so many pages, a multiple of KV_PAGE */
    int64_t first_page; /* of the sequence's rows */
    bool repeats;
} sparse_job;

/* A worker's memory beside its tile. */
typedef struct sparse_work {
    attn_tile t;
    float *weight;     /* [ATTN_ROWS][slots] of each row: 2^(its score with a far page - top of the page's block) */
    float *top;        /* [slots / KV_PAGE][ATTN_ROWS] */
    float *mass;       /* [slots] what a page gets over all rows */
    float *order;      /* [slots] for choosing */
    uint8_t *gathered; /* one head of a page */
    int64_t far;       /* pages [1, far) may be chosen */
    int64_t view;      /* that the queries are rotated for */
    int64_t next[ATTN_ROWS], end[ATTN_ROWS]; /* of each row's repeats, those not yet passed */
} sparse_work;

static size_t gathered_bytes(int dk, int dv)
{
    const kv_layout widest = {KV_F32, 1, (dk + 3) / 4 * 4, (dv + 3) / 4 * 4}, q8 = {KV_Q8, 1, widest.dk, widest.dv};
    return size_round_up(kv_head_bytes(&widest) > kv_head_bytes(&q8) ? kv_head_bytes(&widest) : kv_head_bytes(&q8), MEM_ALIGN);
}

static size_t worker_bytes(int dk, int dv, int64_t slots)
{
    return attn_worker_bytes(dk, dv) + gathered_bytes(dk, dv) + size_round_up((size_t)(slots * (ATTN_ROWS + 2) + slots / KV_PAGE * ATTN_ROWS) * sizeof(float), MEM_ALIGN);
}

static int64_t slots_for(int64_t pages) { return i64_ceil_div(i64_max(1, pages), KV_PAGE) * KV_PAGE; }

static size_t states_bytes(int64_t rows, int heads)
{
    return size_round_up((size_t)rows * (size_t)heads * (sizeof(double) + sizeof(float)), MEM_ALIGN);
}

size_t op_attn_sparse_scratch(const kernel_ctx *ctx, const kernel_limits *l)
{
    if (!l->sparse_pages) return 0;
    return (size_t)kernel_threads(ctx) * worker_bytes(l->dk, l->dv, slots_for(l->sparse_pages)) + states_bytes(l->rows, l->heads);
}

static void place(const sparse_job *j, sparse_work *w, const attn_item *it, int worker)
{
    const kv_layout *l = j->a->kv;
    char *block = j->workers + (size_t)worker * j->worker_bytes;
    attn_tile_place(&w->t, block, j->a, it, false);
    w->gathered = (uint8_t *)block + attn_worker_bytes(l->dk, l->dv);
    w->weight = (float *)(void *)(w->gathered + gathered_bytes(l->dk, l->dv));
    w->top = w->weight + ATTN_ROWS * j->slots;
    w->mass = w->top + j->slots / KV_PAGE * ATTN_ROWS;
    w->order = w->mass + j->slots;
    w->t.kv = NULL;
    w->view = -1;
}

/* ---- queries and chunks ---- */

static const rope_spec *positions(const sparse_job *j)
{
    const rope_spec *r = j->a->rope ? j->a->rope->spec : NULL;
    return r && r->dims ? r : NULL;
}

/* A row has a rotation for each of the nearest chunks and one for all chunks behind those (rope.h): which one it has for a page. An item's rows have
 * the same. */
static int64_t view_of(const sparse_job *j, const attn_item *it, int64_t page)
{
    const rope_spec *r = positions(j);
    return r ? i64_min(rope_near(r), (attn_row_end(it, 0) - 1) / r->stride - page * KV_PAGE / r->stride) : 0;
}

/* The tile's queries for pages of this layout in the view of `page`. */
static void use(const sparse_job *j, sparse_work *w, const attn_item *it, const kv_layout *l, int64_t page)
{
    const int64_t view = view_of(j, it, page);
    if (w->t.kv == l && w->view == view) return;
    w->t.kv = l;
    w->view = view;
    attn_tile_queries(&j->ctx->table.attn, &j->ctx->table.vec, &w->t, j->a, it, positions(j) ? page * KV_PAGE / positions(j)->stride : 0);
}

/* ---- 1: scores with the means ---- */

static const uint8_t *means_head(const sparse_job *j, const attn_item *it, int64_t block)
{
    return j->s->summaries + (size_t)block * kv_page_bytes(&j->means) + (size_t)it->kv_head * kv_head_bytes(&j->means);
}

static int far_of_block(const sparse_work *w, int64_t block) { return (int)i64_min(KV_PAGE, w->far - block * KV_PAGE); }

/* t.s = scores with the first n pages of a block of KV_PAGE summaries; a view may begin within it. */
static void score_block(const sparse_job *j, sparse_work *w, const attn_item *it, int64_t block, int n)
{
    const int64_t base = block * KV_PAGE;
    float *s = w->t.s, *whole = w->weight + base; /* pieces are put together where the weights will be */
    int from = 0;
    for (int to; from < n; from = to) {
        for (to = n; view_of(j, it, base + to - 1) != view_of(j, it, base + from);) to--;
        use(j, w, it, &j->means, base + from);
        attn_tile_logits(&j->ctx->table.attn, &j->ctx->table.vec, &w->t, j->a, means_head(j, it, block), to);
        if (from == 0 && to == n) return;
        for (int r = 0; r < w->t.st.rows; r++) memcpy(whole + r * j->slots + from, s + r * KV_PAGE + from, (size_t)(to - from) * sizeof(float));
    }
    for (int r = 0; r < w->t.st.rows; r++) memcpy(s + r * KV_PAGE, whole + r * j->slots, (size_t)n * sizeof(float));
}

/* Weights of all far pages, relative to the tops of their blocks; the tile's state then has the last top and the sum of all. */
static void weigh(const sparse_job *j, sparse_work *w, const attn_item *it)
{
    attn_tile *t = &w->t;
    attn_state_reset(&t->st);
    for (int64_t b = 0; b < i64_ceil_div(w->far, KV_PAGE); b++) {
        const int n = far_of_block(w, b);
        score_block(j, w, it, b, n);
        for (int r = 0; b == 0 && r < t->st.rows; r++) t->s[r * KV_PAGE] = -INFINITY; /* page 0 is always looked at */
        j->ctx->table.attn.softmax(t, n);
        memcpy(w->top + b * ATTN_ROWS, t->st.max, (size_t)t->st.rows * sizeof *t->st.max);
        for (int r = 0; r < t->st.rows; r++) memcpy(w->weight + r * j->slots + b * KV_PAGE, t->s + r * KV_PAGE, (size_t)n * sizeof(float));
    }
}

/* ---- 2: choosing ---- */

/* mass[page] = sum over the rows of a softmax over the far pages. */
static void add_up(const sparse_job *j, sparse_work *w)
{
    const attn_state *st = &w->t.st;
    for (int64_t b = 0; b < i64_ceil_div(w->far, KV_PAGE); b++) {
        const int n = far_of_block(w, b);
        float sum[KV_PAGE] = {0};
        for (int r = 0; r < st->rows; r++) {
            const float *x = w->weight + r * j->slots + b * KV_PAGE;
            const float by = st->sum[r] > 0 ? (float)((double)attn_rescale(w->top[b * ATTN_ROWS + r], st->max[r]) / st->sum[r]) : 0;
            for (int i = 0; i < n; i++) sum[i] += x[i] * by;
        }
        memcpy(w->mass + b * KV_PAGE, sum, (size_t)n * sizeof *sum);
    }
}

enum { KEPT = -1 /* a page's mass once it is chosen */ };

/* The n-th largest of x[0..len), n from 0; reorders x. Hoare's selection; a NaN counts as the smallest. */
static float nth_largest(float *x, int64_t len, int64_t n)
{
    int64_t lo = 0, hi = len - 1;
    while (lo < hi) {
        float pivot = x[lo + (hi - lo) / 2];
        int64_t i = lo, k = hi;
        while (i <= k) {
            while (x[i] > pivot) i++;
            while (pivot > x[k]) k--;
            if (i > k) break;
            float swap = x[i];
            x[i++] = x[k];
            x[k--] = swap;
        }
        if (n <= k) hi = k;
        else if (n >= i) lo = i;
        else break;
    }
    return x[n];
}

/* The far pages with most mass, the earlier of two equals; one that is kept is marked. */
static void keep_best(sparse_work *w, int64_t keep)
{
    for (int64_t p = 1; p < w->far; p++)
        if (!(w->mass[p] >= 0)) w->mass[p] = 0; /* no number: the rows are spoilt anyway */
    memcpy(w->order, w->mass + 1, (size_t)(w->far - 1) * sizeof *w->order);
    const float least = nth_largest(w->order, w->far - 1, keep - 1);
    int64_t equal = keep;
    for (int64_t p = 1; p < w->far; p++) equal -= w->mass[p] > least;
    for (int64_t p = 1; p < w->far; p++) {
        if (!(w->mass[p] > least) && !(w->mass[p] == least && equal-- > 0)) continue;
        w->mass[p] = KEPT;
    }
}

/* ---- 3 and 4: attention ---- */

/* A row's own repeats, which come later, become -INFINITY. Pages come in ascending order. */
static void leave_repeats_out(const sparse_job *j, sparse_work *w, int64_t page)
{
    const int32_t *at = j->s->repeats->at;
    for (int r = 0; r < w->t.st.rows; r++) {
        int64_t i = w->next[r];
        while (i < w->end[r] && at[i] < page * KV_PAGE) i++;
        for (; i < w->end[r] && at[i] < (page + 1) * KV_PAGE; i++) w->t.s[r * KV_PAGE + at[i] % KV_PAGE] = -INFINITY;
        w->next[r] = i;
    }
}

static void attend_page(const sparse_job *j, sparse_work *w, const attn_item *it, int64_t p)
{
    const attn_table *k = &j->ctx->table.attn;
    const uint8_t *head = attn_page_head(j->a, it, p);
    int n;
    use(j, w, it, j->a->kv, p);
    bool edge = attn_tile_scores(k, &j->ctx->table.vec, &w->t, j->a, it, p, &n);
    if (j->repeats && p < w->far) leave_repeats_out(j, w, p);
    k->softmax(&w->t, n);
    if (edge && !attn_values_finite(j->a->kv, head, n)) attn_values_careful(&w->t, head, n);
    else k->values(&w->t, head, n);
}

/* The pages that were not kept, each as KV_PAGE tokens. `highest`: of each row, the largest score with any far page: no weight is more than 1
 * beside it. */
static void attend_means(const sparse_job *j, sparse_work *w, const attn_item *it, const float *highest)
{
    enum { TOKENS_LOG2 = 7 };
    _Static_assert(KV_PAGE == 1 << TOKENS_LOG2, "the weight of a page");
    attn_tile *t = &w->t;
    attn_state *st = &t->st;
    for (int r = 0; r < st->rows; r++) {
        const float max = fmaxf(st->max[r], highest[r] + TOKENS_LOG2);
        t->alpha[r] = attn_rescale(st->max[r], max);
        st->sum[r] *= (double)t->alpha[r];
        st->max[r] = max;
    }
    t->kv = &j->means;
    t->next = NULL;
    for (int64_t b = 0; b < i64_ceil_div(w->far, KV_PAGE); b++) {
        const int n = far_of_block(w, b);
        float left[KV_PAGE] = {0}; /* 1: the page is not kept */
        for (int i = 0; i < n; i++) left[i] = b + i != 0 && w->mass[b * KV_PAGE + i] != KEPT;
        for (int r = 0; r < st->rows; r++) {
            const float *x = w->weight + r * j->slots + b * KV_PAGE, by = attn_rescale(w->top[b * ATTN_ROWS + r] + TOKENS_LOG2, st->max[r]);
            float *s = t->s + r * KV_PAGE, sum = 0;
            for (int i = 0; i < n; i++) s[i] = x[i] * left[i] * by;
            for (int i = n; i < KV_PAGE; i++) s[i] = 0;
            for (int i = 0; i < n; i++) sum += s[i];
            st->sum[r] += (double)sum;
        }
        j->ctx->table.attn.values(t, means_head(j, it, b), n);
        for (int r = 0; r < st->rows; r++) t->alpha[r] = 1;
    }
}

/* The running softmax of the item's rows is put down for step 5. */
static void put_down(const sparse_job *j, const attn_item *it, const attn_state *st)
{
    const int dv = j->a->kv->dv;
    for (int i = 0; i < it->rows; i++) {
        const int64_t at = (it->row + i) * j->a->heads + it->head;
        memcpy(j->a->out + ((it->seq->row + it->row + i) * j->a->heads + it->head) * dv, st->out + i * st->ld, (size_t)dv * sizeof(float));
        j->max[at] = st->max[i];
        j->sum[at] = st->sum[i];
    }
}

/* The rows that stand in one page of positions, of one head. */
static attn_item item_at(const sparse_job *j, int64_t page, int head)
{
    const op_attn_args *a = j->a;
    const attn_seq *seq = a->seqs;
    const int64_t begin = i64_max(seq->pos, page * KV_PAGE), end = i64_min(seq->pos + seq->count, (page + 1) * KV_PAGE);
    return (attn_item){.seq = seq, .row = begin - seq->pos, .rows = (int)(end - begin), .head = head, .heads = 1,
                       .kv_head = head / (a->heads / a->kv->heads), .page_end = page + 1};
}

/* How many far pages the item's head keeps: all of them at most. */
static int64_t keep_of(const sparse_job *j, const attn_item *it, int64_t far)
{
    const int64_t times = j->s->times ? j->s->times[it->head] : 1;
    return i64_min(j->s->keep * times, far - 1);
}

/* Readies a worker for an item. Whether there is anything to choose from: `highest` then is of each row its largest score with a far page. */
static bool choose(const sparse_job *j, sparse_work *w, const attn_item *it, int worker, float highest[ATTN_ROWS])
{
    w->far = i64_max(1, it->page_end - j->s->near);
    place(j, w, it, worker);
    if (w->far <= 1 || j->s->keep < 0) return false;
    weigh(j, w, it);
    add_up(j, w);
    memcpy(highest, w->t.st.max, (size_t)it->rows * sizeof *highest);
    if (j->s->keep > 0) keep_best(w, keep_of(j, it, w->far));
    return true;
}

static void run_item(void *arg, int64_t index, int worker)
{
    const sparse_job *j = arg;
    const op_attn_args *a = j->a;
    const int64_t page = j->first_page + index / a->heads;
    const attn_item it = item_at(j, page, (int)(index % a->heads));
    sparse_work w;
    float highest[ATTN_ROWS];
    const bool far = choose(j, &w, &it, worker, highest);
    for (int r = 0; j->repeats && r < it.rows; r++) w.next[r] = j->s->repeats->begin[it.row + r], w.end[r] = j->s->repeats->begin[it.row + r + 1];
    attn_state_reset(&w.t.st);
    for (int64_t p = 0, next; p <= page; p = next) {
        for (next = p + 1; next < w.far && !(far && w.mass[next] == KEPT);) next++;
        w.t.next = next <= page ? attn_page_head(a, &it, next) : NULL;
        attend_page(j, &w, &it, p);
    }
    if (far) attend_means(j, &w, &it, highest);
    if (j->repeats) put_down(j, &it, &w.t.st);
    else attn_finish(&j->ctx->table.attn, a, &it, &w.t.st);
}

/* ---- 5: repeats ---- */

/* The running softmax of one row, in the tile's. */
static void take_up(const sparse_job *j, const attn_item *it, attn_state *st)
{
    const int dv = j->a->kv->dv;
    attn_state_reset(st);
    for (int h = 0; h < it->heads; h++) {
        const int64_t at = it->row * j->a->heads + it->head + h;
        memcpy(st->out + h * st->ld, j->a->out + ((it->seq->row + it->row) * j->a->heads + it->head + h) * dv, (size_t)dv * sizeof(float));
        st->max[h] = j->max[at];
        st->sum[h] = j->sum[at];
    }
}

static void attend_tokens(const sparse_job *j, sparse_work *w, const attn_item *it, int64_t page, int n)
{
    const attn_table *k = &j->ctx->table.attn;
    if (!n) return;
    use(j, w, it, j->a->kv, page);
    attn_tile_logits(k, &j->ctx->table.vec, &w->t, j->a, w->gathered, n);
    k->softmax(&w->t, n);
    k->values(&w->t, w->gathered, n);
}

static void run_row(void *arg, int64_t index, int worker)
{
    const sparse_job *j = arg;
    const op_attn_args *a = j->a;
    const int group = a->heads / a->kv->heads, fold = (int)i64_min(group, ATTN_ROWS), parts = (int)i64_ceil_div(group, fold);
    attn_item it = {.seq = a->seqs, .row = index / (a->kv->heads * parts), .rows = 1};
    it.kv_head = (int)(index / parts % a->kv->heads);
    const int first = (int)(index % parts) * fold;
    it.head = it.kv_head * group + first;
    it.heads = (int)i64_min(fold, group - first);
    sparse_work w;
    place(j, &w, &it, worker);
    take_up(j, &it, &w.t.st);
    const op_repeats *rep = j->s->repeats;
    const int64_t end = rep->begin[it.row + 1];
    int64_t page = 0;
    int n = 0;
    for (int64_t i = rep->begin[it.row]; i < end; i++) {
        const int64_t soon = i + 2 < end ? rep->at[i + 2] : rep->at[i];
        gather_soon(a->kv, attn_page_head(a, &it, soon / KV_PAGE), soon % KV_PAGE);
        const int64_t at = rep->at[i] / KV_PAGE;
        if (n == KV_PAGE || view_of(j, &it, at) != view_of(j, &it, page)) {
            attend_tokens(j, &w, &it, page, n);
            n = 0;
        }
        page = at;
        gather_token(a->kv, w.gathered, n++, attn_page_head(a, &it, page), rep->at[i] % KV_PAGE);
    }
    attend_tokens(j, &w, &it, page, n);
    attn_finish(&j->ctx->table.attn, a, &it, &w.t.st);
}

/* ---- what is called ---- */

static sparse_job job_of(kernel_ctx *ctx, const op_attn_args *a, const op_sparse *s)
{
    const attn_seq *seq = a->seqs;
    sparse_job j = {.ctx = ctx, .a = a, .s = s, .means = summary_layout(a->kv), .slots = slots_for(i64_ceil_div(seq->pos + seq->count, KV_PAGE)),
                    .first_page = seq->pos / KV_PAGE, .repeats = s->repeats && s->keep >= 0};
    j.worker_bytes = worker_bytes(a->kv->dk, a->kv->dv, j.slots);
    j.sum = ctx->sparse.block;
    j.max = (float *)(void *)(j.sum + seq->count * a->heads);
    j.workers = (char *)ctx->sparse.block + states_bytes(seq->count, a->heads);
    assert(a->n_seqs == 1 && !a->window && !ctx->exact && s->near >= 1);
    assert(states_bytes(seq->count, a->heads) + (size_t)kernel_threads(ctx) * j.worker_bytes <= ctx->sparse.bytes);
    return j;
}

/* Pages of positions in which the rows stand. */
static int64_t row_pages(const attn_seq *seq) { return i64_ceil_div(seq->pos + seq->count, KV_PAGE) - seq->pos / KV_PAGE; }

void op_attention_sparse(kernel_ctx *ctx, const op_attn_args *a, const op_sparse *s)
{
    sparse_job j = job_of(ctx, a, s);
    const int group = a->heads / a->kv->heads;
    pool_run(ctx->pool, run_item, &j, row_pages(a->seqs) * a->heads);
    if (j.repeats) pool_run(ctx->pool, run_row, &j, a->seqs->count * a->kv->heads * i64_ceil_div(group, i64_min(group, ATTN_ROWS)));
}

typedef struct choice_job {
    sparse_job job;
    const op_choice *to;
} choice_job;

static void choose_item(void *arg, int64_t index, int worker)
{
    const choice_job *c = arg;
    const attn_item it = item_at(&c->job, c->job.first_page + index, c->to->head);
    sparse_work w;
    float highest[ATTN_ROWS];
    const bool far = choose(&c->job, &w, &it, worker, highest);
    uint8_t *kept = c->to->kept + index * c->to->ld;
    for (int64_t p = 0; p < it.page_end; p++) kept[p] = p == 0 || p >= w.far || (far && w.mass[p] == KEPT);
}

void op_sparse_choice(kernel_ctx *ctx, const op_attn_args *a, const op_sparse *s, const op_choice *c)
{
    choice_job j = {job_of(ctx, a, s), c};
    pool_run(ctx->pool, choose_item, &j, row_pages(a->seqs));
}
