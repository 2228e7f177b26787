/* eval/qa: which questions are asked, and how what was answered is judged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "eval/qa.h"

static const char lines[] =
    "{\"passage\": \"甲村有一口井。乙村有两口井。\", \"question\": \"甲村有几口井？\", \"quote\": \"甲村有一口井。\", \"answer\": \"一口井\", \"answers\": [\"一口\"]}\n"
    "{\"passage\": \"丙村有一座桥。\", \"question\": \"丙村有什么？\", \"answer\": \"一座桥\"}\n"
    "{\"text\": \"不是问题。\"}\n"
    "{\"question\": \"没有文段的问题？\", \"answer\": \"是\"}\n"
    "{\"passage\": \"甲村有一口井。乙村有两口井。\", \"question\": \"丁村有几口井？\", \"answer\": \"文中未提及\"}\n"
    "{\"context\": \"丙村有一座桥。\", \"question\": \"桥在哪里？\", \"answer\": \"丙村\"}\n";
enum { ROWS = 6, ASKED = 4 };

static training_rows rows;

static int begin(void **state)
{
    (void)state;
    rows_init(&rows);
    return rows_parse(&rows, "test", lines, strlen(lines), NULL);
}

static int end(void **state)
{
    (void)state;
    rows_deinit(&rows);
    return 0;
}

static void draws(void **state)
{
    int64_t all[ROWS], some[ROWS], again[ROWS], n;
    (void)state;
    assert_int_equal(qa_choose(&rows, 0, 1, all, &n, NULL), CJ_OK);
    assert_int_equal(n, ASKED);
    const int64_t expected[] = {0, 4, 1, 5}; /* passage by passage */
    assert_memory_equal(all, expected, sizeof expected);
    for (uint64_t seed = 1; seed < 20; seed++) {
        int64_t more[ROWS], m;
        assert_int_equal(qa_choose(&rows, 2, seed, some, &n, NULL), CJ_OK);
        assert_int_equal(n, 2);
        assert_int_equal(qa_choose(&rows, 2, seed, again, &n, NULL), CJ_OK);
        assert_memory_equal(some, again, 2 * sizeof *some);
        assert_int_equal(qa_choose(&rows, 3, seed, more, &m, NULL), CJ_OK);
        for (int i = 0; i < 2; i++) assert_true(more[0] == some[i] || more[1] == some[i] || more[2] == some[i]);
    }
    training_rows none;
    cj_diag d = {0};
    rows_init(&none);
    assert_int_equal(rows_parse(&none, "none", "{\"text\": \"a\"}\n", 14, NULL), CJ_OK);
    assert_int_equal(qa_choose(&none, 0, 1, all, &n, &d), CJ_E_INPUT);
    assert_true(d.code);
    rows_deinit(&none);
}

/* A quote of `text` in the passage of a row. */
static qa_quote quote_of(int64_t row, const char *text)
{
    const char *passage = rows.passage[rows.row[row].passage].text, *at = strstr(passage, text);
    assert_non_null(at);
    return (qa_quote){(size_t)(at - passage), (size_t)(at - passage) + strlen(text), true};
}

static qa_given given(int64_t row, const char *answer, const char *quote)
{
    return (qa_given){.answer = answer, .bytes = strlen(answer), .quote = {quote_of(row, quote)}, .n_quotes = 1};
}

static void judges(void **state)
{
    qa_outcome o;
    qa_given g = given(0, "一口井。", "甲村有一口井。");
    (void)state;
    assert_int_equal(qa_judge(&rows, 0, &g, &o, NULL), CJ_OK);
    assert_true(o.answerable && o.answered && !o.refused && o.exact && o.holds && o.cited && o.verbatim == 1 && o.quotes == 1);
    g = given(0, "井", "乙村有两口井。"); /* another sentence; half of it is right */
    assert_int_equal(qa_judge(&rows, 0, &g, &o, NULL), CJ_OK);
    assert_true(!o.exact && o.f1 > 0.4 && o.f1 < 0.7 && !o.holds && o.cited);
    g = given(0, "一口", "有两口"); /* what was answered is not in the quote */
    g.quote[0].verified = false;
    assert_int_equal(qa_judge(&rows, 0, &g, &o, NULL), CJ_OK);
    assert_true(o.exact && !o.holds && !o.cited && !o.verbatim);
    g = given(1, "一座桥", "丙村有一座桥"); /* a row without a quote: a known answer in it is enough */
    assert_int_equal(qa_judge(&rows, 1, &g, &o, NULL), CJ_OK);
    assert_true(o.holds);
    g = (qa_given){.answer = "文中未提及", .bytes = strlen("文中未提及"), .refused = true};
    assert_int_equal(qa_judge(&rows, 4, &g, &o, NULL), CJ_OK);
    assert_true(!o.answerable && o.refused && !o.answered && !o.exact && !o.cited && !o.quotes);
    g = (qa_given){.answer = ""};
    assert_int_equal(qa_judge(&rows, 0, &g, &o, NULL), CJ_OK);
    assert_true(o.answerable && !o.answered && !o.exact && o.f1 == 0);
}

/* ---- a reader that knows the second of each passage's questions ---- */

typedef struct witness {
    int opened, asked, told, stop_after;
} witness;

static cj_err open_it(void *arg, const char *text, size_t bytes, cj_diag *d)
{
    (void)text, (void)bytes, (void)d;
    ((witness *)arg)->opened++;
    return CJ_OK;
}

static cj_err ask_it(void *arg, const char *question, qa_given *out, cj_diag *d)
{
    witness *w = arg;
    (void)d;
    *out = (qa_given){.answer = "文中未提及", .bytes = strlen("文中未提及"), .refused = true, .seconds = 2};
    if (!strcmp(question, "桥在哪里？")) *out = (qa_given){.answer = "丙村", .bytes = strlen("丙村"), .quote = {quote_of(5, "丙村有")}, .n_quotes = 1, .seconds = 1};
    w->asked++;
    return CJ_OK;
}

static bool on_answer(void *arg, const training_row *row, const char *text, const qa_given *g, const qa_outcome *o, int64_t done, int64_t total)
{
    witness *w = arg;
    assert_true(o->row >= 0 && &rows.row[o->row] == row && g->bytes && strlen(text) && total == ASKED && done == w->asked);
    return ++w->told != w->stop_after;
}

static void runs(void **state)
{
    int64_t chosen[ROWS], n;
    qa_outcome out[ROWS];
    qa_figures f;
    witness w = {0};
    cj_diag d = {0};
    const qa_reader reader = {&w, open_it, ask_it, on_answer};
    (void)state;
    assert_int_equal(qa_choose(&rows, 0, 1, chosen, &n, NULL), CJ_OK);
    assert_int_equal(qa_run(&rows, chosen, n, &reader, out, NULL), CJ_OK);
    assert_true(w.opened == 2 && w.asked == ASKED && w.told == ASKED);
    assert_int_equal(qa_sum(out, n, 1, &f, NULL), CJ_OK);
    assert_true(f.answerable == 3 && f.unanswerable == 1 && f.answered == 1 && f.quotes == 1 && f.verbatim == 1);
    assert_true(f.exact == 1 && f.holds == 1 && f.cited == 1 && f.refused == 1 && f.refused_wrongly == 2);
    assert_true(f.f1 > 0.33 && f.f1 < 0.34 && f.f1_between.low <= f.f1 && f.f1_between.high >= f.f1);
    assert_true(f.seconds == 1.75 && f.first_seconds == 2);
    w = (witness){.stop_after = 2};
    assert_int_equal(qa_run(&rows, chosen, n, &reader, out, &d), CJ_E_CANCELLED);
    assert_int_equal(w.asked, 2);
    assert_int_equal(qa_sum(out, 0, 1, &f, NULL), CJ_OK); /* nothing was asked */
    assert_true(f.f1 == 0 && f.answerable == 0);
}

static void lacks_memory(void **state)
{
    int64_t chosen[ROWS], n;
    qa_outcome out[ROWS];
    qa_figures f;
    (void)state;
    assert_int_equal(qa_choose(&rows, 0, 1, chosen, &n, NULL), CJ_OK);
    cj_err e = CJ_E_NOMEM;
    for (int64_t k = 0; e == CJ_E_NOMEM && k < 100; k++) {
        witness w = {0};
        const qa_reader reader = {&w, open_it, ask_it, NULL};
        mem_fail_after(k);
        e = qa_run(&rows, chosen, n, &reader, out, NULL);
        if (!e) e = qa_sum(out, n, 1, &f, NULL);
        mem_fail_after(-1);
    }
    assert_int_equal(e, CJ_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(draws), cmocka_unit_test(judges), cmocka_unit_test(runs), cmocka_unit_test(lacks_memory)};
    return cmocka_run_group_tests(tests, begin, end);
}
