/* Conversations. Invariant: ids[0..said) is what was said, after `held` tokens of an entry; with a model that chats, `messages` is, and ids only
 * the entry. */
#include "reader/talk.h"

#include <string.h>

#include "engine/prompt.h"
#include "reader/asker.h"

enum { TALK_ROOM = 16384, TALK_TEXT_MAX = 1 << 20 };

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
};

/* ---- opening ---- */

static bool attaches(const talk *t) { return t->n == 1 && t->writer == t->e; }

static cj_err open_session(talk *t, cj_diag *d)
{
    const search_source *s = t->sources;
    const int64_t most = attaches(t) ? shelf_entry_info(s->entry)->tokens : 0;
    TRY(session_open(&t->session, t->writer, most ? most + TALK_ROOM : 0, d));
    session_set_keep(t->session, most && !t->opt->direct ? ENGINE_KEEP : 0);
    if (most) TRY(session_attach(t->session, s->entry, most, &t->held, d));
    t->room = most ? TALK_ROOM : session_context(t->session);
    t->said = t->held;
    t->ids = mem_array((size_t)(t->held + t->room), sizeof *t->ids);
    if (!t->ids) return diag_nomem(d, (size_t)(t->held + t->room) * sizeof *t->ids);
    if (t->held) memcpy(t->ids, s->book->tokens.ids, (size_t)t->held * sizeof *t->ids);
    return CJ_OK;
}

static cj_err check(const ask_options *opt, const search_source *sources, int n, cj_diag *d)
{
    if (opt->direct && n > 1) return diag_fail(d, CJ_E_USAGE, MSG_ASK_DIRECT_ONE, "%d", n);
    if (opt->direct && opt->answerer) return diag_fail(d, CJ_E_USAGE, MSG_ASK_DIRECT_ANSWERER, "%s", "");
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
    t->find = (finder_options){.heads = opt->heads, .n_heads = opt->n_heads, .how = opt->find, .keep = ENGINE_KEEP, .on_progress = ask_progress};
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

/* The last `drop` messages are taken back. */
static void drop_messages(talk *t, size_t drop)
{
    size_t n = t->messages ? json_object_array_length(t->messages) : 0;
    if (drop > n) drop = n;
    if (drop) json_object_array_del_idx(t->messages, n - drop, drop);
}

void talk_clear(talk *t)
{
    t->said = t->held;
    drop_messages(t, SIZE_MAX);
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

/* What comes after what was said: a->prompt. With a model that chats it is all that was said; *at is where it stands in ids. */
static cj_err make_prompt(talk *t, asker *a, const buf *text, int64_t *at, cj_diag *d)
{
    *at = t->said;
    if (!t->messages) {
        const prompt_place place = t->said > t->held ? PROMPT_GOES_ON : t->held ? PROMPT_AFTER_TEXT : PROMPT_BEGINS;
        return prompt_turn(&a->prompt, t->writer, place, text->data, text->len, a->question, d);
    }
    buf message;
    buf_init(&message, TALK_TEXT_MAX);
    cj_err e = prompt_message(&message, text->data, text->len, a->question, d);
    if (!e) e = add_message(t, "user", message.data, message.len, d);
    buf_deinit(&message);
    if (e) return e;
    e = prompt_conversation(&a->prompt, t->writer, t->messages, t->held > 0, t->held ? NULL : t->session, d);
    if (e) drop_messages(t, 1);
    return e;
}

static cj_err remember(talk *t, const asker *a, int64_t n, cj_diag *d)
{
    const buf *answer = &a->out->answer;
    const char *text = answer->len ? answer->data : "";
    const tokenizer *words = engine_tokenizer(t->writer);
    token_list l;
    if (t->messages) return add_message(t, "assistant", text, answer->len, d);
    token_list_init(&l);
    cj_err e = tokenizer_encode(words, text, answer->len, 0, &l, d);
    if (!e && n + (int64_t)l.count <= t->held + t->room) { /* else the context is full, as the next turn will say */
        if (l.count) memcpy(t->ids + n, l.ids, l.count * sizeof *l.ids);
        n += (int64_t)l.count;
    }
    if (!e) t->said = n;
    token_list_deinit(&l);
    return e;
}

/* Puts the question, with the passages, after what was said: ids[0..*n). */
static cj_err put(talk *t, asker *a, const buf *text, int64_t *n, cj_diag *d)
{
    int64_t at;
    const int64_t most = t->held + t->room;
    prompt_deinit(&a->prompt);
    TRY(make_prompt(t, a, text, &at, d));
    *n = at + (int64_t)a->prompt.tokens.count;
    if (*n < most) {
        memcpy(t->ids + at, a->prompt.tokens.ids, a->prompt.tokens.count * sizeof *t->ids);
        return CJ_OK;
    }
    if (t->messages) drop_messages(t, 1);
    return diag_fail(d, CJ_E_LIMIT, MSG_CONTEXT_FULL, "%lld" ARG "%lld" ARG "%lld", (long long)(*n - t->held), (long long)t->room, (long long)(*n - most + 1));
}

/* The same with as many passages, and as much around them, as there is room for. */
static cj_err put_passages(talk *t, asker *a, int *passages, int64_t *n, cj_diag *d)
{
    buf text;
    buf_init(&text, TALK_TEXT_MAX);
    cj_err e = CJ_E_LIMIT;
    for (ask_portion p = t->messages ? ASK_CONTEXT : ASK_SENTENCES; e == CJ_E_LIMIT && p < ASK_PORTIONS; p++) {
        e = ask_gather(a, p, &text, passages, d);
        if (!e) e = put(t, a, &text, n, d);
    }
    buf_deinit(&text);
    return e;
}

static cj_err turn(talk *t, asker *a, cj_diag *d)
{
    int passages = 0;
    int64_t n;
    TRY(ask_search(a, t->search, d));
    ask_take_evidence(a);
    if (!a->n_found && !t->held) return CJ_OK; /* nothing to answer from */
    a->out->mode = t->opt->direct ? ASK_MODE_DIRECT : ASK_MODE_FIND;
    if (t->opt->direct || !a->n_found) TRY(put(t, a, &(buf){0}, &n, d));
    else TRY(put_passages(t, a, &passages, &n, d));
    const int64_t pages = i64_ceil_div(t->held, KV_PAGE);
    const ask_step step = {.kind = passages ? ASK_STEP_REREAD : ASK_STEP_TEXT, .source = t->held ? 0 : -1, .passages = passages, .pages = pages,
                           .chosen = t->opt->direct ? 0 : ask_chosen_pages(t->writer, pages)};
    cj_err e = ask_write(a, t->ids, n, step, d);
    if (!e) e = remember(t, a, n, d);
    if (e && t->messages) drop_messages(t, 1);
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
