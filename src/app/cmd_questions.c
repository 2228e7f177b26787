/* juan questions: what a model would be asked when it is tuned to documents, as rows to look at, to mend and to tune with. */
#include <stdio.h>

#include "app/commands.h"
#include "app/documents.h"
#include "data/questions.h"

enum { ROW_TEXT_MAX = 1 << 24 };

static cj_err make_rows(training_rows *rows, const document_set *set, const questions_options *opt, questions_count *count, cj_diag *d)
{
    for (int i = 0; i < set->n; i++) {
        const document *doc = set->docs[i];
        if (cli_interrupted()) return diag_fail(d, CJ_E_CANCELLED, MSG_CANCELLED, "%s", "");
        TRY(questions_make(rows, document_name(doc), document_text(doc), document_bytes(doc), opt, count, d));
    }
    return rows->n ? CJ_OK : diag_fail(d, CJ_E_INPUT, MSG_QUESTIONS_NONE, "%lld", (long long)count->passages);
}

static cj_err print_rows(const training_rows *rows, cj_diag *d)
{
    buf line;
    cj_err e = CJ_OK;
    buf_init(&line, ROW_TEXT_MAX);
    for (int64_t i = 0; !e && i < rows->n; i++) {
        buf_clear(&line);
        e = rows_write(rows, i, &line, d);
        if (!e && fwrite(line.data, 1, line.len, stdout) != line.len) e = diag_fail(d, CJ_E_IO, MSG_FILE_IO, "%s" ARG "%s", "-", "cannot write");
    }
    buf_deinit(&line);
    return e;
}

static void say_counts(const cli *c, const questions_count *n)
{
    cli_say(c, MSG_QUESTIONS_MADE, "%lld" ARG "%lld" ARG "%lld" ARG "%lld" ARG "%lld" ARG "%lld" ARG "%lld", (long long)n->passages,
            (long long)n->kind[QUESTION_HIDDEN], (long long)n->kind[QUESTION_ASKED], (long long)n->kind[QUESTION_SAID], (long long)n->kind[QUESTION_WHERE],
            (long long)n->kind[QUESTION_NEXT], (long long)n->kind[QUESTION_ABSENT]);
}

int cmd_questions(cli *c)
{
    int64_t each = 4, passages = 0, longest = 900;
    double absent = 20;
    cj_diag d = {0};
    const cli_option options[] = {
        {"each", 0, CLI_INT, &each, "N", MSG_OPT_QUESTIONS_EACH},
        {"absent", 0, CLI_FLOAT, &absent, "P", MSG_OPT_QUESTIONS_ABSENT},
        {"length", 'l', CLI_SIZE, &longest, "N", MSG_OPT_QUESTIONS_LENGTH},
        {"passages", 0, CLI_INT, &passages, "N", MSG_OPT_QUESTIONS_PASSAGES},
    };
    const cli_help help = {"FILE|FOLDER... [--each N] [--absent P]", MSG_CMD_QUESTIONS_ABOUT, "questions book.txt\nquestions papers --each 6 --absent 25 > rows.jsonl", 1, -1};
    int code = cli_parse_plain(c, &help, options, sizeof options / sizeof *options);
    if (code) return code;
    if (each < 1 || each > QUESTIONS_EACH_MAX) return cli_usage(c, MSG_CLI_BAD_VALUE, "--each");
    if (!(absent >= 0 && absent <= 50)) return cli_usage(c, MSG_CLI_BAD_VALUE, "--absent");
    if (longest < QUESTIONS_PASSAGE_MIN || longest > QUESTIONS_PASSAGE_MAX) return cli_usage(c, MSG_CLI_BAD_VALUE, "--length");
    if (passages < 0) return cli_usage(c, MSG_CLI_BAD_VALUE, "--passages");
    const questions_options opt = {.seed = c->seed < 0 ? 1 : (uint64_t)c->seed, .passage_min = (int)longest / 4, .passage_max = (int)longest, .each = (int)each,
                                   .absent = absent / 100, .passages = passages};
    document_set set;
    training_rows rows;
    questions_count count = {0};
    cli_catch_interrupt();
    rows_init(&rows);
    cj_err e = documents_open(&set, c, c->argc, &d);
    if (!e) e = make_rows(&rows, &set, &opt, &count, &d);
    if (!e) e = print_rows(&rows, &d);
    if (!e) say_counts(c, &count);
    rows_deinit(&rows);
    document_set_close(&set);
    return e ? cli_fail(c, &d) : EXIT_DONE;
}
