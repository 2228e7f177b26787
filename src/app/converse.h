/* A conversation at the terminal: lines that are edited and remembered, commands that begin with '/', Ctrl-C that stops what is being done and not
 * the program. What is said goes to whoever holds the conversation. */
#ifndef APP_CONVERSE_H
#define APP_CONVERSE_H

#include "app/cli.h"
#include "app/editor.h"

typedef struct converse_command {
    const char *name, *what; /* "/file", "FILE"; what in brackets may be left out; NULL: nothing follows */
    msg_id help;
    void (*run)(void *of, const char *arg);
} converse_command;

typedef struct converse {
    const cli *c;
    void *of;                                    /* given to all of these */
    void (*welcome)(void *of);
    void (*say)(void *of, const buf *message);
    const converse_command *commands; /* [n_commands] */
    int n_commands;
    bool over;                                   /* set to leave */
    editor *editor;                              /* while it runs */
} converse;

/* Until Ctrl-D or `over`; returns the exit code. */
int converse_run(converse *v);
/* Lists the commands. */
void converse_help(const converse *v);
/* What went wrong, in a line; the conversation goes on. */
void converse_complain(const cli *c, const cj_diag *d);

#endif
