/* Progress. */
#include "app/cli.h"

#include <stdio.h>
#include <string.h>

#include "app/term.h"
#include "base/clock.h"

void cli_progress_begin(cli_progress *p, const cli *c, msg_id label)
{
    *p = (cli_progress){.cli = c, .label = label, .start = clock_now(), .first = -1};
}

/* "Reading 42%  1,234 of 5,678, 456/s, 0:09 left", with as much of it as is known. */
static void describe(const cli_progress *p, int64_t done, int64_t total, double seconds, char *line, size_t size)
{
    char a[TERM_TEXT], b[TERM_TEXT], r[TERM_TEXT], left[TERM_TEXT], args[6 * TERM_TEXT];
    const char *(*number)(char *, int64_t) = p->bytes ? term_bytes : term_count;
    double rate = seconds > 0 ? (double)(done - p->first) / seconds : 0;
    int percent = total > 0 ? (int)(100.0 * (double)done / (double)total) : 0;
    snprintf(args, sizeof args, "%s" ARG "%d" ARG "%s" ARG "%s" ARG "%s" ARG "%s", cli_text(p->cli, p->label), percent, number(a, done),
             number(b, total), number(r, (int64_t)rate), term_seconds(left, rate > 0 ? (double)(total - done) / rate : 0));
    const msg_id form = p->form ? p->form : MSG_PROGRESS;
    msg_format(cli_text(p->cli, total <= 0 ? MSG_PROGRESS_OPEN : rate > 0 ? form : MSG_PROGRESS_BEGUN), args, line, size);
}

static void erase(cli_progress *p)
{
    for (; p->lines > 1; p->lines--) fprintf(stderr, "\033[A");
    if (p->lines) fprintf(stderr, "\r\033[J");
    p->lines = 0;
}

/* In place of what was drawn before. */
static void draw(cli_progress *p, const char *line, const char *more)
{
    term_flow f;
    erase(p);
    term_flow_begin(&f, stderr, 0);
    f.columns--; /* in the last one the cursor would go to the next line or not */
    f.indent = 2;
    term_flow_write(&f, line, strlen(line));
    if (*more) term_flow_write(&f, "\n", 1);
    term_flow_write(&f, more, strlen(more));
    term_flow_end(&f);
    p->lines = f.lines;
}

bool cli_progress_step(void *progress, int64_t done, int64_t total)
{
    cli_progress *p = progress;
    double now = clock_now();
    if (p->first < 0) {
        p->first = done;
        p->first_time = now;
    }
    bool terminal = p->cli->terminal;
    double first_after = terminal ? 1 : 10, again_after = terminal ? 0.2 : 10;
    if (!p->cli->quiet && now - p->start > first_after && now - p->drawn > again_after) {
        char line[512], more[512] = "";
        describe(p, done, total, now - p->first_time, line, sizeof line);
        if (p->more) p->more(p->arg, more, sizeof more);
        if (terminal) draw(p, line, more);
        else fprintf(stderr, "%s%s%s\n", line, *more ? "  " : "", more);
        p->drawn = now;
    }
    return !cli_interrupted();
}

void cli_progress_end(cli_progress *p) { erase(p); }
