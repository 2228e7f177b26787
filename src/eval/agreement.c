/* Agreement of sparse with exact attention: three sessions on one text, side by side from depth to depth. */
#include "eval/agreement.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

typedef struct run {
    engine *e;
    const int32_t *ids;
    const agreement_options *opt;
    session *session[AGREEMENT_WAYS];
    int64_t vocab, total, before; /* tokens of all three; done in earlier calls */
    float *exact, *mine;          /* [rows][vocab] logits; mine: of the way compared */
    int64_t from;                 /* position of row 0 */
    float *into;
    agreement_sum *row;           /* [rows] for the threads */
} run;

static int64_t keep_of(const run *r, int way) { return way == AGREEMENT_EXACT ? 0 : way == AGREEMENT_SPARSE ? r->opt->keep : -1; }

static bool on_progress(void *arg, int64_t done, int64_t total)
{
    run *r = arg;
    (void)total;
    return !r->opt->on_progress || r->opt->on_progress(r->opt->arg, r->before + done, r->total);
}

static cj_err on_logits(void *arg, int64_t position, int64_t rows, const float *logits, cj_diag *d)
{
    run *r = arg;
    (void)d;
    if (position >= r->from) memcpy(r->into + (position - r->from) * r->vocab, logits, (size_t)(rows * r->vocab) * sizeof *logits);
    return CJ_OK;
}

/* Reads to the depth, then `rows` more whose logits are kept. */
static cj_err read_to(run *r, int way, int64_t depth, cj_diag *d)
{
    session *s = r->session[way];
    int64_t held = session_count(s);
    session_call call = {.want = WANT_NONE, .on_progress = on_progress, .arg = r};
    r->before -= held;
    TRY(session_eval(s, r->ids, depth, &call, NULL, d));
    call.want = WANT_ALL;
    call.on_logits = on_logits;
    r->from = depth;
    r->into = way == AGREEMENT_EXACT ? r->exact : r->mine;
    TRY(session_eval(s, r->ids, depth + r->opt->rows, &call, NULL, d));
    r->before += session_count(s);
    return CJ_OK;
}

static double log_sum(const float *x, int64_t n, int64_t *best)
{
    double sum = 0;
    *best = 0;
    for (int64_t i = 1; i < n; i++)
        if (x[i] > x[*best]) *best = i;
    for (int64_t i = 0; i < n; i++) sum += exp((double)(x[i] - x[*best]));
    return (double)x[*best] + log(sum);
}

typedef struct row_job {
    const run *r;
    const float *p, *q; /* exact, compared: [rows][vocab] */
    int64_t at;
} row_job;

static void compare_row(void *arg, int64_t i, int worker)
{
    const row_job *j = arg;
    const int64_t n = j->r->vocab;
    const float *p = j->p + i * n, *q = j->q + i * n;
    int64_t p_best, q_best;
    double p_sum = log_sum(p, n, &p_best), q_sum = log_sum(q, n, &q_best), kl = 0, second = -INFINITY;
    (void)worker;
    for (int64_t k = 0; k < n; k++) {
        double lp = (double)p[k] - p_sum;
        if (lp > -30) kl += exp(lp) * (lp - ((double)q[k] - q_sum));
        if (k != p_best) second = fmax(second, (double)p[k]);
    }
    bool led = (double)p[p_best] - second > AGREEMENT_LEAD, same = p_best == q_best;
    j->r->row[i] = (agreement_sum){1, led, kl, kl, same, led && same, q_sum - (double)q[j->r->ids[j->at + i + 1]]};
}

static void compare(const run *r, const float *q, int64_t at, agreement_sum *out)
{
    row_job j = {r, r->exact, q, at};
    pool_run(kernel_pool(engine_kernel(r->e)), compare_row, &j, r->opt->rows);
    for (int64_t i = 0; i < r->opt->rows; i++) {
        const agreement_sum *x = &r->row[i];
        out->rows += x->rows;
        out->led += x->led;
        out->kl += x->kl;
        out->kl_max = fmax(out->kl_max, x->kl_max);
        out->same += x->same;
        out->same_led += x->same_led;
        out->nll += x->nll;
    }
}

static cj_err open_run(run *r, int64_t n, cj_diag *d)
{
    r->vocab = model_spec_of(engine_model(r->e))->vocab;
    r->exact = mem_array((size_t)r->opt->rows, (size_t)r->vocab * sizeof *r->exact);
    r->mine = mem_array((size_t)r->opt->rows, (size_t)r->vocab * sizeof *r->mine);
    r->row = mem_array((size_t)r->opt->rows, sizeof *r->row);
    if (!r->exact || !r->mine || !r->row) return diag_nomem(d, 2 * (size_t)(r->opt->rows * r->vocab) * sizeof *r->exact);
    for (int w = 0; w < AGREEMENT_WAYS; w++) {
        TRY(session_open(&r->session[w], r->e, n, d));
        session_set_keep(r->session[w], keep_of(r, w));
    }
    return CJ_OK;
}

cj_err agreement_run(engine *e, const int32_t *ids, int64_t n, const agreement_options *opt, agreement_depth *out, cj_diag *d)
{
    const int64_t last = opt->depths[opt->n_depths - 1];
    run r = {.e = e, .ids = ids, .opt = opt, .total = AGREEMENT_WAYS * (last + opt->rows)};
    cj_err err = n > last + opt->rows ? open_run(&r, n, d) : diag_fail(d, CJ_E_INPUT, MSG_AGREEMENT_SHORT, "%lld" ARG "%lld", (long long)n, (long long)(last + opt->rows + 1));
    for (int i = 0; !err && i < opt->n_depths; i++) {
        out[i] = (agreement_depth){.at = opt->depths[i]};
        for (int w = 0; !err && w < AGREEMENT_WAYS; w++) {
            err = read_to(&r, w, opt->depths[i], d);
            if (!err) compare(&r, w == AGREEMENT_EXACT ? r.exact : r.mine, opt->depths[i], &out[i].way[w]);
        }
    }
    for (int w = 0; w < AGREEMENT_WAYS; w++) session_close(&r.session[w]);
    mem_free(r.exact);
    mem_free(r.mine);
    mem_free(r.row);
    return err;
}
