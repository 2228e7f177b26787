/* The writing loop. */
#include "engine/generate.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"

typedef struct writer {
    const generate_options *opt;
    token_stream stream;
    buf text;         /* everything written, stop strings cut off */
    size_t shown;     /* bytes of text that the caller has had */
    size_t held_max;  /* longest stop string - 1 */
    int32_t *ids;     /* [count] prompt and what was written */
    int64_t count, cap;
    generate_result *result;
} writer;

size_t generate_unfinished(const char *text, size_t n)
{
    static const char mark[] = "\xEF\xBF\xBD";
    const size_t whole = n;
    while (n >= strlen(mark) && !memcmp(text + n - strlen(mark), mark, strlen(mark))) n -= strlen(mark);
    return whole - n;
}

const char *generate_end_name(generate_end e)
{
    static const char *const names[] = {"stop", "length", "stop", "context", "cancelled"};
    return names[e];
}

/* Looks for a stop string that ends in the new part of the text; cuts the text there. */
static bool cut_at_stop(writer *w, size_t new_from)
{
    size_t from = new_from > w->held_max ? new_from - w->held_max : 0, cut = w->text.len;
    for (int i = 0; i < w->opt->n_stops; i++) {
        const char *stop = w->opt->stops[i];
        if (!*stop) continue;
        const char *at = memmem(w->text.data + from, w->text.len - from, stop, strlen(stop));
        if (at && (size_t)(at - w->text.data) < cut) cut = (size_t)(at - w->text.data);
    }
    if (cut == w->text.len) return false;
    w->text.len = cut;
    w->text.data[cut] = 0;
    return true;
}

/* Bytes at the end of the text that could be the beginning of a stop string. */
static size_t held_back(const writer *w)
{
    size_t most = 0, len = w->text.len;
    for (int i = 0; i < w->opt->n_stops; i++) {
        const char *stop = w->opt->stops[i];
        size_t n = strlen(stop);
        for (size_t k = n ? i64_min((int64_t)n - 1, (int64_t)len) : 0; k > most; k--)
            if (!memcmp(w->text.data + len - k, stop, k)) most = k;
    }
    return most;
}

/* Hands the caller what may be shown. False: the caller wants no more. */
static bool show(writer *w, const generate_piece *p, size_t until)
{
    generate_piece piece = *p;
    piece.text = w->text.data ? w->text.data + w->shown : "";
    piece.n = until > w->shown ? until - w->shown : 0;
    w->shown += piece.n;
    return !w->opt->on_piece || w->opt->on_piece(w->opt->arg, &piece);
}

static cj_err push_id(writer *w, int32_t id, cj_diag *d)
{
    if (w->count == w->cap) {
        int64_t cap = w->cap * 2;
        int32_t *ids = mem_grow(w->ids, (size_t)w->count * sizeof *ids, (size_t)cap * sizeof *ids);
        if (!ids) return diag_nomem(d, (size_t)cap * sizeof *ids);
        w->ids = ids;
        w->cap = cap;
    }
    w->ids[w->count++] = id;
    return CJ_OK;
}

/* Of the sampler: what the caller says of the text with this token. */
static float weigh(void *arg, int32_t id)
{
    writer *w = arg;
    token_stream after = w->stream;
    const size_t n = w->text.len, held = after.held_count;
    const bool ended = !w->opt->ignore_end && tokenizer_is_end(after.tokenizer, id);
    bool ok = ended || (!token_stream_push(&after, id, &w->text, NULL) && (w->text.len > n || after.held_count > held));
    ok = ok && !buf_append(&w->text, after.held, after.held_count, NULL);
    const float less = ok ? w->opt->weigh(w->opt->arg, w->text.data ? w->text.data : "", w->text.len, ended) : -INFINITY;
    if (w->text.data) w->text.data[w->text.len = n] = 0;
    return less;
}

/* One token: sample, decode, show. *ended is set when it was the last. */
static cj_err write_token(writer *w, session *s, sampler *sm, bool *ended, cj_diag *d)
{
    const float *logits = session_logits(s);
    int64_t vocab = model_spec_of(engine_model(session_engine(s)))->vocab;
    sampler_logprob top[GENERATE_TOP_MAX];
    generate_piece p = {.id = sampler_pick(sm, logits, w->ids, w->count), .top = top, .n_top = w->opt->n_top};
    if (p.id < 0 || (!w->opt->ignore_end && tokenizer_is_end(w->stream.tokenizer, p.id))) {
        w->result->end = p.id < 0 ? END_STOP : END_TOKEN;
        *ended = true;
        return CJ_OK;
    }
    p.logprob = sampler_logprobs(logits, vocab, p.id, top, p.n_top);
    size_t before = w->text.len;
    TRY(token_stream_push(&w->stream, p.id, &w->text, d));
    TRY(push_id(w, p.id, d));
    w->result->written_tokens++;
    bool stopped = w->text.data && cut_at_stop(w, before);
    if (!show(w, &p, stopped ? w->text.len : w->text.len - held_back(w))) {
        w->result->end = END_CALLER;
        *ended = true;
    } else if (stopped) {
        w->result->end = END_STOP;
        *ended = true;
    } else if (w->opt->max_tokens && w->result->written_tokens >= w->opt->max_tokens) {
        w->result->end = END_LENGTH;
        *ended = true;
    }
    return CJ_OK;
}

static cj_err write_loop(writer *w, session *s, sampler *sm, int64_t prompt, cj_diag *d)
{
    session_call call = {.want = WANT_LAST, .on_progress = w->opt->on_progress, .arg = w->opt->arg};
    double start = clock_now();
    TRY(session_eval(s, w->ids, prompt, &call, &w->result->reused_tokens, d));
    w->result->prompt_seconds = clock_now() - start;
    call.on_progress = NULL;
    double begin = clock_now();
    for (bool ended = false; !ended;) {
        TRY(write_token(w, s, sm, &ended, d));
        if (w->result->written_tokens <= 1) w->result->first_token_seconds = clock_now() - start;
        if (ended) break;
        if (w->count >= session_context(s)) {
            w->result->end = END_CONTEXT;
            break;
        }
        TRY(session_eval(s, w->ids, w->count, &call, NULL, d));
    }
    w->result->write_seconds = clock_now() - begin;
    /* an unfinished character, or text held back for a stop string that did not come */
    if (w->result->end != END_STOP) TRY(token_stream_end(&w->stream, &w->text, d));
    if (w->text.len > w->shown && w->result->end != END_CALLER) show(w, &(generate_piece){.id = -1}, w->text.len);
    return CJ_OK;
}

static cj_err check(const generate_options *opt, cj_diag *d)
{
    if (opt->n_stops > GENERATE_STOPS_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "stop", GENERATE_STOPS_MAX);
    if (opt->n_top < 0 || opt->n_top > GENERATE_TOP_MAX)
        return diag_fail(d, CJ_E_USAGE, MSG_SAMPLING_RANGE, "%s" ARG "%d" ARG "%d" ARG "%d", "top_logprobs", opt->n_top, 0, GENERATE_TOP_MAX);
    for (int i = 0; i < opt->n_stops; i++)
        if (strlen(opt->stops[i]) > GENERATE_STOP_BYTES_MAX)
            return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "stop", GENERATE_STOP_BYTES_MAX);
    return CJ_OK;
}

cj_err generate(session *s, const int32_t *ids, int64_t n, const generate_options *opt, buf *out, generate_result *r, cj_diag *d)
{
    enum { TEXT_MAX = 1 << 28 };
    const tokenizer *t;
    sampler *sm = NULL;
    *r = (generate_result){.prompt_tokens = n};
    TRY(check(opt, d));
    TRY(engine_need_tokenizer(session_engine(s), &t, d));
    writer w = {.opt = opt, .count = n, .cap = n + 256, .result = r};
    sampler_options sampling = opt->sampling;
    if (opt->weigh) {
        sampling.weigh = weigh;
        sampling.arg = &w;
    }
    TRY(sampler_open(&sm, &sampling, model_spec_of(engine_model(session_engine(s)))->vocab, d));
    for (int i = 0; i < opt->n_stops; i++)
        if (strlen(opt->stops[i]) > w.held_max) w.held_max = strlen(opt->stops[i]);
    token_stream_init(&w.stream, t, opt->decode_flags | TOKEN_CONTINUES);
    buf_init(&w.text, TEXT_MAX);
    w.ids = mem_array((size_t)w.cap, sizeof *w.ids);
    cj_err e = w.ids ? CJ_OK : diag_nomem(d, (size_t)w.cap * sizeof *w.ids);
    if (!e) memcpy(w.ids, ids, (size_t)n * sizeof *ids);
    if (!e) e = write_loop(&w, s, sm, n, d);
    if (!e && out) e = buf_append(out, w.text.data, w.text.len, d);
    mem_free(w.ids);
    buf_deinit(&w.text);
    sampler_close(&sm);
    return e;
}
