/* train/: samples as batches after passages that are read once; how much of them is kept changes nothing. With a tiny random model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/vocab_gguf.h"
#include "train/lessons.h"

enum { PASSAGES = 5, STEPS = 6 };

static kernel_ctx *ctx;
static model *m;
static tokenizer *vocabulary;
static training_rows rows;
static sample_set set;

static void ok(cj_err e, const cj_diag *d)
{
    char text[1024];
    cj_diag_text(d, CJ_LANG_EN, text, sizeof text);
    if (e) fail_msg("%s", text);
}

static int begin(void **state)
{
    (void)state;
    char text[1 << 14] = "";
    for (int i = 0; i < PASSAGES; i++)
        for (int k = 0; k < 2; k++)
            snprintf(text + strlen(text), sizeof text - strlen(text),
                     "{\"passage\":\"第%d天，他在第%d页写下：今天没有下雨，庙里的老和尚讲了故事。\",\"question\":\"%s\",\"quote\":\"第%d天\",\"answer\":\"第%d天\"}\n", i, i * 7,
                     k ? "哪一天？" : "什么时候写下的？", i, i);
    rows_init(&rows);
    if (kernel_open(&ctx, &(kernel_options){.level = KERNEL_AUTO, .threads = 1, .exact = true}, NULL)) return -1;
    if (model_open(&m, ctx, getenv("CJ_TINY_CHAT"), NULL) || vocab_gguf_open(&vocabulary, model_file(m), NULL)) return -1;
    if (rows_parse(&rows, "rows", text, strlen(text), NULL)) return -1;
    return samples_make(&set, &rows, vocabulary, &(sample_options){.sample_tokens = 512, .prefix_tokens = 512, .group_tokens = 512, .held = 0.3}, NULL) ? -1 : 0;
}

static int end(void **state)
{
    (void)state;
    samples_deinit(&set);
    rows_deinit(&rows);
    tokenizer_close(&vocabulary);
    model_close(&m);
    kernel_close(&ctx);
    return 0;
}

static lessons_options usual(void) { return (lessons_options){.tokens = 200, .seed = 3, .kv = KV_F32, .passage_bytes = (size_t)1 << 30}; }

/* A trainer over lessons, and what each of its steps lost. */
static void train(const lessons_options *o, double losses[STEPS])
{
    cj_diag d = {0};
    lessons *l;
    trainee *t;
    trainer *r;
    ok(lessons_open(&l, m, &set, o, &d), &d);
    ok(trainee_open_adapter(&t, m, &(trainee_adapter_options){.rank = 4, .alpha = 8, .seed = 1}, &d), &d);
    const train_source source = lessons_source(l);
    const train_options how = {.passes = {.max_rows = lessons_rows(l)}, .schedule = {.peak = 1e-2, .steps = STEPS}, .optimiser = OPTIMISER_USUAL};
    ok(train_open(&r, m, t, &source, &how, &d), &d);
    for (int i = 0; i < STEPS; i++) {
        train_report report;
        ok(train_step(r, NULL, &report, &d), &d);
        losses[i] = report.loss;
    }
    assert_true(losses[STEPS - 1] < losses[0]);
    train_close(&r);
    trainee_close(&t);
    lessons_close(&l);
}

static void what_is_kept_changes_nothing(void **state)
{
    (void)state;
    double all[STEPS], none[STEPS];
    lessons_options o = usual();
    train(&o, all);
    o.passage_bytes = 0;
    train(&o, none);
    assert_memory_equal(all, none, sizeof all);
}

/* The same cursor gives the same batch, at any time. */
static void batches_follow_from_the_cursor(void **state)
{
    (void)state;
    cj_diag d = {0};
    lessons *l;
    const lessons_options o = usual();
    ok(lessons_open(&l, m, &set, &o, &d), &d);
    const train_source s = lessons_source(l);
    train_cursor at[8] = {0};
    int32_t first[8];
    for (int i = 0; i < 7; i++) {
        grad_batch b;
        at[i + 1] = at[i];
        ok(s.next(s.arg, &at[i + 1], &b, &d), &d);
        assert_true(b.n_seqs > 0 && b.seqs[0].prefix);
        first[i] = b.seqs[0].ids[3] + 7 * (int32_t)kv_count(b.seqs[0].prefix) + b.seqs[b.n_seqs - 1].ids[2];
    }
    assert_true(at[7].at[0] > 0); /* another epoch */
    for (int i = 7; i-- > 0;) {
        grad_batch b;
        train_cursor c = at[i];
        ok(s.next(s.arg, &c, &b, &d), &d);
        assert_memory_equal(&c, &at[i + 1], sizeof c);
        assert_int_equal(first[i], b.seqs[0].ids[3] + 7 * (int32_t)kv_count(b.seqs[0].prefix) + b.seqs[b.n_seqs - 1].ids[2]);
    }
    lessons_close(&l);
}

static void the_held_out_part_ends(void **state)
{
    (void)state;
    cj_diag d = {0};
    lessons *l, *other;
    lessons_options o = usual();
    ok(lessons_open(&other, m, &set, &o, &d), &d);
    o.held = true;
    ok(lessons_open(&l, m, &set, &o, &d), &d);
    const train_source s = lessons_source(l);
    assert_true(s.fingerprint != lessons_source(other).fingerprint);
    train_cursor c = {0};
    grad_batch b = {.n_seqs = 1};
    int64_t rows_seen = 0;
    for (int i = 0; b.n_seqs; i++) {
        assert_true(i < 2 * PASSAGES);
        ok(s.next(s.arg, &c, &b, &d), &d);
        for (int k = 0; k < b.n_seqs; k++) rows_seen += b.seqs[k].count;
    }
    int64_t held = 0;
    for (int64_t i = 0; i < set.n_groups; i++)
        for (int64_t k = 0; set.group[i].held && k < set.group[i].n; k++) held += set.sample[set.group[i].first + k].n - 1;
    assert_true(held > 0 && rows_seen == held);
    lessons_close(&l);
    lessons_close(&other);
}

static void no_memory(void **state)
{
    (void)state;
    const lessons_options o = usual();
    for (int n = 0;; n++) {
        lessons *l = NULL;
        grad_batch b;
        train_cursor c = {0};
        mem_fail_after(n);
        cj_err e = lessons_open(&l, m, &set, &o, NULL);
        if (!e) e = lessons_source(l).next(l, &c, &b, NULL);
        mem_fail_after(-1);
        lessons_close(&l);
        if (!e) break;
        assert_int_equal(e, CJ_E_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_changes_nothing), cmocka_unit_test(batches_follow_from_the_cursor), cmocka_unit_test(the_held_out_part_ends),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
