/* Answers by an adapter that quotes (data/qa_form.h): the passages as they are, read by the base; then the question, and all that is written, with the
 * adapter. What is written is held to the form, so a quote is verbatim, and becomes the first evidence.
 */
#include <string.h>

#include "reader/asker.h"
#include "reader/leaning.h"

/* An answer while it is written. */
typedef struct quoter {
    const ask_range *ranges; /* [form.n] that may be quoted from */
    quoting form;
    buf text;     /* all that was written */
    size_t shown; /* bytes of it that the caller has had, or will never have */
    bool full;    /* there was no memory for more of it */
    bool begun;   /* the quote is closed, or there is none: the answer has begun, the evidence was taken */
} quoter;

static float weigh(void *arg, const char *text, size_t n, bool ended) { return quoting_weigh(&((asker *)arg)->quoter->form, text, n, ended); }

static ask_range place_of(const quoter *q, const quoted *at)
{
    const ask_range *r = &q->ranges[at->piece];
    return (ask_range){r->source, r->byte + at->at, r->byte + at->end};
}

/* The answer begins behind the quote, if there is one. */
static void begin_answer(asker *a, const quoted *at)
{
    quoter *q = a->quoter;
    const ask_range place = at ? place_of(q, at) : (ask_range){0};
    q->begun = true;
    q->shown = at ? at->answer : 0;
    ask_take_evidence(a, at ? &place : NULL);
}

static bool on_piece(void *arg, const generate_piece *p)
{
    asker *a = arg;
    quoter *q = a->quoter;
    quoted at;
    q->full = buf_append(&q->text, p->text, p->n, NULL);
    if (q->full) return false;
    if (!q->begun && quoting_refuses(&q->form, q->text.data, q->text.len)) begin_answer(a, NULL);
    else if (!q->begun && quoting_closed(&q->form, q->text.data, q->text.len, false, &at)) begin_answer(a, &at);
    if (!q->begun) return true;
    const size_t from = q->shown;
    q->shown = q->text.len;
    return ask_show(a, q->text.data + from, q->text.len - from);
}

/* What was written as a result: the answer alone. */
static cj_err take_answer(asker *a, cj_diag *d)
{
    const quoter *q = a->quoter;
    const char *text = q->text.data;
    size_t n = q->text.len;
    quoted at;
    if (!q->begun) begin_answer(a, NULL); /* it was cut short in the quote, or nothing was written: there is no answer */
    else if (quoting_closed(&q->form, text, n, a->out->end == END_TOKEN, &at)) return buf_append(&a->out->answer, text + at.answer, n - at.answer, d);
    if (!n || !quoting_refuses(&q->form, text, n)) return CJ_OK;
    a->out->refused = true;
    for (; n && *text == ' '; n--) text++;
    return buf_append(&a->out->answer, text, n, d);
}

/* Answers after the first `held` of ids[0..count), in which the ranges stand. */
static cj_err write_quoted(asker *a, const int32_t *ids, int64_t count, int64_t held, const ask_range *ranges, int n, ask_step step, cj_diag *d)
{
    quoter q = {.ranges = ranges, .form = {.n = n, .words = qa_words_for(a->question), .weight = LEANING_WEIGHT}};
    quoting_piece *pieces = mem_array((size_t)n + 1, sizeof *pieces);
    quoting_lean *leans = NULL;
    if (!pieces) return diag_nomem(d, ((size_t)n + 1) * sizeof *pieces);
    for (int i = 0; i < n; i++)
        pieces[i] = (quoting_piece){a->sources[ranges[i].source].book->text.data + ranges[i].byte, ranges[i].end - ranges[i].byte};
    q.form.pieces = pieces;
    a->quoter = &q;
    buf_init(&q.text, 1 << 20);
    const generate_options how = {.sampling = SAMPLER_GREEDY, .max_tokens = ask_answer_tokens(a), .weigh = weigh, .on_piece = on_piece,
                                  .on_progress = ask_progress, .arg = a};
    cj_err e = leaning_make(pieces, n, a->question, &leans, &q.form.n_leans, d);
    q.form.leans = leans;
    if (!e) e = session_set_adapter(a->close, a->opt->adapter, held, d);
    if (!e) e = ask_generate(a, ids, count, &how, NULL, step, d);
    if (!e && q.full) e = diag_nomem(d, q.text.len);
    if (!e) e = take_answer(a, d);
    buf_deinit(&q.text);
    mem_free(leans);
    mem_free(pieces);
    a->quoter = NULL;
    return e;
}

cj_err ask_quote_whole(asker *a, const int32_t *held, int64_t n, int64_t pages, cj_diag *d)
{
    const book *b = a->sources->book;
    prompt after;
    cj_err e = prompt_qa(&after, a->writer, NULL, 0, a->question, d);
    const size_t more = after.tokens.count;
    if (!e && more > FINDER_QUESTION_MAX) e = diag_fail(d, CJ_E_LIMIT, MSG_ASK_QUESTION_LONG, "%zu" ARG "%d" ARG "%zu", more, FINDER_QUESTION_MAX, more - FINDER_QUESTION_MAX);
    ask_range *ranges = mem_array((size_t)b->n_docs, sizeof *ranges);
    int32_t *ids = mem_array((size_t)n + more, sizeof *ids);
    if (!e && (!ranges || !ids)) e = diag_nomem(d, ((size_t)n + more) * sizeof *ids);
    if (!e) {
        memcpy(ids, held, (size_t)n * sizeof *ids);
        memcpy(ids + n, after.tokens.ids, more * sizeof *ids);
        for (int i = 0; i < b->n_docs; i++) ranges[i] = (ask_range){0, b->begin[i], b->begin[i] + document_bytes(b->docs[i])};
        e = write_quoted(a, ids, n + (int64_t)more, n, ranges, b->n_docs, (ask_step){.kind = ASK_STEP_TEXT, .pages = pages}, d);
    }
    mem_free(ids);
    mem_free(ranges);
    prompt_deinit(&after);
    return e;
}

cj_err ask_quote_found(asker *a, cj_diag *d)
{
    ask_reading r;
    if (!a->n_found) { /* nothing bears on the question */
        ask_take_evidence(a, NULL);
        return CJ_OK;
    }
    TRY(ask_make_short_prompt(a, ASK_CONTEXT, prompt_qa, &r, d));
    const ask_step step = {.kind = ASK_STEP_REREAD, .source = -1, .passages = r.passages};
    return write_quoted(a, a->prompt.tokens.ids, (int64_t)a->prompt.tokens.count, a->prompt.text_end, r.ranges, r.n, step, d);
}
