/* eval/: stars, keys, chains and counts, LongBench, and the pictures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "eval/report_svg.h"
#include "eval/ruler.h"
#include "eval/stars.h"
#include "eval/suite.h"
#include "support/own_folder.h"
#include "support/skip.h"

static buf haystack;

static int begin(void **state)
{
    buf_init(&haystack, 1 << 24);
    for (int i = 0; i < 3000; i++)
        if (buf_printf(&haystack, NULL, "山中第%d个夜晚，风很大，灯灭了。%s", i, i % 10 == 9 ? "\n\n" : "")) return -1;
    return own_folder_make(state);
}

static int end(void **state)
{
    buf_deinit(&haystack);
    return own_folder_remove(state);
}

static void write_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", own_folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static bool stands_in(const eval_task *t, eval_range r, const char *what)
{
    return memmem(t->text.data + r.byte, r.end - r.byte, what, strlen(what)) != NULL;
}

/* ---- stars ---- */

static void counts_stars(void **state)
{
    star_counts s, again;
    eval_task t;
    stars_draw(&s, 32, 5);
    stars_draw(&again, 32, 5);
    assert_memory_equal(s.right, again.right, 32 * sizeof *s.right);
    for (int i = 0; i < 32; i++) {
        assert_true(s.right[i] > 0 && s.wrong[i] > 0 && abs(s.right[i] - s.wrong[i]) == 1);
        for (int k = 0; k < i; k++) assert_true(s.right[i] != s.right[k]);
    }
    for (int recount = 0; recount < 2; recount++) {
        char number[32];
        assert_int_equal(stars_task(&t, &s, recount, haystack.data, haystack.len, 20000, NULL), CJ_OK);
        assert_int_equal(t.n_questions, 1);
        const eval_question *q = &t.question[0];
        assert_true(q->each && q->n_places == 32 && q->n_answers == 32 && q->metric == METRIC_ORDER);
        for (int i = 0; i < 32; i++) {
            assert_true(!i || q->place[i].byte >= q->place[i - 1].end);
            snprintf(number, sizeof number, "%d颗★。", s.right[i]);
            assert_true(stands_in(&t, q->place[i], number));
            assert_int_equal(atoi(q->answer[i]), s.right[i]);
            snprintf(number, sizeof number, "%d颗★，", s.wrong[i]);
            assert_int_equal(stands_in(&t, q->place[i], number), recount);
            assert_true(fabs((double)q->place[i].byte / (double)t.text.len - (i + 0.5) / 32) < 0.02);
        }
        task_deinit(&t);
    }
}

static void reads_published_stars(void **state)
{
    star_counts s;
    cj_diag d = {0};
    write_file("a_stars.txt", "{'2': [15, 117], '4': [15, 117, 42, 69]}");
    write_file("r_stars.txt", "{'2': [16, 116], '4': [16, 116, 43, 70]}");
    assert_int_equal(stars_read(&s, 3, own_folder, &d), CJ_OK);
    assert_true(s.n == 3 && s.right[2] == 42 && s.wrong[2] == 43);
    assert_int_equal(stars_read(&s, 5, own_folder, &d), CJ_E_INPUT);
    for (const char *const *bad = (const char *const[]){"", "[1,2,3]", "{'3': 5}", "{'3': [1, -2, 3]}", "{'3': [1, 2, 99999999999]}", "{'3': [", NULL}; *bad; bad++) {
        write_file("a_stars.txt", *bad);
        assert_true(stars_read(&s, 3, own_folder, &d) < 0);
    }
    const char *shared = getenv("CJ_SHARED");
    char path[4096];
    snprintf(path, sizeof path, "%s/eval/Counting-Stars", shared ? shared : "");
    if (!file_is_dir(path)) skip_because("there is no %s", path);
    assert_int_equal(stars_read(&s, 32, path, &d), CJ_OK);
    for (int i = 0; i < 32; i++) assert_true(abs(s.right[i] - s.wrong[i]) == 1);
}

/* ---- keys, chains, counts ---- */

static int times_in(const eval_task *t, const char *what)
{
    int n = 0;
    for (const char *at = t->text.data; (at = strstr(at, what)); at++) n++;
    return n;
}

static void makes_ruler_tasks(void **state)
{
    eval_task t, u;
    int groups[3] = {0};
    assert_int_equal(ruler_task(&t, haystack.data, haystack.len, 20000, 2, NULL), CJ_OK);
    assert_int_equal(t.chars, 20000);
    for (int i = 0; i < t.n_questions; i++) {
        const eval_question *q = &t.question[i];
        for (int p = 1; p < q->n_places; p++) assert_true(q->place[p].byte >= q->place[p - 1].end);
        if (strcmp(q->group, "keys") == 0) {
            char key[16] = {0};
            memcpy(key, q->text + strlen("编号"), 4);
            groups[0]++;
            assert_true(stands_in(&t, q->place[0], key) && stands_in(&t, q->place[0], q->answer[0]));
        } else if (strcmp(q->group, "tracking") == 0) {
            groups[1]++;
            assert_true(q->n_places == 5 && q->n_answers == 5 && q->each);
            for (int l = 0; l < 5; l++) {
                assert_true(stands_in(&t, q->place[l], q->answer[l]));
                assert_true(!l || stands_in(&t, q->place[l], q->answer[l - 1])); /* each link names the one before */
            }
        } else {
            char sentence[64];
            groups[2]++;
            snprintf(sentence, sizeof sentence, "%.*s", (int)(q->place[0].end - q->place[0].byte), t.text.data + q->place[0].byte);
            assert_int_equal(atoi(q->answer[0]), times_in(&t, sentence));
            assert_int_equal(q->n_places, times_in(&t, sentence));
        }
    }
    assert_true(groups[0] == 32 && groups[1] == 4 && groups[2] == 6);
    assert_int_equal(ruler_task(&u, haystack.data, haystack.len, 20000, 2, NULL), CJ_OK);
    assert_string_equal(t.text.data, u.text.data);
    task_deinit(&u);
    assert_int_equal(ruler_task(&u, haystack.data, haystack.len, 3500, 2, NULL), CJ_OK);
    task_deinit(&u);
    assert_int_equal(ruler_task(&u, haystack.data, haystack.len, 1000, 2, NULL), CJ_E_INPUT);
    task_deinit(&t);
}

/* ---- LongBench ---- */

static const char qa_line[] = "{\"task\": \"multifieldqa_zh\", \"prompt\": \"阅读以下文字：\\n\\n庙里有三口井。\\n\\n井水是甜的。\\n\\n现在请基于上面的文章回答。\\n\\n"
                              "问题：井水什么味道？\\n回答：\", \"gold\": [\"甜的。\", \"是甜\"]}";

static void takes_longbench_apart(void **state)
{
    longbench l = {0};
    eval_task t;
    cj_diag d = {0};
    assert_int_equal(longbench_parse(&l, "x", qa_line, strlen(qa_line), &d), CJ_OK);
    assert_int_equal(longbench_task(&t, &l, 0, &d), CJ_OK);
    assert_string_equal(t.text.data, "庙里有三口井。\n\n井水是甜的。");
    assert_string_equal(t.question[0].text, "井水什么味道？");
    assert_int_equal(t.question[0].n_places, 1);
    assert_true(stands_in(&t, t.question[0].place[0], "甜的"));
    assert_int_equal(t.question[0].place[0].end - t.question[0].place[0].byte, strlen("甜的"));
    assert_int_equal(t.question[0].n_answers, 2);
    assert_int_equal(longbench_length(&l, 0), 15);
    task_deinit(&t);
    longbench_close(&l);
    const char *const bad[] = {
        "{", "[]", "{}", "5", "{\"task\": \"unknown\", \"prompt\": \"x\", \"gold\": [\"a\"]}", "{\"task\": \"vcsum\", \"prompt\": \"会议总结：会议记录：\", \"gold\": [\"a\"]}",
        "{\"task\": \"vcsum\", \"prompt\": \"会议记录：x\\n\\n会议总结：\", \"gold\": []}", "{\"task\": \"vcsum\", \"prompt\": \"会议记录：x\\n\\n会议总结：\", \"gold\": [5]}",
        "{\"task\": \"vcsum\", \"prompt\": 5, \"gold\": [\"a\"]}", "{\"task\": \"vcsum\", \"prompt\": \"会议记录：x\\n\\n会议总结：\", \"gold\": {\"answers\": 5}}",
        "{\"task\": \"multifieldqa_zh\", \"prompt\": \"\\n\\n现在请基于\\n回答：问题：\", \"gold\": [\"a\"]}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(longbench_parse(&l, "x", bad[i], strlen(bad[i]), &d), CJ_E_INPUT);
        assert_int_equal(l.n, 0);
    }
    longbench_close(&l);
}

static void takes_all_of_longbench(void **state)
{
    const char *shared = getenv("CJ_SHARED");
    char path[4096];
    longbench l;
    cj_diag d = {0};
    int located = 0;
    snprintf(path, sizeof path, "%s/eval/LongBench-zh", shared ? shared : "");
    if (!file_is_dir(path)) skip_because("there is no %s", path);
    assert_int_equal(longbench_open(&l, path, &d), CJ_OK);
    assert_int_equal(l.n, 50);
    for (int i = 0; i < l.n; i++) {
        eval_task t;
        assert_int_equal(longbench_task(&t, &l, i, &d), CJ_OK);
        const eval_question *q = &t.question[0];
        assert_true(t.chars > 500 && strlen(q->text) > 5 && q->n_answers > 0);
        assert_null(strstr(q->text, "回答："));
        located += q->n_places;
        if (strcmp(q->group, "passage_retrieval_zh") == 0) {
            assert_int_equal(q->n_places, 1);
            assert_true(stands_in(&t, q->place[0], q->answer[0]));
        }
        task_deinit(&t);
    }
    assert_int_equal(located, 15 + 5 + 3);
    longbench_close(&l);
}

/* ---- no memory ---- */

static cj_err every_kind(void)
{
    write_file("needles.tsv", "渡口的船夫姓欧阳。\t渡口的船夫姓什么？\t摆渡的汉子叫什么姓氏？\t欧阳\t煤矿的工头姓尉迟。\n");
    write_file("text.txt", haystack.data);
    write_file("a_stars.txt", "{'2': [15, 117]}");
    write_file("r_stars.txt", "{'2': [16, 116]}");
    write_file("multifieldqa_zh.jsonl", qa_line);
    char text[64], needles[64];
    snprintf(text, sizeof text, "%s/text.txt", own_folder);
    snprintf(needles, sizeof needles, "%s/needles.tsv", own_folder);
    for (int k = 0; k < SUITE_KINDS; k++) {
        const char *texts[] = {text};
        suite s;
        cj_diag d = {0};
        suite_options o = {.kind = (suite_kind)k, .text = texts, .n_texts = 1, .length = {4000}, .n_lengths = 1, .repeat = 1, .needles = needles, .stars = 2,
                           .data = k == SUITE_RULER || k == SUITE_NEEDLE ? NULL : own_folder};
        cj_err e = suite_open(&s, &o, &d);
        for (int i = 0; !e && i < s.n; i++) {
            eval_task t;
            int64_t length;
            e = suite_make(&s, i, &t, &length, &d);
            if (!e) task_deinit(&t);
        }
        suite_close(&s);
        assert_int_equal(d.code, e);
        if (e) return e;
    }
    return CJ_OK;
}

static void tells_of_no_memory(void **state)
{
    int failures = 0;
    for (int64_t n = 0;; n++) {
        mem_fail_after(n);
        cj_err e = every_kind();
        mem_fail_after(-1);
        if (!e) break;
        assert_int_equal(e, CJ_E_NOMEM);
        failures++;
    }
    assert_true(failures > 50);
}

/* ---- pictures ---- */

static void writes_numbers(void **state)
{
    static const struct { double v; const char *en, *zh; } cases[] = {
        {0, "0", "0"}, {350, "350", "350"}, {5000, "5000", "5000"}, {20000, "20K", "2万"}, {120000, "120K", "12万"}, {1743197, "1.74M", "174万"},
        {2000000, "2M", "200万"}, {0.25, "0.25", "0.25"}, {250000000, "250M", "2.5亿"}, {9999, "9999", "9999"},
    };
    char out[32];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        svg_number(out, sizeof out, cases[i].v, false);
        assert_string_equal(out, cases[i].en);
        svg_number(out, sizeof out, cases[i].v, true);
        assert_string_equal(out, cases[i].zh);
    }
}

static int count_of(const buf *b, const char *what)
{
    int n = 0;
    for (const char *at = b->data; (at = strstr(at, what)); at++) n++;
    return n;
}

static void draws(void **state)
{
    const char *const rows[] = {"<a>", "b"};
    const double columns[] = {20000, 2000000, 3}, value[] = {0, 0.5, 1, NAN, 0.25, 2};
    const svg_map map = {"x & \"y\"", 2, 3, rows, columns, value};
    const svg_head head = {"标题 <1>", "note\x01", "x", "y", true};
    buf b, c;
    buf_init(&b, SVG_BYTES_MAX);
    assert_int_equal(svg_maps(&b, &head, &map, 1, NULL), CJ_OK);
    for (const char *const *what = (const char *const[]){"标题 &lt;1&gt;", "x &amp; &quot;y&quot;", "&lt;a&gt;", ">50<", ">0<", ">100<", ">25<", ">2万<", ">200万<", "note<", NULL}; *what; what++)
        assert_non_null(strstr(b.data, *what));
    assert_null(strstr(b.data, "nan"));
    assert_int_equal(count_of(&b, "<text"), count_of(&b, "</text>"));
    buf_init(&c, SVG_BYTES_MAX);
    const double x[] = {1, 10, 100, NAN, 1000}, y[] = {0.5, 0, 0.25, 0.1, INFINITY}, low[] = {0.4, 0, 0.1, 0, 0}, high[] = {0.6, 0.1, 0.3, 1, 1};
    const svg_series series[] = {{"one", x, y, low, high, 5}, {"none", x, y, NULL, NULL, 0}};
    assert_int_equal(svg_lines(&c, &head, (svg_axes){.log_x = true, .percent = true}, series, 2, NULL), CJ_OK);
    assert_int_equal(count_of(&c, "<circle"), 3 + 1); /* three points that can be drawn, one in the legend */
    assert_int_equal(count_of(&c, "opacity"), 3);
    assert_null(strstr(c.data, "nan"));
    assert_null(strstr(c.data, "inf"));
    buf_clear(&c);
    assert_int_equal(svg_lines(&c, &head, (svg_axes){.log_x = true, .log_y = true}, series, 2, NULL), CJ_OK);
    assert_int_equal(count_of(&c, "<circle"), 2 + 1); /* zero has no logarithm */
    buf_clear(&c);
    assert_int_equal(svg_lines(&c, &head, (svg_axes){0}, series, 0, NULL), CJ_OK); /* nothing at all is a picture too */
    /* two charts over one x axis, whose names and legend stand once */
    const double small[] = {1e-5, 0.02, 3, 4, 5};
    const svg_series others[] = {{"one", x, small, NULL, NULL, 5}, {"none", x, y, NULL, NULL, 0}};
    const svg_chart charts[] = {{"upper", {.log_x = true, .log_y = true}, others}, {"lower", {.percent = true}, series}};
    buf_clear(&c);
    assert_int_equal(svg_charts(&c, &head, charts, 2, 2, NULL), CJ_OK);
    assert_true(strstr(c.data, "upper") && strstr(c.data, "lower") && strstr(c.data, ">1e-05<"));
    assert_int_equal(count_of(&c, ">one<"), 1);
    assert_int_equal(count_of(&c, ">x<"), 1);
    assert_int_equal(svg_charts(&c, &head, charts, SVG_CHARTS_MAX + 1, 2, NULL), CJ_E_LIMIT);
    assert_int_equal(svg_maps(&b, &head, &map, SVG_MAPS_MAX + 1, NULL), CJ_E_LIMIT);
    assert_int_equal(svg_lines(&c, &head, (svg_axes){0}, series, SVG_SERIES_MAX + 1, NULL), CJ_E_LIMIT);
    buf_deinit(&b);
    buf_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_stars),          cmocka_unit_test(reads_published_stars), cmocka_unit_test(makes_ruler_tasks),
        cmocka_unit_test(takes_longbench_apart), cmocka_unit_test(takes_all_of_longbench), cmocka_unit_test(tells_of_no_memory),
        cmocka_unit_test(writes_numbers),        cmocka_unit_test(draws),
    };
    return cmocka_run_group_tests_name("eval_tasks", tests, begin, end);
}
