/* Answers that quote: what may be written, byte by byte, what was, and that a writer held to it cannot misquote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/generate.h"
#include "reader/leaning.h"

static const char passage[] = "老周说：「初一」\n铺子在初一歇业。船长留下一块怀表。";
static const char other_passage[] = "山下有四十二户人家。";
static const quoting_piece pieces[] = {{other_passage, sizeof other_passage - 1}, {passage, sizeof passage - 1}};
static const qa_words words = {"", "", "「", "」", "文中未提及"};
static const quoting q = {.pieces = pieces, .n = 2, .words = &words};

static bool fits(const char *text, bool ended) { return quoting_fits(&q, text, strlen(text), ended); }

/* Every beginning of an answer in the form fits, a character cut in two included; none but the whole may end. */
static void beginnings_of_answers_fit(void **state)
{
    (void)state;
    static const char *const answers[] = {"「铺子在初一歇业。」\n初一", "「船长留下一块怀表」\n怀表", "「老周说：「初一」\n铺子」\n铺子", "「初一」\n一", "「四十二户人家」\n四十二户", "文中未提及"};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        const char *a = answers[i];
        for (size_t n = 0; n <= strlen(a); n++) {
            if (!quoting_fits(&q, a, n, false)) fail_msg("%zu bytes of %s do not fit", n, a);
            const bool whole = n > 0 && quoting_closed(&q, a, n, true, &(quoted){0}) && n % 3 == strlen(a) % 3; /* characters of three bytes */
            if (n < strlen(a) && !whole && quoting_fits(&q, a, n, true)) fail_msg("%s may end after %zu bytes", a, n);
        }
        assert_true(fits(a, true));
    }
}

static void anything_else_does_not(void **state)
{
    (void)state;
    static const char *const never[] = {"初一", "「初二", "「铺子歇业", "「铺子在初一歇业。」\n初二", "「铺子在初一歇业。」 ", "「铺子在初一歇业。」\n怀表", "「初一」\n一\n",
                                        "文中没有", "文中未提及。", " 「", "「人家。老周", "「船长」\n船长留"};
    static const char *const not_yet[] = {"", "「", "「铺子", "「铺子」", "「铺子」\n", "文中未"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (fits(never[i], false) || fits(never[i], true)) fail_msg("%s fits", never[i]);
    for (size_t i = 0; i < sizeof not_yet / sizeof *not_yet; i++)
        if (!fits(not_yet[i], false) || fits(not_yet[i], true)) fail_msg("%s", not_yet[i]);
}

static void a_quote_is_closed_when_it_is_long(void **state)
{
    (void)state;
    enum { LONG = 3 * QUOTING_QUOTE_MAX };
    static char all[LONG], text[LONG + 3] = "「";
    memset(all, 'a', LONG);
    memset(text + 3, 'a', LONG);
    const quoting long_one = {.pieces = &(quoting_piece){all, LONG}, .n = 1, .words = &words};
    assert_true(quoting_fits(&long_one, text, 3 + QUOTING_QUOTE_MAX, false));
    assert_false(quoting_fits(&long_one, text, 3 + QUOTING_QUOTE_MAX + 1, false));
}

static void parts_are_told(void **state)
{
    (void)state;
    const char *text = "「老周说：「初一」\n铺子」\n铺子";
    quoted p;
    assert_true(quoting_closed(&q, text, strlen(text), true, &p));
    assert_int_equal(p.piece, 1);
    assert_int_equal(p.at, 0);
    assert_int_equal(p.end, strlen("老周说：「初一」\n铺子"));
    assert_string_equal(text + p.answer, "铺子");
    text = "「船长」\n";
    assert_true(quoting_closed(&q, text, strlen(text), false, &p));
    assert_memory_equal(passage + p.at, "船长留下", strlen("船长留下"));
    assert_false(quoting_closed(&q, text, strlen(text), true, &p));
    assert_false(quoting_closed(&q, "「船长」", strlen("「船长」"), false, &p));
    assert_false(quoting_closed(&q, words.refusal, strlen(words.refusal), true, &p));
    assert_true(quoting_refuses(&q, words.refusal, 3));
    assert_false(quoting_refuses(&q, text, 3));
}

static void english_has_its_own_marks(void **state)
{
    (void)state;
    const char *closed = "The shop is closed. It said “no”.";
    const quoting in_english = {.pieces = &(quoting_piece){closed, strlen(closed)}, .n = 1, .words = qa_words_for("When?")};
    const char *text = " “It said “no”.”\nno";
    quoted p;
    for (size_t n = 0; n <= strlen(text); n++) assert_true(quoting_fits(&in_english, text, n, false));
    assert_true(quoting_closed(&in_english, text, strlen(text), true, &p));
    assert_string_equal(text + p.answer, "no");
}

/* ---- leaning ---- */

static void quotes_lean_to_the_words_of_the_question(void **state)
{
    (void)state;
    quoting_lean *l;
    int64_t n;
    assert_int_equal(leaning_make(pieces, 2, "船长留下了什么？", &l, &n, NULL), 0);
    assert_int_equal(n, 4);
    for (int64_t i = 0; i < n; i++) {
        const bool best = i == 3;
        assert_int_equal(l[i].piece, i > 0);
        assert_true(best ? l[i].lean == 0 : l[i].lean >= -1 && l[i].lean < -0.5f);
    }
    assert_memory_equal(passage + l[3].at, "船长", 6);
    quoting leaning = q;
    leaning.leans = l;
    leaning.n_leans = n;
    leaning.weight = 4;
    static const struct { const char *text; int64_t of; } cases[] = {
        {"「船长", 3}, {"「船长留下」", 3}, {"「船长留下」\n船", 3}, {"「铺", 2}, {"「铺子在初一歇业。船长", 2}, {"「山", 0}, {"「", -1}, {"", -1}, {"文中", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(quoting_weigh(&leaning, cases[i].text, strlen(cases[i].text), false) == (cases[i].of < 0 ? 0 : 4 * l[cases[i].of].lean));
    assert_true(isinf(quoting_weigh(&leaning, "「在船", strlen("「在船"), false)));
    mem_free(l);
    assert_int_equal(leaning_make(pieces, 2, "？！", &l, &n, NULL), 0);
    for (int64_t i = 0; i < n; i++) assert_true(l[i].lean == 0);
    mem_free(l);
}

static void leaning_without_memory(void **state)
{
    (void)state;
    for (int k = 0;; k++) {
        quoting_lean *l;
        int64_t n;
        mem_fail_after(k);
        const cj_err e = leaning_make(pieces, 2, "船长留下了什么？", &l, &n, NULL);
        mem_fail_after(-1);
        mem_free(l);
        if (!e) return;
        assert_int_equal(e, CJ_E_NOMEM);
        assert_null(l);
        assert_true(k < 100);
    }
}

static float weigh(void *arg, const char *text, size_t n, bool ended) { return quoting_weigh(arg, text, n, ended); }

/* A model that knows nothing writes nonsense, but in the form: greedily and drawn. */
static void whoever_writes_quotes(void **state)
{
    (void)state;
    engine *e = NULL;
    session *s = NULL;
    assert_int_equal(engine_open(&e, &(engine_options){.path = getenv("CJ_TINY_BASE"), .level = KERNEL_AUTO, .threads = 1, .kv = KV_F32}, NULL), 0);
    assert_int_equal(session_open(&s, e, 4096, NULL), 0);
    int said = 0;
    for (int32_t i = 0; i < 6; i++) {
        quoting mine = q;
        buf text;
        generate_result r;
        quoted p;
        const int32_t ids[] = {5 + i, 9, 7};
        generate_options g = {.sampling = SAMPLER_GREEDY, .max_tokens = 1000, .weigh = weigh, .arg = &mine};
        if (i % 2) g.sampling.temperature = 1;
        g.sampling.seed = (uint64_t)i;
        buf_init(&text, 1 << 16);
        assert_int_equal(generate(s, ids, 3, &g, &text, &r, NULL), 0);
        assert_int_equal(r.end, END_TOKEN);
        const bool parsed = quoting_closed(&q, text.data, text.len, true, &p);
        if (!parsed && strcmp(text.data, words.refusal)) fail_msg("wrote %s", text.data);
        if (parsed) assert_memory_equal(pieces[p.piece].text + p.at, text.data + strlen(words.open), p.end - p.at);
        said += parsed;
        buf_deinit(&text);
    }
    assert_true(said > 0);
    session_close(&s);
    engine_close(&e);
}

static float accepts_nothing(void *arg, const char *text, size_t n, bool ended)
{
    (void)text, (void)ended;
    return *(int *)arg > 0 && n <= 8 ? 0 : -INFINITY;
}

static void nothing_left_to_say_ends_the_text(void **state)
{
    (void)state;
    engine *e = NULL;
    session *s = NULL;
    assert_int_equal(engine_open(&e, &(engine_options){.path = getenv("CJ_TINY_BASE"), .level = KERNEL_AUTO, .threads = 1, .kv = KV_F32}, NULL), 0);
    assert_int_equal(session_open(&s, e, 4096, NULL), 0);
    for (int some = 0; some < 2; some++) {
        buf text;
        generate_result r;
        buf_init(&text, 1 << 16);
        const generate_options g = {.sampling = SAMPLER_GREEDY, .max_tokens = 1000, .ignore_end = true, .weigh = accepts_nothing, .arg = &some};
        assert_int_equal(generate(s, (const int32_t[]){3, 4}, 2, &g, &text, &r, NULL), 0);
        assert_int_equal(r.end, END_STOP);
        assert_true(some ? text.len > 0 && text.len <= 8 : text.len == 0);
        buf_deinit(&text);
    }
    session_close(&s);
    engine_close(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beginnings_of_answers_fit), cmocka_unit_test(anything_else_does_not), cmocka_unit_test(a_quote_is_closed_when_it_is_long),
        cmocka_unit_test(parts_are_told), cmocka_unit_test(english_has_its_own_marks),
        cmocka_unit_test(quotes_lean_to_the_words_of_the_question), cmocka_unit_test(leaning_without_memory),
        cmocka_unit_test(whoever_writes_quotes), cmocka_unit_test(nothing_left_to_say_ends_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
