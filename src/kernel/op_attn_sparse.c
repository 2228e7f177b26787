/* Attention over the pages that matter, the others standing in as their means.
 *
 * First, an item is up to a page of rows of one sequence (all in the same page of positions, so that what is chosen does not depend on how a
 * text is cut into batches) and one query head:
 *
 *   1. scores of all its rows with the summaries of the pages far behind (summary.h): what each page might get. Where these are many, first with
 *      the summaries of groups of them; pages are weighed only of the groups that get most, the `open` ones;
 *   2. the `keep` pages that get most over all rows, by a softmax of those scores (after FlashPrefill); some heads keep more than others;
 *   3. exact attention over the first page (a sink), the pages kept, and the pages near the rows;
 *   4. every other page goes on as one key and one value, its means, with the weight of KV_PAGE tokens, every group that is not open as its own
 *      means, with the weight of all its tokens: nothing is left out altogether.
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

enum { OPEN_FOR_ONE = 4 /* pages weighed for one kept, at least */ };

typedef struct sparse_job {
    kernel_ctx *ctx;
    const op_attn_args *a;
    const op_sparse *s;
    kv_layout means;    /* of the pages of summaries */
    char *workers;
    size_t worker_bytes;
    float *max;         /* [rows][heads] of the running softmax between the steps; its sums of values are in a->out */
    double *sum;        /* [rows][heads] */
    int64_t slots;      /* room for so many columns (sparse_work), a multiple of KV_PAGE */
    int64_t first_page; /* of the sequence's rows */
    bool repeats, groups;
} sparse_job;

/* A worker's memory beside its tile. What is weighed are columns, in blocks of KV_PAGE: blocks of groups, if there are any, then blocks of pages. */
typedef struct sparse_work {
    attn_tile t;
    float *weight;      /* [ATTN_ROWS][slots] of each row: 2^(its score with a column - top of the column's block) */
    float *top;         /* [slots / KV_PAGE][ATTN_ROWS] */
    float *mass;        /* [slots] what a group, later a page, gets over all rows */
    float *order;       /* [slots] for choosing */
    int32_t *open;      /* the open groups, ascending */
    uint8_t *summaries; /* blocks of the pages of the open groups, one head */
    uint8_t *gathered;  /* one head of a page */
    int64_t far;        /* pages [1, far) may be chosen */
    int64_t groups;     /* how many are weighed; 0: every page is weighed by itself */
    int64_t pages;      /* and how many pages */
    int64_t view;       /* that the queries are rotated for */
    int64_t next[ATTN_ROWS], end[ATTN_ROWS]; /* of each row's repeats, those not yet passed */
} sparse_work;

/* A head of a page of this type, or of q8 where that is more. */
static size_t head_bytes(kv_type type, int dk, int dv)
{
    const kv_layout plain = {type, 1, (dk + 3) / 4 * 4, (dv + 3) / 4 * 4}, q8 = {KV_Q8, 1, plain.dk, plain.dv};
    return size_round_up(kv_head_bytes(&plain) > kv_head_bytes(&q8) ? kv_head_bytes(&plain) : kv_head_bytes(&q8), MEM_ALIGN);
}

static size_t gathered_bytes(int dk, int dv) { return head_bytes(KV_F32, dk, dv); }
static size_t summaries_bytes(int dk, int dv, int64_t slots) { return head_bytes(KV_BF16, dk, dv) * (size_t)(slots / KV_PAGE); }

static size_t worker_bytes(int dk, int dv, int64_t slots)
{
    const size_t floats = (size_t)(slots * (ATTN_ROWS + 2) + slots / KV_PAGE * ATTN_ROWS), open = (size_t)(slots / SUMMARY_GROUP);
    return attn_worker_bytes(dk, dv) + gathered_bytes(dk, dv) + summaries_bytes(dk, dv, slots) + size_round_up(floats * sizeof(float) + open * sizeof(int32_t), MEM_ALIGN);
}

static int64_t whole_blocks(int64_t columns) { return i64_ceil_div(i64_max(1, columns), KV_PAGE) * KV_PAGE; }
static int64_t slots_for(int64_t pages) { return whole_blocks(pages) + whole_blocks(i64_ceil_div(pages, SUMMARY_GROUP)); }

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
    w->summaries = w->gathered + gathered_bytes(l->dk, l->dv);
    w->weight = (float *)(void *)(w->summaries + summaries_bytes(l->dk, l->dv, j->slots));
    w->top = w->weight + ATTN_ROWS * j->slots;
    w->mass = w->top + j->slots / KV_PAGE * ATTN_ROWS;
    w->order = w->mass + j->slots;
    w->open = (int32_t *)(void *)(w->order + j->slots);
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

static int64_t group_blocks(const sparse_work *w) { return i64_ceil_div(w->groups, KV_PAGE); }
static int64_t end_block(const sparse_work *w) { return group_blocks(w) + i64_ceil_div(w->pages, KV_PAGE); }

/* The page of a column of pages. */
static int64_t page_of(const sparse_work *w, int64_t i) { return w->groups ? (int64_t)w->open[i / SUMMARY_GROUP] * SUMMARY_GROUP + i % SUMMARY_GROUP : i; }

static int columns_of(const sparse_work *w, int64_t block)
{
    const int64_t base = block - group_blocks(w);
    return (int)i64_min(KV_PAGE, base < 0 ? w->groups - block * KV_PAGE : w->pages - base * KV_PAGE);
}

/* Column i of a block: the page, the first of the group. */
static int64_t column_page(const sparse_work *w, int64_t block, int i)
{
    const int64_t base = block - group_blocks(w);
    return base < 0 ? (block * KV_PAGE + i) * SUMMARY_GROUP : page_of(w, base * KV_PAGE + i);
}

/* A head of a page of summaries. */
static const uint8_t *means_head(const sparse_job *j, const attn_item *it, const uint8_t *summaries, int64_t block)
{
    return summaries + (size_t)block * kv_page_bytes(&j->means) + (size_t)it->kv_head * kv_head_bytes(&j->means);
}

static const uint8_t *block_head(const sparse_job *j, const sparse_work *w, const attn_item *it, int64_t block)
{
    const int64_t base = block - group_blocks(w);
    if (base < 0) return means_head(j, it, j->s->groups, block);
    return w->groups ? w->summaries + (size_t)base * kv_head_bytes(&j->means) : means_head(j, it, j->s->summaries, base);
}

/* t.s = scores with the columns of a block; a view may begin within it. */
static void score_block(const sparse_job *j, sparse_work *w, const attn_item *it, int64_t block)
{
    const int n = columns_of(w, block);
    float *s = w->t.s, *whole = w->weight + block * KV_PAGE; /* pieces are put together where the weights will be */
    int from = 0;
    for (int to; from < n; from = to) {
        const int64_t page = column_page(w, block, from), view = view_of(j, it, page);
        for (to = n; view_of(j, it, column_page(w, block, to - 1)) != view;) to--;
        use(j, w, it, &j->means, page);
        attn_tile_logits(&j->ctx->table.attn, &j->ctx->table.vec, &w->t, j->a, block_head(j, w, it, block), to);
        if (from == 0 && to == n) return;
        for (int r = 0; r < w->t.st.rows; r++) memcpy(whole + r * j->slots + from, s + r * KV_PAGE + from, (size_t)(to - from) * sizeof(float));
    }
    for (int r = 0; r < w->t.st.rows; r++) memcpy(s + r * KV_PAGE, whole + r * j->slots, (size_t)n * sizeof(float));
}

/* Weights of the columns of blocks [block, end), the first of which has page 0, relative to the tops of their blocks; the tile's state goes on with
 * them. */
static void weigh(const sparse_job *j, sparse_work *w, const attn_item *it, int64_t block, int64_t end)
{
    attn_tile *t = &w->t;
    for (int64_t b = block; b < end; b++) {
        const int n = columns_of(w, b);
        score_block(j, w, it, b);
        for (int r = 0; b == block && r < t->st.rows; r++) t->s[r * KV_PAGE] = -INFINITY; /* page 0 is always looked at */
        j->ctx->table.attn.softmax(t, n);
        memcpy(w->top + b * ATTN_ROWS, t->st.max, (size_t)t->st.rows * sizeof *t->st.max);
        for (int r = 0; r < t->st.rows; r++) memcpy(w->weight + r * j->slots + b * KV_PAGE, t->s + r * KV_PAGE, (size_t)n * sizeof(float));
    }
}

/* ---- 2: choosing ---- */

/* mass[column] of blocks [block, end) = sum over the rows of a softmax. */
static void add_up(const sparse_job *j, sparse_work *w, int64_t block, int64_t end)
{
    const attn_state *st = &w->t.st;
    for (int64_t b = block; b < end; b++) {
        const int n = columns_of(w, b);
        float sum[KV_PAGE] = {0};
        for (int r = 0; r < st->rows; r++) {
            const float *x = w->weight + r * j->slots + b * KV_PAGE;
            const float by = st->sum[r] > 0 ? (float)((double)attn_rescale(w->top[b * ATTN_ROWS + r], st->max[r]) / st->sum[r]) : 0;
            for (int i = 0; i < n; i++) sum[i] += x[i] * by;
        }
        memcpy(w->mass + (b - block) * KV_PAGE, sum, (size_t)n * sizeof *sum);
    }
}

enum { KEPT = -1 /* the mass of a group, a page once it is chosen */ };

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

/* Of mass[1..n) the `keep` largest, the earlier of two equals, are marked. */
static void keep_best(sparse_work *w, int64_t n, int64_t keep)
{
    for (int64_t p = 1; p < n; p++)
        if (!(w->mass[p] >= 0)) w->mass[p] = 0; /* no number: the rows are spoilt anyway */
    memcpy(w->order, w->mass + 1, (size_t)(n - 1) * sizeof *w->order);
    const float least = nth_largest(w->order, n - 1, keep - 1);
    int64_t equal = keep;
    for (int64_t p = 1; p < n; p++) equal -= w->mass[p] > least;
    for (int64_t p = 1; p < n; p++) {
        if (!(w->mass[p] > least) && !(w->mass[p] == least && equal-- > 0)) continue;
        w->mass[p] = KEPT;
    }
}

/* The weights of open groups become 0; the tile's sums are of the others, with the weight of all their pages. */
static void leave_open_out(const sparse_job *j, sparse_work *w)
{
    attn_state *st = &w->t.st;
    for (int r = 0; r < st->rows; r++) st->sum[r] = 0;
    for (int64_t b = 0; b < group_blocks(w); b++) {
        const int n = columns_of(w, b);
        float closed[KV_PAGE];
        for (int i = 0; i < n; i++) closed[i] = w->mass[b * KV_PAGE + i] != KEPT;
        for (int r = 0; r < st->rows; r++) {
            float *x = w->weight + r * j->slots + b * KV_PAGE, sum = 0;
            for (int i = 0; i < n; i++) x[i] *= closed[i], sum += x[i];
            st->sum[r] += SUMMARY_GROUP * (double)sum * (double)attn_rescale(w->top[b * ATTN_ROWS + r], st->max[r]);
        }
    }
}

/* Chooses the groups that are open: the first, those that get most, and the last, which has near pages too; puts the summaries of their pages
 * together. */
static void open_groups(const sparse_job *j, sparse_work *w, const attn_item *it, int64_t n)
{
    w->groups = w->far / SUMMARY_GROUP;
    weigh(j, w, it, 0, group_blocks(w));
    add_up(j, w, 0, group_blocks(w));
    keep_best(w, w->groups, n);
    w->mass[0] = KEPT;
    leave_open_out(j, w);
    int64_t open = 0;
    for (int64_t g = 0; g * SUMMARY_GROUP < w->far; g++) {
        if (g < w->groups && w->mass[g] != KEPT) continue;
        const int64_t to = open * SUMMARY_GROUP, from = g * SUMMARY_GROUP;
        gather_group(&j->means, w->summaries + (size_t)(to / KV_PAGE) * kv_head_bytes(&j->means), (int)(to % KV_PAGE / KV_GROUP),
                     means_head(j, it, j->s->summaries, from / KV_PAGE), (int)(from % KV_PAGE / KV_GROUP));
        w->pages += i64_min(SUMMARY_GROUP, w->far - from);
        w->open[open++] = (int32_t)g;
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

/* The pages that were not kept, each as KV_PAGE tokens, and the groups that were not open. `highest`: of each row, the largest score with any of
 * them: no weight is more than 1 beside it. */
static void attend_means(const sparse_job *j, sparse_work *w, const attn_item *it, const float *highest)
{
    enum { PAGE_LOG2 = 7, GROUP_LOG2 = 11 };
    _Static_assert(KV_PAGE == 1 << PAGE_LOG2 && KV_PAGE * SUMMARY_GROUP == 1 << GROUP_LOG2, "the weight of a page, of a group");
    attn_tile *t = &w->t;
    attn_state *st = &t->st;
    const int64_t first = group_blocks(w);
    for (int r = 0; r < st->rows; r++) {
        const float max = fmaxf(st->max[r], highest[r] + (first ? GROUP_LOG2 : PAGE_LOG2));
        t->alpha[r] = attn_rescale(st->max[r], max);
        st->sum[r] *= (double)t->alpha[r];
        st->max[r] = max;
    }
    t->kv = &j->means;
    t->next = NULL;
    for (int64_t b = 0; b < end_block(w); b++) {
        const int n = columns_of(w, b);
        float left[KV_PAGE] = {0}; /* 1: the page is not kept */
        for (int i = 0; i < n; i++) left[i] = b < first || (b - first + i != 0 && w->mass[(b - first) * KV_PAGE + i] != KEPT);
        for (int r = 0; r < st->rows; r++) {
            const float *x = w->weight + r * j->slots + b * KV_PAGE, by = attn_rescale(w->top[b * ATTN_ROWS + r] + (b < first ? GROUP_LOG2 : PAGE_LOG2), st->max[r]);
            float *s = t->s + r * KV_PAGE, sum = 0;
            for (int i = 0; i < n; i++) s[i] = x[i] * left[i] * by;
            for (int i = n; i < KV_PAGE; i++) s[i] = 0;
            for (int i = 0; i < n; i++) sum += s[i];
            st->sum[r] += (double)sum;
        }
        j->ctx->table.attn.values(t, block_head(j, w, it, b), n);
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

/* How many far pages the item's head keeps. */
static int64_t keep_of(const sparse_job *j, const attn_item *it) { return j->s->keep * (j->s->times ? j->s->times[it->head] : 1); }

/* How many pages are weighed each by itself. */
static int64_t open_of(const sparse_job *j, const attn_item *it) { return j->groups ? i64_max(j->s->open, OPEN_FOR_ONE * keep_of(j, it)) : INT64_MAX; }

/* Readies a worker for an item. Whether there is anything to choose from: `highest` then is of each row its largest score with a far page. */
static bool choose(const sparse_job *j, sparse_work *w, const attn_item *it, int worker, float highest[ATTN_ROWS])
{
    w->far = i64_max(1, it->page_end - j->s->near);
    w->groups = w->pages = 0;
    place(j, w, it, worker);
    if (w->far <= 1 || j->s->keep < 0) return false;
    attn_state_reset(&w->t.st);
    if (w->far > open_of(j, it)) open_groups(j, w, it, open_of(j, it) / SUMMARY_GROUP - 1);
    else w->pages = w->far;
    weigh(j, w, it, group_blocks(w), end_block(w));
    add_up(j, w, group_blocks(w), end_block(w));
    memcpy(highest, w->t.st.max, (size_t)it->rows * sizeof *highest);
    if (j->s->keep > 0) keep_best(w, w->pages, i64_min(keep_of(j, it), w->pages - 1));
    return true;
}

/* The page that is looked at after page p; *column: of the far pages, the next to be asked about. */
static int64_t next_page(const sparse_work *w, bool far, int64_t p, int64_t *column)
{
    while (far && *column < w->pages && w->mass[*column] != KEPT) ++*column;
    return far && *column < w->pages ? page_of(w, (*column)++) : i64_max(p + 1, w->far);
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
    for (int64_t p = 0, next, column = 1; p <= page; p = next) {
        next = next_page(&w, far, p, &column);
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
    j.groups = s->groups && (!positions(&j) || positions(&j)->stride % (KV_PAGE * SUMMARY_GROUP) == 0); /* no group goes over the end of a chunk */
    j.worker_bytes = worker_bytes(a->kv->dk, a->kv->dv, j.slots);
    j.sum = ctx->sparse.block;
    j.max = (float *)(void *)(j.sum + seq->count * a->heads);
    j.workers = (char *)ctx->sparse.block + states_bytes(seq->count, a->heads);
    assert(a->n_seqs == 1 && !a->window && !ctx->exact && s->near >= 1 && (!j.groups || s->open >= 2 * SUMMARY_GROUP));
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
    for (int64_t p = 0; p < it.page_end; p++) kept[p] = p == 0 || p >= w.far;
    for (int64_t i = 1; far && i < w.pages; i++)
        if (w.mass[i] == KEPT) kept[page_of(&w, i)] = 1;
}

void op_sparse_choice(kernel_ctx *ctx, const op_attn_args *a, const op_sparse *s, const op_choice *c)
{
    choice_job j = {job_of(ctx, a, s), c};
    pool_run(ctx->pool, choose_item, &j, row_pages(a->seqs));
}
