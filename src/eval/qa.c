/* Asking questions about passages, and judging what was answered. */
#include "eval/qa.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "data/measure.h"

/* ---- which are asked ---- */

static bool can_be_asked(const training_row *row) { return (row->form == ROW_PASSAGE || row->form == ROW_QUESTION) && row->passage >= 0; }

static int by_passage(const void *a, const void *b, void *rows)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    const training_row *row = rows;
    if (row[x].passage != row[y].passage) return row[x].passage < row[y].passage ? -1 : 1;
    return (x > y) - (x < y);
}

cj_err qa_choose(const training_rows *r, int64_t n, uint64_t seed, int64_t *chosen, int64_t *count, cj_diag *d)
{
    random_state random = {seed};
    int64_t all = 0;
    for (int64_t i = 0; i < r->n; i++)
        if (can_be_asked(&r->row[i])) chosen[all++] = i;
    if (!all) return diag_fail(d, CJ_E_INPUT, MSG_EVAL_QA_NONE, "%s", "");
    *count = n && n < all ? n : all;
    for (int64_t i = 0; i < *count; i++) { /* the first of a shuffle */
        const int64_t j = i + random_below(&random, all - i), drawn = chosen[j];
        chosen[j] = chosen[i];
        chosen[i] = drawn;
    }
    qsort_r(chosen, (size_t)*count, sizeof *chosen, by_passage, r->row);
    return CJ_OK;
}

/* ---- judging ---- */

static bool stands_in(const char *what, size_t n, const char *text, const qa_quote *q) { return n && memmem(text + q->byte, q->end - q->byte, what, n); }

/* Whether a quote holds a known answer where it was marked. */
static bool holds(const training_row *row, const char *text, const qa_quote *q)
{
    const char *marked = *row->quote ? strstr(text, row->quote) : NULL;
    const size_t at = marked ? (size_t)(marked - text) : 0;
    if (marked && (q->byte >= at + strlen(row->quote) || at >= q->end)) return false;
    for (int i = 0; i < row->n_known; i++)
        if (stands_in(row->known[i], strlen(row->known[i]), text, q)) return true;
    return false;
}

cj_err qa_judge(const training_rows *r, int64_t which, const qa_given *g, qa_outcome *o, cj_diag *d)
{
    const training_row *row = &r->row[which];
    const char *text = r->passage[row->passage].text;
    answer_score score = {0};
    *o = (qa_outcome){.row = which, .answerable = row->n_known > 0, .refused = g->refused, .answered = g->bytes && !g->refused, .quotes = g->n_quotes, .seconds = g->seconds};
    if (o->answerable) TRY(measure_answer(g->answer, g->bytes, row->known, row->n_known, &score, d));
    o->exact = score.exact > 0;
    o->f1 = score.f1;
    o->holds = g->n_quotes && holds(row, text, &g->quote[0]);
    for (int i = 0; i < g->n_quotes; i++) {
        o->cited |= o->answered && stands_in(g->answer, g->bytes, text, &g->quote[i]);
        o->verbatim += g->quote[i].verified;
    }
    return CJ_OK;
}

/* ---- asking ---- */

cj_err qa_run(const training_rows *r, const int64_t *chosen, int64_t n, const qa_reader *reader, qa_outcome *out, cj_diag *d)
{
    int64_t open = -1;
    for (int64_t i = 0; i < n; i++) {
        const training_row *row = &r->row[chosen[i]];
        const training_passage *p = &r->passage[row->passage];
        const bool first = row->passage != open;
        qa_given given = {0};
        if (first) TRY(reader->open(reader->arg, p->text, p->bytes, d));
        open = row->passage;
        TRY(reader->ask(reader->arg, row->question, &given, d));
        TRY(qa_judge(r, chosen[i], &given, &out[i], d));
        out[i].first = first;
        if (reader->on_answer && !reader->on_answer(reader->arg, row, p->text, &given, &out[i], i + 1, n)) return diag_fail(d, CJ_E_CANCELLED, MSG_CANCELLED, "%s", "");
    }
    return CJ_OK;
}

/* ---- summing up ---- */

static double mean(double sum, int64_t n) { return n ? sum / (double)n : 0; }

cj_err qa_sum(const qa_outcome *o, int64_t n, uint64_t seed, qa_figures *out, cj_diag *d)
{
    qa_figures f = {0};
    int64_t firsts = 0;
    double *f1 = mem_array((size_t)n + 1, sizeof *f1);
    if (!f1) return diag_nomem(d, ((size_t)n + 1) * sizeof *f1);
    for (int64_t i = 0; i < n; i++) {
        if (o[i].answerable) f1[f.answerable++] = o[i].f1;
        f.unanswerable += !o[i].answerable;
        f.exact += o[i].exact;
        f.f1 += o[i].f1;
        f.holds += o[i].answerable && o[i].holds;
        f.refused += !o[i].answerable && o[i].refused;
        f.refused_wrongly += o[i].answerable && o[i].refused;
        f.answered += o[i].answered;
        f.cited += o[i].cited;
        f.quotes += o[i].quotes;
        f.verbatim += o[i].verbatim;
        f.seconds += o[i].seconds;
        f.first_seconds += o[i].first ? o[i].seconds : 0;
        firsts += o[i].first;
    }
    f.f1 = mean(f.f1, f.answerable);
    f.seconds = mean(f.seconds, n);
    f.first_seconds = mean(f.first_seconds, firsts);
    cj_err e = stats_mean(f1, f.answerable, seed, &f.f1_between, d);
    mem_free(f1);
    if (!e) *out = f;
    return e;
}
