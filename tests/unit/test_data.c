/* data/: rows from JSON lines, the form of questions and answers, scores. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/measure.h"
#include "data/qa_form.h"
#include "data/rows.h"
#include "support/own_folder.h"

/* ---- rows ---- */

#define PASSAGE "\"passage\": \"井边立着一棵老槐树。树下有人。\", "

static void reads_every_form(void **state)
{
    static const char text[] = "\xEF\xBB\xBF{\"messages\": [{\"role\": \"user\", \"content\": \"你好\"}, {\"role\": \"assistant\", \"content\": \"好\"}]}\r\n"
                               "\n   \n"
                               "{\"question\": \"谁？\", \"answer\": \"小林\", \"context\": \"信由小林送出。\", \"kind\": \"who\"}\n"
                               "{" PASSAGE "\"question\": \"井边有什么？\", \"quote\": \"井边立着一棵老槐树。\", \"answer\": \"老槐树\", \"answers\": [\"老槐树\", \"一棵老槐树\"]}\n"
                               "{" PASSAGE "\"question\": \"井有多深？\", \"quote\": null, \"answer\": \"文中未提及\"}\n"
                               "{\"text\": \"从前有座山。\", \"other\": [1, 2]}";
    training_rows r;
    rows_init(&r);
    assert_int_equal(rows_parse(&r, "x", text, sizeof text - 1, NULL), CJ_OK);
    assert_int_equal(r.n, 5);
    assert_int_equal(r.n_passages, 2);
    assert_int_equal(r.row[0].form, ROW_MESSAGES);
    assert_non_null(strstr(r.row[0].text, "assistant"));
    assert_int_equal(r.row[1].form, ROW_QUESTION);
    assert_string_equal(r.row[1].kind, "who");
    assert_string_equal(r.passage[r.row[1].passage].text, "信由小林送出。");
    assert_int_equal(r.row[2].form, ROW_PASSAGE);
    assert_int_equal(r.row[2].n_known, 2);
    assert_string_equal(r.row[2].known[1], "一棵老槐树");
    assert_int_equal(r.row[2].passage, r.row[3].passage);
    assert_true(r.row[2].document == r.row[3].document && r.row[2].document != r.row[1].document);
    assert_int_equal(r.row[3].n_known, 0);
    assert_string_equal(r.row[3].quote, "");
    assert_int_equal(r.row[4].form, ROW_TEXT);
    rows_deinit(&r);
}

static void refuse(const char *text, msg_id why, const char *line)
{
    training_rows r;
    cj_diag d = {0};
    char said[1024];
    rows_init(&r);
    cj_err e = rows_parse(&r, "rows.jsonl", text, strlen(text), &d);
    assert_true(e == CJ_E_INPUT || e == CJ_E_LIMIT);
    assert_int_equal(d.message, why);
    cj_diag_text(&d, CJ_LANG_EN, said, sizeof said);
    assert_non_null(strstr(said, "rows.jsonl"));
    if (line) assert_non_null(strstr(said, line));
    rows_deinit(&r);
}

static void refuses_with_a_sentence(void **state)
{
    refuse("{\"text\": \"a\"}\n{\"text\": ", MSG_DATA_JSON, "line 2");
    refuse("{\"text\": \"a\"} {\"text\": \"b\"}", MSG_DATA_JSON, "line 1");
    refuse("\n\n{\"text\": \"\xFF\"}", MSG_DATA_UTF8, "line 3: byte 11");
    refuse("[1]", MSG_DATA_NO_FORM, "line 1");
    refuse("{\"prompt\": \"a\"}", MSG_DATA_NO_FORM, "line 1");
    refuse("{\"text\": \" \"}", MSG_DATA_NO_ANSWER, "line 1");
    refuse("{\"text\": 3}", MSG_DATA_NOT_TEXT, "line 1");
    refuse("{\"text\": \"a\\u0000b\"}", MSG_DATA_ZERO, "line 1");
    refuse("{\"question\": \"a\"}", MSG_DATA_NO_ANSWER, "line 1");
    refuse("{\"question\": \"\", \"answer\": \"a\"}", MSG_DATA_NO_QUESTION, "line 1");
    refuse("{\"question\": \"a\", \"answer\": \"b\", \"answers\": [3]}", MSG_DATA_NOT_LIST, "line 1");
    refuse("{\"question\": \"a\", \"answer\": \"b\", \"answers\": \"c\"}", MSG_DATA_NOT_LIST, "line 1");
    refuse("{" PASSAGE "\"question\": \"a\", \"quote\": \"没有\", \"answer\": \"b\"}", MSG_DATA_QUOTE, "line 1");
    refuse("{\"passage\": \"a\\nb\", \"question\": \"a\", \"quote\": \"a\\nb\", \"answer\": \"b\"}", MSG_DATA_QUOTE_LINES, "line 1");
    refuse("{\"messages\": []}", MSG_DATA_NO_ANSWER, "assistant");
    refuse("{\"messages\": {}}", MSG_DATA_NOT_LIST, "line 1");
    refuse("{\"messages\": [1]}", MSG_DATA_MESSAGE, "line 1");
    refuse("{\"messages\": [{\"role\": \"cat\", \"content\": \"a\"}]}", MSG_DATA_MESSAGE, "line 1");
    refuse("{\"messages\": [{\"role\": \"assistant\", \"content\": \"\"}]}", MSG_DATA_NO_ANSWER, "line 1");
    refuse("", MSG_DATA_EMPTY, NULL);
    refuse(" \n\n", MSG_DATA_EMPTY, NULL);
}

static void refuses_long_lines(void **state)
{
    buf b;
    char *question = mem_alloc(ROWS_FIELD_MAX + 2);
    buf_init(&b, 1 << 25);
    assert_int_equal(buf_reserve(&b, 10 << 20, NULL), CJ_OK);
    memset(b.data, ' ', 10 << 20);
    b.len = 10 << 20;
    memcpy(b.data, "{\"text\": \"a\"}", 13);
    b.data[b.len] = 0;
    refuse(b.data, MSG_DATA_LINE_LONG, "line 1");
    memset(question, 'a', ROWS_FIELD_MAX + 1);
    question[ROWS_FIELD_MAX + 1] = 0;
    buf_clear(&b);
    assert_int_equal(buf_printf(&b, NULL, "{\"question\": \"%s\", \"answer\": \"b\"}", question), CJ_OK);
    refuse(b.data, MSG_DATA_FIELD_LONG, "line 1");
    mem_free(question);
    buf_deinit(&b);
}

static void opens_files(void **state)
{
    training_rows r;
    cj_diag d = {0};
    rows_init(&r);
    assert_int_equal(file_write(in_folder("rows.jsonl"), "{\"text\": \"a\"}\n", 14, NULL), CJ_OK);
    assert_int_equal(rows_open(&r, in_folder("rows.jsonl"), NULL), CJ_OK);
    assert_int_equal(rows_open(&r, in_folder("rows.jsonl"), NULL), CJ_OK);
    assert_int_equal(r.n, 2);
    assert_int_equal(file_write(in_folder("empty.jsonl"), "", 0, NULL), CJ_OK);
    assert_true(rows_open(&r, in_folder("empty.jsonl"), &d) && d.message == MSG_FILE_EMPTY);
    assert_true(rows_open(&r, in_folder("none.jsonl"), &d) && d.message == MSG_FILE_NOT_FOUND);
    rows_deinit(&r);
}

static void writes_what_it_reads(void **state)
{
    training_rows r, again;
    buf out;
    const char *passage = "他说：“井边\n有树。”";
    rows_init(&r);
    rows_init(&again);
    buf_init(&out, 1 << 16);
    for (int i = 0; i < 2; i++) {
        const row_parts p = {.passage = passage, .passage_bytes = strlen(passage), .question = "有什么？", .quote = i ? "有树。”" : NULL,
                             .answer = i ? "树" : "文中未提及", .kind = "cloze", .document = "书"};
        assert_int_equal(rows_add(&r, &p, NULL), CJ_OK);
        assert_int_equal(rows_write(&r, i, &out, NULL), CJ_OK);
    }
    assert_int_equal(rows_parse(&again, "x", out.data, out.len, NULL), CJ_OK);
    assert_int_equal(again.n, 2);
    assert_int_equal(again.n_passages, 1);
    assert_string_equal(again.passage[0].text, passage);
    assert_int_equal(again.row[0].n_known, 0);
    assert_string_equal(again.row[1].quote, "有树。”");
    assert_string_equal(again.row[1].kind, "cloze");
    assert_string_equal(again.row[1].source, "书");
    assert_true(again.row[1].document == r.row[1].document);
    buf_deinit(&out);
    rows_deinit(&r);
    rows_deinit(&again);
}

static void many_passages_are_each_kept_once(void **state)
{
    training_rows r;
    char text[32];
    rows_init(&r);
    for (int i = 0; i < 6000; i++) {
        snprintf(text, sizeof text, "第%d段", i % 3000);
        const row_parts p = {.passage = text, .passage_bytes = strlen(text), .question = "几？", .answer = "一"};
        assert_int_equal(rows_add(&r, &p, NULL), CJ_OK);
    }
    assert_int_equal(r.n_passages, 3000);
    assert_int_equal(r.row[17].passage, r.row[3017].passage);
    rows_deinit(&r);
}

static void survives_failing_allocations(void **state)
{
    static const char text[] = "{" PASSAGE "\"question\": \"井边有什么？\", \"quote\": \"树下有人。\", \"answer\": \"人\", \"answers\": [\"有人\"], \"kind\": \"a\"}\n"
                               "{\"messages\": [{\"role\": \"assistant\", \"content\": \"好\"}]}\n";
    int failures = 0;
    for (int n = 0;; n++) {
        training_rows r;
        rows_init(&r);
        mem_fail_after(n);
        cj_err e = rows_parse(&r, "x", text, sizeof text - 1, NULL);
        mem_fail_after(-1);
        rows_deinit(&r);
        if (!e) break;
        assert_int_equal(e, CJ_E_NOMEM);
        failures++;
    }
    assert_true(failures >= 3);
}

/* ---- the form ---- */

static void puts_questions(void **state)
{
    buf b;
    buf_init(&b, 1 << 12);
    assert_int_equal(qa_put_question(&b, "  谁？\n几个？\n", NULL), CJ_OK);
    assert_string_equal(b.data, "\n\n问：谁？ 几个？\n答：");
    buf_clear(&b);
    assert_int_equal(qa_put_answer(&b, "谁？", "信由小林送出。", "小林", NULL), CJ_OK);
    assert_string_equal(b.data, "「信由小林送出。」\n小林");
    buf_clear(&b);
    assert_int_equal(qa_put_answer(&b, "谁？", "", qa_words_for("谁？")->refusal, NULL), CJ_OK);
    assert_string_equal(b.data, "文中未提及");
    buf_clear(&b);
    assert_int_equal(qa_put_question(&b, "Who?", NULL), CJ_OK);
    assert_int_equal(qa_put_answer(&b, "Who?", "Lin took it.", "Lin", NULL), CJ_OK);
    assert_string_equal(b.data, "\n\nQuestion: Who?\nAnswer: “Lin took it.”\nLin");
    buf_deinit(&b);
}

static void is_read(const char *text, const char *quote, const char *answer, bool refused)
{
    qa_written w;
    qa_read(text, strlen(text), &w);
    if (w.refused != refused) fail_msg("%s: refused %d", text, w.refused);
    if (refused) return;
    if (w.quote.end - w.quote.byte != strlen(quote) || memcmp(text + w.quote.byte, quote, strlen(quote)))
        fail_msg("%s: quote %.*s", text, (int)(w.quote.end - w.quote.byte), text + w.quote.byte);
    if (w.answer.end - w.answer.byte != strlen(answer) || memcmp(text + w.answer.byte, answer, strlen(answer)))
        fail_msg("%s: answer %.*s", text, (int)(w.answer.end - w.answer.byte), text + w.answer.byte);
}

static void reads_what_was_written(void **state)
{
    is_read("「信由小林送出。」\n小林", "信由小林送出。", "小林", false);
    is_read(" “Lin took it.”\nLin\n\nQuestion: Who?", "Lin took it.", "Lin", false);
    is_read("「信由小林送出。」\n答案：「小林」\n问：几个？\n答：两个", "信由小林送出。", "小林", false);
    is_read("「小林道：「我去。」」\n小林", "小林道：「我去。」", "小林", false);
    is_read("「小林道：「我去。」\n小林", "小林道：「我去。", "小林", false);
    is_read("「小林道：“我去。”」小林", "小林道：“我去。", "小林", false);
    is_read("文中说『信由小林送出』。小林", "信由小林送出", "。小林", false);
    is_read("「信由小林送", "信由小林送", "", false);
    is_read("「信由小林送出。」", "信由小林送出。", "", false);
    is_read("小林", "", "小林", false);
    is_read("答：小林。\n另一行", "", "小林。", false);
    is_read("", "", "", false);
    is_read("「", "", "", false);
    is_read("\n「一」\n\n二", "一", "", false);
    is_read("文中未提及", NULL, NULL, true);
    is_read("抱歉，文中没有说明。", NULL, NULL, true);
    is_read(" The text does not say.", NULL, NULL, true);
    is_read("「他说文中未提及此事。」\n此事", "他说文中未提及此事。", "此事", false);
}

/* Whatever is put is had back. */
static void what_is_put_is_read(void **state)
{
    static const char *const quote[] = {"甲乙丙。", "他道：“来！”", "他道：「来", "来！」二人去了。", "《书》（卷一）"};
    static const char *const answer[] = {"乙", "来", "他", "二人", "《书》"};
    for (int i = 0; i < 5; i++) {
        buf b;
        buf_init(&b, 1 << 12);
        assert_int_equal(qa_put_answer(&b, "谁？", quote[i], answer[i], NULL), CJ_OK);
        is_read(b.data, quote[i], answer[i], false);
        buf_deinit(&b);
    }
}

/* ---- scores ---- */

static answer_score score(const char *given, const char *a, const char *b)
{
    const char *known[] = {a, b};
    answer_score s;
    assert_int_equal(measure_answer(given, strlen(given), known, b ? 2 : 1, &s, NULL), CJ_OK);
    return s;
}

/* Values of the public scorer: letters and digits only, lower case, multisets of characters. */
static void scores_known_pairs(void **state)
{
    static const struct { const char *given, *a, *b; double exact, f1; } pair[] = {
        {"小林", "小林", NULL, 1, 1},
        {"「小林」。", "小林", NULL, 1, 1},
        {"学生小林", "小林", NULL, 0, 2.0 * 2 / 6},
        {"学生小林", "小林", "学生小林。", 1, 1},
        {"ABC_d e", "abcde", NULL, 1, 1},
        {"二十里", "三十里", NULL, 0, 2.0 * 2 / 6},
        {"里里里", "三里", NULL, 0, 2.0 * 1 / 5},
        {"", "三里", NULL, 0, 0},
        {"。", "，", NULL, 1, 0},
        {"1953年", "１９５３年", NULL, 0, 2.0 * 1 / 10},
        {"①②", "①", NULL, 0, 2.0 / 3},
    };
    for (size_t i = 0; i < sizeof pair / sizeof *pair; i++) {
        answer_score s = score(pair[i].given, pair[i].a, pair[i].b);
        if (s.exact != pair[i].exact || fabs(s.f1 - pair[i].f1) > 1e-12) fail_msg("%s: %g %g", pair[i].given, s.exact, s.f1);
    }
}

static void tallies(void **state)
{
    const char *known[] = {"小林"};
    const char *passage = "信由小林送出。众人去了。";
    answer_tally t = {0};
    assert_int_equal(measure_written(&t, passage, "「信由小林送出。」\n小林", known, 1, NULL), CJ_OK);
    assert_int_equal(measure_written(&t, passage, "「信由老林送出。」\n老林", known, 1, NULL), CJ_OK);
    assert_int_equal(measure_written(&t, passage, "「众人去了。」\n小林", known, 1, NULL), CJ_OK);
    assert_int_equal(measure_written(&t, passage, "文中未提及", known, 1, NULL), CJ_OK);
    assert_int_equal(measure_written(&t, passage, "文中未提及", NULL, 0, NULL), CJ_OK);
    assert_int_equal(measure_written(&t, passage, "「众人去了。」\n众人", NULL, 0, NULL), CJ_OK);
    assert_true(t.answerable == 4 && t.unanswerable == 2 && t.refused == 1 && t.refused_wrongly == 1);
    assert_true(t.exact == 2 && fabs(t.f1 - 2.5) < 1e-12);
    assert_true(t.quoted == 4 && t.verbatim == 3 && t.quote_holds == 1 && t.answer_in_quote == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_form),
        cmocka_unit_test(refuses_with_a_sentence),
        cmocka_unit_test(refuses_long_lines),
        cmocka_unit_test_setup_teardown(opens_files, own_folder_make, own_folder_remove),
        cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(many_passages_are_each_kept_once),
        cmocka_unit_test(survives_failing_allocations),
        cmocka_unit_test(puts_questions),
        cmocka_unit_test(reads_what_was_written),
        cmocka_unit_test(what_is_put_is_read),
        cmocka_unit_test(scores_known_pairs),
        cmocka_unit_test(tallies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
