/* Progress on standard error: from one second on, with rate and time left. Lines that are drawn again on a terminal, folded to its width; a new
 * line every ten seconds elsewhere (a log). */
#ifndef APP_PROGRESS_H
#define APP_PROGRESS_H

#include <stddef.h>

#include "base/err.h"

typedef struct cli cli;

typedef struct cli_progress {
    const cli *cli;
    msg_id label;
    bool bytes;           /* what is counted: shown as MiB */
    double start, drawn;
    double first_time;    /* when the first call came and */
    int64_t first;        /* `done` then, so that what was there before does not spoil the rate */
    int lines;            /* on the terminal; 0: nothing is shown */
    msg_id form;          /* in place of MSG_PROGRESS, of the same arguments; 0: that one */
    void (*more)(void *arg, char *out, size_t size); /* what else is to be said, on a line of its own; NULL: nothing */
    void *arg;
} cli_progress;

void cli_progress_begin(cli_progress *p, const cli *c, msg_id label);
/* Has the form of session_call.on_progress; false once Ctrl-C was pressed. total <= 0: not known. */
bool cli_progress_step(void *progress, int64_t done, int64_t total);
void cli_progress_end(cli_progress *p);

#endif
