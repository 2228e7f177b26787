/* See tune_view.h. */
#include "app/tune_view.h"

#include <stdio.h>

#include "app/term.h"

static const char *kind_text(const cli *c, tune_kind k)
{
    return cli_text(c, k == TUNE_WHOLE ? MSG_TUNE_KIND_WHOLE : k == TUNE_ACTIVATED ? MSG_TUNE_KIND_ACTIVATED : MSG_TUNE_KIND_ORDINARY);
}

void tune_view_plan(const cli *c, const tune_plan *p, const char *out)
{
    char a[TERM_TEXT], b[TERM_TEXT], e[TERM_TEXT];
    cli_say(c, MSG_TUNE_PLAN_DATA, "%s" ARG "%s" ARG "%s", term_count(a, p->samples), term_count(b, p->held), term_count(e, p->tokens));
    if (p->too_long || p->no_template) cli_say(c, MSG_TUNE_LEFT_OUT, "%lld" ARG "%lld", (long long)p->too_long, (long long)p->no_template);
    cli_say(c, MSG_TUNE_PLAN, "%s" ARG "%s" ARG "%s" ARG "%s" ARG "%s", kind_text(c, p->kind), term_count(a, p->parameters), term_count(b, p->steps),
            term_bytes(e, p->bytes), out);
    if (p->resumed) cli_say(c, MSG_TUNE_RESUMED, "%s" ARG "%s", term_count(a, p->resumed), term_count(b, p->steps));
}

/* The second line of the progress. */
static void more(void *arg, char *out, size_t size)
{
    const tune_view *v = arg;
    char loss[16], held[16] = "-", args[128];
    snprintf(loss, sizeof loss, "%.4f", v->last.loss);
    if (v->held_out > 0) snprintf(held, sizeof held, "%.4f", v->held_out);
    snprintf(args, sizeof args, "%lld" ARG "%lld" ARG "%s" ARG "%s" ARG "%.0f", (long long)v->last.step, (long long)v->last.steps, loss, held, 100 * v->last.share);
    msg_format(cli_text(v->c, MSG_TUNE_PROGRESS), args, out, size);
}

void tune_view_begin(tune_view *v, const cli *c, const train_state *from)
{
    *v = (tune_view){.c = c, .held_out = from->best_loss, .best = from->best_loss, .best_step = from->best_step};
    cli_progress_begin(&v->progress, c, MSG_TUNE_RUNNING);
    v->progress.more = more;
    v->progress.arg = v;
}

bool tune_view_go_on(void *view)
{
    (void)view;
    return !cli_interrupted();
}

void tune_view_report(void *view, const train_report *r)
{
    tune_view *v = view;
    if (r->checked) {
        cli_progress_end(&v->progress);
        v->held_out = r->held_out;
        if (r->best) {
            v->best = r->held_out;
            v->best_step = r->step;
        }
        cli_say(v->c, r->best ? MSG_TUNE_CHECK_BEST : MSG_TUNE_CHECK, "%lld" ARG "%.4f" ARG "%.4f" ARG "%lld", (long long)r->step, r->held_out, v->best, (long long)v->best_step);
        return;
    }
    v->last = *r;
    (void)cli_progress_step(&v->progress, r->rows, r->rows / r->step * r->steps);
}

void tune_view_end(tune_view *v) { cli_progress_end(&v->progress); }
