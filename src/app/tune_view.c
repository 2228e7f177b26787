/* See tune_view.h. */
#include "app/tune_view.h"

#include <math.h>
#include <stdio.h>

#include "app/term.h"
#include "base/mem.h"

static const char *kind_text(const cli *c, tune_kind k)
{
    if (k == TUNE_FINDING) return cli_text(c, MSG_TUNE_KIND_FINDING);
    return cli_text(c, k == TUNE_WHOLE ? MSG_TUNE_KIND_WHOLE : k == TUNE_ACTIVATED ? MSG_TUNE_KIND_ACTIVATED : MSG_TUNE_KIND_ORDINARY);
}

void tune_view_plan(const cli *c, const tune_plan *p, const char *out)
{
    char a[TERM_TEXT], b[TERM_TEXT], e[TERM_TEXT], f[TERM_TEXT];
    cli_say(c, MSG_TUNE_PLAN_DATA, "%s" ARG "%s" ARG "%s", term_count(a, p->samples), term_count(b, p->held), term_count(e, p->tokens));
    if (p->too_long || p->no_template) cli_say(c, MSG_TUNE_LEFT_OUT, "%lld" ARG "%lld", (long long)p->too_long, (long long)p->no_template);
    cli_say(c, MSG_TUNE_PLAN, "%s" ARG "%s" ARG "%s" ARG "%s" ARG "%s" ARG "%s", kind_text(c, p->kind), term_count(a, p->parameters), term_count(b, p->steps),
            term_bytes(e, p->bytes), term_seconds(f, p->seconds), out);
    if (p->resumed) cli_say(c, MSG_TUNE_RESUMED, "%s" ARG "%s", term_count(a, p->resumed), term_count(b, p->steps));
}

/* The second line of the progress. A ceiling that was measured while others used the machine is no ceiling. */
static void more(void *arg, char *out, size_t size)
{
    const tune_view *v = arg;
    const double share = v->last.share;
    char loss[16], held[16] = "-", part[16] = "-", args[128];
    snprintf(loss, sizeof loss, "%.4f", v->last.loss);
    if (v->held_out > 0) snprintf(held, sizeof held, "%.4f", v->held_out);
    if (share > 0 && share <= 1) snprintf(part, sizeof part, "%.0f%%", 100 * share);
    snprintf(args, sizeof args, "%lld" ARG "%lld" ARG "%s" ARG "%s" ARG "%s", (long long)v->last.step, (long long)v->last.steps, loss, held, part);
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
    (void)cli_progress_step(&v->progress, r->rows, i64_max(r->rows, r->rows / r->step * r->steps));
}

void tune_view_end(tune_view *v) { cli_progress_end(&v->progress); }

/* ---- before and after ---- */

enum { NAME_COLUMNS = 30, FIGURE_COLUMNS = 12 };

/* A share; NaN where there is nothing to share. */
static double share(double part, int64_t all) { return all ? part / (double)all : NAN; }

static const char *figure(char out[TERM_TEXT], double v)
{
    snprintf(out, TERM_TEXT, "%.0f%%", 100 * v);
    return isnan(v) ? "-" : out;
}

static void print_row(const cli *c, msg_id name, double before, double after)
{
    char text[TERM_TEXT];
    if (isnan(before) && isnan(after)) return;
    term_pad(stdout, cli_text(c, name), NAME_COLUMNS);
    term_pad(stdout, figure(text, before), FIGURE_COLUMNS);
    puts(figure(text, after));
}

void tune_view_exam(const cli *c, const answer_tally *b, const answer_tally *a)
{
    cli_print(c, MSG_TUNE_EXAM_HEAD, "%lld", (long long)(a->answerable + a->unanswerable));
    term_pad(stdout, "", NAME_COLUMNS);
    term_pad(stdout, cli_text(c, MSG_TUNE_EXAM_BEFORE), FIGURE_COLUMNS);
    puts(cli_text(c, MSG_TUNE_EXAM_AFTER));
    print_row(c, MSG_TUNE_EXAM_EXACT, share(b->exact, b->answerable), share(a->exact, a->answerable));
    print_row(c, MSG_TUNE_EXAM_F1, share(b->f1, b->answerable), share(a->f1, a->answerable));
    if (a->quoted || b->quoted) print_row(c, MSG_TUNE_EXAM_HOLDS, share((double)b->quote_holds, b->answerable), share((double)a->quote_holds, a->answerable));
    print_row(c, MSG_TUNE_EXAM_VERBATIM, share((double)b->verbatim, b->quoted), share((double)a->verbatim, a->quoted));
    print_row(c, MSG_TUNE_EXAM_REFUSED, share((double)b->refused, b->unanswerable), share((double)a->refused, a->unanswerable));
    if (a->unanswerable) print_row(c, MSG_TUNE_EXAM_WRONGLY, share((double)b->refused_wrongly, b->answerable), share((double)a->refused_wrongly, a->answerable));
}

json_object *tune_view_exam_json(const answer_tally *t)
{
    json_object *o = json_object_new_object();
    json_object_object_add(o, "answerable", json_object_new_int64(t->answerable));
    json_object_object_add(o, "unanswerable", json_object_new_int64(t->unanswerable));
    json_object_object_add(o, "exact", cli_json_number(share(t->exact, t->answerable)));
    json_object_object_add(o, "f1", cli_json_number(share(t->f1, t->answerable)));
    json_object_object_add(o, "quoted", json_object_new_int64(t->quoted));
    json_object_object_add(o, "verbatim", json_object_new_int64(t->verbatim));
    json_object_object_add(o, "quote_holds_answer", json_object_new_int64(t->quote_holds));
    json_object_object_add(o, "refused", json_object_new_int64(t->refused));
    json_object_object_add(o, "refused_wrongly", json_object_new_int64(t->refused_wrongly));
    return o;
}
