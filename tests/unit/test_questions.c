/* data/questions: what is made of a text nobody asked about. The texts are our own, in the manners of a novel, a law and a report. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "data/marks.h"
#include "data/qa_form.h"
#include "data/questions.h"

static const char novel[] =
    "第一回　秦掌柜夜遇怪客　柳姑娘巧识真金\n"
    "话说秦掌柜在临河镇开了三十年当铺，从不曾看走过眼。这日傍晚，店里来了一个戴斗笠的汉子，把一只木匣放在柜上。秦掌柜笑道：“客官要当什么？”汉子并不答话，只把匣盖揭开，里面是十二枚金钱。\n"
    "柳姑娘从后堂走来，拿起一枚看了半晌。柳姑娘道：“这钱是假的，边上少了一道齿。”秦掌柜忙问道：“你怎么看得出来？”柳姑娘笑道：“我爹在铸钱局做过九年工匠。”汉子听了，脸色变了，转身往白石桥去了。\n"
    "秦掌柜叹道：“若不是你，我今日要赔二百两银子。”柳姑娘说：“掌柜的，他还会再来。”过了五天，汉子果然又到临河镇，这回带了两个伙计。秦掌柜道：“我早在这里等你。”\n"
    "县里的差人从白石桥赶来，把三个人都拿住了。柳姑娘道：“那匣子里有一层夹板。”差人拆开夹板，搜出四十六张假契。秦掌柜叹道：“原来他们骗了半个县城。”知县赏了柳姑娘二十两银子，她全数捐给了观音庙。\n";

static const char law[] =
    "第一条 为了保护饮用水源，根据《水源保护法》，制定本办法。\n"
    "第二条 市水务管理部门负责全市饮用水源的监督管理工作。区人民政府应当组织建立水源巡查制度，每个月至少巡查四次。\n"
    "第三条 供水单位应当在水源地周围五百米以内设置明显的标志。标志损坏的，供水单位应当在七日内修复，并向市水务管理部门报告。\n"
    "第四条 在水源地从事旅游活动的，由市水务管理部门责令停止违法行为，并处二千元以上二万元以下的罚款；情节严重的，处五万元以下的罚款。\n"
    "第五条 本办法自2019年5月1日起施行，《水源管理暂行规定》同时废止。\n";

static const char report[] =
    "In the spring of 1842 the ship Halcyon left the harbour of Bristol with 48 passengers on board. Her captain, Thomas Whitlock, had crossed the ocean 17 times before. "
    "The weather was fair for the first days, and nobody thought of danger. On the fifth night a storm from the north broke the main mast, and the carpenter John Pell worked for 11 hours.\n";

static void make(training_rows *r, questions_count *n, const char *text, const questions_options *opt)
{
    *n = (questions_count){0};
    rows_init(r);
    assert_int_equal(questions_make(r, "book", text, strlen(text), opt, n, NULL), CJ_OK);
}

/* What holds of every row whatever the text. */
static void check_rows(const training_rows *r, const char *text)
{
    for (int64_t i = 0; i < r->n; i++) {
        const training_row *row = &r->row[i];
        const char *passage = r->passage[row->passage].text;
        assert_non_null(strstr(text, passage));
        assert_true(*row->question && *row->answer && !strpbrk(row->question, "\r\n"));
        if (!strcmp(row->kind, "absent")) {
            assert_true(!*row->quote && !row->n_known && qa_refuses(row->answer, strlen(row->answer)));
            continue;
        }
        if (!strstr(passage, row->quote) || !strstr(row->quote, row->answer)) fail_msg("%s | %s | %s", row->question, row->quote, row->answer);
        if (strstr(row->question, row->answer)) fail_msg("%s tells %s", row->question, row->answer);
        assert_int_equal(row->n_known, 1);
    }
}

static const training_row *find(const training_rows *r, const char *kind, const char *question, const char *answer)
{
    for (int64_t i = 0; i < r->n; i++)
        if (!strcmp(r->row[i].kind, kind) && strstr(r->row[i].question, question) && !strcmp(r->row[i].answer, answer)) return &r->row[i];
    return NULL;
}

/* Over some seeds, since each takes only some of what can be asked. */
static bool is_made(const char *text, const char *kind, const char *question, const char *answer)
{
    bool found = false;
    for (uint64_t seed = 0; seed < 40 && !found; seed++) {
        training_rows r;
        questions_count n;
        make(&r, &n, text, &(questions_options){.seed = seed, .each = 12});
        found = find(&r, kind, question, answer) != NULL;
        rows_deinit(&r);
    }
    return found;
}

static void asks_a_novel(void **state)
{
    assert_true(is_made(novel, "said", "“客官要当什么”", "秦掌柜"));
    assert_true(is_made(novel, "said", "“这钱是假的，边上少了一道齿”", "柳姑娘"));
    assert_true(is_made(novel, "asked", "谁从后堂走来，拿起一枚看了半晌？", "柳姑娘"));
    assert_true(is_made(novel, "asked", "里面是多少枚金钱？", "十二枚"));
    assert_true(is_made(novel, "hidden", "搜出____假契", "四十六张"));
    assert_true(is_made(novel, "hidden", "脸色变了，转身往____去了", "白石桥"));
}

static void asks_a_law(void **state)
{
    assert_true(is_made(law, "asked", "应当在水源地周围五百米以内设置明显的标志？", "供水单位"));
    assert_true(is_made(law, "asked", "标志损坏的，供水单位应当在多少日内修复", "七日") || is_made(law, "asked", "供水单位应当在几日内修复", "七日"));
    assert_true(is_made(law, "where", "“区人民政府应当组织建立水源巡查制度", "第二条") || is_made(law, "where", "“负责全市饮用水源的监督管理工作”", "第二条") ||
                is_made(law, "where", "“供水单位应当在水源地", "第三条") || is_made(law, "where", "规定", "第四条"));
    assert_true(is_made(law, "hidden", "本办法自____起施行", "2019年5月1日"));
    assert_true(is_made(law, "asked", "本办法自什么时候起施行", "2019年5月1日"));
}

static void asks_an_english_report(void **state)
{
    assert_true(is_made(report, "hidden", "the ship ____ left the harbour of Bristol", "Halcyon"));
    assert_true(is_made(report, "where", "John Pell",
                        "On the fifth night a storm from the north broke the main mast, and the carpenter John Pell worked for 11 hours"));
}

static void rows_are_sound(void **state)
{
    static const char *const texts[] = {novel, law, report};
    for (int t = 0; t < 3; t++)
        for (uint64_t seed = 0; seed < 30; seed++) {
            training_rows r;
            questions_count n;
            int64_t total = 0;
            make(&r, &n, texts[t], &(questions_options){.seed = seed, .passage_min = 80, .passage_max = 200, .each = 6, .absent = 0.25});
            check_rows(&r, texts[t]);
            for (int k = 0; k < QUESTION_KINDS; k++) total += n.kind[k];
            assert_true(total == r.n && r.n > 1 && n.passages >= 1);
            rows_deinit(&r);
        }
}

/* A question without an answer is of another passage, or tells of the passage what is not so. */
static void absent_questions_have_no_answer(void **state)
{
    int absent = 0, all = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        training_rows r;
        questions_count n;
        make(&r, &n, novel, &(questions_options){.seed = seed, .passage_min = 80, .passage_max = 120, .each = 6, .absent = 0.25});
        all += (int)r.n;
        for (int64_t i = 0; i < r.n; i++) {
            if (strcmp(r.row[i].kind, "absent")) continue;
            absent++;
            for (int64_t k = 0; k < r.n; k++) /* no answered question of the same passage asks the same */
                if (k != i && r.row[k].passage == r.row[i].passage && r.row[k].n_known) assert_string_not_equal(r.row[k].question, r.row[i].question);
        }
        rows_deinit(&r);
    }
    assert_true(absent * 100 >= all * 15 && absent * 100 <= all * 30);
}

static void the_seed_decides(void **state)
{
    training_rows a, b, c;
    questions_count n;
    const questions_options opt = {.seed = 5, .passage_min = 80, .passage_max = 200, .absent = 0.2};
    questions_options other = opt;
    bool differs = false;
    other.seed = 6;
    make(&a, &n, novel, &opt);
    make(&b, &n, novel, &opt);
    make(&c, &n, novel, &other);
    assert_int_equal(a.n, b.n);
    for (int64_t i = 0; i < a.n; i++) {
        assert_string_equal(a.row[i].question, b.row[i].question);
        assert_string_equal(a.row[i].answer, b.row[i].answer);
        differs |= i >= c.n || strcmp(a.row[i].question, c.row[i].question);
    }
    assert_true(differs);
    rows_deinit(&a);
    rows_deinit(&b);
    rows_deinit(&c);
}

static void nothing_comes_of_nothing(void **state)
{
    static const char *const texts[] = {"", "\n\n", "短。", "――――――――――――――――――――――――", "a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i j k l m n o p q r s t u v w x y z"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        training_rows r;
        questions_count n;
        make(&r, &n, texts[i], &(questions_options){.each = 8, .absent = 0.5});
        assert_int_equal(r.n, 0);
        rows_deinit(&r);
    }
}

static void takes_some_passages(void **state)
{
    training_rows r;
    questions_count n;
    make(&r, &n, novel, &(questions_options){.passage_min = 80, .passage_max = 100, .passages = 2});
    assert_int_equal(n.passages, 2);
    rows_deinit(&r);
}

static void finds_marks(void **state)
{
    static const struct { const char *text, *mark; mark_kind kind; } known[] = {
        {"他到扬州城去了", "扬州城", MARK_PLACE}, {"位于河南省固始县段集镇", "河南省固始县段集镇", MARK_PLACE}, {"共有四十二户人家", "四十二户", MARK_NUMBER},
        {"全长548公里的线路", "548公里", MARK_NUMBER}, {"于1955年3月成立之", "1955年3月", MARK_DATE}, {"写了《红岩志》一书", "《红岩志》", MARK_TITLE},
        {"市公安机关应当受理", "市公安机关", MARK_OFFICE}, {"由市公安机关负责办理", "市公安机关", MARK_OFFICE}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        name_table names = {.needed = 2};
        char_text t;
        text_mark m[8];
        assert_int_equal(chars_open(&t, known[i].text, strlen(known[i].text), NULL), CJ_OK);
        int n = marks_find(&names, &t, m, 8);
        bool found = false;
        for (int k = 0; k < n; k++) {
            size_t size = t.at[m[k].at.end] - t.at[m[k].at.begin];
            found |= m[k].kind == known[i].kind && size == strlen(known[i].mark) && !memcmp(t.bytes + t.at[m[k].at.begin], known[i].mark, size);
        }
        if (!found) fail_msg("%s", known[i].text);
        chars_close(&t);
    }
}

static void survives_failing_allocations(void **state)
{
    int failures = 0;
    for (int n = 0;; n++) {
        training_rows r;
        questions_count count = {0};
        const questions_options opt = {.passage_min = 80, .passage_max = 120, .absent = 0.3, .passages = 4};
        rows_init(&r);
        mem_fail_after(n);
        cj_err e = questions_make(&r, "book", novel, sizeof novel - 1, &opt, &count, NULL);
        mem_fail_after(-1);
        check_rows(&r, novel);
        rows_deinit(&r);
        if (!e) break;
        assert_int_equal(e, CJ_E_NOMEM);
        failures++;
    }
    assert_true(failures > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_marks),
        cmocka_unit_test(asks_a_novel),
        cmocka_unit_test(asks_a_law),
        cmocka_unit_test(asks_an_english_report),
        cmocka_unit_test(rows_are_sound),
        cmocka_unit_test(absent_questions_have_no_answer),
        cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(nothing_comes_of_nothing),
        cmocka_unit_test(takes_some_passages),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
