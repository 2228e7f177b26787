/* eval/: intervals, planting, files of needles, comparing answers, the loop over questions and its sums. */
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

#include "base/random.h"
#include "base/utf8.h"
#include "eval/index_reader.h"
#include "eval/needles.h"
#include "eval/plant.h"
#include "eval/report.h"
#include "eval/score.h"
#include "eval/stats.h"

/* A haystack of numbered sentences, paragraphs of ten. */
static void make_haystack(buf *b, int sentences)
{
    buf_init(b, 1 << 24);
    for (int i = 0; i < sentences; i++)
        assert_int_equal(buf_printf(b, NULL, "山中第%d个夜晚，风很大，他说：“睡吧。”%s", i, i % 10 == 9 ? "\n\n" : ""), CJ_OK);
}

static const char two_needles[] =
    "# a comment\n"
    "渡口的船夫姓欧阳。\t渡口的船夫姓什么？\t摆渡的汉子叫什么姓氏？\t欧阳\t煤矿的工头姓尉迟。\r\n"
    "\n码头仓库的密码是七三九零二。\t码头仓库的密码是多少？\t要按哪几个数字？\t七三九零二\n";

/* ---- intervals ---- */

static void intervals(void **state)
{
    stats_interval i = stats_share(16, 16); /* the values of the literature's formula, computed apart */
    assert_float_equal(i.low, 0.8064, 5e-5);
    assert_float_equal(i.high, 1, 1e-12);
    i = stats_share(35, 42);
    assert_float_equal(i.low, 0.6940, 5e-5);
    assert_float_equal(i.high, 0.9168, 5e-5);
    i = stats_share(0, 64);
    assert_float_equal(i.low, 0, 1e-12);
    assert_float_equal(i.high, 0.0566, 5e-5);
    i = stats_share(0, 0);
    assert_true(i.low == 0 && i.high == 1);
    assert_float_equal(stats_paired(0, 0), 1, 1e-9);
    assert_float_equal(stats_paired(0, 5), 0.0625, 1e-9);
    assert_float_equal(stats_paired(5, 0), 0.0625, 1e-9);
    assert_float_equal(stats_paired(3, 12), 0.03515625, 1e-9);
    assert_float_equal(stats_paired(7, 7), 1, 1e-9);
}

static void means(void **state)
{
    double value[100];
    stats_interval i, again, other;
    for (int k = 0; k < 100; k++) value[k] = k % 2;
    assert_int_equal(stats_mean(value, 100, 7, &i, NULL), CJ_OK);
    assert_true(i.low > 0.37 && i.low < 0.43 && i.high > 0.57 && i.high < 0.63); /* 0.5 ± 1.96 * 0.05 */
    assert_int_equal(stats_mean(value, 100, 7, &again, NULL), CJ_OK);
    assert_true(i.low == again.low && i.high == again.high);
    for (int k = 0; k < 100; k++) value[k] = 0.25;
    assert_int_equal(stats_mean(value, 100, 7, &other, NULL), CJ_OK);
    assert_true(other.low == 0.25 && other.high == 0.25);
    assert_int_equal(stats_mean(value, 0, 7, &other, NULL), CJ_OK);
    assert_true(isnan(other.low) && isnan(other.high));
}

static void drawing(void **state)
{
    random_state r = {1}, s = {1};
    int order[50], seen[50] = {0};
    random_order(&r, order, 50);
    for (int i = 0; i < 50; i++) seen[order[i]]++;
    for (int i = 0; i < 50; i++) assert_int_equal(seen[i], 1);
    assert_true(random_bits(&s) == 0x910A2DEC89025CC1u); /* the published sequence of splitmix64 for seed 1 */
}

/* ---- planting ---- */

/* Every item lies whole where it is said to lie, after the end of a sentence, and without them the haystack's beginning is left. */
static void check_planted(const eval_task *t, const char *haystack, plant_item *items, int n)
{
    buf rest;
    size_t from = 0;
    buf_init(&rest, 1 << 24);
    for (int done = 0; done < n; done++) { /* in order of the text */
        plant_item *next = NULL;
        for (int i = 0; i < n; i++)
            if (items[i].placed.byte >= from && (!next || items[i].placed.byte < next->placed.byte)) next = &items[i];
        assert_non_null(next);
        assert_int_equal(next->placed.end - next->placed.byte, strlen(next->text));
        assert_memory_equal(t->text.data + next->placed.byte, next->text, strlen(next->text));
        assert_int_equal(buf_append(&rest, t->text.data + from, next->placed.byte - from, NULL), CJ_OK);
        assert_true(rest.len >= 3);
        const char *before = rest.data + rest.len - 3; /* at the very end the closing mark may be cut off */
        assert_true(memcmp(before, "”", 3) == 0 || (next->placed.end == t->text.len && memcmp(before, "。", 3) == 0));
        from = next->placed.end;
    }
    assert_int_equal(buf_puts(&rest, t->text.data + from, NULL), CJ_OK);
    assert_memory_equal(rest.data, haystack, rest.len);
    assert_int_equal(utf8_count(t->text.data, t->text.len), t->chars);
    buf_deinit(&rest);
}

static void plants(void **state)
{
    buf h;
    eval_task t, u;
    make_haystack(&h, 400);
    plant_item items[] = {{"甲在中间。", 0.5, {0}}, {"乙在开头。", 0, {0}}, {"丙在结尾。", 1, {0}}, {"丁也在中间。", 0.5, {0}}, {"戊也在结尾。", 1, {0}}};
    plant_item same[5];
    memcpy(same, items, sizeof items);
    task_init(&t);
    task_init(&u);
    assert_int_equal(plant_items(&t, h.data, h.len, 4000, items, 5, NULL), CJ_OK);
    assert_int_equal(t.chars, 4000);
    check_planted(&t, h.data, items, 5);
    assert_true(items[1].placed.byte < 100 && items[2].placed.byte + 200 > t.text.len && items[4].placed.byte + 200 > t.text.len);
    assert_true(items[0].placed.byte > t.text.len * 48 / 100 && items[0].placed.byte < t.text.len * 52 / 100);
    assert_true(items[3].placed.byte != items[0].placed.end && items[0].placed.byte != items[3].placed.end); /* not side by side */
    assert_int_equal(plant_items(&u, h.data, h.len, 4000, same, 5, NULL), CJ_OK);
    assert_string_equal(t.text.data, u.text.data);
    task_deinit(&t);
    task_deinit(&u);
    buf_deinit(&h);
}

static void refuses_to_plant(void **state)
{
    buf h;
    eval_task t;
    cj_diag d = {0};
    plant_item item = {"甲在中间，而且是很长的一句话。", 0.5, {0}}, both[2] = {item, item};
    make_haystack(&h, 40);
    task_init(&t);
    assert_int_equal(plant_items(&t, h.data, h.len, 100000, &item, 1, &d), CJ_E_INPUT); /* too short a haystack */
    assert_int_equal(d.message, MSG_EVAL_SHORT);
    assert_int_equal(plant_items(&t, h.data, h.len, 20, &item, 1, &d), CJ_E_INPUT); /* too much for so short a text */
    assert_int_equal(d.message, MSG_EVAL_CROWDED);
    assert_int_equal(plant_items(&t, "一二三四五六七八九十一二三四五六七八九十一二三四五六七八九十。一二三四五六七八九十一二三四五六七八九十", 153, 70, both, 2, &d), CJ_E_INPUT);
    assert_int_equal(d.message, MSG_EVAL_FULL); /* one end of a sentence, two to plant */
    assert_int_equal(t.text.len, 0);
    task_deinit(&t);
    buf_deinit(&h);
}

/* ---- needles ---- */

static void reads_needles(void **state)
{
    needle_set s;
    cj_diag d = {0};
    assert_int_equal(needles_parse(&s, "x", two_needles, strlen(two_needles), &d), CJ_OK);
    assert_int_equal(s.n, 2);
    assert_string_equal(s.item[0].fact, "渡口的船夫姓欧阳。");
    assert_string_equal(s.item[0].answer, "欧阳");
    assert_string_equal(s.item[0].distractor, "煤矿的工头姓尉迟。");
    assert_string_equal(s.item[1].other, "要按哪几个数字？");
    assert_null(s.item[1].distractor);
    needles_close(&s);
    char longer[NEEDLE_FIELD_MAX + 64];
    memset(longer, 'x', sizeof longer);
    memcpy(longer + sizeof longer - 8, "\tb\tc\td\n", 8);
    const char *const bad[] = {"", "# only this\n", "a\tb\tc\n", "a\t\tc\td\n", "a\tb\tc\td\te\tf\n", "a\tb\tc\t\xff\n", longer};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(needles_parse(&s, "x", bad[i], strlen(bad[i]), &d), CJ_E_INPUT);
    assert_int_equal(needles_parse(&s, "x", "a\tb\tc\td\0e", 9, &d), CJ_E_INPUT);
    assert_int_equal(needles_open(&s, "/no/such/file", &d), CJ_E_NOT_FOUND);
}

static void number_needles(buf *b, int n)
{
    buf_init(b, 1 << 20);
    for (int i = 0; i < n; i++)
        assert_int_equal(buf_printf(b, NULL, "第%d号柜子里放着%d只茶杯。\t第%d号柜子里放着几只茶杯？\t另一种问法%d\t%d只\t第%d号抽屉里放着%d把勺子。\n", i, i + 500, i, i,
                                    i + 500, i, i + 900), CJ_OK);
}

static void makes_needle_tasks(void **state)
{
    buf h, lines;
    needle_set s;
    eval_task t, u;
    make_haystack(&h, 2000);
    number_needles(&lines, 64);
    assert_int_equal(needles_parse(&s, "x", lines.data, lines.len, NULL), CJ_OK);
    needles_options opt = {.chars = 30000, .seed = 3, .distractors = true};
    assert_int_equal(needles_task(&t, &s, h.data, h.len, &opt, NULL), CJ_OK);
    assert_int_equal(t.chars, 30000);
    assert_int_equal(t.n_questions, 64 * 2 + 32);
    for (int i = 0; i < t.n_questions; i++) {
        const eval_question *q = &t.question[i];
        assert_int_equal(q->n_places, strcmp(q->group, "pair") == 0 ? 2 : 1);
        for (int p = 0; p < q->n_places; p++) {
            assert_true(!p || q->place[p].byte > q->place[p - 1].byte);
            bool inside = false; /* the place holds one of the answers */
            for (int k = 0; k < q->n_answers; k++)
                inside = inside || memmem(t.text.data + q->place[p].byte, q->place[p].end - q->place[p].byte, q->answer[k], strlen(q->answer[k]));
            assert_true(inside);
        }
        if (i < 128) assert_true(fabs((double)q->depth - (i / 2 + 0.5) / 64) < 0.02);
    }
    assert_int_equal(needles_task(&u, &s, h.data, h.len, &opt, NULL), CJ_OK);
    assert_string_equal(t.text.data, u.text.data);
    task_deinit(&u);
    opt.seed = 4;
    assert_int_equal(needles_task(&u, &s, h.data, h.len, &opt, NULL), CJ_OK);
    assert_string_not_equal(t.text.data, u.text.data);
    assert_string_not_equal(t.question[0].text, u.question[0].text);
    task_deinit(&u);
    opt = (needles_options){.chars = 1000, .seed = 3}; /* not all of them fit */
    assert_int_equal(needles_task(&u, &s, h.data, h.len, &opt, NULL), CJ_OK);
    assert_true(u.n_questions >= 20 && u.n_questions < 60);
    task_deinit(&u);
    opt = (needles_options){.chars = 30000, .seed = 3, .depth = (double[]){0.25, 0.75}, .n_depths = 2};
    assert_int_equal(needles_task(&u, &s, h.data, h.len, &opt, NULL), CJ_OK);
    for (int i = 0; i < 128; i++) assert_true(fabs((double)u.question[i].depth - (i / 2 % 2 ? 0.75 : 0.25)) < 0.06);
    task_deinit(&u);
    opt.chars = 20;
    assert_int_equal(needles_task(&u, &s, h.data, h.len, &opt, NULL), CJ_E_INPUT);
    task_deinit(&t);
    needles_close(&s);
    buf_deinit(&lines);
    buf_deinit(&h);
}

/* ---- answers ---- */

static double scored(eval_metric m, const char *answer, int n, const char *const *known)
{
    double s = -1;
    eval_question q = {.answer = known, .n_answers = n, .metric = m};
    assert_int_equal(score_answer(&q, answer, strlen(answer), &s, NULL), CJ_OK);
    return s;
}
#define SCORED(m, answer, ...) scored(m, answer, (int)(sizeof(const char *[]){__VA_ARGS__} / sizeof(char *)), (const char *[]){__VA_ARGS__})

static void compares_answers(void **state)
{
    assert_true(SCORED(METRIC_ANY, "他姓欧阳。", "欧阳", "上官") == 1);
    assert_true(SCORED(METRIC_ANY, "密码是 ７３ ９０２。", "73902") == 1);
    assert_true(SCORED(METRIC_ANY, "The RABBIT", "rabbit") == 1);
    assert_true(SCORED(METRIC_ANY, "欧，阳", "欧阳") == 1);
    assert_true(SCORED(METRIC_ANY, "阳欧", "欧阳") == 0);
    assert_true(SCORED(METRIC_ANY, "", "欧阳") == 0);
    assert_true(SCORED(METRIC_ANY, "什么都行", "。") == 0); /* an answer without letters is in nothing */
    assert_true(SCORED(METRIC_ALL, "欧阳和七三", "欧阳", "七三") == 1);
    assert_true(SCORED(METRIC_ALL, "欧阳", "欧阳", "七三") == 0.5);
    assert_true(SCORED(METRIC_ORDER, "[15, 117, 42]", "15", "117", "42") == 1);
    assert_true(SCORED(METRIC_ORDER, "15、42、117、42", "15", "117", "42") == 1);
    assert_true(SCORED(METRIC_ORDER, "117 15", "15", "117", "42", "7") == 0.25);
    assert_true(SCORED(METRIC_ORDER, "没有", "15") == 0);
    assert_true(SCORED(METRIC_NUMBER, "一共 ７ 次，不是 9", "7") == 1);
    assert_true(SCORED(METRIC_NUMBER, "9 次，不是 7", "7") == 0);
    assert_true(SCORED(METRIC_NUMBER, "99999999999999999999", "7") == 0);
    assert_float_equal(SCORED(METRIC_F1, "天下大势", "天下", "大势所趋"), 2 * 2 / 6.0, 1e-9);
    assert_float_equal(SCORED(METRIC_F1, "下天", "天下"), 1, 1e-9);
    assert_float_equal(SCORED(METRIC_ROUGE_L, "下天", "天下"), 0.5, 1e-9);
    assert_float_equal(SCORED(METRIC_ROUGE_L, "分久必合", "分久必合，合久必分"), 2 * 4 / 12.0, 1e-9);
    assert_true(SCORED(METRIC_F1, "", "天下") == 0 && SCORED(METRIC_ROUGE_L, "", "天下") == 0);
    assert_true(scored(METRIC_ANY, "x", 0, NULL) == 0 && scored(METRIC_ALL, "x", 0, NULL) == 0 && scored(METRIC_ORDER, "1", 0, NULL) == 0);
}

/* ---- asking and summing up ---- */

/* A reader that finds what its question says: "found N wrong places, then the right ones". */
typedef struct oracle {
    const eval_task *task;
    int next, opened;
} oracle;

static cj_err oracle_open(void *arg, const char *text, size_t bytes, bool (*on_progress)(void *, int64_t, int64_t), void *of, cj_diag *d)
{
    oracle *o = arg;
    o->opened++;
    assert_true(!on_progress || on_progress(of, 1, 2));
    assert_string_equal(text, o->task->text.data);
    return CJ_OK;
}

static cj_err oracle_locate(void *arg, const char *question, int most, eval_range *found, int *n, cj_diag *d)
{
    oracle *o = arg;
    const eval_question *q = &o->task->question[o->next++];
    int wrong = atoi(question);
    assert_int_equal(most, q->n_places ? q->n_places * RUN_WIDE : RUN_WIDE);
    for (*n = 0; *n < most && *n < wrong; ++*n) found[*n] = (eval_range){0, 1};
    for (int p = 0; *n < most && p < q->n_places; p++) found[(*n)++] = (eval_range){q->place[p].end - 1, q->place[p].end + 5};
    return CJ_OK;
}

static cj_err oracle_answer(void *arg, const char *question, const eval_range *found, int n, buf *out, cj_diag *d)
{
    return buf_puts(out, atoi(question) ? "七" : "八", d);
}

/* Half of the text, then the questions one by one. */
static bool count_calls(void *arg, bool asking, int64_t done, int64_t total)
{
    int64_t *calls = arg;
    assert_int_equal(asking, *calls > 0);
    assert_int_equal(total, asking ? 6 : 2);
    assert_int_equal(done, asking ? *calls : 1);
    ++*calls;
    return true;
}

static void numbered_task(eval_task *t)
{
    static const char *const eight[] = {"八"};
    static const char *const questions[] = {"0", "2", "3", "0", "1", "9"};
    const eval_range places[] = {{10, 20}, {30, 40}};
    task_init(t);
    assert_int_equal(buf_puts(&t->text, "0123456789012345678901234567890123456789012345678901234567890123456789", NULL), CJ_OK);
    t->chars = 70;
    for (int i = 0; i < 6; i++) {
        eval_question q = {.text = questions[i], .group = i < 3 ? "one" : "each", .place = places, .n_places = i < 3 ? 1 : 2, .each = i >= 3,
                           .answer = eight, .n_answers = 1};
        assert_int_equal(task_add(t, &q, NULL), CJ_OK);
    }
}

static void asks_and_counts(void **state)
{
    eval_task t;
    report r;
    eval_outcome out[6];
    int64_t calls = 0;
    numbered_task(&t);
    oracle o = {&t, 0, 0};
    eval_reader reader = {"oracle", &o, oracle_open, oracle_locate, oracle_answer};
    assert_int_equal(eval_run(&t, &reader, out, count_calls, &calls, NULL), CJ_OK);
    assert_int_equal(o.opened, 1);
    assert_int_equal(calls, 7);
    const int want[6][3] = {{1, 1, 1}, {0, 1, 3}, {0, 0, 0}, {2, 2, 1}, {1, 2, 2}, {0, 0, 0}}; /* first, among, rank */
    for (int i = 0; i < 6; i++) {
        assert_int_equal(out[i].first, want[i][0]);
        assert_int_equal(out[i].among, want[i][1]);
        assert_int_equal(out[i].rank, want[i][2]);
        assert_true(out[i].answered == (i == 0 || i == 3));
    }
    report_init(&r);
    assert_int_equal(report_add(&r, &t, "oracle", 0, out, NULL), CJ_OK);
    for (int i = 0; i < 6; i++) out[i].first = out[i].among = 0;
    assert_int_equal(report_add(&r, &t, "nobody", 0, out, NULL), CJ_OK);
    report_sum s = report_count(&r, &(report_filter){"oracle", "one", 70, -1, -1});
    assert_true(s.questions == 3 && s.n == 3 && s.first == 1 && s.among == 2 && s.answered_n == 3 && s.answered == 1);
    s = report_count(&r, &(report_filter){"oracle", "each", -1, -1, -1});
    assert_true(s.questions == 3 && s.n == 6 && s.first == 3 && s.among == 4);
    s = report_count(&r, &(report_filter){"oracle", NULL, -1, 0, 0.5}); /* only those with one place have a depth */
    assert_true(s.questions == 3 && s.n == 3);
    s = report_count(&r, &(report_filter){NULL, NULL, -1, 0.5, 1});
    assert_int_equal(s.questions, 0);
    json_object *j = json_object_new_object(), *list, *row;
    assert_int_equal(report_json(&r, 1, j, NULL), CJ_OK);
    assert_true(json_object_object_get_ex(j, "rows", &list) && json_object_array_length(list) == 4);
    row = json_object_object_get(json_object_array_get_idx(list, 0), "located");
    assert_int_equal(json_object_get_int(json_object_object_get(row, "right")), 2);
    assert_true(json_object_object_get_ex(j, "comparisons", &list) && json_object_array_length(list) == 2);
    row = json_object_object_get(json_object_array_get_idx(list, 0), "located_first");
    assert_int_equal(json_object_get_int(json_object_object_get(row, "only_column")), 1);
    assert_int_equal(json_object_get_int(json_object_object_get(row, "only_against")), 0);
    assert_true(json_object_object_get_ex(j, "cases", &list) && json_object_array_length(list) == 12);
    json_object_put(j);
    reader.locate = NULL; /* nothing is located: that is not the same as none */
    assert_int_equal(eval_run(&t, &reader, out, NULL, NULL, NULL), CJ_OK);
    assert_int_equal(report_add(&r, &t, "direct", 0, out, NULL), CJ_OK);
    s = report_count(&r, &(report_filter){"direct", NULL, -1, -1, -1});
    assert_true(s.questions == 6 && s.n == 0 && s.answered_n == 6);
    report_deinit(&r);
    task_deinit(&t);
}

/* Passages of a line each. */
static cj_err cut_lines(const char *text, size_t bytes, text_range **out, int64_t *n, cj_diag *d)
{
    *out = mem_array(10000, sizeof **out);
    if (!*out) return diag_nomem(d, 10000 * sizeof **out);
    *n = 0;
    for (size_t at = 0, end; at < bytes; at = end) {
        end = at + strcspn(text + at, "。") + 3;
        (*out)[(*n)++] = (text_range){at, end < bytes ? end : bytes};
    }
    return CJ_OK;
}

static cj_err from_end_to_end(const buf *h, const buf *lines, const char *path, report_sum *sum)
{
    needle_set s;
    eval_task t = {0};
    index_reader ir;
    report r;
    cj_diag d = {0};
    eval_outcome out[400];
    eval_reader reader = index_reader_of(&ir, cut_lines, path);
    report_init(&r);
    cj_err e = needles_parse(&s, "x", lines->data, lines->len, &d);
    if (!e) e = needles_task(&t, &s, h->data, h->len, &(needles_options){.chars = 3000, .seed = 1, .distractors = true}, &d);
    if (!e) e = eval_run(&t, &reader, out, NULL, NULL, &d);
    if (!e) e = report_add(&r, &t, "index", 3000, out, &d);
    json_object *j = json_object_new_object();
    if (!e) e = report_json(&r, 1, j, &d);
    json_object_put(j);
    if (!e) *sum = report_count(&r, &(report_filter){"index", "words", 3000, -1, -1});
    assert_int_equal(d.code, e);
    report_deinit(&r);
    index_reader_close(&ir);
    task_deinit(&t);
    if (s.item) needles_close(&s);
    return e;
}

static void finds_needles_by_index(void **state)
{
    buf h, lines;
    char path[] = "/tmp/test-eval-XXXXXX";
    report_sum s;
    int f = mkstemp(path), failures = 0;
    close(f);
    make_haystack(&h, 200);
    number_needles(&lines, 12);
    assert_int_equal(from_end_to_end(&h, &lines, path, &s), CJ_OK);
    assert_true(s.n == 12 && s.among == 12 && s.first >= 10);
    assert_int_equal(access(path, F_OK), -1); /* nothing is left */
    for (int64_t n = 0;; n++) {
        mem_fail_after(n);
        cj_err e = from_end_to_end(&h, &lines, path, &s);
        mem_fail_after(-1);
        if (!e) break;
        assert_int_equal(e, CJ_E_NOMEM);
        failures++;
    }
    assert_true(failures > 30);
    buf_deinit(&h);
    buf_deinit(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals),        cmocka_unit_test(means),         cmocka_unit_test(drawing),
        cmocka_unit_test(plants),           cmocka_unit_test(refuses_to_plant), cmocka_unit_test(reads_needles),
        cmocka_unit_test(makes_needle_tasks), cmocka_unit_test(compares_answers), cmocka_unit_test(asks_and_counts),
        cmocka_unit_test(finds_needles_by_index),
    };
    return cmocka_run_group_tests_name("eval", tests, NULL, NULL);
}
