/* Agreement of sparse with exact attention: three sessions side by side from depth to depth, or one that goes on from an entry's pages three times.
 *
 * At a depth every way computes the text's next rows, then each copy; after each the session is cut back to the depth. So a session that is asked to
 * go on always holds nothing but the beginning of what it is given.
 */
#include "eval/agreement.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "eval/agreement_pages.h"

typedef struct run {
    engine *e;
    const int32_t *ids;  /* the text */
    int64_t n;
    const agreement_options *opt;
    int64_t entry_keep;  /* of the entry's own reading */
    session *session[AGREEMENT_WAYS];
    int32_t *line;       /* [n + AGREEMENT_COPY] what the sessions are given: the text, or at a depth a copy in its place */
    agreement_pages pages;
    int64_t vocab;
    float *exact;        /* [rows][vocab] logits of the depth's rows under exact attention */
    agreement_sum *row;  /* [rows of one pass] for the threads */
    int64_t total, before, held; /* tokens to compute; computed in earlier calls; what the session held when this one began */
    agreement_depth *out;        /* of the depth looked at, and the way */
    agreement_way way;
} run;

static int64_t keep_of(const run *r, agreement_way way) { return way == AGREEMENT_EXACT ? 0 : way == AGREEMENT_SPARSE ? r->opt->keep : -1; }

/* ---- the sessions ---- */

static bool on_progress(void *arg, int64_t done, int64_t total)
{
    run *r = arg;
    (void)total;
    return !r->opt->on_progress || r->opt->on_progress(r->opt->arg, r->before + done - r->held, r->total);
}

/* The session of the way goes on to n tokens of the line. */
static cj_err go_to(run *r, int64_t n, session_call call, cj_diag *d)
{
    session *s = r->session[r->way];
    call.on_progress = on_progress;
    call.arg = r;
    r->held = i64_min(n, session_count(s));
    TRY(session_eval(s, r->line, n, &call, NULL, d));
    r->before += n - r->held;
    return CJ_OK;
}

static cj_err go_back(run *r, cj_diag *d) { return go_to(r, r->out->at, (session_call){.want = WANT_NONE}, d); }

/* The session holds the text up to the depth, as its way reads it, or as the entry was read, and then attends in its way. */
static cj_err read_to_depth(run *r, cj_diag *d)
{
    session *s = r->session[r->way];
    const int64_t at = r->out->at;
    if (r->opt->entry && r->way == 0) {
        int64_t count;
        TRY(session_attach(s, r->opt->entry, at, &count, d));
        r->total += at - count; /* what lies between the entry's checkpoint and the depth */
    }
    session_set_keep(s, r->opt->entry ? r->entry_keep : keep_of(r, r->way));
    TRY(go_to(r, at, (session_call){.want = WANT_NONE}, d));
    session_set_keep(s, keep_of(r, r->way));
    return CJ_OK;
}

/* ---- the next tokens ---- */

static double log_sum(const float *x, int64_t n, int64_t *best)
{
    double sum = 0;
    *best = 0;
    for (int64_t i = 1; i < n; i++)
        if (x[i] > x[*best]) *best = i;
    for (int64_t i = 0; i < n; i++) sum += exp((double)(x[i] - x[*best]));
    return (double)x[*best] + log(sum);
}

/* Logits of the tokens from `position` on; `exact` of the same rows. */
typedef struct row_job {
    const run *r;
    const float *exact, *logits; /* [rows][vocab] */
    int64_t position;
} row_job;

static void compare_row(void *arg, int64_t i, int worker)
{
    const row_job *j = arg;
    const int64_t n = j->r->vocab;
    const float *p = j->exact + i * n, *q = j->logits + i * n;
    int64_t p_best, q_best;
    double p_sum = log_sum(p, n, &p_best), q_sum = log_sum(q, n, &q_best), kl = 0, second = -INFINITY;
    (void)worker;
    for (int64_t k = 0; k < n; k++) {
        double lp = (double)p[k] - p_sum;
        if (lp > -30) kl += exp(lp) * (lp - ((double)q[k] - q_sum));
        if (k != p_best) second = fmax(second, (double)p[k]);
    }
    bool led = (double)p[p_best] - second > AGREEMENT_LEAD, same = p_best == q_best;
    j->r->row[i] = (agreement_sum){1, led, kl, kl, same, led && same, q_sum - (double)q[j->r->line[j->position + i + 1]]};
}

static void add_row(agreement_sum *to, const agreement_sum *x)
{
    to->rows += x->rows;
    to->led += x->led;
    to->kl += x->kl;
    to->kl_max = fmax(to->kl_max, x->kl_max);
    to->same += x->same;
    to->same_led += x->same_led;
    to->nll += x->nll;
}

static cj_err on_rows(void *arg, int64_t position, int64_t rows, const float *logits, cj_diag *d)
{
    run *r = arg;
    (void)d;
    float *exact = r->exact + (position - r->out->at) * r->vocab;
    if (r->way == AGREEMENT_EXACT) memcpy(exact, logits, (size_t)(rows * r->vocab) * sizeof *logits);
    row_job j = {r, exact, logits, position};
    pool_run(kernel_pool(engine_kernel(r->e)), compare_row, &j, rows);
    for (int64_t i = 0; i < rows; i++) add_row(&r->out->way[r->way], &r->row[i]);
    return CJ_OK;
}

static cj_err compare_rows(run *r, cj_diag *d)
{
    session_probe probes[SESSION_PROBES_MAX];
    session_call call = {.want = WANT_ALL, .on_logits = on_rows, .probes = probes};
    if (r->way == AGREEMENT_EXACT) call.n_probes = agreement_pages_ask_mass(&r->pages, r->out->at, probes);
    if (r->way == AGREEMENT_SPARSE) call.n_probes = agreement_pages_ask_kept(&r->pages, r->out->at, probes);
    TRY(go_to(r, r->out->at + r->opt->rows, call, d));
    if (r->way == AGREEMENT_SPARSE) agreement_pages_compare(&r->pages, r->out->at, r->out->best);
    return go_back(r, d);
}

/* ---- copies ---- */

static bool begins_line(const run *r, int64_t i)
{
    const tokenizer *t = engine_tokenizer(r->e);
    const token_text before = t ? tokenizer_piece(t, r->ids[i - 1]) : (token_text){0};
    return before.size && before.data[before.size - 1] == '\n';
}

/* The first line that begins at p or later in [first, end), or the last one before; p itself where none does. */
static int64_t line_near(const run *r, int64_t p, int64_t first, int64_t end)
{
    for (int64_t i = p; i < end; i++)
        if (begins_line(r, i)) return i;
    for (int64_t i = p; i >= first; i--)
        if (begins_line(r, i)) return i;
    return p;
}

/* The same for every way. Nothing that the control sees is copied. */
static void choose_copies(run *r)
{
    agreement_copies *c = &r->out->copies;
    const int64_t at = r->out->at, behind = i64_min(AGREEMENT_FAR, at * 4 / 5), first = KV_PAGE, end = at - behind - AGREEMENT_COPY;
    random_state draw = {r->opt->seed + (uint64_t)at};
    if (end <= first || behind <= (MODEL_NEAR_PAGES + 1) * KV_PAGE + AGREEMENT_COPY) return;
    for (c->n = 0; c->n < r->opt->copies; c->n++) c->from[c->n] = line_near(r, first + random_below(&draw, end - first), first, end);
    c->tokens = (int64_t)c->n * (AGREEMENT_COPY - AGREEMENT_COPY_SKIP);
}

static void score_row(void *arg, int64_t i, int worker)
{
    const row_job *j = arg;
    const float *x = j->logits + i * j->r->vocab;
    int64_t best;
    (void)worker;
    j->r->row[i].nll = log_sum(x, j->r->vocab, &best) - (double)x[j->r->line[j->position + i + 1]];
}

/* The last row says what comes after the copy: not counted. */
static cj_err on_copy(void *arg, int64_t position, int64_t rows, const float *logits, cj_diag *d)
{
    run *r = arg;
    (void)d;
    const int64_t from = r->out->at + AGREEMENT_COPY_SKIP - 1 - position, first = i64_max(0, from);
    const int64_t n = i64_min(rows, r->out->at + AGREEMENT_COPY - 1 - position) - first;
    row_job j = {r, NULL, logits + first * r->vocab, position + first};
    if (n <= 0) return CJ_OK;
    pool_run(kernel_pool(engine_kernel(r->e)), score_row, &j, n);
    for (int64_t i = 0; i < n; i++) r->out->copies.nll[r->way] += r->row[i].nll;
    return CJ_OK;
}

static cj_err read_copies(run *r, cj_diag *d)
{
    const agreement_copies *c = &r->out->copies;
    const int64_t at = r->out->at;
    int32_t *place = r->line + at;
    cj_err e = CJ_OK;
    for (int i = 0; !e && i < c->n; i++) {
        memcpy(place, r->ids + c->from[i], AGREEMENT_COPY * sizeof *place);
        e = go_to(r, at + AGREEMENT_COPY, (session_call){.want = WANT_ALL, .on_logits = on_copy}, d);
        if (!e) e = go_back(r, d);
    }
    memcpy(place, r->ids + at, (size_t)i64_min(AGREEMENT_COPY, r->n - at) * sizeof *place);
    return e;
}

/* ---- all of it ---- */

static cj_err open_sessions(run *r, cj_diag *d)
{
    const shelf_entry *entry = r->opt->entry;
    engine_options unused;
    if (entry) session_mode_read(shelf_entry_info(entry)->mode, &unused, &r->entry_keep);
    TRY(session_open(&r->session[0], r->e, r->n + AGREEMENT_COPY, d));
    for (int w = 1; w < AGREEMENT_WAYS; w++) {
        if (entry) r->session[w] = r->session[0];
        else TRY(session_open(&r->session[w], r->e, r->n + AGREEMENT_COPY, d));
    }
    return CJ_OK;
}

static cj_err open_run(run *r, cj_diag *d)
{
    const agreement_options *opt = r->opt;
    const int64_t deepest = opt->depths[opt->n_depths - 1], rows = i64_max(opt->rows, AGREEMENT_COPY);
    if (r->n <= deepest + opt->rows) return diag_fail(d, CJ_E_INPUT, MSG_AGREEMENT_SHORT, "%lld" ARG "%lld", (long long)r->n, (long long)(deepest + opt->rows + 1));
    r->vocab = model_spec_of(engine_model(r->e))->vocab;
    r->total = AGREEMENT_WAYS * ((opt->entry ? 0 : deepest) + opt->n_depths * (opt->rows + opt->copies * AGREEMENT_COPY));
    r->exact = mem_array((size_t)opt->rows, (size_t)r->vocab * sizeof *r->exact);
    r->row = mem_array((size_t)rows, sizeof *r->row);
    r->line = mem_array((size_t)(r->n + AGREEMENT_COPY), sizeof *r->line);
    if (!r->exact || !r->row || !r->line) return diag_nomem(d, (size_t)(opt->rows * r->vocab) * sizeof *r->exact);
    memcpy(r->line, r->ids, (size_t)r->n * sizeof *r->line);
    TRY(agreement_pages_open(&r->pages, opt, deepest, d));
    return open_sessions(r, d);
}

static void close_run(run *r)
{
    if (r->opt->entry) r->session[1] = r->session[2] = NULL;
    for (int w = 0; w < AGREEMENT_WAYS; w++) session_close(&r->session[w]);
    agreement_pages_close(&r->pages);
    mem_free(r->line);
    mem_free(r->exact);
    mem_free(r->row);
}

static cj_err run_depth(run *r, cj_diag *d)
{
    choose_copies(r);
    for (int w = 0; w < AGREEMENT_WAYS; w++) {
        r->way = (agreement_way)w;
        TRY(read_to_depth(r, d));
        TRY(compare_rows(r, d));
        TRY(read_copies(r, d));
    }
    return CJ_OK;
}

cj_err agreement_run(engine *e, const int32_t *ids, int64_t n, const agreement_options *opt, agreement_depth *out, cj_diag *d)
{
    run r = {.e = e, .ids = ids, .n = n, .opt = opt};
    cj_err err = open_run(&r, d);
    for (int i = 0; !err && i < opt->n_depths; i++) {
        out[i] = (agreement_depth){.at = opt->depths[i]};
        r.out = &out[i];
        err = run_depth(&r, d);
    }
    close_run(&r);
    return err;
}
