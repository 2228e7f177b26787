/* ask: find, quote, answer. */
#include "reader/ask.h"

#include <string.h>

#include "base/clock.h"
#include "data/qa_form.h"
#include "engine/prompt.h"
#include "reader/asker.h"

enum {
    CLOSE_TOKENS = 1024, /* a text up to this long is read once, in the prompt that asks for the answer */
    CLOSE_SHARE = 2,     /* ... if it takes no more than one part in so many of the context */
};

bool ask_progress(void *arg, int64_t done, int64_t total)
{
    asker *a = arg;
    return !a->opt->on_progress || a->opt->on_progress(a->opt->arg, a->phase, done, total);
}

void ask_note(asker *a, ask_step step)
{
    ask_result *r = a->out;
    if (r->n_steps < ASK_STEPS_MAX) r->steps[r->n_steps++] = step;
    if (step.kind == ASK_STEP_INDEX || step.kind == ASK_STEP_WRITE || !step.tokens) return;
    r->read_tokens += step.tokens;
    r->reused_tokens += step.from;
    r->read_seconds += step.seconds;
}

/* ---- a text that is read now ---- */

/* One reading finds and answers. */
static cj_err read_and_answer(asker *a, cj_diag *d)
{
    TRY(ask_read_and_score(a, prompt_close, WANT_LAST, d));
    ask_take_evidence(a, NULL);
    return ask_write(a, a->prompt.tokens.ids, (int64_t)a->prompt.tokens.count, a->prompt.text_end, (ask_step){.kind = ASK_STEP_TEXT}, d);
}

/* For a short text and a model that chats. */
static cj_err ask_close(asker *a, cj_diag *d)
{
    a->out->mode = ASK_MODE_CLOSE;
    TRY(ask_begin_session(a, d));
    return read_and_answer(a, d);
}

static cj_err ask_text_directly(asker *a, cj_diag *d)
{
    a->out->mode = ASK_MODE_DIRECT;
    if (prompt_can_chat(a->e)) return read_and_answer(a, d);
    TRY(ask_read_and_score(a, prompt_find, WANT_NONE, d));
    ask_take_evidence(a, NULL);
    return ask_write_after(a, a->prompt.tokens.ids, a->prompt.text_end, 0, d);
}

/* Read, find, then read what was found again, close to the question, and answer. */
static cj_err ask_far(asker *a, cj_diag *d)
{
    TRY(ask_read_and_score(a, prompt_find, WANT_NONE, d));
    ask_take_evidence(a, NULL);
    return a->n_found ? ask_answer_found(a, d) : CJ_OK; /* nothing bears on the question: nothing is answered */
}

/* The same by an adapter that quotes: what was read to find is read on from, if it is short or all of it is to be attended to. */
static cj_err ask_text_quoting(asker *a, cj_diag *d)
{
    TRY(ask_read_and_score(a, prompt_find, WANT_NONE, d));
    const int64_t text = a->prompt.text_end;
    const bool whole = a->opt->direct || (a->session == a->close && text <= CLOSE_TOKENS && text <= session_context(a->session) / CLOSE_SHARE);
    a->out->mode = a->opt->direct ? ASK_MODE_DIRECT : whole ? ASK_MODE_CLOSE : ASK_MODE_FIND;
    return whole ? ask_quote_whole(a, a->prompt.tokens.ids, text, 0, d) : ask_quote_found(a, d);
}

/* One that is lent is the base's again, whoever wrote in it last. */
static cj_err open_reading(asker *a, cj_diag *d)
{
    a->session = a->opt->reading;
    return a->session ? session_set_adapter(a->session, NULL, 0, d) : session_open(&a->session, a->e, 0, d);
}

static cj_err ask_text(asker *a, cj_diag *d)
{
    const finder_options find = {.heads = a->opt->heads, .n_heads = a->opt->n_heads, .adapter = a->opt->finder};
    a->n_heads = finder_choose_heads(a->e, &find, a->heads, &a->heads_known);
    if (!a->n_heads) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_ASK_NO_HEADS, "%s", model_path(engine_model(a->e)));
    TRY(open_reading(a, d));
    if (a->writer == a->e) a->close = a->session;
    else TRY(session_open(&a->close, a->writer, 0, d));
    if (a->quotes) return ask_text_quoting(a, d);
    if (a->opt->direct) return ask_text_directly(a, d);
    if (a->session != a->close || !prompt_can_chat(a->e)) return ask_far(a, d);
    TRY(ask_make_prompt(a, prompt_close, a->question, d));
    int64_t text = a->prompt.text_end - a->prompt.text, context = session_context(a->session);
    bool close = text <= CLOSE_TOKENS && (int64_t)a->prompt.tokens.count <= context / CLOSE_SHARE;
    return close ? ask_close(a, d) : ask_far(a, d);
}

/* ---- entries ---- */

int64_t ask_chosen_pages(const engine *e, int64_t pages) { return engine_options_of(e)->exact || pages <= ENGINE_KEEP ? 0 : ENGINE_KEEP; }

static void note_finding(asker *a, int source, const finder_cost *c)
{
    const int64_t pages = i64_ceil_div(c->book, KV_PAGE);
    ask_step step = {.source = source, .pages = pages, .chosen = ask_chosen_pages(a->e, pages), .heads = c->heads};
    if (c->book && !a->opt->finder) {
        step.kind = ASK_STEP_NEUTRAL, step.from = c->neutral.from, step.tokens = c->neutral.tokens, step.seconds = c->neutral.seconds;
        ask_note(a, step);
    }
    if (c->book) {
        step.kind = ASK_STEP_LOOK, step.from = c->question.from, step.tokens = c->question.tokens, step.seconds = c->question.seconds;
        ask_note(a, step);
    }
    if (c->indexed) ask_note(a, (ask_step){.kind = ASK_STEP_INDEX, .source = source, .passages = c->indexed, .seconds = c->index_seconds});
    a->out->unindexed |= c->unindexed;
}

cj_err ask_search(asker *a, search *s, cj_diag *d)
{
    finder_cost costs[SEARCH_SOURCES_MAX];
    TRY(search_find(s, a->question, a->found, &a->n_found, costs, d));
    for (int i = 0; i < a->n_sources; i++) note_finding(a, i, &costs[i]);
    return CJ_OK;
}

static cj_err ask_entries(asker *a, cj_diag *d)
{
    search *s = NULL;
    TRY(search_open(&s, a->e, a->sources, a->n_sources, &a->find, d));
    cj_err e = ask_search(a, s, d);
    search_close(&s);
    TRY(e);
    if (!a->quotes) ask_take_evidence(a, NULL);
    if (a->opt->direct) {
        a->out->mode = ASK_MODE_DIRECT;
        return ask_answer_directly(a, d);
    }
    TRY(session_open(&a->close, a->writer, 0, d));
    if (a->quotes) return ask_quote_found(a, d);
    return a->n_found ? ask_answer_found(a, d) : CJ_OK;
}

/* ---- */

cj_err ask_check(const ask_options *opt, int n, cj_diag *d)
{
    if (opt->evidence < 0 || opt->evidence > ASK_EVIDENCE_MAX) return diag_fail(d, CJ_E_USAGE, MSG_OPTION_BAD, "%s" ARG "%d", "quotes", opt->evidence);
    if (opt->find & ~FIND_BOTH) return diag_fail(d, CJ_E_USAGE, MSG_OPTION_BAD, "%s" ARG "%d", "find", opt->find);
    if (opt->max_tokens < 0 || opt->max_tokens > ASK_TOKENS_MAX)
        return diag_fail(d, CJ_E_USAGE, MSG_OPTION_BAD, "%s" ARG "%lld", "max_tokens", (long long)opt->max_tokens);
    if (opt->direct && opt->answerer) return diag_fail(d, CJ_E_USAGE, MSG_ASK_DIRECT_ANSWERER, "%s", "");
    if (opt->direct && n > 1) return diag_fail(d, CJ_E_USAGE, MSG_ASK_DIRECT_ONE, "%d", n);
    if (n < 1 || n > SEARCH_SOURCES_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "entries", SEARCH_SOURCES_MAX);
    return CJ_OK;
}

cj_err ask_check_after(const ask_options *opt, cj_diag *d)
{
    if (!opt->adapter || engine_adapter_facts(opt->adapter)->activated) return CJ_OK;
    return diag_fail(d, CJ_E_USAGE, MSG_ASK_ADAPTER_WHOLE, "%s", engine_adapter_facts(opt->adapter)->name);
}

static cj_err check(const ask_options *opt, const search_source *sources, int n, cj_diag *d)
{
    TRY(ask_check(opt, n, d));
    if (opt->direct && sources->entry) TRY(ask_check_after(opt, d));
    for (int i = 0; n > 1 && i < n; i++)
        if (!sources[i].entry) return diag_fail(d, CJ_E_USAGE, MSG_OPTION_BAD, "%s" ARG "%d", "sources", n);
    return CJ_OK;
}

bool ask_quotes(const ask_options *opt) { return opt->adapter && !strcmp(engine_adapter_facts(opt->adapter)->prompt, QA_FORM_NAME); }

asker asker_begin(engine *e, const search_source *sources, int n_sources, const char *question, const ask_options *opt, ask_result *out)
{
    *out = (ask_result){0};
    buf_init(&out->answer, 1 << 20);
    return (asker){.e = e, .sources = sources, .n_sources = n_sources, .question = question, .opt = opt, .out = out, .start = clock_now(),
                   .writer = opt->answerer ? opt->answerer : e,
                   .quotes = ask_quotes(opt)};
}

void asker_end(asker *a)
{
    a->out->total_seconds = clock_now() - a->start;
    if (a->close != a->session) session_close(&a->close);
    if (a->session != a->opt->reading) session_close(&a->session);
    prompt_deinit(&a->prompt);
}

cj_err ask(engine *e, const search_source *sources, int n_sources, const char *question, const ask_options *opt, ask_result *out, cj_diag *d)
{
    asker a = asker_begin(e, sources, n_sources, question, opt, out);
    a.find = (finder_options){.heads = opt->heads, .n_heads = opt->n_heads, .adapter = opt->finder, .how = opt->find, .keep = ENGINE_KEEP, .on_progress = ask_progress, .arg = &a};
    cj_err err = check(opt, sources, n_sources, d);
    if (!err) err = sources->entry ? ask_entries(&a, d) : ask_text(&a, d);
    asker_end(&a);
    return err;
}

cj_err ask_documents(engine *e, document *const *docs, int n_docs, const char *question, const ask_options *opt, ask_result *out, cj_diag *d)
{
    book b;
    *out = (ask_result){0};
    cj_err err = book_join(&b, docs, n_docs, d);
    if (!err) err = ask(e, &(search_source){.book = &b}, 1, question, opt, out, d);
    book_deinit(&b);
    return err;
}

void ask_deinit(ask_result *r) { buf_deinit(&r->answer); }
