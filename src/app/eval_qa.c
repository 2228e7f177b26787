/* juan eval qa: questions about short passages, put as `juan ask` puts them, with an adapter and without. */
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/qa_view.h"
#include "base/file.h"
#include "data/qa_form.h"
#include "reader/adapters.h"
#include "reader/ask.h"
#include "reader/named.h"

typedef struct questioning {
    cli *c;
    const char *each; /* file that every answer is written to; NULL: none */
    file_out out;
    training_rows rows;
    int64_t *chosen, n; /* [n] */
    named_model model;
    session *reading;
    char *snapshots;
    document *doc;
    book book;
    size_t skipped;     /* bytes of a passage that are no text of the document: a byte order mark */
    const qa_column *column;
    const engine_adapter *adapter; /* of the column */
    ask_result result;
    cli_progress progress;
    cj_diag *d;         /* while a column is asked */
    cj_err err;         /* of writing an answer to the file */
    qa_column columns[QA_COLUMNS_MAX];
    int n_columns;
} questioning;

/* ---- a reader ---- */

static void close_passage(questioning *q)
{
    ask_deinit(&q->result);
    q->result = (ask_result){0};
    book_deinit(&q->book);
    q->book = (book){0};
    document_close(&q->doc);
}

static cj_err open_passage(void *arg, const char *text, size_t bytes, cj_diag *d)
{
    questioning *q = arg;
    close_passage(q);
    TRY(document_from_bytes(&q->doc, "passage.txt", text, bytes, d));
    q->skipped = bytes - document_bytes(q->doc);
    return book_join(&q->book, &q->doc, 1, d);
}

static bool go_on(void *arg, ask_phase phase, int64_t done, int64_t total)
{
    (void)arg, (void)phase, (void)done, (void)total;
    return !cli_interrupted();
}

static cj_err ask_it(void *arg, const char *question, qa_given *out, cj_diag *d)
{
    questioning *q = arg;
    const ask_options how = {.heads = q->model.heads.item, .n_heads = q->model.heads.n, .adapter = q->adapter, .reading = q->reading, .snapshots = q->snapshots, .on_progress = go_on};
    const search_source source = {.book = &q->book};
    ask_deinit(&q->result);
    TRY(ask(q->model.engine, &source, 1, question, &how, &q->result, d));
    const ask_result *r = &q->result;
    *out = (qa_given){.answer = r->answer.data ? r->answer.data : "", .bytes = r->answer.len, .seconds = r->total_seconds};
    out->refused = r->refused || qa_refuses(out->answer, out->bytes);
    for (int i = 0; i < r->n_evidence && i < QA_QUOTES_MAX; i++)
        out->quote[out->n_quotes++] = (qa_quote){r->evidence[i].byte + q->skipped, r->evidence[i].end_byte + q->skipped, r->evidence[i].verified};
    return CJ_OK;
}

static bool on_answer(void *arg, const training_row *row, const char *text, const qa_given *given, const qa_outcome *outcome, int64_t done, int64_t total)
{
    questioning *q = arg;
    if (q->each) {
        json_object *o = qa_view_answer(q->column, row, text, given, outcome);
        const char *line = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        q->err = file_out_write(&q->out, line, strlen(line), q->d);
        if (!q->err) q->err = file_out_write(&q->out, "\n", 1, q->d);
        json_object_put(o);
    }
    return cli_progress_step(&q->progress, done, total) && !q->err;
}

/* ---- columns ---- */

static cj_err run_column(questioning *q, qa_column *k, const engine_adapter *a, cj_diag *d)
{
    const qa_reader reader = {q, open_passage, ask_it, on_answer};
    k->name = mem_strdup(a ? engine_adapter_facts(a)->name : "none");
    k->outcomes = mem_array((size_t)q->n, sizeof *k->outcomes);
    if (!k->name || !k->outcomes) return diag_nomem(d, (size_t)q->n * sizeof *k->outcomes);
    q->column = k;
    q->adapter = a;
    q->d = d;
    cli_progress_begin(&q->progress, q->c, MSG_EVAL_ASKING);
    cj_err e = qa_run(&q->rows, q->chosen, q->n, &reader, k->outcomes, d);
    cli_progress_end(&q->progress);
    close_passage(q);
    if (q->err) return q->err;
    return e ? e : qa_sum(k->outcomes, q->n, qa_seed(q->c), &k->figures, d);
}

/* The adapter of a name, NULL: the model's own; without one there is no such column, for "none" always stands beside it. */
static cj_err run_named(questioning *q, const char *name, cj_diag *d)
{
    engine_adapter *a = NULL;
    TRY(adapters_open(&a, q->model.engine, name, QA_FORM_NAME, d));
    cj_err e = CJ_OK;
    if (name || a) e = run_column(q, &q->columns[q->n_columns++], a, d);
    /* the session forgets the adapter with the next question; it is closed with the model otherwise */
    if (q->reading && !e) e = session_set_adapter(q->reading, NULL, 0, d);
    engine_adapter_close(&a);
    return e;
}

static cj_err run_columns(questioning *q, const cli_list *adapters, cj_diag *d)
{
    for (int i = 0; i < adapters->n; i++) TRY(run_named(q, adapters->item[i], d));
    if (adapters->n) return CJ_OK;
    TRY(run_named(q, NULL, d));
    return run_named(q, "none", d);
}

/* ---- all of it ---- */

static cj_err choose(questioning *q, const char *data, int64_t n, cj_diag *d)
{
    TRY(rows_open(&q->rows, data, d));
    q->chosen = mem_array((size_t)q->rows.n, sizeof *q->chosen);
    if (!q->chosen) return diag_nomem(d, (size_t)q->rows.n * sizeof *q->chosen);
    return qa_choose(&q->rows, n, qa_seed(q->c), q->chosen, &q->n, d);
}

static cj_err open_model(questioning *q, cj_diag *d)
{
    engine_options opt = {0};
    char *home = file_home();
    q->snapshots = home ? file_join(home, "snapshots") : NULL;
    mem_free(home);
    if (cli_engine_options(q->c, &opt)) return diag_fail(d, CJ_E_USAGE, MSG_OPTION_BAD, "%s" ARG "%s", "--cpu", q->c->cpu ? q->c->cpu : "");
    TRY(named_open(&q->model, q->c->argv[1], NULL, &opt, d));
    if (q->model.heads.trouble.code) cli_note(q->c, &q->model.heads.trouble);
    return session_open(&q->reading, q->model.engine, 0, d);
}

static cj_err run(questioning *q, const char *data, int64_t n, const cli_list *adapters, cj_diag *d)
{
    TRY(choose(q, data, n, d));
    TRY(open_model(q, d));
    if (!q->each) return run_columns(q, adapters, d);
    TRY(file_out_open(&q->out, q->each, d));
    cj_err e = run_columns(q, adapters, d);
    if (!e) return file_out_commit(&q->out, d);
    file_out_abort(&q->out);
    return e;
}

static void close_all(questioning *q)
{
    for (int i = 0; i < q->n_columns; i++) {
        mem_free(q->columns[i].name);
        mem_free(q->columns[i].outcomes);
    }
    close_passage(q);
    session_close(&q->reading);
    named_close(&q->model);
    rows_deinit(&q->rows);
    mem_free(q->chosen);
    mem_free(q->snapshots);
}

int eval_qa(cli *c)
{
    questioning q = {.c = c};
    const char *data = NULL;
    int64_t n = 0;
    cli_list adapters = {0};
    cj_diag d = {0};
    const cli_option options[] = {
        {"data", 0, CLI_TEXT, &data, "FILE", MSG_OPT_EVAL_QA_DATA},
        {"adapter", 0, CLI_LIST, &adapters, "ADAPTER", MSG_OPT_EVAL_QA_ADAPTER},
        {"questions", 'n', CLI_INT, &n, "N", MSG_OPT_EVAL_QA_N},
        {"each", 0, CLI_TEXT, &q.each, "FILE", MSG_OPT_EVAL_QA_EACH},
    };
    const cli_help help = {"qa MODEL --data FILE [--adapter ADAPTER|none]...", MSG_EVAL_QA_ABOUT,
                           "eval qa {0} --data questions.jsonl\neval qa {0} --data questions.jsonl -n 300 --adapter house --adapter none --each answers.jsonl --json", 2, 2};
    int code = cli_parse(c, &help, options, sizeof options / sizeof *options);
    if (code) return code;
    if (n < 0 || n > ROWS_MAX) return cli_usage(c, MSG_CLI_BAD_VALUE, "--questions");
    if (adapters.n > QA_COLUMNS_MAX) return cli_usage(c, MSG_CLI_BAD_VALUE, "--adapter");
    if (!data) return cli_usage(c, MSG_EVAL_QA_NO_DATA, "");
    rows_init(&q.rows);
    cj_err e = run(&q, data, n, &adapters, &d);
    const qa_view v = {c, c->argv[1], data, q.columns, q.n_columns, q.n};
    if (!e && c->json) qa_print_json(&v);
    else if (!e) qa_print(&v);
    close_all(&q);
    return e ? cli_fail(c, &d) : EXIT_DONE;
}
