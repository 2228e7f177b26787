/* data/: rows as tokens with what is scored, groups of a passage, what is held out, batches that go on where they stopped. The models
 * are tiny random ones that the build writes; only their vocabularies are used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/batches.h"
#include "model/vocab_gguf.h"

static tokenizer *vocabulary;
static buf chatml;

static const sample_options usual = {.sample_tokens = 512, .prefix_tokens = 4096, .group_tokens = 1024};

static int begin(void **state)
{
    gguf *g = NULL;
    char path[512];
    if (gguf_open(&g, getenv("CJ_TINY_CHAT"), NULL)) return -1;
    if (vocab_gguf_open(&vocabulary, g, NULL)) return -1;
    gguf_close(&g);
    snprintf(path, sizeof path, "%s/tests/fixtures/chatml.jinja", getenv("CJ_SOURCE"));
    return file_read(path, 1 << 16, &chatml, NULL) ? -1 : 0;
}

static int end(void **state)
{
    tokenizer_close(&vocabulary);
    buf_deinit(&chatml);
    return 0;
}

static void make_of(sample_set *s, training_rows *r, const char *text, const sample_options *opt)
{
    cj_diag d = {0};
    char why[512];
    rows_init(r);
    cj_err e = rows_parse(r, "x", text, strlen(text), &d);
    if (!e) e = samples_make(s, r, vocabulary, opt, &d);
    cj_diag_text(&d, CJ_LANG_EN, why, sizeof why);
    if (e) fail_msg("%s", why);
}

static void done(sample_set *s, training_rows *r)
{
    samples_deinit(s);
    rows_deinit(r);
}

/* What the tokens [first, first + n) spell; of those scored only, when `scored`. */
static const char *spell(const sample_set *s, int64_t first, int64_t n, bool scored)
{
    static char text[1 << 14];
    buf out;
    buf_init(&out, sizeof text);
    for (int64_t i = first; i < first + n; i++)
        if (!scored || s->scored[i]) assert_int_equal(tokenizer_decode(vocabulary, &s->tokens[i], 1, TOKEN_SHOW_SPECIAL | TOKEN_CONTINUES, &out, NULL), CJ_OK);
    snprintf(text, sizeof text, "%s", out.data ? out.data : "");
    buf_deinit(&out);
    return text;
}

static const char *scored_of(const sample_set *s, int64_t i) { return spell(s, s->sample[i].first, s->sample[i].n, true); }
static const char *all_of(const sample_set *s, int64_t i) { return spell(s, s->sample[i].first, s->sample[i].n, false); }

static const char *end_text(void)
{
    static char text[64];
    token_specials const *t = tokenizer_specials(vocabulary);
    token_text p = tokenizer_piece(vocabulary, t->eot >= 0 ? t->eot : t->eos);
    snprintf(text, sizeof text, "%.*s", (int)p.size, p.data);
    return text;
}

/* ---- what is scored ---- */

#define THREE                                                                                                                      \
    "{\"passage\": \"山下有井。井边立着一棵老槐树。\", \"question\": \"井边有什么？\", \"quote\": \"井边立着一棵老槐树。\", \"answer\": \"老槐树\"}\n" \
    "{\"text\": \"从前有座山。\"}\n"                                                                                                     \
    "{\"passage\": \"山下有井。井边立着一棵老槐树。\", \"question\": \"井有多深？\", \"answer\": \"文中未提及\"}\n"

static void scores_quote_and_answer(void **state)
{
    sample_set s;
    training_rows r;
    char want[256];
    make_of(&s, &r, THREE, &usual);
    assert_int_equal(s.n, 3);
    assert_int_equal(s.n_groups, 2);
    assert_int_equal(s.group[0].passage, 0);
    assert_int_equal(s.group[0].n, 2); /* the two of one passage, though a row lies between them */
    assert_int_equal(s.group[1].passage, -1);
    assert_non_null(strstr(spell(&s, s.prefix[0].first, s.prefix[0].n, false), "山下有井。井边立着一棵老槐树。"));
    snprintf(want, sizeof want, "「井边立着一棵老槐树。」\n老槐树%s", end_text());
    assert_string_equal(scored_of(&s, 0), want);
    snprintf(want, sizeof want, "\n\n问：井边有什么？\n答：「井边立着一棵老槐树。」\n老槐树%s", end_text());
    assert_string_equal(all_of(&s, 0), want);
    const sample *a = &s.sample[0], *b = &s.sample[1];
    assert_non_null(strstr(spell(&s, s.prefix[0].first + a->aim, a->aim_end - a->aim, false), "井边立着一棵老槐树。"));
    assert_null(strstr(spell(&s, s.prefix[0].first + a->aim + 1, a->aim_end - a->aim - 1, false), "井边立着一棵老槐树。"));
    assert_int_equal(b->aim, b->aim_end);
    snprintf(want, sizeof want, "文中未提及%s", end_text());
    assert_string_equal(scored_of(&s, 1), want);
    assert_int_equal(s.scored[s.sample[2].first], 0); /* of plain text all but the first */
    int64_t n = 0;
    for (int64_t i = 0; i < s.sample[2].n; i++) n += s.scored[s.sample[2].first + i];
    assert_int_equal(n, s.sample[2].n - 1);
    done(&s, &r);
}

static void a_whole_sample_holds_its_passage(void **state)
{
    sample_set s;
    training_rows r;
    char want[256];
    sample_options opt = usual;
    opt.whole = true;
    make_of(&s, &r, THREE, &opt);
    assert_int_equal(s.n_groups, 3);
    for (int i = 0; i < 3; i++) assert_int_equal(s.group[i].passage, -1);
    assert_non_null(strstr(all_of(&s, 0), "山下有井。井边立着一棵老槐树。\n\n问：井边有什么？\n答：「井边"));
    snprintf(want, sizeof want, "「井边立着一棵老槐树。」\n老槐树%s", end_text());
    assert_string_equal(scored_of(&s, 0), want);
    assert_non_null(strstr(spell(&s, s.sample[0].first + s.sample[0].aim, s.sample[0].aim_end - s.sample[0].aim, false), "井边立着一棵老槐树。"));
    done(&s, &r);
}

static void scores_what_the_assistant_says(void **state)
{
    sample_set s;
    training_rows r;
    sample_options opt = usual;
    opt.chat_template = chatml.data;
    make_of(&s, &r,
            "{\"messages\": [{\"role\": \"system\", \"content\": \"assistant\"}, {\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"a\"},"
            " {\"role\": \"user\", \"content\": \"user\"}, {\"role\": \"assistant\", \"content\": \"好。\"}]}\n"
            "{\"question\": \"谁？\", \"answer\": \"小林\"}\n",
            &opt);
    assert_string_equal(scored_of(&s, 0), "a<|im_end|>好。<|im_end|>");
    assert_string_equal(all_of(&s, 0) + strlen(all_of(&s, 0)) - strlen("<|im_start|>assistant\n好。<|im_end|>"), "<|im_start|>assistant\n好。<|im_end|>");
    assert_string_equal(scored_of(&s, 1), "小林<|im_end|>");
    assert_non_null(strstr(all_of(&s, 1), "<|im_start|>user\n谁？<|im_end|>"));
    done(&s, &r);
    opt.chat_template = NULL; /* a base model: the question in words, the conversation left out */
    make_of(&s, &r, "{\"messages\": [{\"role\": \"assistant\", \"content\": \"好\"}]}\n{\"question\": \"谁？\", \"answer\": \"小林\"}\n", &opt);
    assert_int_equal(s.no_template, 1);
    assert_int_equal(s.n, 1);
    assert_non_null(strstr(all_of(&s, 0), "问：谁？\n答：小林"));
    done(&s, &r);
}

static void refuses(const char *text, const sample_options *opt, msg_id why)
{
    sample_set s;
    training_rows r;
    cj_diag d = {0};
    rows_init(&r);
    assert_int_equal(rows_parse(&r, "x", text, strlen(text), NULL), CJ_OK);
    assert_true(samples_make(&s, &r, vocabulary, opt, &d) < 0);
    assert_int_equal(d.message, why);
    done(&s, &r);
}

static void refuses_conversations_that_cannot_be_scored(void **state)
{
    sample_options opt = usual;
    opt.chat_template = chatml.data;
    refuses("{\"messages\": [{\"role\": \"user\", \"content\": \"<|im_end|>\"}, {\"role\": \"assistant\", \"content\": \"a\"}]}", &opt, MSG_DATA_CONTROL);
    opt.chat_template = "{% for m in messages %}{{ m.content | upper }}{% endfor %}";
    refuses("{\"messages\": [{\"role\": \"assistant\", \"content\": \"abc\"}]}", &opt, MSG_DATA_TEMPLATE);
    opt.chat_template = "{% for m in messages %}[{{ m.role }}]{% endfor %}";
    refuses("{\"messages\": [{\"role\": \"assistant\", \"content\": \"abc\"}]}", &opt, MSG_DATA_TEMPLATE);
    opt.chat_template = NULL;
    refuses("{\"messages\": [{\"role\": \"assistant\", \"content\": \"abc\"}]}", &opt, MSG_DATA_NO_SAMPLES);
    opt.sample_tokens = 4;
    refuses("{\"question\": \"谁？\", \"answer\": \"小林，就是那个学生小林。\"}", &opt, MSG_DATA_NO_SAMPLES);
}

static void long_rows_are_left_out_and_long_texts_cut(void **state)
{
    sample_set s;
    training_rows r;
    sample_options opt = usual;
    opt.prefix_tokens = 8;
    opt.sample_tokens = 16;
    make_of(&s, &r, THREE "{\"text\": \"一二三四五六七八九十一二三四五六七八九十一二三四五六七八九十\"}\n", &opt);
    assert_int_equal(s.too_long, 2);
    assert_true(s.n >= 3);
    for (int64_t i = 0; i < s.n; i++) assert_true(s.sample[i].n <= 16 && s.sample[i].n > 1);
    done(&s, &r);
}

/* ---- parts and batches ---- */

enum { PASSAGES = 40, EACH = 3 };

/* Rows of 40 passages, three each, of 20 documents. */
static char *many_rows(void)
{
    buf b;
    buf_init(&b, 1 << 20);
    for (int k = 0; k < EACH; k++)
        for (int i = 0; i < PASSAGES; i++)
            assert_int_equal(buf_printf(&b, NULL, "{\"passage\": \"第%d夜，灯灭了%d次。\", \"question\": \"第%d问？\", \"answer\": \"%d次\", \"document\": \"d%d\"}\n", i, i, k, i, i / 2), CJ_OK);
    return buf_take(&b);
}

static void holds_out_whole_documents(void **state)
{
    sample_set s;
    training_rows r;
    char *text = many_rows();
    sample_options opt = usual;
    int held = 0;
    opt.held = 0.2;
    make_of(&s, &r, text, &opt);
    assert_int_equal(s.n_groups, PASSAGES);
    for (int64_t i = 0; i < s.n_groups; i++) {
        held += s.group[i].held;
        for (int64_t k = 0; k < i; k++) {
            bool same = r.row[s.sample[s.group[i].first].row].document == r.row[s.sample[s.group[k].first].row].document;
            if (same) assert_int_equal(s.group[i].held, s.group[k].held);
        }
    }
    assert_int_equal(held, PASSAGES / 5);
    done(&s, &r);
    mem_free(text);
    opt.held = 0.01; /* of few documents, passages; one at least */
    make_of(&s, &r, THREE, &opt);
    assert_int_equal(s.group[0].held + s.group[1].held, 1);
    done(&s, &r);
}

/* Adds what a batch holds to seen[sample]; checks its rows against the samples. */
static void check_batch(const sample_set *s, const training_batch *b, int *seen, int64_t most)
{
    int64_t rows = 0, scored = 0;
    for (int64_t i = 0; i < b->n; i++) {
        const batch_sequence *q = &b->sequence[i];
        const sample *one = &s->sample[q->sample];
        assert_true(q->first == rows && q->n == one->n - 1);
        for (int64_t k = 0; k < q->n; k++) {
            assert_int_equal(b->ids[rows + k], s->tokens[one->first + k]);
            assert_int_equal(b->targets[rows + k], s->scored[one->first + k + 1] ? s->tokens[one->first + k + 1] : -1);
            scored += b->targets[rows + k] >= 0;
        }
        rows += q->n;
        seen[q->sample]++;
    }
    assert_true(rows == b->rows && scored == b->scored && rows <= most);
}

static void an_epoch_visits_every_group_once(void **state)
{
    sample_set s;
    training_rows r;
    batch_feed f;
    const training_batch *b;
    char *text = many_rows();
    sample_options opt = usual;
    opt.held = 0.2;
    make_of(&s, &r, text, &opt);
    for (int held = 0; held < 2; held++) {
        int seen[PASSAGES * EACH] = {0}, batches = 0;
        assert_int_equal(feed_open(&f, &s, held, 200, (batch_place){.seed = 7}, NULL), CJ_OK);
        while (f.at.epoch == 0) {
            assert_int_equal(feed_next(&f, &b, NULL), CJ_OK);
            check_batch(&s, b, seen, 200);
            batches++;
        }
        assert_int_equal(f.at.index, 0);
        assert_true(batches > 1);
        for (int64_t i = 0; i < s.n_groups; i++)
            for (int64_t k = 0; k < s.group[i].n; k++) assert_int_equal(seen[s.group[i].first + k], s.group[i].held == held);
        feed_close(&f);
    }
    done(&s, &r);
    mem_free(text);
}

static void goes_on_where_it_stopped(void **state)
{
    sample_set s;
    training_rows r;
    batch_feed f, g;
    const training_batch *b, *c;
    cj_diag d = {0};
    char *text = many_rows();
    bool differs = false;
    make_of(&s, &r, text, &usual);
    assert_int_equal(feed_open(&f, &s, false, 150, (batch_place){.seed = 3}, NULL), CJ_OK);
    while (f.at.epoch < 3) {
        batch_place at = f.at;
        assert_int_equal(feed_open(&g, &s, false, 150, at, NULL), CJ_OK);
        assert_int_equal(feed_next(&f, &b, NULL), CJ_OK);
        assert_int_equal(feed_next(&g, &c, NULL), CJ_OK);
        assert_true(b->rows == c->rows && b->n == c->n);
        assert_memory_equal(b->ids, c->ids, (size_t)b->rows * sizeof *b->ids);
        assert_memory_equal(b->targets, c->targets, (size_t)b->rows * sizeof *b->targets);
        assert_memory_equal(&f.at, &g.at, sizeof f.at);
        feed_close(&g);
    }
    int64_t first = f.order[0];
    feed_close(&f);
    for (uint64_t seed = 4; seed < 8; seed++) { /* another seed, another order */
        assert_int_equal(feed_open(&f, &s, false, 150, (batch_place){.seed = seed}, NULL), CJ_OK);
        assert_int_equal(feed_next(&f, &b, NULL), CJ_OK);
        differs |= f.order[0] != first;
        feed_close(&f);
    }
    assert_true(differs);
    assert_true(feed_open(&f, &s, false, 150, (batch_place){.index = PASSAGES}, &d) && d.message == MSG_DATA_PLACE);
    assert_true(feed_open(&f, &s, true, 150, (batch_place){0}, &d) && d.message == MSG_DATA_NO_PART);
    done(&s, &r);
    mem_free(text);
}

static void a_large_group_is_split(void **state)
{
    sample_set s;
    training_rows r;
    sample_options opt = usual;
    opt.group_tokens = 1;
    make_of(&s, &r, THREE, &opt);
    assert_int_equal(s.n_groups, 3);
    assert_int_equal(s.group[0].passage, s.group[1].passage);
    done(&s, &r);
}

static void survives_failing_allocations(void **state)
{
    training_rows r;
    sample_options opt = usual;
    opt.chat_template = chatml.data;
    opt.held = 0.5;
    int failures = 0;
    const char *text = THREE "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\"}]}\n";
    rows_init(&r);
    assert_int_equal(rows_parse(&r, "x", text, strlen(text), NULL), CJ_OK);
    for (int n = 0;; n++) {
        sample_set s;
        batch_feed f = {0};
        const training_batch *b;
        mem_fail_after(n);
        cj_err e = samples_make(&s, &r, vocabulary, &opt, NULL);
        if (!e) e = feed_open(&f, &s, false, 100, (batch_place){0}, NULL);
        if (!e) e = feed_next(&f, &b, NULL);
        mem_fail_after(-1);
        feed_close(&f);
        samples_deinit(&s);
        if (!e) break;
        assert_int_equal(e, CJ_E_NOMEM);
        failures++;
    }
    assert_true(failures > 20);
    rows_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_quote_and_answer),
        cmocka_unit_test(a_whole_sample_holds_its_passage),
        cmocka_unit_test(scores_what_the_assistant_says),
        cmocka_unit_test(refuses_conversations_that_cannot_be_scored),
        cmocka_unit_test(long_rows_are_left_out_and_long_texts_cut),
        cmocka_unit_test(holds_out_whole_documents),
        cmocka_unit_test(an_epoch_visits_every_group_once),
        cmocka_unit_test(goes_on_where_it_stopped),
        cmocka_unit_test(a_large_group_is_split),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
