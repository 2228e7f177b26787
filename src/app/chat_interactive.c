/* The conversation at the terminal: lines, commands that begin with '/', Ctrl-C that stops an answer and not the program. */
#include "app/chat.h"

#include <string.h>

#include "app/attach.h"
#include "app/editor.h"
#include "app/term.h"
#include "base/utf8.h"

enum { MESSAGE_MAX = 1 << 26 };

typedef struct talk {
    chat *chat;
    editor *editor;
    buf *attached; /* text of files, put before the next message */
    bool over;
} talk;

static const cli *cli_of(const talk *t) { return t->chat->cli; }

static void complain(const talk *t, const cj_diag *d)
{
    char text[4096];
    cj_diag_text(d, cli_of(t)->lang, text, sizeof text);
    fprintf(stderr, "%s%s%s\n", term_style_code(stderr, TERM_WARN), text, term_style_code(stderr, TERM_PLAIN));
}

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
    t->over = cli_interrupted(); /* told to end, not to stop */
}

static void say(talk *t, const buf *line)
{
    cj_diag d = {0};
    generate_result r;
    cj_err e = attach_text(t->attached, line->data, line->len, &d);
    if (!e) e = chat_turn(t->chat, t->attached->data, t->attached->len, &r, &d);
    buf_clear(t->attached);
    after_turn(t, e, &r, &d);
}

/* ---- commands ---- */

typedef struct talk_command {
    const char *name, *what;
    msg_id help;
    void (*run)(talk *t, const char *arg);
} talk_command;

static void do_help(talk *t, const char *arg);

static void do_clear(talk *t, const char *arg)
{
    cj_diag d = {0};
    buf_clear(t->attached);
    if (chat_reset(t->chat, NULL, &d)) complain(t, &d);
    else cli_say(cli_of(t), MSG_CHAT_CLEARED, "%s", "");
}

static void do_system(talk *t, const char *arg)
{
    cj_diag d = {0};
    if (t->chat->raw) cli_say(cli_of(t), MSG_CHAT_NEEDS_TEMPLATE, "%s", "/system");
    else if (chat_reset(t->chat, arg, &d)) complain(t, &d);
    else cli_say(cli_of(t), *arg ? MSG_CHAT_SYSTEM_SET : MSG_CHAT_SYSTEM_GONE, "%s", "");
}

static void do_file(talk *t, const char *arg)
{
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

static void do_again(talk *t, const char *arg)
{
    cj_diag d = {0};
    generate_result r;
    bool done;
    cj_err e = chat_again(t->chat, &done, &r, &d);
    if (!e && !done) cli_say(cli_of(t), MSG_CHAT_NOTHING_AGAIN, "%s", "");
    else after_turn(t, e, &r, &d);
}

static void do_save(talk *t, const char *arg)
{
    cj_diag d = {0};
    if (chat_save(t->chat, arg, &d)) complain(t, &d);
    else cli_say(cli_of(t), MSG_CHAT_SAVED, "%s", arg);
}

static void do_load(talk *t, const char *arg)
{
    cj_diag d = {0};
    if (chat_load(t->chat, arg, &d)) complain(t, &d);
    else cli_say(cli_of(t), MSG_CHAT_LOADED, "%s", arg);
}

static void do_quit(talk *t, const char *arg) { t->over = true; }

static const talk_command commands[] = {
    {"/help", NULL, MSG_CHAT_HELP_HELP, do_help},       {"/clear", NULL, MSG_CHAT_HELP_CLEAR, do_clear},
    {"/again", NULL, MSG_CHAT_HELP_AGAIN, do_again},    {"/file", "FILE", MSG_CHAT_HELP_FILE, do_file},
    {"/system", "[TEXT]", MSG_CHAT_HELP_SYSTEM, do_system}, {"/save", "FILE", MSG_CHAT_HELP_SAVE, do_save},
    {"/load", "FILE", MSG_CHAT_HELP_LOAD, do_load},     {"/quit", NULL, MSG_CHAT_HELP_QUIT, do_quit},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void do_help(talk *t, const char *arg)
{
    for (int i = 0; i < COMMANDS; i++) {
        char left[64];
        snprintf(left, sizeof left, "  %s %s", commands[i].name, commands[i].what ? commands[i].what : "");
        term_pad(stderr, left, 18);
        fprintf(stderr, "%s\n", cli_text(cli_of(t), commands[i].help));
    }
    fprintf(stderr, "%s\n", cli_text(cli_of(t), MSG_CHAT_HELP_KEYS));
}

/* True when the line was a command, known or not. */
static bool run_command(talk *t, const char *line)
{
    size_t n = strcspn(line, " ");
    const char *arg = line + n + strspn(line + n, " ");
    if (line[0] != '/') return false;
    for (int i = 0; i < COMMANDS; i++) {
        if (strlen(commands[i].name) != n || memcmp(commands[i].name, line, n)) continue;
        bool wants = commands[i].what && commands[i].what[0] != '[';
        if (wants && !*arg) cli_say(cli_of(t), MSG_CHAT_COMMAND_FORM, "%s" ARG "%s", commands[i].name, commands[i].what);
        else commands[i].run(t, arg);
        return true;
    }
    if (memchr(line + 1, '/', n - 1)) return false; /* a path at the beginning of a message */
    cli_say(cli_of(t), MSG_CHAT_COMMAND_UNKNOWN, "%.*s", (int)n, line);
    return true;
}

/* ---- lines ---- */

/* Reads a whole message: a line; more lines while one ends in '\'; everything between two lines of """. */
static editor_event read_message(talk *t, buf *message)
{
    buf line;
    buf_init(&line, MESSAGE_MAX);
    buf_clear(message);
    bool quoted = false, more = true;
    editor_event event = EDITOR_LINE;
    while (more && event == EDITOR_LINE) {
        event = editor_read(t->editor, message->len || quoted ? "… " : "> ", &line);
        if (event != EDITOR_LINE) break;
        if (line.len == 3 && !memcmp(line.data, "\"\"\"", 3)) {
            more = quoted = !quoted;
            if (!quoted && message->len) message->data[--message->len] = 0; /* the line break before the closing one */
            continue;
        }
        bool joined = !quoted && line.len && line.data[line.len - 1] == '\\';
        if (joined) line.len--;
        more = quoted || joined;
        if (line.len && buf_append(message, line.data, line.len, NULL)) event = EDITOR_END;
        if (more && buf_append(message, "\n", 1, NULL)) event = EDITOR_END;
    }
    buf_deinit(&line);
    return event;
}

static void talk_on(talk *t)
{
    buf message;
    buf_init(&message, MESSAGE_MAX);
    while (!t->over) {
        editor_event event = read_message(t, &message);
        if (event == EDITOR_INTERRUPTED) {
            if (!cli_interrupt_take()) break;
            fputc('\n', stderr);
            cli_say(cli_of(t), MSG_CHAT_LEAVE_HINT, "%s", "");
        } else if (event == EDITOR_END) {
            fputc('\n', stderr);
            break;
        } else if (message.len && !run_command(t, message.data))
            say(t, &message);
    }
    buf_deinit(&message);
}

static void welcome(const chat *c)
{
    char context[TERM_TEXT];
    cli_say(c->cli, MSG_CHAT_WELCOME, "%s" ARG "%s", model_spec_of(engine_model(c->engine))->name,
            term_count(context, session_context(c->session)));
}

int chat_interactive(chat *c, buf *first)
{
    cj_diag d = {0};
    talk t = {.chat = c, .attached = first};
    char *home = file_home(), *history = home ? file_join(home, "history") : NULL;
    cj_diag ignored = {0};
    if (home && file_make_dirs(home, &ignored)) { /* nowhere to keep a history: go on without */
        mem_free(history);
        history = NULL;
    }
    int code = editor_open(&t.editor, history, &d) ? cli_fail(c->cli, &d) : EXIT_DONE;
    if (!code) {
        welcome(c);
        talk_on(&t);
        if (cli_interrupted()) code = EXIT_INTERRUPTED;
    }
    editor_close(&t.editor);
    mem_free(history);
    mem_free(home);
    return code;
}
