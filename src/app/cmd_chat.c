/* juan chat: a conversation over entries of the shelf, at the terminal or from a pipe. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/answering.h"
#include "app/asked.h"
#include "app/commands.h"
#include "app/converse.h"
#include "app/term.h"
#include "base/utf8.h"
#include "engine/prompt.h"
#include "reader/talk.h"

enum { ANSWER_TOKENS = 256, LINE_BYTES_MAX = 1 << 20 };

typedef struct chatting {
    answering answer; /* first: callbacks are handed all of it */
    const cli *c;
    asked about;
    talk *talk;
    bool explain, told; /* told: that there is no text index */
    bool quotes;        /* an adapter answers each question by itself */
    ask_result result; /* of the last turn */
    converse converse;
} chatting;

/* ---- a turn ---- */

static void print_speed(const chatting *t)
{
    const ask_result *r = &t->result;
    const int64_t used = r->context_tokens ? r->context_tokens + r->written_tokens - talk_held(t->talk) : 0;
    char held[TERM_TEXT], most[TERM_TEXT];
    if (!t->c->terminal || t->c->quiet) return;
    fputs(term_style_code(stderr, TERM_DIM), stderr);
    cli_say(t->c, MSG_CHAT_SPEED, "%lld" ARG "%.1f" ARG "%lld" ARG "%.1f" ARG "%s" ARG "%s", (long long)r->read_tokens, cli_rate(r->read_tokens, r->read_seconds),
            (long long)r->written_tokens, cli_rate(r->written_tokens, r->write_seconds), term_count(held, used), term_count(most, talk_room(t->talk)));
    fputs(term_style_code(stderr, TERM_PLAIN), stderr);
}

static void show_result(chatting *t, const char *question)
{
    const ask_result *r = &t->result;
    const ask_view view = asked_view(&t->about);
    if (r->forgotten) cli_say(t->c, MSG_TALK_FORGOTTEN, "%d", r->forgotten);
    if (r->unindexed && !t->told) cli_say(t->c, MSG_ASK_UNINDEXED, "%s", "");
    t->told |= r->unindexed;
    if (t->c->json) {
        json_object *o = ask_view_json(&view, r, t->explain);
        json_object_object_add(o, "question", json_object_new_string(question));
        json_object_object_add(o, "forgotten", json_object_new_int(r->forgotten));
        cli_json(o);
    } else {
        ask_view_answer_end(&view, r);
        ask_view_evidence(&view, r->evidence, r->n_evidence);
        if (t->explain) ask_view_steps(&view, r);
    }
    cli_flush(NULL);
    print_speed(t);
}

static cj_err ask_once(chatting *t, const char *question, cj_diag *d)
{
    ask_deinit(&t->result);
    answering_begin(&t->answer, t->c);
    cj_err e = talk_say(t->talk, question, &t->result, d);
    answering_end(&t->answer);
    if (!e) show_result(t, question);
    else if (t->answer.shown && !t->c->json) putchar('\n');
    return e;
}

/* ---- at a terminal ---- */

static void say(void *of, const buf *message)
{
    chatting *t = of;
    cj_diag d = {0};
    cj_err e = ask_once(t, message->data, &d);
    const bool stopped = cli_interrupt_take();
    if (e == CJ_E_CANCELLED || (!e && stopped)) cli_say(t->c, MSG_CHAT_STOPPED, "%s", "");
    else if (e) converse_complain(t->c, &d);
    t->converse.over = cli_interrupted(); /* told to end, not to stop */
}

static void do_help(void *of, const char *arg) { converse_help(&((chatting *)of)->converse); }
static void do_quit(void *of, const char *arg) { ((chatting *)of)->converse.over = true; }

static void do_clear(void *of, const char *arg)
{
    chatting *t = of;
    talk_clear(t->talk);
    cli_say(t->c, MSG_CHAT_CLEARED, "%s", "");
}

static void do_explain(void *of, const char *arg)
{
    const chatting *t = of;
    const ask_view view = asked_view(&t->about);
    if (t->result.n_steps) ask_view_steps(&view, &t->result);
    else cli_say(t->c, MSG_TALK_NOTHING_SAID, "%s", "");
}

static const converse_command commands[] = {
    {"/help", NULL, MSG_CHAT_HELP_HELP, do_help},
    {"/explain", NULL, MSG_TALK_HELP_EXPLAIN, do_explain},
    {"/clear", NULL, MSG_TALK_HELP_CLEAR, do_clear},
    {"/quit", NULL, MSG_CHAT_HELP_QUIT, do_quit},
};

static void welcome(void *of)
{
    const chatting *t = of;
    const engine *writer = t->about.answerer.engine ? t->about.answerer.engine : t->about.reader.engine;
    const char *name = model_spec_of(engine_model(writer))->name;
    for (int i = 0; i < t->about.n; i++) {
        const shelf_info *info = shelf_entry_info(t->about.entries[i]);
        char chars[TERM_TEXT], tokens[TERM_TEXT];
        cli_say(t->c, MSG_TALK_WELCOME, "%s" ARG "%s" ARG "%s", info->name, term_count(chars, info->characters), term_count(tokens, info->tokens));
    }
    cli_say(t->c, MSG_TALK_ANSWERS, "%s", name);
    if (t->quotes) cli_say(t->c, MSG_TALK_QUOTES, "%s", engine_adapter_facts(t->about.adapter)->name);
    else if (!prompt_can_chat(writer)) cli_say_unable(t->c, HUB_CHATS, MSG_TALK_BASE, MSG_TALK_BASE_BUT, name);
}

/* ---- from a pipe ---- */

/* Each line that is not empty is a question. */
static int each_line(chatting *t)
{
    enum { ROOM = LINE_BYTES_MAX + 2 }; /* a line that fills it is too long */
    char *line = mem_alloc(ROOM);
    cj_diag d = {0};
    cj_err e = line ? CJ_OK : diag_nomem(&d, ROOM);
    int said = 0;
    while (!e && fgets(line, ROOM, stdin) && !cli_interrupted()) {
        size_t n = strlen(line), valid;
        const bool whole = n + 1 < ROOM || line[n - 1] == '\n';
        while (n && strchr("\r\n \t", line[n - 1])) line[--n] = 0;
        if (whole && !n) continue;
        if (!whole) e = diag_fail(&d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "question", LINE_BYTES_MAX);
        else if ((valid = utf8_valid_prefix(line, n)) < n) e = diag_fail(&d, CJ_E_INPUT, MSG_UTF8_BAD, "%s" ARG "%zu", "-", valid);
        else e = ask_once(t, line, &d);
        said++;
    }
    mem_free(line);
    if (e) return cli_fail(t->c, &d);
    if (cli_interrupted()) return EXIT_INTERRUPTED;
    if (said) return EXIT_DONE;
    cli_say(t->c, MSG_TALK_NO_QUESTIONS, "%s", "");
    return EXIT_INPUT;
}

/* ---- */

static int converse_with(chatting *t, ask_options *how)
{
    cj_diag d = {0};
    const asked *about = &t->about;
    how->heads = about->reader.heads.item;
    how->n_heads = about->reader.heads.n;
    how->answerer = about->answerer.engine;
    how->finder = about->finder;
    how->adapter = about->adapter;
    t->quotes = ask_quotes(how);
    if (talk_open(&t->talk, about->reader.engine, about->sources, about->n, how, &d)) return cli_fail(t->c, &d);
    t->converse = (converse){.c = t->c, .of = t, .welcome = welcome, .say = say, .commands = commands, .n_commands = sizeof commands / sizeof *commands};
    return isatty(STDIN_FILENO) ? converse_run(&t->converse) : each_line(t);
}

int cmd_chat(cli *c)
{
    chatting t = {.c = c};
    const char *model_name = NULL, *find = NULL, *answerer = NULL, *adapter = NULL;
    bool direct = false;
    int64_t evidence = 0, tokens = ANSWER_TOKENS;
    cj_diag d = {0};
    const cli_option options[] = {
        {"direct", 0, CLI_FLAG, &direct, NULL, MSG_OPT_DIRECT},
        {"answerer", 0, CLI_TEXT, &answerer, "MODEL", MSG_OPT_ANSWERER},
        {"adapter", 0, CLI_TEXT, &adapter, "ADAPTER", MSG_OPT_ADAPTER},
        {"find", 0, CLI_TEXT, &find, "HOW", MSG_OPT_FIND},
        {"evidence", 'e', CLI_INT, &evidence, "N", MSG_OPT_EVIDENCE},
        {"explain", 0, CLI_FLAG, &t.explain, NULL, MSG_OPT_EXPLAIN},
        {"model", 'm', CLI_TEXT, &model_name, "MODEL", MSG_OPT_MODEL},
        {"tokens", 'n', CLI_INT, &tokens, "N", MSG_OPT_CHAT_TOKENS},
    };
    const cli_help help = {"NAME...", MSG_CMD_CHAT_ABOUT, "chat hongloumeng\nchat hongloumeng --direct\nchat contract --answerer {1}\nchat contract --json < questions.txt", 1, SEARCH_SOURCES_MAX};
    int code = cli_parse(c, &help, options, sizeof options / sizeof *options);
    if (code) return code;
    if (evidence < 0 || evidence > ASK_EVIDENCE_MAX) return cli_usage(c, MSG_CLI_BAD_VALUE, "--evidence");
    const int how = find ? ask_view_find(find) : 0;
    if (find && !how) return cli_usage(c, MSG_CLI_BAD_VALUE, "--find");
    if (tokens < 1 || tokens > ASK_TOKENS_MAX) return cli_usage(c, MSG_CLI_BAD_VALUE, "--tokens");
    if (c->json && isatty(STDIN_FILENO)) return cli_usage(c, MSG_TALK_JSON_PIPE, "--json");
    engine_options opt = {0};
    code = cli_engine_options(c, &opt);
    if (code) return code;
    ask_options ask_opt = {.find = how, .direct = direct, .evidence = (int)evidence, .max_tokens = tokens, .on_progress = answering_on_progress, .on_text = answering_on_text, .arg = &t};
    cj_err e = asked_open(&t.about, c, c->argc, true, model_name, answerer, adapter, false, &opt, &d);
    code = e ? cli_fail(c, &d) : converse_with(&t, &ask_opt);
    talk_close(&t.talk);
    ask_deinit(&t.result);
    asked_close(&t.about);
    return code;
}
