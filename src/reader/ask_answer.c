/* Answers: from what was found, read again at close range, or while all of an entry is attended to. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "engine/prompt.h"
#include "reader/asker.h"

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

/* From the snapshot when it is there and good, else by reading it and keeping it. A snapshot that cannot be read or written costs time, not the answer. */
cj_err ask_begin_session(asker *a, cj_diag *d)
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
        if (!e) ask_note(a, (ask_step){.kind = ASK_STEP_BEGIN, .source = -1, .tokens = n, .seconds = clock_now() - start});
        if (!e && path && !file_make_dirs(a->opt->snapshots, NULL)) (void)!session_save(a->close, path, NULL);
    }
    mem_free(path);
    return e;
}

/* ---- writing ---- */

static bool on_piece(void *arg, const generate_piece *p)
{
    asker *a = arg;
    const char *text = p->text;
    size_t n = p->n;
    if (p->id < 0) n -= a->unfinished = generate_unfinished(text, n); /* what was left when there was no room for more */
    return ask_show(a, text, n);
}

bool ask_show(asker *a, const char *text, size_t n)
{
    for (; n && !a->begun && (*text == ' ' || *text == '\n'); n--) text++; /* models put a space before the first word */
    if (n && !a->begun) a->out->first_token_seconds = clock_now() - a->start;
    a->begun |= n > 0;
    return !a->opt->on_text || a->opt->on_text(a->opt->arg, text, n);
}

int64_t ask_answer_tokens(const asker *a) { return (a->opt->max_tokens ? a->opt->max_tokens : ASK_ANSWER_TOKENS) + (a->quotes ? ASK_QUOTE_TOKENS : 0); }

int64_t ask_answer_room(const asker *a, int64_t room)
{
    enum { SHARE = 4 };
    return i64_min(ask_answer_tokens(a), room / SHARE);
}

cj_err ask_generate(asker *a, const int32_t *ids, int64_t n, const generate_options *how, buf *out, ask_step step, cj_diag *d)
{
    generate_result r;
    TRY(generate(a->close, ids, n, how, out, &r, d));
    step.from = r.reused_tokens;
    step.tokens = r.prompt_tokens - r.reused_tokens;
    step.logits = true;
    step.seconds = r.prompt_seconds;
    ask_note(a, step);
    ask_note(a, (ask_step){.kind = ASK_STEP_WRITE, .source = step.source, .from = r.prompt_tokens, .tokens = r.written_tokens, .pages = step.pages,
                           .chosen = step.chosen, .seconds = r.write_seconds});
    a->out->end = r.end;
    a->out->context_tokens = r.prompt_tokens;
    a->out->write_seconds = r.write_seconds;
    a->out->written_tokens = r.written_tokens;
    return CJ_OK;
}

cj_err ask_write(asker *a, const int32_t *ids, int64_t n, int64_t text_end, ask_step step, cj_diag *d)
{
    const engine_adapter *adapter = a->opt->adapter;
    if (adapter) TRY(session_set_adapter(a->close, adapter, engine_adapter_facts(adapter)->activated ? text_end : 0, d));
    const char *stops[] = {a->prompt.stop};
    const generate_options how = {
        .sampling = SAMPLER_GREEDY, .max_tokens = ask_answer_tokens(a), .stops = stops, .n_stops = a->prompt.stop != NULL,
        .on_piece = on_piece, .on_progress = ask_progress, .arg = a,
    };
    buf *answer = &a->out->answer;
    TRY(ask_generate(a, ids, n, &how, answer, step, d));
    if (a->unfinished) answer->data[answer->len -= a->unfinished] = 0;
    size_t space = 0;
    while (space < answer->len && (answer->data[space] == ' ' || answer->data[space] == '\n')) space++;
    if (space) memmove(answer->data, answer->data + space, (answer->len -= space) + 1);
    return CJ_OK;
}

/* ---- from what was found ---- */

cj_err ask_make_short_prompt(asker *a, ask_portion first, prompt_maker *make, ask_reading *r, cj_diag *d)
{
    const int64_t context = session_context(a->close), room = context - ask_answer_room(a, context);
    buf text;
    cj_err e = CJ_OK;
    buf_init(&text, 1 << 20);
    for (ask_portion p = first; !e && p < ASK_PORTIONS; p++) {
        r->passages = ask_reread(a, p);
        r->n = ask_ranges(a, p, r->ranges);
        e = ask_gather(a, r->ranges, r->n, &text, d);
        if (e) break;
        prompt_deinit(&a->prompt);
        e = make(&a->prompt, a->writer, text.data, text.len, a->question, d);
        if ((int64_t)a->prompt.tokens.count <= room) break;
    }
    buf_deinit(&text);
    const int64_t n = (int64_t)a->prompt.tokens.count;
    if (!e && n > room) e = diag_fail(d, CJ_E_LIMIT, MSG_ASK_NO_ROOM, "%lld" ARG "%lld" ARG "%lld", (long long)n, (long long)room, (long long)(n - room));
    return e;
}

/* A base model answers best from the sentences alone, one that chats is given what stands around them (docs/finding.md). */
cj_err ask_answer_found(asker *a, cj_diag *d)
{
    ask_reading r;
    TRY(ask_make_short_prompt(a, prompt_can_chat(a->writer) ? ASK_CONTEXT : ASK_SENTENCES, prompt_close, &r, d));
    TRY(ask_begin_session(a, d));
    const ask_step step = {.kind = ASK_STEP_REREAD, .source = -1, .passages = r.passages};
    return ask_write(a, a->prompt.tokens.ids, (int64_t)a->prompt.tokens.count, a->prompt.text_end, step, d);
}

/* ---- directly ---- */

cj_err ask_write_after(asker *a, const int32_t *text, int64_t held, int64_t pages, cj_diag *d)
{
    prompt after;
    cj_err e = prompt_after(&after, a->writer, a->question, d);
    const size_t n = after.tokens.count;
    if (!e && n > FINDER_QUESTION_MAX) e = diag_fail(d, CJ_E_LIMIT, MSG_ASK_QUESTION_LONG, "%zu" ARG "%d" ARG "%zu", n, FINDER_QUESTION_MAX, n - FINDER_QUESTION_MAX);
    int32_t *ids = e ? NULL : mem_array((size_t)held + n, sizeof *ids);
    if (!e && !ids) e = diag_nomem(d, ((size_t)held + n) * sizeof *ids);
    if (!e) {
        memcpy(ids, text, (size_t)held * sizeof *ids);
        memcpy(ids + held, after.tokens.ids, n * sizeof *ids);
        a->prompt.stop = after.stop;
        e = ask_write(a, ids, held + (int64_t)n, held, (ask_step){.kind = ASK_STEP_TEXT, .pages = pages}, d);
    }
    mem_free(ids);
    prompt_deinit(&after);
    return e;
}

cj_err ask_answer_directly(asker *a, cj_diag *d)
{
    const search_source *s = a->sources;
    const int64_t tokens = shelf_entry_info(s->entry)->tokens;
    int64_t held = 0;
    TRY(session_open(&a->close, a->writer, tokens + FINDER_QUESTION_MAX + ask_answer_tokens(a), d));
    TRY(session_attach(a->close, s->entry, tokens, &held, d));
    if (!held) return diag_fail(d, CJ_E_INPUT, MSG_ASK_NOTHING_READ, "%s", shelf_entry_info(s->entry)->name);
    const int64_t pages = i64_ceil_div(held, KV_PAGE);
    return a->quotes ? ask_quote_whole(a, s->book->tokens.ids, held, pages, d) : ask_write_after(a, s->book->tokens.ids, held, pages, d);
}
