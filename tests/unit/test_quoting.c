/* Answers that quote: what may be written, byte by byte, what was, and that a writer held to it cannot misquote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "engine/generate.h"
#include "reader/quoting.h"

static const char passage[] = "老周说：「初一」\n铺子在初一歇业。船长留下一块怀表。";
static const char other_passage[] = "山下有四十二户人家。";
static const quoting_piece pieces[] = {{other_passage, sizeof other_passage - 1}, {passage, sizeof passage - 1}};
static const qa_words words = {"", "", "「", "」", "文中未提及"};
static const quoting q = {pieces, 2, &words};

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
    const quoting long_one = {&(quoting_piece){all, LONG}, 1, &words};
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
    const quoting in_english = {&(quoting_piece){"The shop is closed. It said “no”.", strlen("The shop is closed. It said “no”.")}, 1, qa_words_for("When?")};
    const char *text = " “It said “no”.”\nno";
    quoted p;
    for (size_t n = 0; n <= strlen(text); n++) assert_true(quoting_fits(&in_english, text, n, false));
    assert_true(quoting_closed(&in_english, text, strlen(text), true, &p));
    assert_string_equal(text + p.answer, "no");
}

static bool accepts(void *arg, const char *text, size_t n, bool ended) { return quoting_fits(arg, text, n, ended); }

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
        generate_options g = {.sampling = SAMPLER_GREEDY, .max_tokens = 1000, .accepts = accepts, .arg = &mine};
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

static bool accepts_nothing(void *arg, const char *text, size_t n, bool ended)
{
    (void)text, (void)ended;
    return *(int *)arg > 0 && n <= 8;
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
        const generate_options g = {.sampling = SAMPLER_GREEDY, .max_tokens = 1000, .ignore_end = true, .accepts = accepts_nothing, .arg = &some};
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
        cmocka_unit_test(whoever_writes_quotes), cmocka_unit_test(nothing_left_to_say_ends_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
