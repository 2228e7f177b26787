/* Figures of questions about passages. */
#include "app/qa_view.h"

#include <math.h>
#include <stdio.h>

/* A row of the table: a share, or a mean. */
typedef struct figure {
    double value, low, high; /* value: NaN where there is nothing that it is of */
    int64_t right, n;        /* right -1: it is a mean */
} figure;

static figure share(int64_t right, int64_t n)
{
    const stats_interval i = stats_share(right, n);
    return (figure){n ? (double)right / (double)n : NAN, i.low, i.high, right, n};
}

typedef enum row_kind { ROW_EXACT, ROW_F1, ROW_HOLDS, ROW_CITED, ROW_VERBATIM, ROW_REFUSED, ROW_REFUSED_WRONGLY, QA_ROWS } row_kind;

static const struct {
    const char *key;
    msg_id label;
} rows[QA_ROWS] = {
    [ROW_EXACT] = {"exact", MSG_EVAL_QA_EXACT},
    [ROW_F1] = {"f1", MSG_EVAL_QA_F1},
    [ROW_HOLDS] = {"gold_in_first_quote", MSG_EVAL_QA_HOLDS},
    [ROW_CITED] = {"answer_in_a_quote", MSG_EVAL_QA_CITED},
    [ROW_VERBATIM] = {"quotes_verbatim", MSG_EVAL_QA_VERBATIM},
    [ROW_REFUSED] = {"unanswerable_refused", MSG_EVAL_QA_REFUSED},
    [ROW_REFUSED_WRONGLY] = {"false_refusals", MSG_EVAL_QA_REFUSED_WRONGLY},
};

static figure figure_of(const qa_figures *f, row_kind which)
{
    switch (which) {
    case ROW_EXACT: return share(f->exact, f->answerable);
    case ROW_F1: return (figure){f->answerable ? f->f1 : NAN, f->f1_between.low, f->f1_between.high, -1, f->answerable};
    case ROW_HOLDS: return share(f->holds, f->answerable);
    case ROW_CITED: return share(f->cited, f->answered);
    case ROW_VERBATIM: return share(f->verbatim, f->quotes);
    case ROW_REFUSED: return share(f->refused, f->unanswerable);
    default: return share(f->refused_wrongly, f->answerable);
    }
}

/* ---- for people ---- */

static void print_cell(const figure *x)
{
    if (isnan(x->value)) printf(" - |");
    else printf(" %.1f (%.1f-%.1f) n=%lld |", 100 * x->value, 100 * x->low, 100 * x->high, (long long)x->n);
}

void qa_print(const qa_view *v)
{
    const qa_figures *any = &v->columns[0].figures;
    cli_print(v->c, MSG_EVAL_QA_HEAD, "%lld" ARG "%lld" ARG "%lld", (long long)any->answerable, (long long)any->unanswerable, (long long)qa_seed(v->c));
    printf("\n| |");
    for (int i = 0; i < v->n; i++) printf(" %s |", v->columns[i].name);
    printf("\n|---|");
    for (int i = 0; i < v->n; i++) printf("---|");
    for (row_kind k = 0; k < QA_ROWS; k++) {
        printf("\n| %s |", cli_text(v->c, rows[k].label));
        for (int i = 0; i < v->n; i++) {
            const figure x = figure_of(&v->columns[i].figures, k);
            print_cell(&x);
        }
    }
    printf("\n| %s |", cli_text(v->c, MSG_EVAL_QA_SECONDS));
    for (int i = 0; i < v->n; i++) printf(" %.2f (%.2f) |", v->columns[i].figures.seconds, v->columns[i].figures.first_seconds);
    printf("\n");
}

/* ---- for programs ---- */

static json_object *figure_json(const figure *x)
{
    if (isnan(x->value)) return NULL;
    json_object *o = json_object_new_object();
    if (x->right >= 0) json_object_object_add(o, "right", json_object_new_int64(x->right));
    json_object_object_add(o, "n", json_object_new_int64(x->n));
    json_object_object_add(o, x->right >= 0 ? "share" : "mean", cli_json_number(x->value));
    json_object_object_add(o, "low", cli_json_number(x->low));
    json_object_object_add(o, "high", cli_json_number(x->high));
    return o;
}

static json_object *column_json(const qa_column *k)
{
    json_object *o = json_object_new_object();
    json_object_object_add(o, "adapter", json_object_new_string(k->name));
    for (row_kind r = 0; r < QA_ROWS; r++) {
        const figure x = figure_of(&k->figures, r);
        json_object_object_add(o, rows[r].key, figure_json(&x));
    }
    json_object_object_add(o, "seconds", cli_json_number(k->figures.seconds));
    json_object_object_add(o, "first_seconds", cli_json_number(k->figures.first_seconds));
    return o;
}

/* A column beside the first, on the same questions. */
static json_object *comparison_json(const qa_view *v, int column)
{
    const qa_column *a = &v->columns[0], *b = &v->columns[column];
    int64_t only_a = 0, only_b = 0;
    for (int64_t i = 0; i < v->questions; i++) {
        only_a += a->outcomes[i].exact && !b->outcomes[i].exact;
        only_b += b->outcomes[i].exact && !a->outcomes[i].exact;
    }
    json_object *o = json_object_new_object();
    json_object_object_add(o, "a", json_object_new_string(a->name));
    json_object_object_add(o, "b", json_object_new_string(b->name));
    json_object_object_add(o, "exact_only_a", json_object_new_int64(only_a));
    json_object_object_add(o, "exact_only_b", json_object_new_int64(only_b));
    json_object_object_add(o, "p", cli_json_number(stats_paired(only_a, only_b)));
    return o;
}

#define PROTOCOL                                                                                                                                  \
    "Every question is put to its passage as juan ask puts it to a file; questions of one passage share what was read of it. exact, f1: letters and digits only, " \
    "lower case, the best of the known answers, refusals and empty answers as they are. gold_in_first_quote: a known answer stands in the first quote, which overlaps "           \
    "the quote that the row has. answer_in_a_quote: of what was answered and is no refusal. Intervals: Wilson, 95%; of f1 by drawing questions again. p: McNemar, exact. " \
    "seconds: a question's mean, first_seconds: of those that their passage was read for."

void qa_print_json(const qa_view *v)
{
    json_object *o = json_object_new_object(), *columns = json_object_new_array(), *comparisons = json_object_new_array();
    json_object_object_add(o, "task", json_object_new_string("qa"));
    json_object_object_add(o, "protocol", json_object_new_string(PROTOCOL));
    json_object_object_add(o, "model", json_object_new_string(v->model));
    json_object_object_add(o, "data", json_object_new_string(v->data));
    json_object_object_add(o, "seed", json_object_new_int64((int64_t)qa_seed(v->c)));
    json_object_object_add(o, "questions", json_object_new_int64(v->questions));
    json_object_object_add(o, "unanswerable", json_object_new_int64(v->columns[0].figures.unanswerable));
    for (int i = 0; i < v->n; i++) json_object_array_add(columns, column_json(&v->columns[i]));
    for (int i = 1; i < v->n; i++) json_object_array_add(comparisons, comparison_json(v, i));
    json_object_object_add(o, "columns", columns);
    json_object_object_add(o, "comparisons", comparisons);
    cli_json(o);
}

json_object *qa_view_answer(const qa_column *k, const training_row *row, const char *passage, const qa_given *given, const qa_outcome *outcome)
{
    json_object *o = json_object_new_object(), *known = json_object_new_array(), *quotes = json_object_new_array();
    for (int i = 0; i < row->n_known; i++) json_object_array_add(known, json_object_new_string(row->known[i]));
    for (int i = 0; i < given->n_quotes; i++)
        json_object_array_add(quotes, json_object_new_string_len(passage + given->quote[i].byte, (int)(given->quote[i].end - given->quote[i].byte)));
    json_object_object_add(o, "adapter", json_object_new_string(k->name));
    json_object_object_add(o, "document", json_object_new_string(row->source));
    json_object_object_add(o, "kind", json_object_new_string(row->kind));
    json_object_object_add(o, "question", json_object_new_string(row->question));
    json_object_object_add(o, "known", known);
    json_object_object_add(o, "known_quote", json_object_new_string(row->quote));
    json_object_object_add(o, "answer", json_object_new_string_len(given->answer, (int)given->bytes));
    json_object_object_add(o, "refused", json_object_new_boolean(given->refused));
    json_object_object_add(o, "quotes", quotes);
    json_object_object_add(o, "exact", json_object_new_boolean(outcome->exact));
    json_object_object_add(o, "f1", cli_json_number(outcome->f1));
    json_object_object_add(o, "holds", json_object_new_boolean(outcome->holds));
    json_object_object_add(o, "seconds", cli_json_number(outcome->seconds));
    return o;
}
