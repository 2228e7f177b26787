/* Rows for tuning. */
#include "app/tune_data.h"

#include <string.h>

#include "app/documents.h"
#include "data/questions.h"

#define ABSENT 0.2 /* share of the questions that a passage does not answer */

static bool is_rows(const char *path)
{
    static const char *const endings[] = {".jsonl", ".ndjson"};
    const size_t n = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (n > strlen(endings[i]) && !strcmp(path + n - strlen(endings[i]), endings[i])) return true;
    return false;
}

static cj_err ask_about(training_rows *out, const document_set *set, uint64_t seed, questions_count *count, cj_diag *d)
{
    const questions_options how = {.seed = seed, .absent = ABSENT};
    for (int i = 0; i < set->n; i++) {
        const document *doc = set->docs[i];
        if (cli_interrupted()) return diag_fail(d, CJ_E_CANCELLED, MSG_CANCELLED, "%s", "");
        TRY(questions_make(out, document_name(doc), document_text(doc), document_bytes(doc), &how, count, d));
    }
    return CJ_OK;
}

static cj_err open_documents(training_rows *out, const cli *c, const char **paths, int n, uint64_t seed, cj_diag *d)
{
    cli named = *c;
    document_set set;
    questions_count count = {0};
    named.argc = n;
    named.argv = (char **)paths;
    cj_err e = documents_open(&set, &named, n, d);
    if (!e) e = ask_about(out, &set, seed, &count, d);
    if (!e && !out->n) e = diag_fail(d, CJ_E_INPUT, MSG_QUESTIONS_NONE, "%lld", (long long)count.passages);
    if (!e) {
        int64_t made = 0;
        for (int k = 0; k < QUESTION_KINDS; k++) made += count.kind[k];
        cli_say(c, MSG_TUNE_ASKED, "%lld" ARG "%lld" ARG "%d", (long long)made, (long long)count.passages, set.n);
    }
    document_set_close(&set);
    return e;
}

cj_err tune_data_open(training_rows *out, const cli *c, const cli_list *paths, uint64_t seed, cj_diag *d)
{
    const char *documents[CLI_LIST_MAX];
    int n = 0;
    for (int i = 0; i < paths->n; i++)
        if (is_rows(paths->item[i])) TRY(rows_open(out, paths->item[i], d));
        else documents[n++] = paths->item[i];
    return n ? open_documents(out, c, documents, n, seed, d) : CJ_OK;
}
