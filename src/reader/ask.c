/* ask: find, quote, answer. */
#include "reader/ask.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "engine/prompt.h"
#include "reader/find.h"
#include "reader/prompt.h"

enum {
    CLOSE_TOKENS = 1024,     /* a text up to this long is read once, in the prompt that asks for the answer */
    CLOSE_SHARE = 2,         /* ... if it takes no more than one part in so many of the context */
    EVIDENCE_DEFAULT = 3,
    ANSWER_TOKENS = 64,
    CONTEXT_CHARS = 120,     /* what is read again before and after a passage */
    REREAD_PASSAGES = 3,
};

/* All documents as one text; document i lies at [begin[i], begin[i + 1]). */
typedef struct corpus {
    buf text;
    size_t begin[ASK_DOCUMENTS_MAX + 1];
} corpus;

typedef struct asker {
    engine *e;
    document *const *docs;
    int n_docs;
    const char *question;
    const ask_options *opt;
    ask_result *out;
    corpus corpus;
    passage_list passages;
    ask_head heads[ASK_HEADS_MAX];
    int n_heads;
    bool heads_known;      /* to find; else all there are, as far as there is room */
    float *score;          /* [passages.n] */
    session *session;
    prompt prompt;
    ask_phase phase;
    bool begun;            /* something of the answer has been shown */
    double start;
} asker;

static bool on_progress(void *arg, int64_t done, int64_t total)
{
    asker *a = arg;
    return !a->opt->on_progress || a->opt->on_progress(a->opt->arg, a->phase, done, total);
}

/* ---- the text ---- */

static cj_err join_documents(asker *a, cj_diag *d)
{
    buf *t = &a->corpus.text;
    buf_init(t, DOCUMENT_BYTES_MAX * 4);
    for (int i = 0; i < a->n_docs; i++) {
        a->corpus.begin[i] = t->len;
        TRY(buf_append(t, document_text(a->docs[i]), document_bytes(a->docs[i]), d));
        if (i + 1 < a->n_docs) TRY(buf_puts(t, "\n\n", d));
    }
    a->corpus.begin[a->n_docs] = t->len;
    TRY(passages_cut(t->data, t->len, &a->passages, d));
    if (!a->passages.n) return diag_fail(d, CJ_E_INPUT, MSG_NO_TOKENS, "%s", "");
    a->score = mem_array((size_t)a->passages.n, sizeof *a->score);
    return a->score ? CJ_OK : diag_nomem(d, (size_t)a->passages.n * sizeof *a->score);
}

static int document_of(const asker *a, size_t byte)
{
    int i = 0;
    while (i + 1 < a->n_docs && a->corpus.begin[i + 1] <= byte) i++;
    return i;
}

/* Notes that the tokens [from, to) were read in so many seconds. */
static void count_read(asker *a, int64_t from, int64_t to, bool logits, double seconds)
{
    ask_result *r = a->out;
    if (to > from && r->n_reads < ASK_READS_MAX) r->reads[r->n_reads++] = (ask_read){from, to - from, logits};
    r->read_tokens += to - from;
    r->reused_tokens += from;
    r->read_seconds += seconds;
}

/* ---- finding ---- */

static void choose_heads(asker *a)
{
    const model_spec *m = model_spec_of(engine_model(a->e));
    for (int i = 0; i < a->opt->n_heads && a->n_heads < ASK_HEADS_MAX; i++) {
        ask_head h = a->opt->heads[i];
        if (h.layer >= 0 && h.layer < m->n_layers && h.head >= 0 && h.head < m->layers[h.layer].gqa.heads) a->heads[a->n_heads++] = h;
    }
    a->heads_known = a->n_heads > 0;
    if (a->heads_known) return;
    for (int l = m->n_layers - 1; l >= 0; l--) /* none known: later layers first, as far as there is room */
        for (int h = 0; !m->layers[l].gqa.window && h < m->layers[l].gqa.heads && a->n_heads < ASK_HEADS_MAX; h++)
            a->heads[a->n_heads++] = (ask_head){l, h};
}

/* Builds the prompt of this reading for a question. */
typedef cj_err prompt_maker(prompt *out, const engine *e, const char *text, size_t bytes, const char *question, cj_diag *d);

static cj_err make_prompt(asker *a, prompt_maker *make, const char *question, cj_diag *d)
{
    prompt_deinit(&a->prompt);
    return make(&a->prompt, a->e, a->corpus.text.data, a->corpus.text.len, question, d);
}

/* A text that is too long is refused, never cut: says by how much, and how much of it would go in. */
static cj_err check_length(const asker *a, cj_diag *d)
{
    const prompt *p = &a->prompt;
    int64_t n = (int64_t)p->tokens.count, context = session_context(a->session), over = n - context;
    if (over <= 0) return CJ_OK;
    int64_t fits = p->text_end - over;
    size_t bytes = fits > p->text ? p->tokens.spans[fits - 1].end : 0;
    int64_t chars = (int64_t)utf8_count(a->corpus.text.data, bytes);
    chars -= chars / 50 + 1; /* cut there, its last words may be other tokens */
    return diag_fail(d, CJ_E_LIMIT, MSG_ASK_TOO_LONG, "%lld" ARG "%lld" ARG "%lld" ARG "%lld" ARG "%lld", (long long)n, (long long)over,
                     (long long)context, (long long)utf8_count(a->corpus.text.data, a->corpus.text.len),
                     (long long)chars);
}

/* What is looked at: mass[head * parts + part], the attention of a part of the tokens [from, end) to every token. */
typedef struct gaze {
    float *mass[SESSION_PROBES_MAX];
    int parts;
} gaze;

static void gaze_deinit(gaze *g)
{
    for (int i = 0; i < SESSION_PROBES_MAX; i++) mem_free(g->mass[i]);
}

/* Reads a->prompt into the session while the finding heads are watched, tokens [from, end) in g->parts parts. */
static cj_err look(asker *a, model_want want, int64_t from, int64_t end, gaze *g, cj_diag *d)
{
    session_probe probes[SESSION_PROBES_MAX];
    int64_t n = (int64_t)a->prompt.tokens.count, reused = 0;
    int n_probes = a->n_heads * g->parts;
    TRY(check_length(a, d));
    for (int i = 0; i < n_probes; i++) {
        ask_head h = a->heads[i / g->parts];
        int part = i % g->parts;
        g->mass[i] = mem_array((size_t)n, sizeof *g->mass[i]);
        if (!g->mass[i]) return diag_nomem(d, (size_t)n * sizeof *g->mass[i]);
        probes[i] = (session_probe){h.layer, h.head, from + (end - from) * part / g->parts, from + (end - from) * (part + 1) / g->parts, g->mass[i]};
    }
    session_call call = {.want = want, .on_progress = on_progress, .arg = a, .probes = probes, .n_probes = n_probes};
    double start = clock_now();
    TRY(session_eval(a->session, a->prompt.tokens.ids, n, &call, &reused, d));
    count_read(a, reused, n, want != WANT_NONE, clock_now() - start);
    return CJ_OK;
}

static find_text text_of(const asker *a)
{
    const prompt *p = &a->prompt;
    return (find_text){p->tokens.spans, p->text, p->text_end, a->passages.item, a->passages.n};
}

/* usual[head][passage]: what a question about nothing looks at: openings, headings, names that are everywhere. */
static cj_err look_idly(asker *a, prompt_maker *make, float *usual, cj_diag *d)
{
    gaze g = {.parts = 1};
    cj_err e = make_prompt(a, make, prompt_neutral_question(a->question), d);
    if (!e) e = look(a, WANT_NONE, a->prompt.text_end, (int64_t)a->prompt.tokens.count, &g, d);
    find_text t = text_of(a);
    for (int h = 0; !e && h < a->n_heads; h++) find_share(&t, g.mass[h], usual + h * t.n_passages);
    gaze_deinit(&g);
    return e;
}

/* The score: what the question looks at beyond that. Heads that are known to find are watched word by word; of others, most of which
 * find nothing, only what the whole question looks at is above their noise. */
static cj_err look_asking(asker *a, prompt_maker *make, model_want want, const float *usual, float *share, cj_diag *d)
{
    TRY(make_prompt(a, make, a->question, d));
    int64_t words = a->prompt.words_end - a->prompt.words, most = SESSION_PROBES_MAX / a->n_heads;
    if (words < 1) return diag_fail(d, CJ_E_USAGE, MSG_ASK_EMPTY_QUESTION, "%s", "");
    gaze g = {.parts = a->heads_known ? (int)i64_min(words, most) : 1};
    cj_err e = look(a, want, a->prompt.words, a->prompt.words_end, &g, d);
    find_text t = text_of(a);
    for (int i = 0; !e && i < a->n_heads * g.parts; i++) {
        find_share(&t, g.mass[i], share);
        find_add(a->score, share, usual + i / g.parts * t.n_passages, t.n_passages, 1 / (float)(a->n_heads * g.parts), a->heads_known);
    }
    gaze_deinit(&g);
    return e;
}

/* Reads the text, puts both questions after it in turn and fills a->score; docs/finding.md has the figures behind this. */
static cj_err read_and_score(asker *a, prompt_maker *make, model_want want, cj_diag *d)
{
    size_t n = (size_t)a->passages.n;
    float *shares = mem_array((size_t)a->n_heads + 1, n * sizeof *shares);
    if (!shares) return diag_nomem(d, ((size_t)a->n_heads + 1) * n * sizeof *shares);
    cj_err e = look_idly(a, make, shares, d);
    if (!e) e = look_asking(a, make, want, shares, shares + (size_t)a->n_heads * n, d);
    mem_free(shares);
    return e;
}

/* The best passages as evidence, and to the caller. */
static void take_evidence(asker *a)
{
    a->phase = ASK_ANSWERING; /* what is still read belongs to the answer: the caller may be showing it from here on */
    int64_t best[ASK_EVIDENCE_MAX];
    int most = a->opt->evidence ? a->opt->evidence : EVIDENCE_DEFAULT;
    int n = find_best(a->score, a->passages.n, best, most);
    for (int i = 0; i < n; i++) {
        passage p = a->passages.item[best[i]];
        int doc = document_of(a, p.byte);
        const document *from = a->docs[doc];
        size_t byte = p.byte - a->corpus.begin[doc], end = p.end - a->corpus.begin[doc];
        a->out->evidence[i] = (ask_evidence){
            .document = doc, .byte = byte, .end_byte = end, .start = document_char_at(from, byte), .end = document_char_at(from, end),
            .chapter = document_chapter_of(from, byte), .article = document_article_of(from, byte), .page = document_page_of(from, byte),
            .paragraph = document_paragraph_of(from, byte), .score = a->score[best[i]],
            .verified = end <= document_bytes(from) && !memcmp(document_text(from) + byte, a->corpus.text.data + p.byte, end - byte),
        };
    }
    a->out->n_evidence = n;
    if (a->opt->on_evidence) a->opt->on_evidence(a->opt->arg, a->out->evidence, n);
}

/* ---- snapshot of what every question begins with ---- */

/* mem_free it; NULL when there is no folder or no memory. */
static char *snapshot_path(const asker *a)
{
    char name[96];
    if (!a->opt->snapshots) return NULL;
    uint64_t beginning = hash_xxh3(a->prompt.tokens.ids, (size_t)a->prompt.text * sizeof *a->prompt.tokens.ids);
    snprintf(name, sizeof name, "ask-%016llx-%08x-%d%s.snap", (unsigned long long)model_fingerprint(engine_model(a->e)), (unsigned)beginning,
             (int)engine_options_of(a->e)->kv, engine_options_of(a->e)->exact ? "-exact" : "");
    return file_join(a->opt->snapshots, name);
}

/* Fills the session with the prompt's beginning: from the snapshot when it is there and good, else by reading it and keeping it.
 * A snapshot that cannot be read or written costs time, not the answer. */
static cj_err begin_session(asker *a, cj_diag *d)
{
    char *path = snapshot_path(a);
    bool loaded = path && !session_load(a->session, path, NULL);
    const int32_t *ids = a->prompt.tokens.ids;
    int64_t n = a->prompt.text;
    loaded = loaded && session_count(a->session) == n && !memcmp(session_ids(a->session), ids, (size_t)n * sizeof *ids);
    cj_err e = CJ_OK;
    if (!loaded) {
        session_call call = {.want = WANT_NONE, .on_progress = on_progress, .arg = a};
        double start = clock_now();
        e = session_eval(a->session, ids, n, &call, NULL, d);
        if (!e) count_read(a, 0, n, false, clock_now() - start);
        if (!e && path && !file_make_dirs(a->opt->snapshots, NULL)) (void)!session_save(a->session, path, NULL);
    }
    mem_free(path);
    return e;
}

/* ---- answering ---- */

static bool on_piece(void *arg, const generate_piece *p)
{
    asker *a = arg;
    const char *text = p->text;
    size_t n = p->n;
    for (; n && !a->begun && (*text == ' ' || *text == '\n'); n--) text++; /* models put a space before the first word */
    if (!n) return true;
    if (!a->begun) a->out->first_token_seconds = clock_now() - a->start;
    a->begun = true;
    return !a->opt->on_text || a->opt->on_text(a->opt->arg, text, n);
}

static int64_t answer_tokens(const asker *a) { return a->opt->max_tokens ? a->opt->max_tokens : ANSWER_TOKENS; }

static cj_err write_answer(asker *a, cj_diag *d)
{
    generate_result r;
    const char *stops[] = {a->prompt.stop};
    generate_options g = {
        .sampling = SAMPLER_GREEDY, .max_tokens = answer_tokens(a), .stops = stops, .n_stops = a->prompt.stop != NULL,
        .on_piece = on_piece, .on_progress = on_progress, .arg = a,
    };
    buf *answer = &a->out->answer;
    TRY(generate(a->session, a->prompt.tokens.ids, (int64_t)a->prompt.tokens.count, &g, answer, &r, d));
    size_t space = 0;
    while (space < answer->len && (answer->data[space] == ' ' || answer->data[space] == '\n')) space++;
    if (space) memmove(answer->data, answer->data + space, (answer->len -= space) + 1);
    count_read(a, r.reused_tokens, r.prompt_tokens, true, r.prompt_seconds);
    a->out->context_tokens = r.prompt_tokens;
    a->out->write_seconds = r.write_seconds;
    a->out->written_tokens = r.written_tokens;
    return CJ_OK;
}

/* The best `most` passages alone; the best comes last, nearest to the question. */
static cj_err gather_sentences(const asker *a, int most, buf *text, cj_diag *d)
{
    int64_t best[REREAD_PASSAGES];
    buf_clear(text);
    for (int n = find_best(a->score, a->passages.n, best, most); n-- > 0;) {
        passage p = a->passages.item[best[n]];
        TRY(buf_append(text, a->corpus.text.data + p.byte, p.end - p.byte, d));
        if (n) TRY(buf_puts(text, "\n", d));
    }
    return CJ_OK;
}

/* The best passages with CONTEXT_CHARS before and after, in the order of the book, without overlaps. */
static cj_err gather_context(const asker *a, buf *text, cj_diag *d)
{
    int64_t best[REREAD_PASSAGES];
    int n = find_best(a->score, a->passages.n, best, REREAD_PASSAGES);
    const passage *p = a->passages.item;
    size_t done = 0, reach = CONTEXT_CHARS * 3; /* bytes, as Chinese has them; before `done` all has been taken */
    buf_clear(text);
    for (int64_t i = 0; i < a->passages.n; i++) {
        bool chosen = false;
        for (int k = 0; k < n; k++) chosen |= best[k] == i;
        if (!chosen) continue;
        int64_t from = i, to = i;
        while (from > 0 && p[i].byte - p[from - 1].byte <= reach) from--;
        while (to + 1 < a->passages.n && p[to + 1].end - p[i].end <= reach) to++;
        size_t byte = p[from].byte > done ? p[from].byte : done;
        if (byte >= p[to].end) continue;
        if (text->len) TRY(buf_puts(text, "\n", d));
        TRY(buf_append(text, a->corpus.text.data + byte, p[to].end - byte, d));
        done = p[to].end;
    }
    return CJ_OK;
}

/* The prompt over what is read again. A base model answers best from the sentences alone, one that chats is given what stands
 * around them (docs/finding.md); less where the context is small. */
static cj_err make_short_prompt(asker *a, cj_diag *d)
{
    enum { CONTEXT, SENTENCES, BEST, STEPS };
    int64_t room = session_context(a->session) - answer_tokens(a);
    buf text;
    cj_err e = CJ_OK;
    buf_init(&text, 1 << 20);
    for (int step = prompt_can_chat(a->e) ? CONTEXT : SENTENCES; !e && step < STEPS; step++) {
        e = step == CONTEXT ? gather_context(a, &text, d) : gather_sentences(a, step == BEST ? 1 : REREAD_PASSAGES, &text, d);
        if (e) break;
        prompt_deinit(&a->prompt);
        e = prompt_close(&a->prompt, a->e, text.data, text.len, a->question, d);
        if ((int64_t)a->prompt.tokens.count <= room) break;
    }
    buf_deinit(&text);
    return e;
}

/* A short text and a model that chats: one reading finds and answers. */
static cj_err ask_close(asker *a, cj_diag *d)
{
    TRY(begin_session(a, d));
    TRY(read_and_score(a, prompt_close, WANT_LAST, d));
    take_evidence(a);
    return write_answer(a, d);
}

/* Otherwise: read, find, then read what was found again, close to the question, and answer. */
static cj_err ask_far(asker *a, cj_diag *d)
{
    a->out->from_passages = true;
    TRY(read_and_score(a, prompt_find, WANT_NONE, d));
    take_evidence(a);
    TRY(make_short_prompt(a, d));
    TRY(begin_session(a, d));
    return write_answer(a, d);
}

static cj_err run(asker *a, cj_diag *d)
{
    TRY(join_documents(a, d));
    choose_heads(a);
    TRY(session_open(&a->session, a->e, 0, d));
    if (!prompt_can_chat(a->e)) return ask_far(a, d);
    TRY(make_prompt(a, prompt_close, a->question, d));
    int64_t text = a->prompt.text_end - a->prompt.text, context = session_context(a->session);
    bool close = text <= CLOSE_TOKENS && (int64_t)a->prompt.tokens.count <= context / CLOSE_SHARE;
    return close ? ask_close(a, d) : ask_far(a, d);
}

cj_err ask(engine *e, document *const *docs, int n_docs, const char *question, const ask_options *opt, ask_result *out, cj_diag *d)
{
    asker a = {.e = e, .docs = docs, .n_docs = n_docs, .question = question, .opt = opt, .out = out, .start = clock_now()};
    *out = (ask_result){0};
    buf_init(&out->answer, 1 << 20);
    if (opt->evidence < 0 || opt->evidence > ASK_EVIDENCE_MAX) return diag_fail(d, CJ_E_USAGE, MSG_OPTION_BAD, "%s" ARG "%d", "quotes", opt->evidence);
    if (opt->max_tokens < 0) return diag_fail(d, CJ_E_USAGE, MSG_OPTION_BAD, "%s" ARG "%lld", "max_tokens", (long long)opt->max_tokens);
    if (n_docs < 1 || n_docs > ASK_DOCUMENTS_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "documents", ASK_DOCUMENTS_MAX);
    cj_err err = run(&a, d);
    out->total_seconds = clock_now() - a.start;
    session_close(&a.session);
    prompt_deinit(&a.prompt);
    passages_deinit(&a.passages);
    buf_deinit(&a.corpus.text);
    mem_free(a.score);
    return err;
}

void ask_deinit(ask_result *r) { buf_deinit(&r->answer); }
