/* Lines and commands. */
#include "app/converse.h"

#include <string.h>

#include "app/term.h"
#include "base/file.h"

enum { MESSAGE_MAX = 1 << 26 };

void converse_complain(const cli *c, const cj_diag *d)
{
    char text[4096];
    cj_diag_text(d, c->lang, text, sizeof text);
    fprintf(stderr, "%s%s%s\n", term_style_code(stderr, TERM_WARN), text, term_style_code(stderr, TERM_PLAIN));
}

/* ---- commands ---- */

void converse_help(const converse *v)
{
    for (int i = 0; i < v->n_commands; i++) {
        const converse_command *c = &v->commands[i];
        char left[64];
        snprintf(left, sizeof left, "  %s %s", c->name, c->what ? c->what : "");
        term_pad(stderr, left, 18);
        fprintf(stderr, "%s\n", cli_text(v->c, c->help));
    }
    fprintf(stderr, "%s\n", cli_text(v->c, MSG_CHAT_HELP_KEYS));
}

/* True when the line was a command, known or not. */
static bool run_command(converse *v, const char *line)
{
    size_t n = strcspn(line, " ");
    const char *arg = line + n + strspn(line + n, " ");
    if (line[0] != '/') return false;
    for (int i = 0; i < v->n_commands; i++) {
        const converse_command *c = &v->commands[i];
        if (strlen(c->name) != n || memcmp(c->name, line, n)) continue;
        bool wants = c->what && c->what[0] != '[';
        if (wants && !*arg) cli_say(v->c, MSG_CHAT_COMMAND_FORM, "%s" ARG "%s", c->name, c->what);
        else c->run(v->of, arg);
        return true;
    }
    if (memchr(line + 1, '/', n - 1)) return false; /* a path at the beginning of a message */
    cli_say(v->c, MSG_CHAT_COMMAND_UNKNOWN, "%.*s", (int)n, line);
    return true;
}

/* ---- lines ---- */

/* Reads a whole message: a line; more lines while one ends in '\'; everything between two lines of """. */
static editor_event read_message(converse *v, buf *message)
{
    buf line;
    buf_init(&line, MESSAGE_MAX);
    buf_clear(message);
    bool quoted = false, more = true;
    editor_event event = EDITOR_LINE;
    while (more && event == EDITOR_LINE) {
        event = editor_read(v->editor, message->len || quoted ? "… " : "> ", &line);
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

static void talk_on(converse *v)
{
    buf message;
    buf_init(&message, MESSAGE_MAX);
    while (!v->over) {
        editor_event event = read_message(v, &message);
        if (event == EDITOR_INTERRUPTED) {
            if (!cli_interrupt_take()) break;
            fputc('\n', stderr);
            cli_say(v->c, MSG_CHAT_LEAVE_HINT, "%s", "");
        } else if (event == EDITOR_END) {
            fputc('\n', stderr);
            break;
        } else if (message.len && !run_command(v, message.data))
            v->say(v->of, &message);
    }
    buf_deinit(&message);
}

int converse_run(converse *v)
{
    cj_diag d = {0};
    char *home = file_home(), *history = home ? file_join(home, "history") : NULL;
    cj_diag ignored = {0};
    if (home && file_make_dirs(home, &ignored)) { /* nowhere to keep a history: go on without */
        mem_free(history);
        history = NULL;
    }
    int code = editor_open(&v->editor, history, &d) ? cli_fail(v->c, &d) : EXIT_DONE;
    if (!code) {
        v->welcome(v->of);
        talk_on(v);
        if (cli_interrupted()) code = EXIT_INTERRUPTED;
    }
    editor_close(&v->editor);
    mem_free(history);
    mem_free(home);
    return code;
}
