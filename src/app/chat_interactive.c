/* The conversation of juan run at the terminal: its turns and its commands. */
#include "app/chat.h"

#include <string.h>

#include "app/attach.h"
#include "app/converse.h"
#include "app/term.h"
#include "base/utf8.h"

typedef struct talk {
    chat *chat;
    buf *attached; /* text of files, put before the next message */
    converse converse;
} talk;

static const cli *cli_of(const talk *t) { return t->chat->cli; }

static void complain(const talk *t, const cj_diag *d) { converse_complain(cli_of(t), d); }

/* ---- turns ---- */

static void after_turn(talk *t, cj_err e, const generate_result *r, const cj_diag *d)
{
    bool stopped = cli_interrupt_take();
    if (e == CJ_E_CANCELLED || (!e && stopped)) cli_say(cli_of(t), MSG_CHAT_STOPPED, "%s", "");
    else if (e == CJ_E_LIMIT) {
        complain(t, d);
        cli_say(cli_of(t), MSG_CHAT_CLEAR_HINT, "%s", "");
    } else if (e) complain(t, d);
    else chat_report(t->chat, r);
    t->converse.over = cli_interrupted(); /* told to end, not to stop */
}

static void say(void *of, const buf *line)
{
    talk *t = of;
    cj_diag d = {0};
    generate_result r;
    cj_err e = attach_text(t->attached, line->data, line->len, &d);
    if (!e) e = chat_turn(t->chat, t->attached->data, t->attached->len, &r, &d);
    buf_clear(t->attached);
    after_turn(t, e, &r, &d);
}

/* ---- commands ---- */

static void do_help(void *of, const char *arg);

static void do_clear(void *of, const char *arg)
{
    talk *t = of;
    cj_diag d = {0};
    buf_clear(t->attached);
    if (chat_reset(t->chat, NULL, &d)) complain(t, &d);
    else cli_say(cli_of(t), MSG_CHAT_CLEARED, "%s", "");
}

static void do_system(void *of, const char *arg)
{
    talk *t = of;
    cj_diag d = {0};
    if (t->chat->raw) cli_say(cli_of(t), MSG_CHAT_NEEDS_TEMPLATE, "%s", "/system");
    else if (chat_reset(t->chat, arg, &d)) complain(t, &d);
    else cli_say(cli_of(t), *arg ? MSG_CHAT_SYSTEM_SET : MSG_CHAT_SYSTEM_GONE, "%s", "");
}

static void do_file(void *of, const char *arg)
{
    talk *t = of;
    cj_diag d = {0};
    size_t before = t->attached->len;
    if (!attach_file(cli_of(t), arg, t->attached, &d)) {
        char n[TERM_TEXT];
        size_t from = before ? before + 2 : 0; /* the empty line between two files */
        cli_say(cli_of(t), MSG_CHAT_FILE, "%s" ARG "%s", arg,
                term_count(n, (int64_t)utf8_count(t->attached->data + from, t->attached->len - from)));
        return;
    }
    if (t->attached->data) t->attached->data[t->attached->len = before] = 0;
    complain(t, &d);
}

static void do_again(void *of, const char *arg)
{
    talk *t = of;
    cj_diag d = {0};
    generate_result r;
    bool done;
    cj_err e = chat_again(t->chat, &done, &r, &d);
    if (!e && !done) cli_say(cli_of(t), MSG_CHAT_NOTHING_AGAIN, "%s", "");
    else after_turn(t, e, &r, &d);
}

static void do_save(void *of, const char *arg)
{
    talk *t = of;
    cj_diag d = {0};
    if (chat_save(t->chat, arg, &d)) complain(t, &d);
    else cli_say(cli_of(t), MSG_CHAT_SAVED, "%s", arg);
}

static void do_load(void *of, const char *arg)
{
    talk *t = of;
    cj_diag d = {0};
    if (chat_load(t->chat, arg, &d)) complain(t, &d);
    else cli_say(cli_of(t), MSG_CHAT_LOADED, "%s", arg);
}

static void do_quit(void *of, const char *arg) { ((talk *)of)->converse.over = true; }

static const converse_command commands[] = {
    {"/help", NULL, MSG_CHAT_HELP_HELP, do_help},       {"/clear", NULL, MSG_CHAT_HELP_CLEAR, do_clear},
    {"/again", NULL, MSG_CHAT_HELP_AGAIN, do_again},    {"/file", "FILE", MSG_CHAT_HELP_FILE, do_file},
    {"/system", "[TEXT]", MSG_CHAT_HELP_SYSTEM, do_system}, {"/save", "FILE", MSG_CHAT_HELP_SAVE, do_save},
    {"/load", "FILE", MSG_CHAT_HELP_LOAD, do_load},     {"/quit", NULL, MSG_CHAT_HELP_QUIT, do_quit},
};
static void do_help(void *of, const char *arg) { converse_help(&((talk *)of)->converse); }

/* ---- */

static void welcome(void *of)
{
    const chat *c = ((talk *)of)->chat;
    char context[TERM_TEXT];
    cli_say(c->cli, MSG_CHAT_WELCOME, "%s" ARG "%s", model_spec_of(engine_model(c->engine))->name,
            term_count(context, session_context(c->session)));
}

int chat_interactive(chat *c, buf *first)
{
    talk t = {.chat = c, .attached = first};
    t.converse = (converse){.c = c->cli, .of = &t, .welcome = welcome, .say = say, .commands = commands, .n_commands = sizeof commands / sizeof *commands};
    return converse_run(&t.converse);
}
