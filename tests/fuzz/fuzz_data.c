/* Training rows, questions made of any text, and what a model wrote: refused with a sentence, or rows whose parts are whole. */
#include <assert.h>
#include <string.h>

#include "base/utf8.h"
#include "data/measure.h"
#include "data/qa_form.h"
#include "data/questions.h"
#include "data/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_row(const training_rows *r, int64_t i)
{
    const training_row *row = &r->row[i];
    assert(row->passage >= -1 && row->passage < r->n_passages);
    assert(*row->text || (*row->question && *row->answer));
    if (row->form != ROW_PASSAGE) return;
    assert(!*row->quote || strstr(r->passage[row->passage].text, row->quote));
    training_rows again;
    buf out;
    rows_init(&again);
    buf_init(&out, 1 << 24);
    assert(!rows_write(r, i, &out, NULL) && !rows_parse(&again, "again", out.data, out.len, NULL));
    assert(again.n == 1 && !strcmp(again.row[0].answer, row->answer) && !strcmp(again.row[0].quote, row->quote));
    buf_deinit(&out);
    rows_deinit(&again);
}

/* Of text of any kind. Documents are valid UTF-8 without zero bytes, so only the beginning that is. */
static void make_questions(const char *text, size_t size)
{
    training_rows r;
    questions_count count = {0};
    const questions_options opt = {.seed = size, .passage_min = 80, .passage_max = 200, .each = 8, .absent = 0.3};
    rows_init(&r);
    size = utf8_valid_prefix(text, strnlen(text, size));
    assert(!questions_make(&r, "x", text, size, &opt, &count, NULL));
    for (int64_t i = 0; i < r.n; i++) check_row(&r, i);
    rows_deinit(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    training_rows r;
    qa_written w;
    answer_tally tally = {0};
    cj_diag d = {0};
    rows_init(&r);
    if (rows_parse(&r, "x", (const char *)data, size, &d)) assert(d.code < 0);
    for (int64_t i = 0; i < r.n; i++) check_row(&r, i);
    rows_deinit(&r);
    make_questions((const char *)data, size);
    qa_read((const char *)data, size, &w);
    assert(w.quote.byte <= w.quote.end && w.quote.end <= size && w.answer.byte <= w.answer.end && w.answer.end <= size);
    char *text = mem_strndup((const char *)data, size);
    const char *known[] = {"二十里", text};
    assert(text && !measure_written(&tally, "二十里", text, known, 2, &d) && tally.f1 >= 0 && tally.f1 <= 1);
    mem_free(text);
    return 0;
}
