/* Conversations. Invariant: what was said are `turns` turns. With a base model ids[held..said) holds them after `held` tokens of an entry, turn i from
 * begins[i] on, and before the first what opens a conversation; with one that chats `messages` does, a question and an answer for each, and said == held. */
#include "reader/talk.h"

#include <string.h>

#include "engine/prompt.h"
#include "reader/asker.h"

enum { TALK_ROOM = 16384, TALK_TEXT_MAX = 1 << 20, TALK_TURNS_MAX = 512 };

struct talk {
    engine *e, *writer;
    const search_source *sources;
    int n;
    const ask_options *opt;
    finder_options find;   /* arg: the asker of the turn */
    search *search;
    session *session;      /* that writes */
    int32_t *ids;          /* [held + room] */
    int64_t held, said, room;
    json_object *messages; /* NULL: a base model */
    int turns;
    int64_t begins[TALK_TURNS_MAX];
};

/* ---- opening ---- */

/* What quotes answers from the passages alone, unless all of the text is to be attended to. */
static bool attaches(const talk *t) { return t->n == 1 && t->writer == t->e && (t->opt->direct || !ask_quotes(t->opt)); }

static cj_err open_session(talk *t, cj_diag *d)
{
    const search_source *s = t->sources;
    const int64_t most = attaches(t) ? shelf_entry_info(s->entry)->tokens : 0;
    TRY(session_open(&t->session, t->writer, most ? most + TALK_ROOM : 0, d));
    session_set_keep(t->session, most && !t->opt->direct ? ENGINE_KEEP : 0);
    if (most) TRY(session_attach(t->session, s->entry, most, &t->held, d));
    if (t->opt->direct && !t->held) return diag_fail(d, CJ_E_INPUT, MSG_ASK_NOTHING_READ, "%s", shelf_entry_info(s->entry)->name);
    t->room = most ? TALK_ROOM : session_context(t->session);
    t->said = t->held;
    t->ids = mem_array((size_t)(t->held + t->room), sizeof *t->ids);
    if (!t->ids) return diag_nomem(d, (size_t)(t->held + t->room) * sizeof *t->ids);
    if (t->held) memcpy(t->ids, s->book->tokens.ids, (size_t)t->held * sizeof *t->ids);
    return CJ_OK;
}

static cj_err check(const ask_options *opt, const search_source *sources, int n, cj_diag *d)
{
    TRY(ask_check(opt, n, d));
    if (n == 1 && !opt->answerer) TRY(ask_check_after(opt, d));
    for (int i = 0; i < n; i++)
        if (!sources[i].entry) return diag_fail(d, CJ_E_USAGE, MSG_OPTION_BAD, "%s" ARG "%d", "sources", n);
    return CJ_OK;
}

cj_err talk_open(talk **out, engine *e, const search_source *sources, int n, const ask_options *opt, cj_diag *d)
{
    TRY(check(opt, sources, n, d));
    talk *t = mem_zalloc(sizeof *t);
    if (!t) return diag_nomem(d, sizeof *t);
    *t = (talk){.e = e, .writer = opt->answerer ? opt->answerer : e, .sources = sources, .n = n, .opt = opt};
    t->find = (finder_options){.heads = opt->heads, .n_heads = opt->n_heads, .adapter = opt->finder, .how = opt->find, .keep = ENGINE_KEEP, .on_progress = ask_progress};
    cj_err err = search_open(&t->search, e, sources, n, &t->find, d);
    if (!err) err = open_session(t, d);
    if (!err && prompt_can_chat(t->writer) && !(t->messages = json_object_new_array())) err = diag_nomem(d, 0);
    if (err) talk_close(&t);
    else *out = t;
    return err;
}

void talk_close(talk **pt)
{
    talk *t = *pt;
    if (!t) return;
    search_close(&t->search);
    session_close(&t->session);
    json_object_put(t->messages);
    mem_free(t->ids);
    mem_free(t);
    *pt = NULL;
}

int64_t talk_room(const talk *t) { return t->room; }
int64_t talk_held(const talk *t) { return t->held; }

void talk_clear(talk *t)
{
    t->turns = 0;
    t->said = t->held;
    if (t->messages) json_object_array_del_idx(t->messages, 0, json_object_array_length(t->messages));
}

/* ---- turns ---- */

static cj_err add_message(talk *t, const char *role, const char *text, size_t n, cj_diag *d)
{
    json_object *m = json_object_new_object(), *who = json_object_new_string(role), *content = json_object_new_string_len(text, (int)n);
    if (!m || !who || !content) {
        json_object_put(m);
        json_object_put(who);
        json_object_put(content);
        return diag_nomem(d, n);
    }
    json_object_object_add(m, "role", who);
    json_object_object_add(m, "content", content);
    if (!json_object_array_add(t->messages, m)) return CJ_OK;
    json_object_put(m);
    return diag_nomem(d, n);
}

/* The last message is taken back. */
static void drop_message(talk *t)
{
    if (t->messages) json_object_array_del_idx(t->messages, json_object_array_length(t->messages) - 1, 1);
}

/* Where a base model's next turn begins once the oldest turns are forgotten. */
static int64_t said_after(const talk *t, int forget)
{
    if (forget == t->turns) return t->held;
    return forget ? t->said - (t->begins[forget] - t->begins[0]) : t->said;
}

/* The messages after those of the oldest turns; NULL: no memory. */
static json_object *messages_after(const talk *t, int forget)
{
    json_object *some = json_object_new_array();
    const size_t n = json_object_array_length(t->messages);
    for (size_t i = 2 * (size_t)forget; some && i < n; i++) {
        json_object *m = json_object_get(json_object_array_get_idx(t->messages, i));
        if (!json_object_array_add(some, m)) continue;
        json_object_put(m);
        json_object_put(some);
        some = NULL;
    }
    return some;
}

/* a->prompt: what comes after what was said, the oldest turns left out; with a model that chats it is all that was said, with the new question as its last
 * message. *at is where it stands in ids. */
static cj_err make_prompt(const talk *t, asker *a, const buf *text, int forget, int64_t *at, cj_diag *d)
{
    prompt_deinit(&a->prompt);
    *at = said_after(t, forget);
    if (!t->messages) {
        const prompt_place place = forget < t->turns ? PROMPT_GOES_ON : t->held ? PROMPT_AFTER_TEXT : PROMPT_BEGINS;
        return prompt_turn(&a->prompt, t->writer, place, text->data, text->len, a->question, d);
    }
    json_object *messages = messages_after(t, forget);
    if (!messages) return diag_nomem(d, 0);
    cj_err e = prompt_conversation(&a->prompt, t->writer, messages, t->held > 0, t->held ? NULL : t->session, d);
    json_object_put(messages);
    return e;
}

static void forget_turns(talk *t, int forget)
{
    if (!forget) return;
    const int64_t said = said_after(t, forget);
    if (t->messages) json_object_array_del_idx(t->messages, 0, 2 * (size_t)forget);
    else if (forget < t->turns) {
        memmove(t->ids + t->begins[0], t->ids + t->begins[forget], (size_t)(t->said - t->begins[forget]) * sizeof *t->ids);
        for (int i = forget; i < t->turns; i++) t->begins[i - forget] = t->begins[i] - (t->said - said);
    }
    t->said = said;
    t->turns -= forget;
}

/* Of the answer, as far as there is room for it: what was cut off is only not remembered. */
static cj_err remember(talk *t, const asker *a, int64_t n, cj_diag *d)
{
    const buf *answer = &a->out->answer;
    const char *text = answer->len ? answer->data : "";
    const tokenizer *words = engine_tokenizer(t->writer);
    token_list l;
    if (t->messages) {
        TRY(add_message(t, "assistant", text, answer->len, d));
        t->turns++;
        return CJ_OK;
    }
    token_list_init(&l);
    cj_err e = tokenizer_encode(words, text, answer->len, 0, &l, d);
    if (!e) {
        const int64_t count = i64_min((int64_t)l.count, t->held + t->room - n);
        if (count) memcpy(t->ids + n, l.ids, (size_t)count * sizeof *l.ids);
        t->begins[t->turns++] = t->said + a->prompt.opening;
        t->said = n + count;
    }
    token_list_deinit(&l);
    return e;
}

/* Puts the prompt after what was said: ids[0..*n). Where there is no room, or too many turns, the older half is left out, and again; the last one
 * only with `all`. */
static cj_err put_prompt(talk *t, asker *a, const buf *text, bool all, int64_t *n, cj_diag *d)
{
    const int64_t most = t->held + t->room - ask_answer_room(a, t->room);
    int64_t at;
    int forget = t->turns < TALK_TURNS_MAX ? 0 : TALK_TURNS_MAX / 2;
    for (;; forget += (t->turns - forget + 1) / 2) {
        TRY(make_prompt(t, a, text, forget, &at, d));
        *n = at + (int64_t)a->prompt.tokens.count;
        if (*n <= most) break;
        if (forget < t->turns - !all) continue;
        return diag_fail(d, CJ_E_LIMIT, MSG_ASK_NO_ROOM, "%lld" ARG "%lld" ARG "%lld", (long long)(*n - t->held), (long long)(most - t->held), (long long)(*n - most));
    }
    forget_turns(t, forget);
    a->out->forgotten = forget;
    memcpy(t->ids + at, a->prompt.tokens.ids, a->prompt.tokens.count * sizeof *t->ids);
    return CJ_OK;
}

/* Puts the question, with the passages, after what was said. */
static cj_err put(talk *t, asker *a, const buf *text, bool all, int64_t *n, cj_diag *d)
{
    if (!t->messages) return put_prompt(t, a, text, all, n, d);
    buf message;
    buf_init(&message, TALK_TEXT_MAX);
    cj_err e = prompt_message(&message, text->data, text->len, a->question, d);
    if (!e) e = add_message(t, "user", message.data, message.len, d);
    buf_deinit(&message);
    if (e) return e;
    e = put_prompt(t, a, text, all, n, d);
    if (e) drop_message(t);
    return e;
}

/* The same with as many passages, and as much around them, as there is room for beside the last turn, which this one may be about. */
static cj_err put_passages(talk *t, asker *a, int *passages, int64_t *n, cj_diag *d)
{
    ask_range ranges[ASK_REREAD_MAX];
    buf text;
    buf_init(&text, TALK_TEXT_MAX);
    cj_err e = CJ_E_LIMIT;
    for (ask_portion p = t->messages ? ASK_CONTEXT : ASK_SENTENCES; e == CJ_E_LIMIT && p < ASK_PORTIONS; p++) {
        *passages = ask_reread(a, p);
        e = ask_gather(a, ranges, ask_ranges(a, p, ranges), &text, d);
        if (!e) e = put(t, a, &text, p == ASK_BEST, n, d);
    }
    buf_deinit(&text);
    return e;
}

/* By an adapter that quotes each question is answered by itself. */
static cj_err turn_quoting(const talk *t, asker *a, cj_diag *d)
{
    if (!t->opt->direct) return ask_quote_found(a, d);
    return ask_quote_whole(a, t->ids, t->held, i64_ceil_div(t->held, KV_PAGE), d);
}

static cj_err turn(talk *t, asker *a, cj_diag *d)
{
    int passages = 0;
    int64_t n;
    TRY(ask_search(a, t->search, d));
    a->out->mode = t->opt->direct ? ASK_MODE_DIRECT : ASK_MODE_FIND;
    if (a->quotes) return turn_quoting(t, a, d);
    ask_take_evidence(a, NULL);
    if (!a->n_found && !t->held) return CJ_OK; /* nothing to answer from */
    if (t->opt->direct || !a->n_found) TRY(put(t, a, &(buf){0}, true, &n, d));
    else TRY(put_passages(t, a, &passages, &n, d));
    const int64_t pages = i64_ceil_div(t->held, KV_PAGE);
    const ask_step step = {.kind = passages ? ASK_STEP_REREAD : ASK_STEP_TEXT, .source = t->held ? 0 : -1, .passages = passages, .pages = pages,
                           .chosen = t->opt->direct ? 0 : ask_chosen_pages(t->writer, pages)};
    cj_err e = ask_write(a, t->ids, n, t->held, step, d);
    if (!e) e = remember(t, a, n, d);
    if (e) drop_message(t);
    return e;
}

cj_err talk_say(talk *t, const char *question, ask_result *out, cj_diag *d)
{
    asker a = asker_begin(t->e, t->sources, t->n, question, t->opt, out);
    a.close = t->session;
    t->find.arg = &a;
    cj_err e = turn(t, &a, d);
    a.close = NULL; /* it goes on */
    asker_end(&a);
    return e;
}
