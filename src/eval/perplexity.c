/* Perplexity and divergence over windows of a text. */
#include "eval/perplexity.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"

typedef struct scorer {
    const perplexity_options *opt;
    kernel_ctx *ctx;
    const int32_t *ids;  /* the window's tokens, before the first was replaced */
    int64_t vocab;
    float *logsum;       /* [rows of a chunk] */
    float *kept;         /* reference logits of the scored rows, [ctx/2][vocab]; NULL without a reference */
    double nll, nll2, ref_nll, kl, kl_max;
    int64_t scored, same;
} scorer;

/* The position of the first scored row: it predicts the token after it. */
static int64_t first_scored(const scorer *s) { return s->opt->ctx / 2; }

static cj_err keep_rows(void *arg, int64_t position, int64_t rows, const float *logits, cj_diag *d)
{
    scorer *s = arg;
    (void)d;
    memcpy(s->kept + (position - first_scored(s)) * s->vocab, logits, (size_t)(rows * s->vocab) * sizeof *logits);
    return CJ_OK;
}

static int64_t likeliest(const float *x, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++) best = x[i] > x[best] ? i : best;
    return best;
}

typedef struct kl_job {
    const float *p, *q, *p_sum, *q_sum;
    int64_t vocab;
    double *kl;
    bool *same;
} kl_job;

static void kl_row(void *arg, int64_t r, int worker)
{
    kl_job *j = arg;
    const float *p = j->p + r * j->vocab, *q = j->q + r * j->vocab;
    double kl = 0;
    for (int64_t i = 0; i < j->vocab; i++) {
        double lp = (double)p[i] - j->p_sum[r];
        if (lp > -30) kl += exp(lp) * (lp - ((double)q[i] - j->q_sum[r]));
    }
    j->kl[r] = kl;
    j->same[r] = likeliest(p, j->vocab) == likeliest(q, j->vocab);
}

/* Divergence of `rows` rows from the reference's, whose sums are made here. */
static cj_err compare(scorer *s, int64_t first, int64_t rows, const float *logits, cj_diag *d)
{
    const float *kept = s->kept + first * s->vocab;
    float *sums = mem_array((size_t)rows, sizeof *sums);
    double *kl = mem_array((size_t)rows, sizeof *kl);
    bool *same = mem_array((size_t)rows, sizeof *same);
    cj_err e = sums && kl && same ? CJ_OK : diag_nomem(d, (size_t)rows * sizeof *kl);
    if (!e) {
        op_log_sum_exp(s->ctx, sums, kept, rows, s->vocab);
        kl_job j = {kept, logits, sums, s->logsum, s->vocab, kl, same};
        pool_run(kernel_pool(s->ctx), kl_row, &j, rows);
        for (int64_t r = 0; r < rows; r++) {
            s->kl += kl[r];
            s->kl_max = fmax(s->kl_max, kl[r]);
            s->same += same[r];
            s->ref_nll += (double)sums[r] - kept[r * s->vocab + s->ids[first_scored(s) + first + r + 1]];
        }
    }
    mem_free(sums);
    mem_free(kl);
    mem_free(same);
    return e;
}

static cj_err score_rows(void *arg, int64_t position, int64_t rows, const float *logits, cj_diag *d)
{
    scorer *s = arg;
    op_log_sum_exp(s->ctx, s->logsum, logits, rows, s->vocab);
    for (int64_t r = 0; r < rows; r++) {
        double nll = (double)s->logsum[r] - logits[r * s->vocab + s->ids[position + r + 1]];
        s->nll += nll;
        s->nll2 += nll * nll;
    }
    s->scored += rows;
    return s->kept ? compare(s, position - first_scored(s), rows, logits, d) : CJ_OK;
}

/* One window on one engine: the first half unscored, then the rows that predict the second. */
static cj_err run_window(session *ses, const int32_t *window, int64_t ctx, cj_err (*on_logits)(void *, int64_t, int64_t, const float *, cj_diag *),
                         scorer *s, cj_diag *d)
{
    session_call call = {.want = WANT_NONE, .arg = s};
    TRY(session_eval(ses, window, 1, &call, NULL, d)); /* forgets the window before */
    TRY(session_eval(ses, window, ctx / 2, &call, NULL, d));
    call.want = WANT_ALL;
    call.on_logits = on_logits;
    return session_eval(ses, window, ctx - 1, &call, NULL, d);
}

typedef struct run {
    engine *e;
    session *ses, *ref;
    token_list tokens;
    int32_t *window;
    scorer score;
} run;

static cj_err open_run(run *r, const char *text, size_t bytes, const perplexity_options *opt, cj_diag *d)
{
    const tokenizer *t;
    TRY(engine_need_tokenizer(r->e, &t, d));
    if (opt->ctx < 4 || opt->ctx % 2 || opt->ctx > model_spec_of(engine_model(r->e))->context)
        return diag_fail(d, CJ_E_USAGE, MSG_SAMPLING_RANGE, "%s" ARG "%lld" ARG "%d" ARG "%lld", "--ctx", (long long)opt->ctx, 4,
                         (long long)model_spec_of(engine_model(r->e))->context);
    TRY(tokenizer_encode(t, text, bytes, TOKEN_ADD_SPECIAL, &r->tokens, d));
    if ((int64_t)r->tokens.count < opt->ctx)
        return diag_fail(d, CJ_E_INPUT, MSG_TEXT_SHORT, "%zu" ARG "%lld", r->tokens.count, (long long)opt->ctx);
    int64_t vocab = model_spec_of(engine_model(r->e))->vocab, rows = engine_options_of(r->e)->chunk;
    r->score = (scorer){.opt = opt, .ctx = engine_kernel(r->e), .vocab = vocab};
    r->window = mem_array((size_t)opt->ctx, sizeof *r->window);
    r->score.logsum = mem_array((size_t)rows, sizeof(float));
    if (opt->reference) r->score.kept = mem_array((size_t)vocab, (size_t)(opt->ctx / 2) * sizeof(float));
    if (!r->window || !r->score.logsum || (opt->reference && !r->score.kept)) return diag_nomem(d, (size_t)(vocab * opt->ctx / 2) * sizeof(float));
    TRY(session_open(&r->ses, r->e, 0, d));
    return opt->reference ? session_open(&r->ref, opt->reference, 0, d) : CJ_OK;
}

static cj_err score_windows(run *r, const char *text, int64_t windows, perplexity_result *out, cj_diag *d)
{
    const perplexity_options *opt = r->score.opt;
    const token_specials *special = tokenizer_specials(engine_tokenizer(r->e));
    for (int64_t w = 0; w < windows; w++) {
        size_t at = (size_t)(w * opt->ctx);
        r->score.ids = r->tokens.ids + at;
        memcpy(r->window, r->score.ids, (size_t)opt->ctx * sizeof *r->window);
        if (special->add_bos && special->bos >= 0) r->window[0] = special->bos;
        if (r->ref) TRY(run_window(r->ref, r->window, opt->ctx, keep_rows, &r->score, d));
        TRY(run_window(r->ses, r->window, opt->ctx, score_rows, &r->score, d));
        size_t from = r->tokens.spans[at + (size_t)opt->ctx / 2 + 1].start, to = r->tokens.spans[at + (size_t)opt->ctx - 1].end;
        out->chars_scored += (int64_t)utf8_count(text + from, to - from);
        if (opt->on_progress && !opt->on_progress(opt->arg, w + 1, windows)) return diag_fail(d, CJ_E_CANCELLED, MSG_CANCELLED, "%s", "");
    }
    return CJ_OK;
}

static void summarise(const scorer *s, perplexity_result *out)
{
    double n = (double)s->scored;
    out->tokens_scored = s->scored;
    out->nll_mean = s->nll / n;
    out->nll_stderr = sqrt(fmax(0, s->nll2 / n - out->nll_mean * out->nll_mean) / fmax(1, n - 1));
    out->ppl = exp(out->nll_mean);
    out->bits_per_char = s->nll / M_LN2 / (double)i64_max(1, out->chars_scored);
    out->reference_nll_mean = s->ref_nll / n;
    out->kl_mean = s->kl / n;
    out->kl_max = s->kl_max;
    out->top1_same = (double)s->same / n;
}

cj_err perplexity_run(engine *e, const char *text, size_t bytes, const perplexity_options *opt, perplexity_result *out, cj_diag *d)
{
    run r = {.e = e};
    double start = clock_now();
    token_list_init(&r.tokens);
    *out = (perplexity_result){0};
    cj_err err = open_run(&r, text, bytes, opt, d);
    if (!err) {
        out->windows = (int64_t)r.tokens.count / opt->ctx;
        if (opt->max_windows) out->windows = i64_min(out->windows, opt->max_windows);
        err = score_windows(&r, text, out->windows, out, d);
    }
    if (!err) summarise(&r.score, out);
    out->seconds = clock_now() - start;
    session_close(&r.ses);
    session_close(&r.ref);
    token_list_deinit(&r.tokens);
    mem_free(r.window);
    mem_free(r.score.logsum);
    mem_free(r.score.kept);
    return err;
}
