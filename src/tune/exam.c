/* See exam.h. */
#include "tune/exam.h"

#include <string.h>

#include "data/qa_form.h"
#include "engine/generate.h"
#include "reader/leaning.h"
#include "tune/inner.h"

enum { ANSWER_TOKENS = 192, ANSWER_BYTES = 1 << 16 };

typedef struct exam {
    const tuning *t;
    engine *e;
    const exam_options *opt;
    session *s;
    int32_t *ids;     /* [ids_cap] passage and question */
    int64_t ids_cap;
    quoting form;
    quoting_piece passage;
    int64_t done, total;
    answer_tally *out;
} exam;

/* ---- which questions ---- */

static bool is_question(const tuning *t, const sample *s) { return t->rows->row[s->row].form != ROW_TEXT; }

static int64_t count_held(const tuning *t)
{
    int64_t n = 0;
    for (int64_t g = 0; g < t->set.n_groups; g++)
        for (int64_t i = 0; t->set.group[g].held && i < t->set.group[g].n; i++) n += is_question(t, &t->set.sample[t->set.group[g].first + i]);
    return n;
}

int64_t exam_questions(const tuning *t, int64_t most) { return i64_min(most, count_held(t)); }

/* ---- one question ---- */

static float weigh(void *arg, const char *text, size_t n, bool ended) { return quoting_weigh(&((exam *)arg)->form, text, n, ended); }

static bool on_progress(void *arg, int64_t done, int64_t total)
{
    (void)done;
    (void)total;
    const exam *x = arg;
    return !x->opt->on_progress || x->opt->on_progress(x->opt->arg, x->done, x->total);
}

/* The tokens up to the first that is to be written. */
static cj_err take_prompt(exam *x, const sample_prefix *prefix, const sample *s, int64_t *n, cj_diag *d)
{
    const sample_set *set = &x->t->set;
    int64_t own = 0;
    while (own < s->n && !set->scored[s->first + own]) own++;
    *n = prefix->n + own;
    if (*n > x->ids_cap) {
        int32_t *more = mem_grow(x->ids, 0, (size_t)*n * sizeof *more);
        if (!more) return diag_nomem(d, (size_t)*n * sizeof *more);
        x->ids = more;
        x->ids_cap = *n;
    }
    memcpy(x->ids, set->tokens + prefix->first, (size_t)prefix->n * sizeof *x->ids);
    memcpy(x->ids + prefix->n, set->tokens + s->first, (size_t)own * sizeof *x->ids);
    return CJ_OK;
}

/* What a conversation's row has in place of an answer: the text of what was to be written first. */
static cj_err expected(const exam *x, const sample *s, buf *out, cj_diag *d)
{
    const sample_set *set = &x->t->set;
    token_stream stream;
    int64_t at = 0;
    token_stream_init(&stream, engine_tokenizer(x->t->e), 0);
    while (at < s->n && !set->scored[s->first + at]) at++;
    for (; at < s->n && set->scored[s->first + at]; at++) TRY(token_stream_push(&stream, set->tokens[s->first + at], out, d));
    return token_stream_end(&stream, out, d);
}

static cj_err score(exam *x, const sample *s, const char *written, cj_diag *d)
{
    const training_row *row = &x->t->rows->row[s->row];
    const char *passage = x->passage.text ? x->passage.text : "";
    if (row->form != ROW_MESSAGES) return measure_written(x->out, passage, written, row->known, row->n_known, d);
    buf right;
    buf_init(&right, ANSWER_BYTES);
    cj_err e = expected(x, s, &right, d);
    if (!e) e = measure_written(x->out, passage, written, (const char *const[]){right.data ? right.data : ""}, 1, d);
    buf_deinit(&right);
    return e;
}

static cj_err ask(exam *x, const sample_group *g, const sample *s, cj_diag *d)
{
    const tuning *t = x->t;
    const training_row *row = &t->rows->row[s->row];
    const sample_prefix none = {0}, *prefix = g->passage >= 0 ? &t->set.prefix[g->passage] : &none;
    const bool quotes = x->opt->adapter && t->plan.kind == TUNE_ACTIVATED && row->form == ROW_PASSAGE;
    int64_t n = 0;
    buf written;
    generate_result r;
    TRY(take_prompt(x, prefix, s, &n, d));
    x->passage = row->passage >= 0 ? (quoting_piece){t->rows->passage[row->passage].text, t->rows->passage[row->passage].bytes} : (quoting_piece){0};
    x->form = (quoting){.pieces = &x->passage, .n = 1, .words = qa_words_for(row->question ? row->question : ""), .weight = LEANING_WEIGHT};
    const generate_options how = {.sampling = SAMPLER_GREEDY, .max_tokens = ANSWER_TOKENS, .weigh = quotes ? weigh : NULL, .on_progress = on_progress, .arg = x};
    TRY(session_set_adapter(x->s, x->opt->adapter, x->opt->adapter && t->plan.kind == TUNE_ACTIVATED ? prefix->n : 0, d));
    quoting_lean *leans = NULL;
    if (quotes) TRY(leaning_make(&x->passage, 1, row->question, &leans, &x->form.n_leans, d));
    x->form.leans = leans;
    buf_init(&written, ANSWER_BYTES);
    cj_err e = generate(x->s, x->ids, n, &how, &written, &r, d);
    if (!e) e = score(x, s, written.data ? written.data : "", d);
    mem_free(leans);
    buf_deinit(&written);
    return e;
}

/* ---- all of them ---- */

static cj_err ask_all(exam *x, int64_t held, cj_diag *d)
{
    const sample_set *set = &x->t->set;
    int64_t seen = 0;
    for (int64_t k = 0; k < set->n_groups; k++) {
        const sample_group *g = &set->group[k];
        for (int64_t i = 0; g->held && i < g->n; i++) {
            const sample *s = &set->sample[g->first + i];
            if (!is_question(x->t, s) || seen++ * x->total / held < x->done) continue;
            TRY(ask(x, g, s, d));
            x->done++;
            if (!on_progress(x, 0, 0)) return diag_fail(d, CJ_E_CANCELLED, MSG_CANCELLED, "%d", 0);
        }
    }
    return CJ_OK;
}

cj_err exam_run(const tuning *t, engine *e, const exam_options *o, answer_tally *out, cj_diag *d)
{
    const int64_t held = count_held(t);
    exam x = {.t = t, .e = e, .opt = o, .total = i64_min(o->most, held), .out = out};
    int64_t longest = 1;
    *out = (answer_tally){0};
    if (!x.total) return CJ_OK;
    for (int64_t g = 0; g < t->set.n_groups; g++)
        for (int64_t i = 0; i < t->set.group[g].n; i++)
            longest = i64_max(longest, t->set.sample[t->set.group[g].first + i].n + (t->set.group[g].passage >= 0 ? t->set.prefix[t->set.group[g].passage].n : 0));
    TRY(session_open(&x.s, e, longest + ANSWER_TOKENS, d));
    cj_err err = ask_all(&x, held, d);
    session_close(&x.s);
    mem_free(x.ids);
    return err;
}
