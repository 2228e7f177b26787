/* A conversation with a model, shown as it is written: on the terminal, or as JSON lines.
 *
 * With a chat template a turn adds a message and the model answers; without one (`raw`) what is said is appended to one text,
 * and the model goes on from there. A turn that fails or is stopped before the answer begins leaves no trace.
 */
#ifndef APP_CHAT_H
#define APP_CHAT_H

#include "app/cli.h"
#include "app/term.h"
#include "engine/generate.h"

typedef struct chat {
    const cli *cli;
    engine *engine;
    session *session;
    bool raw;
    json_object *messages;   /* [{"role", "content"}] */
    buf text;                /* raw: all of it */
    generate_options how;    /* on_piece, on_progress and arg are the chat's own */
    /* during a turn */
    cli_progress progress;
    term_flow flow;          /* where the answer is shown */
    bool reading, line_open; /* line_open: the last character shown was no line break */
} chat;

CJ_NODISCARD cj_err chat_open(chat *c, const cli *owner, engine *e, bool raw, const generate_options *how, cj_diag *d);
void chat_close(chat *c);
/* Begins anew; system NULL keeps the system prompt, "" removes it. */
CJ_NODISCARD cj_err chat_reset(chat *c, const char *system, cj_diag *d);
/* Says text[0..n) and shows the answer. */
CJ_NODISCARD cj_err chat_turn(chat *c, const char *text, size_t n, generate_result *r, cj_diag *d);
/* Takes the last answer back and asks again. *done false: there is none. */
CJ_NODISCARD cj_err chat_again(chat *c, bool *done, generate_result *r, cj_diag *d);

/* The conversation as a JSON file, and back. */
CJ_NODISCARD cj_err chat_save(const chat *c, const char *path, cj_diag *d);
CJ_NODISCARD cj_err chat_load(chat *c, const char *path, cj_diag *d);

/* A line about the last turn on standard error; with --json the last line on standard output. */
void chat_report(const chat *c, const generate_result *r);

/* Reads what a person types until Ctrl-D; returns the exit code. `first` is put before the first thing said. */
int chat_interactive(chat *c, buf *first);

#endif
