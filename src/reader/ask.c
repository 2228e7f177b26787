/* ask: find, quote, answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "engine/prompt.h"
#include "reader/asker.h"

enum {
    CLOSE_TOKENS = 1024,     /* a text up to this long is read once, in the prompt that asks for the answer */
    CLOSE_SHARE = 2,         /* ... if it takes no more than one part in so many of the context */
    EVIDENCE_DEFAULT = 3,
    ANSWER_TOKENS = 64,
    CONTEXT_CHARS = 120,     /* what is read again before and after a passage */
    REREAD_PASSAGES = 3,
};
#define ALL_SHARE 0.6f       /* of the best score: what comes closer bears on the question too */

bool ask_progress(void *arg, int64_t done, int64_t total)
{
    asker *a = arg;
    return !a->opt->on_progress || a->opt->on_progress(a->opt->arg, a->phase, done, total);
}

/* Notes that the tokens [from, to) were read in so many seconds. */
void ask_count_read(asker *a, int64_t from, int64_t to, bool logits, double seconds)
{
    ask_result *r = a->out;
    if (to > from && r->n_reads < ASK_READS_MAX) r->reads[r->n_reads++] = (ask_read){from, to - from, logits};
    r->read_tokens += to - from;
    r->reused_tokens += from;
    r->read_seconds += seconds;
}

static ask_evidence evidence_of(const asker *a, const found_passage *found)
{
    passage p = a->book->passages.item[found->passage];
    int doc = book_document_of(a->book, p.byte);
    const document *from = a->book->docs[doc];
    size_t byte = p.byte - a->book->begin[doc], end = p.end - a->book->begin[doc];
    return (ask_evidence){
        .document = doc, .byte = byte, .end_byte = end, .start = document_char_at(from, byte), .end = document_char_at(from, end),
        .chapter = document_chapter_of(from, byte), .article = document_article_of(from, byte), .page = document_page_of(from, byte),
        .paragraph = document_paragraph_of(from, byte), .found_by = found->by, .score = found->score,
        .verified = end <= document_bytes(from) && !memcmp(document_text(from) + byte, a->book->text.data + p.byte, end - byte),
    };
}

/* Whether a passage bears on the question: both ways found it, or one did and it is not far behind the best that this way found. */
static bool bears(const asker *a, const found_passage *found)
{
    float best = 0;
    for (int i = 0; i < a->n_found; i++)
        if (a->found[i].by & found->by && a->found[i].score > best) best = a->found[i].score;
    return found->by == FIND_BOTH || found->score >= ALL_SHARE * best;
}

static int by_place(const void *a, const void *b)
{
    int64_t x = ((const found_passage *)a)->passage, y = ((const found_passage *)b)->passage;
    return (x > y) - (x < y);
}

/* All that bear on the question, in the order of the text. */
static int take_all(asker *a)
{
    found_passage all[FINDER_FOUND_MAX];
    int n = 0;
    for (int i = 0; i < a->n_found; i++)
        if (bears(a, &a->found[i])) all[n++] = a->found[i];
    qsort(all, (size_t)n, sizeof *all, by_place);
    for (int i = 0; i < n; i++) a->out->evidence[i] = evidence_of(a, &all[i]);
    return n;
}

static int take_some(asker *a, int most)
{
    const int n = (int)i64_min(a->n_found, most);
    for (int i = 0; i < n; i++) a->out->evidence[i] = evidence_of(a, &a->found[i]);
    return n;
}

/* The best passages as evidence, and to the caller. */
static void take_evidence(asker *a)
{
    a->phase = ASK_ANSWERING; /* what is still read belongs to the answer: the caller may be showing it from here on */
    int n = a->opt->all ? take_all(a) : take_some(a, a->opt->evidence ? a->opt->evidence : EVIDENCE_DEFAULT);
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
    snprintf(name, sizeof name, "ask-%016llx-%08x-%d%s.snap", (unsigned long long)model_fingerprint(engine_model(a->writer)), (unsigned)beginning,
             (int)engine_options_of(a->writer)->kv, engine_options_of(a->writer)->exact ? "-exact" : "");
    return file_join(a->opt->snapshots, name);
}

/* Fills the session with the prompt's beginning: from the snapshot when it is there and good, else by reading it and keeping it.
 * A snapshot that cannot be read or written costs time, not the answer. */
static cj_err begin_session(asker *a, cj_diag *d)
{
    char *path = snapshot_path(a);
    bool loaded = path && !session_load(a->close, path, NULL);
    const int32_t *ids = a->prompt.tokens.ids;
    int64_t n = a->prompt.text;
    loaded = loaded && session_count(a->close) == n && !memcmp(session_ids(a->close), ids, (size_t)n * sizeof *ids);
    cj_err e = CJ_OK;
    if (!loaded) {
        session_call call = {.want = WANT_NONE, .on_progress = ask_progress, .arg = a};
        double start = clock_now();
        e = session_eval(a->close, ids, n, &call, NULL, d);
        if (!e) ask_count_read(a, 0, n, false, clock_now() - start);
        if (!e && path && !file_make_dirs(a->opt->snapshots, NULL)) (void)!session_save(a->close, path, NULL);
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
        .on_piece = on_piece, .on_progress = ask_progress, .arg = a,
    };
    buf *answer = &a->out->answer;
    TRY(generate(a->close, a->prompt.tokens.ids, (int64_t)a->prompt.tokens.count, &g, answer, &r, d));
    size_t space = 0;
    while (space < answer->len && (answer->data[space] == ' ' || answer->data[space] == '\n')) space++;
    if (space) memmove(answer->data, answer->data + space, (answer->len -= space) + 1);
    ask_count_read(a, r.reused_tokens, r.prompt_tokens, true, r.prompt_seconds);
    a->out->context_tokens = r.prompt_tokens;
    a->out->write_seconds = r.write_seconds;
    a->out->written_tokens = r.written_tokens;
    return CJ_OK;
}

/* The best `most` passages alone; the best comes last, nearest to the question. */
static cj_err gather_sentences(const asker *a, int most, buf *text, cj_diag *d)
{
    buf_clear(text);
    for (int n = (int)i64_min(a->n_found, most); n-- > 0;) {
        passage p = a->book->passages.item[a->found[n].passage];
        TRY(buf_append(text, a->book->text.data + p.byte, p.end - p.byte, d));
        if (n) TRY(buf_puts(text, "\n", d));
    }
    return CJ_OK;
}

/* The best passages with CONTEXT_CHARS before and after, in the order of the book, without overlaps. */
static cj_err gather_context(const asker *a, buf *text, cj_diag *d)
{
    const int n = (int)i64_min(a->n_found, REREAD_PASSAGES);
    const passage *p = a->book->passages.item;
    size_t done = 0, reach = CONTEXT_CHARS * 3; /* bytes, as Chinese has them; before `done` all has been taken */
    buf_clear(text);
    for (int64_t i = 0; i < a->book->passages.n; i++) {
        bool chosen = false;
        for (int k = 0; k < n; k++) chosen |= a->found[k].passage == i;
        if (!chosen) continue;
        int64_t from = i, to = i;
        while (from > 0 && p[i].byte - p[from - 1].byte <= reach) from--;
        while (to + 1 < a->book->passages.n && p[to + 1].end - p[i].end <= reach) to++;
        size_t byte = p[from].byte > done ? p[from].byte : done;
        if (byte >= p[to].end) continue;
        if (text->len) TRY(buf_puts(text, "\n", d));
        TRY(buf_append(text, a->book->text.data + byte, p[to].end - byte, d));
        done = p[to].end;
    }
    return CJ_OK;
}

/* The prompt over what is read again. A base model answers best from the sentences alone, one that chats is given what stands
 * around them (docs/finding.md); less where the context is small. */
static cj_err make_short_prompt(asker *a, cj_diag *d)
{
    enum { CONTEXT, SENTENCES, BEST, STEPS };
    int64_t room = session_context(a->close) - answer_tokens(a);
    buf text;
    cj_err e = CJ_OK;
    buf_init(&text, 1 << 20);
    for (int step = prompt_can_chat(a->writer) ? CONTEXT : SENTENCES; !e && step < STEPS; step++) {
        e = step == CONTEXT ? gather_context(a, &text, d) : gather_sentences(a, step == BEST ? 1 : REREAD_PASSAGES, &text, d);
        if (e) break;
        prompt_deinit(&a->prompt);
        e = prompt_close(&a->prompt, a->writer, text.data, text.len, a->question, d);
        if ((int64_t)a->prompt.tokens.count <= room) break;
    }
    buf_deinit(&text);
    return e;
}

/* A short text and a model that chats: one reading finds and answers. */
static cj_err ask_close(asker *a, cj_diag *d)
{
    TRY(begin_session(a, d));
    TRY(ask_read_and_score(a, prompt_close, WANT_LAST, d));
    take_evidence(a);
    return write_answer(a, d);
}

/* What the entry holds is not read again. */
static cj_err find_in_entry(asker *a, cj_diag *d)
{
    finder *f = NULL;
    finder_cost cost;
    const finder_options opt = {.heads = a->opt->heads, .n_heads = a->opt->n_heads, .how = a->opt->find, .keep = ENGINE_KEEP, .on_progress = ask_progress, .arg = a};
    TRY(finder_open(&f, a->e, a->book, a->entry, &opt, d));
    cj_err e = finder_find(f, a->question, a->found, FINDER_FOUND_MAX, &a->n_found, &cost, d);
    if (!e && cost.tokens) ask_count_read(a, cost.held, cost.held + cost.tokens, false, cost.seconds);
    finder_close(&f);
    return e;
}

cj_err ask_answer_found(asker *a, cj_diag *d)
{
    TRY(make_short_prompt(a, d));
    TRY(begin_session(a, d));
    return write_answer(a, d);
}

/* Otherwise: read, find, then read what was found again, close to the question, and answer. */
static cj_err ask_far(asker *a, cj_diag *d)
{
    a->out->from_passages = true;
    TRY(a->entry ? find_in_entry(a, d) : ask_read_and_score(a, prompt_find, WANT_NONE, d));
    take_evidence(a);
    if (!a->n_found) return CJ_OK; /* nothing bears on the question: nothing is answered */
    return ask_answer_found(a, d);
}

static cj_err open_sessions(asker *a, cj_diag *d)
{
    if (!a->entry) TRY(session_open(&a->session, a->e, 0, d));
    if (a->session && a->writer == a->e) a->close = a->session;
    else TRY(session_open(&a->close, a->writer, 0, d));
    return CJ_OK;
}

static cj_err run(asker *a, cj_diag *d)
{
    ask_choose_heads(a);
    TRY(open_sessions(a, d));
    if (a->session != a->close || !prompt_can_chat(a->e)) return ask_far(a, d);
    TRY(ask_make_prompt(a, prompt_close, a->question, d));
    int64_t text = a->prompt.text_end - a->prompt.text, context = session_context(a->session);
    bool close = text <= CLOSE_TOKENS && (int64_t)a->prompt.tokens.count <= context / CLOSE_SHARE;
    return close ? ask_close(a, d) : ask_far(a, d);
}

static cj_err check_options(const ask_options *opt, cj_diag *d)
{
    if (opt->evidence < 0 || opt->evidence > ASK_EVIDENCE_MAX) return diag_fail(d, CJ_E_USAGE, MSG_OPTION_BAD, "%s" ARG "%d", "quotes", opt->evidence);
    if (opt->find & ~FIND_BOTH) return diag_fail(d, CJ_E_USAGE, MSG_OPTION_BAD, "%s" ARG "%d", "find", opt->find);
    if (opt->max_tokens < 0) return diag_fail(d, CJ_E_USAGE, MSG_OPTION_BAD, "%s" ARG "%lld", "max_tokens", (long long)opt->max_tokens);
    return CJ_OK;
}

cj_err ask(engine *e, const book *b, shelf_entry *entry, const char *question, const ask_options *opt, ask_result *out, cj_diag *d)
{
    asker a = {.e = e, .book = b, .entry = entry, .question = question, .opt = opt, .writer = opt->answerer ? opt->answerer : e, .out = out,
               .start = clock_now()};
    *out = (ask_result){0};
    buf_init(&out->answer, 1 << 20);
    cj_err err = check_options(opt, d);
    if (!err) err = run(&a, d);
    out->total_seconds = clock_now() - a.start;
    if (a.close != a.session) session_close(&a.close);
    session_close(&a.session);
    prompt_deinit(&a.prompt);
    return err;
}

cj_err ask_documents(engine *e, document *const *docs, int n_docs, const char *question, const ask_options *opt, ask_result *out, cj_diag *d)
{
    book b;
    *out = (ask_result){0};
    cj_err err = book_join(&b, docs, n_docs, d);
    if (!err) err = ask(e, &b, NULL, question, opt, out, d);
    book_deinit(&b);
    return err;
}

void ask_deinit(ask_result *r) { buf_deinit(&r->answer); }
