/* Attention over the pages that matter, the others standing in as their means.
 *
 * An item is up to a page of rows of one sequence (all in the same page of positions, so that what is chosen does not depend on how a text is
 * cut into batches) and one query head. It goes in five steps:
 *
 *   1. scores of all its rows with the summaries of the pages far behind (summary.h): what each page might get;
 *   2. the `keep` pages that get most over all rows, by a softmax of those scores (after FlashPrefill);
 *   3. exact attention over the first page (a sink), the pages kept, and the pages near the rows;
 *   4. of the other pages, the tokens that follow an earlier occurrence of the row's own token: heads that continue what was said before look
 *      there (induction heads, Olsson et al. 2022), one token here and one there, which no choice of pages finds;
 *   5. every other page goes on as one key and one value, its means, with the weight of KV_PAGE tokens: nothing is left out altogether.
 *
 * Steps 3 to 5 are one running softmax (attn.h). A page of summaries is a page, so all of it runs on the kernels for pages.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernel/attn_work.h"
#include "kernel/summary.h"
#include "quant/quant.h"

typedef struct sparse_job {
    kernel_ctx *ctx;
    const op_attn_args *a;
    const op_sparse *s;
    kv_layout means;      /* of the pages of summaries */
    char *workers;
    size_t worker_bytes;
    int64_t slots;        /* room for so many pages, a multiple of KV_PAGE */
    int64_t first_page;   /* of the sequence's rows */
} sparse_job;

/* A worker's memory beside its tile. */
typedef struct sparse_work {
    attn_tile t;
    float *score;   /* [ATTN_ROWS][slots] of each row with each far page */
    float *mass;    /* [slots] what a page gets over all rows */
    float *order;   /* [slots] for choosing */
    int32_t *page;  /* [slots] the pages of step 3 */
    int64_t pages, far; /* far: pages [1, far) may be chosen */
    int64_t chunk;      /* whose rotation the queries have */
} sparse_work;

static size_t worker_bytes(int dk, int dv, int64_t slots)
{
    return attn_worker_bytes(dk, dv) + size_round_up((size_t)slots * (ATTN_ROWS * sizeof(float) + 2 * sizeof(float) + sizeof(int32_t)), MEM_ALIGN);
}

static int64_t slots_for(int64_t pages) { return i64_ceil_div(i64_max(1, pages), KV_PAGE) * KV_PAGE; }

size_t op_attn_sparse_scratch(const kernel_ctx *ctx, const kernel_limits *l)
{
    return l->sparse_pages ? (size_t)kernel_threads(ctx) * worker_bytes(l->dk, l->dv, slots_for(l->sparse_pages)) : 0;
}

/* ---- queries and chunks ---- */

static int64_t pages_of_chunk(const sparse_job *j)
{
    const rope_spec *r = j->a->rope ? j->a->rope->spec : NULL;
    return r && r->dims ? r->stride / KV_PAGE : INT64_MAX;
}

/* The tile's queries for pages of this layout that lie in the chunk of `page`. */
static void use(const sparse_job *j, sparse_work *w, const attn_item *it, const kv_layout *l, int64_t page)
{
    int64_t chunk = page / pages_of_chunk(j);
    if (w->t.kv == l && w->chunk == chunk) return;
    w->t.kv = l;
    w->chunk = chunk;
    attn_tile_queries(&j->ctx->table.attn, &j->ctx->table.vec, &w->t, j->a, it, chunk);
}

/* ---- 1: scores with the means ---- */

static const uint8_t *means_head(const sparse_job *j, const attn_item *it, int64_t block)
{
    return j->s->summaries + (size_t)block * kv_page_bytes(&j->means) + (size_t)it->kv_head * kv_head_bytes(&j->means);
}

/* Scores with the far pages [from, to) of one block of KV_PAGE summaries, all of one chunk. */
static void score_means(const sparse_job *j, sparse_work *w, const attn_item *it, int64_t from, int64_t to)
{
    const int64_t block = from / KV_PAGE, base = block * KV_PAGE;
    use(j, w, it, &j->means, from);
    attn_tile_logits(&j->ctx->table.attn, &j->ctx->table.vec, &w->t, j->a, means_head(j, it, block), (int)(to - base));
    for (int r = 0; r < w->t.st.rows; r++)
        memcpy(w->score + r * j->slots + from, w->t.s + r * KV_PAGE + (from - base), (size_t)(to - from) * sizeof(float));
}

static void score_far(const sparse_job *j, sparse_work *w, const attn_item *it)
{
    const int64_t chunk = pages_of_chunk(j);
    for (int64_t p = 1, to; p < w->far; p = to) {
        to = i64_min(w->far, (p / KV_PAGE + 1) * KV_PAGE);
        if (chunk < INT64_MAX) to = i64_min(to, (p / chunk + 1) * chunk);
        score_means(j, w, it, p, to);
    }
}

/* One block of scores as the tile's, -INFINITY where no far page is; returns how many of the block there are. */
static int load_scores(const sparse_job *j, sparse_work *w, int64_t block)
{
    const int64_t base = block * KV_PAGE;
    const int n = (int)i64_min(KV_PAGE, w->far - base);
    for (int r = 0; r < w->t.st.rows; r++) {
        memcpy(w->t.s + r * KV_PAGE, w->score + r * j->slots + base, (size_t)n * sizeof(float));
        if (!base) w->t.s[r * KV_PAGE] = -INFINITY; /* page 0 is always looked at */
    }
    return n;
}

/* ---- 2: choosing ---- */

/* mass[page] = sum over the rows of a softmax over the far pages. */
static void weigh(const sparse_job *j, sparse_work *w)
{
    const attn_table *k = &j->ctx->table.attn;
    attn_tile *t = &w->t;
    const int64_t blocks = i64_ceil_div(w->far, KV_PAGE);
    attn_state_reset(&t->st);
    for (int64_t b = 0; b < blocks; b++) {
        int n = load_scores(j, w, b);
        k->softmax(t, n);
    }
    float max[ATTN_ROWS], by[ATTN_ROWS];
    memcpy(max, t->st.max, (size_t)t->st.rows * sizeof *max);
    for (int r = 0; r < t->st.rows; r++) by[r] = t->st.sum[r] > 0 ? (float)(1.0 / t->st.sum[r]) : 0;
    memset(w->mass, 0, (size_t)w->far * sizeof *w->mass);
    for (int64_t b = 0; b < blocks; b++) {
        int n = load_scores(j, w, b);
        memcpy(t->st.max, max, (size_t)t->st.rows * sizeof *max);
        k->softmax(t, n);
        for (int r = 0; r < t->st.rows; r++)
            for (int i = 0; i < n; i++) w->mass[b * KV_PAGE + i] += t->s[r * KV_PAGE + i] * by[r];
    }
}

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

/* The far pages with most mass, the earlier of two equals; one that is kept is marked by a mass of -1. */
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
        w->mass[p] = -1;
        w->page[w->pages++] = (int32_t)p;
    }
}

/* Fills w->page in ascending order. */
static void choose(const sparse_job *j, sparse_work *w, const attn_item *it)
{
    const int64_t candidates = w->far - 1, keep = i64_max(0, i64_min(j->s->keep, candidates));
    w->pages = 0;
    w->page[w->pages++] = 0;
    if (keep) keep_best(w, keep);
    for (int64_t p = w->far; p < it->page_end; p++) w->page[w->pages++] = (int32_t)p;
}

/* ---- 3 to 5: attention ---- */

static void attend(const sparse_job *j, sparse_work *w, const attn_item *it)
{
    const attn_table *k = &j->ctx->table.attn;
    attn_tile *t = &w->t;
    for (int64_t i = 0; i < w->pages; i++) {
        int64_t p = w->page[i];
        const uint8_t *head = attn_page_head(j->a, it, p);
        int n;
        use(j, w, it, j->a->kv, p);
        bool edge = attn_tile_scores(k, &j->ctx->table.vec, t, j->a, it, p, &n);
        k->softmax(t, n);
        t->next = i + 1 < w->pages ? attn_page_head(j->a, it, w->page[i + 1]) : NULL;
        if (edge && !attn_values_finite(j->a->kv, head, n)) attn_values_careful(t, head, n);
        else k->values(t, head, n);
    }
}

/* Token t of a page as floats, as it is stored. */
static void token_key(const kv_layout *l, const uint8_t *head, int t, float *out)
{
    const int u = kv_unit(l->type);
    const uint16_t *scales = (const uint16_t *)(const void *)(head + kv_k_scales(l));
    const uint8_t *unit = head + 4 * kv_k_index(l, t, 0) / (size_t)u;
    for (int c = 0; c < l->dk; c += u, unit += 4 * KV_GROUP) {
        if (l->type == KV_F32) memcpy(out + c, unit, sizeof *out);
        else if (l->type == KV_BF16)
            for (int i = 0; i < 2; i++) out[c + i] = quant_bf16_to_f32((uint16_t)(unit[2 * i] | unit[2 * i + 1] << 8));
        else
            for (int i = 0; i < 4; i++) out[c + i] = (float)(int8_t)unit[i];
    }
    for (int c = 0; c < l->dk && l->type == KV_Q8; c++) out[c] *= quant_bf16_to_f32(scales[kv_k_scale_index(l, t, c)]);
}

/* out += p * the value of token t. */
static void add_token_value(const kv_layout *l, const uint8_t *head, int t, float p, float *out)
{
    const int u = kv_unit(l->type);
    const uint8_t *v = head + kv_v_offset(l);
    const size_t first = kv_v_index(l, t, 0);
    if (l->type == KV_F32)
        for (int c = 0; c < l->dv; c++) out[c] += p * ((const float *)(const void *)v)[first + (size_t)c];
    else if (l->type == KV_BF16)
        for (int c = 0; c < l->dv; c++) out[c] += p * quant_bf16_to_f32(((const uint16_t *)(const void *)v)[first + (size_t)(c * u)]);
    else {
        p *= ((const float *)(const void *)(head + kv_v_scales(l)))[t];
        for (int c = 0; c < l->dv; c++) out[c] += p * (float)((const int8_t *)v)[first + (size_t)(c * u)];
    }
}

/* One token joins row r of the running softmax. */
static void attend_token(const sparse_job *j, sparse_work *w, const attn_item *it, int r, int64_t at)
{
    const kv_layout *l = j->a->kv;
    const uint8_t *head = attn_page_head(j->a, it, at / KV_PAGE);
    attn_state *st = &w->t.st;
    const float *q = w->t.q + r * l->dk;
    float key[KV_DIMS_MAX], *out = st->out + r * st->ld, sum[8] = {0}, score = 0;
    token_key(l, head, (int)(at % KV_PAGE), key);
    for (int c = 0; c + 8 <= l->dk; c += 8)
        for (int i = 0; i < 8; i++) sum[i] += q[c + i] * key[c + i];
    for (int c = l->dk / 8 * 8; c < l->dk; c++) score += q[c] * key[c];
    for (int i = 0; i < 8; i++) score += sum[i];
    if (j->a->softcap > 0) score = j->a->softcap * tanhf(score / j->a->softcap) * ATTN_LOG2_E;
    if (score > st->max[r]) { /* what was seen before weighs less */
        float by = exp2f(st->max[r] - score);
        for (int64_t c = 0; c < st->ld; c++) out[c] *= by;
        st->sum[r] *= (double)by;
        st->max[r] = score;
    }
    float p = exp2f(score - st->max[r]);
    st->sum[r] += (double)p;
    add_token_value(l, head, (int)(at % KV_PAGE), p, out);
}

/* Chunk by chunk from the nearest on, since the queries are rotated for each. */
static void attend_repeats(const sparse_job *j, sparse_work *w, const attn_item *it)
{
    enum { WALK = 4 }; /* occurrences passed over for each one wanted, at most */
    const op_sparse *s = j->s;
    const int64_t first = it->seq->pos + it->row;
    int64_t next[ATTN_ROWS], taken[ATTN_ROWS] = {0}, walked[ATTN_ROWS] = {0};
    for (int r = 0; r < it->rows; r++) next[r] = s->before[first + r];
    for (int64_t chunk = (w->far - 1) / pages_of_chunk(j); chunk >= 0; chunk--) {
        bool ready = false;
        for (int r = 0; r < it->rows; r++)
            for (; next[r] >= 0 && taken[r] < s->repeats && walked[r] < WALK * s->repeats; next[r] = s->before[next[r]], walked[r]++) {
                int64_t at = next[r] + 1, page = at / KV_PAGE;
                if (page >= w->far || page == 0 || w->mass[page] < 0) continue; /* looked at already */
                if (page / pages_of_chunk(j) < chunk) break;
                if (!ready) use(j, w, it, j->a->kv, page);
                ready = true;
                taken[r]++;
                attend_token(j, w, it, r, at);
            }
    }
}

static void attend_means(const sparse_job *j, sparse_work *w, const attn_item *it)
{
    const attn_table *k = &j->ctx->table.attn;
    const float tokens = 7; /* log2 of KV_PAGE */
    _Static_assert(KV_PAGE == 1 << 7, "the weight of a page");
    attn_tile *t = &w->t;
    t->kv = &j->means;
    t->next = NULL;
    for (int64_t b = 0; b < i64_ceil_div(w->far, KV_PAGE); b++) {
        int n = load_scores(j, w, b), left = 0;
        for (int i = 0; i < n; i++) {
            bool kept = b + i == 0 || w->mass[b * KV_PAGE + i] < 0;
            left += !kept;
            for (int r = 0; r < t->st.rows; r++) t->s[r * KV_PAGE + i] = kept ? -INFINITY : t->s[r * KV_PAGE + i] + tokens;
        }
        if (!left) continue;
        k->softmax(t, n);
        k->values(t, means_head(j, it, b), n);
    }
}

static void run_item(void *arg, int64_t index, int worker)
{
    const sparse_job *j = arg;
    const op_attn_args *a = j->a;
    const attn_seq *seq = a->seqs;
    const int64_t page = j->first_page + index / a->heads;
    const int64_t begin = i64_max(seq->pos, page * KV_PAGE), end = i64_min(seq->pos + seq->count, (page + 1) * KV_PAGE);
    attn_item it = {.seq = seq, .row = begin - seq->pos, .rows = (int)(end - begin), .head = (int)(index % a->heads), .heads = 1};
    it.kv_head = it.head / (a->heads / a->kv->heads);
    it.page_end = page + 1;
    char *block = j->workers + (size_t)worker * j->worker_bytes;
    sparse_work w = {.chunk = -1, .far = i64_max(1, page + 1 - j->s->near)};
    attn_tile_place(&w.t, block, a, &it, false);
    w.t.kv = NULL;
    w.score = (float *)(void *)(block + attn_worker_bytes(a->kv->dk, a->kv->dv));
    w.mass = w.score + ATTN_ROWS * j->slots;
    w.order = w.mass + j->slots;
    w.page = (int32_t *)(void *)(w.order + j->slots);
    const bool means = w.far > 1 && j->s->keep >= 0;
    if (means) {
        score_far(j, &w, &it);
        weigh(j, &w);
    }
    choose(j, &w, &it);
    attn_state_reset(&w.t.st);
    attend(j, &w, &it);
    if (means && j->s->before) attend_repeats(j, &w, &it);
    if (means) attend_means(j, &w, &it);
    attn_finish(a, &it, &w.t.st);
}

void op_attention_sparse(kernel_ctx *ctx, const op_attn_args *a, const op_sparse *s)
{
    const attn_seq *seq = a->seqs;
    const int64_t first = seq->pos / KV_PAGE, pages = i64_ceil_div(seq->pos + seq->count, KV_PAGE);
    sparse_job j = {.ctx = ctx, .a = a, .s = s, .means = summary_layout(a->kv), .workers = ctx->sparse.block, .slots = slots_for(pages), .first_page = first};
    j.worker_bytes = worker_bytes(a->kv->dk, a->kv->dv, j.slots);
    assert(a->n_seqs == 1 && !a->window && !ctx->exact && s->near >= 1);
    assert((size_t)kernel_threads(ctx) * j.worker_bytes <= ctx->sparse.bytes);
    pool_run(ctx->pool, run_item, &j, (pages - first) * a->heads);
}
