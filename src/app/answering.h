/* An answer while it is made: progress until it begins, then its text, folded on a terminal. What juan ask and juan chat share. */
#ifndef APP_ANSWERING_H
#define APP_ANSWERING_H

#include "app/cli.h"
#include "app/term.h"
#include "reader/ask.h"

typedef struct answering {
    const cli *c;
    cli_progress progress;
    term_flow flow;
    bool shown; /* something of it, or what stands in front of it */
} answering;

void answering_begin(answering *a, const cli *c);
/* Progress is over, and this stands in front of the text. */
void answering_label(answering *a, const char *label);
/* Of ask_options; arg is the answering, or something that begins with one. With --json nothing is shown. */
bool answering_on_progress(void *arg, ask_phase phase, int64_t done, int64_t total);
bool answering_on_text(void *arg, const char *text, size_t n);
void answering_end(answering *a);

#endif
