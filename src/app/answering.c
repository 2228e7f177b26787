/* Answers while they are made. */
#include "app/answering.h"

#include <string.h>

void answering_begin(answering *a, const cli *c)
{
    *a = (answering){.c = c};
    cli_progress_begin(&a->progress, c, MSG_READING);
    term_flow_begin(&a->flow, stdout, 0);
}

void answering_label(answering *a, const char *label)
{
    cli_progress_end(&a->progress);
    fputs(label, stdout);
    fflush(stdout);
    a->shown = true;
    term_flow_begin(&a->flow, stdout, term_width(label, strlen(label)));
}

bool answering_on_progress(void *arg, ask_phase phase, int64_t done, int64_t total)
{
    (void)phase;
    answering *a = arg;
    return a->shown ? !cli_interrupted() : cli_progress_step(&a->progress, done, total);
}

bool answering_on_text(void *arg, const char *text, size_t n)
{
    answering *a = arg;
    if (n && !a->shown) cli_progress_end(&a->progress);
    a->shown |= n > 0;
    if (n && !a->c->json) {
        term_flow_write(&a->flow, text, n);
        fflush(stdout);
    }
    return !cli_interrupted();
}

void answering_end(answering *a)
{
    cli_progress_end(&a->progress);
    term_flow_end(&a->flow);
}
