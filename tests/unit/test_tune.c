/* tune/: what is planned of which rows, the log that is taken back to where a run goes on, the examination; and that no memory is a sentence
 * everywhere. With a tiny random model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "support/own_folder.h"
#include "tune/exam.h"

enum { ROWS = 12 };

static engine *e;
static training_rows rows;

static void ok(cj_err err, const cj_diag *d)
{
    char text[1024];
    cj_diag_text(d, CJ_LANG_EN, text, sizeof text);
    if (err) fail_msg("%s", text);
}

static int begin(void **state)
{
    char text[1 << 14] = "";
    for (int i = 0; i < ROWS; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "{\"passage\":\"第%d天，他写下：庙里的老和尚讲了故事。\",\"question\":\"哪一天？\",\"quote\":\"第%d天\",\"answer\":\"第%d天\"}\n", i, i, i);
    rows_init(&rows);
    if (own_folder_make(state) || rows_parse(&rows, "rows", text, strlen(text), NULL)) return -1;
    return engine_open(&e, &(engine_options){.path = getenv("CJ_TINY_CHAT"), .threads = 1, .exact = true, .kv = KV_F32, .chunk = 64}, NULL) ? -1 : 0;
}

static int end(void **state)
{
    engine_close(&e);
    rows_deinit(&rows);
    return own_folder_remove(state);
}

static tune_options small(const char *out)
{
    tune_options o = tune_usual();
    o.out = out;
    o.name = "x";
    o.rank = 4;
    o.batch = o.sample_tokens = 128;
    o.steps = 6;
    o.check_every = 3;
    o.held = 0.2;
    o.rate = 5e-3;
    o.kv = KV_F32;
    o.memory = 1 << 26;
    o.picture = (tune_picture){"title", "steps", "loss", "training", "held out", false};
    return o;
}

static void kinds_follow_from_the_rows(void **state)
{
    (void)state;
    cj_diag d = {0};
    tuning *t;
    tune_options o = small(in_folder("kinds.gguf"));
    ok(tune_open(&t, e, &rows, &o, &d), &d);
    const tune_plan *p = tune_plan_of(t);
    assert_int_equal(p->kind, TUNE_ACTIVATED);
    assert_int_equal(p->samples, ROWS);
    assert_true(p->held >= 1 && p->held < ROWS && p->passage_tokens > 0 && p->scored > 0 && p->steps == 6 && p->parameters > 0 && p->bytes > 0);
    const int64_t with_passages = p->tokens + p->passage_tokens;
    tune_close(&t);

    o.kind = TUNE_ORDINARY;
    o.steps = 0;
    o.epochs = 3;
    ok(tune_open(&t, e, &rows, &o, &d), &d);
    p = tune_plan_of(t);
    assert_int_equal(p->passage_tokens, 0);
    assert_int_equal(p->tokens, with_passages);
    assert_true(p->steps >= 3 && llabs(p->steps - 3 * p->steps_per_epoch) <= 2);
    tune_close(&t);

    o.kind = TUNE_WHOLE;
    ok(tune_open(&t, e, &rows, &o, &d), &d);
    assert_true(tune_plan_of(t)->parameters > 100000);
    assert_int_equal(tune_plan_of(t)->vocabulary, model_spec_of(engine_model(e))->vocab);
    tune_close(&t);
}

static cj_err finish(const tune_options *o, answer_tally *score, cj_diag *d)
{
    tuning *t = NULL;
    engine_adapter *a = NULL;
    cj_err err = tune_open(&t, e, &rows, o, d);
    if (!err) err = tune_run(t, NULL, d);
    if (!err && tune_log_trouble(t)) err = diag_fail(d, (cj_err)tune_log_trouble(t)->code, MSG_INTERNAL, "%s", "log");
    if (!err) err = tune_write(t, d);
    if (!err) err = engine_adapter_open(&a, e, o->out, d);
    if (!err) err = exam_run(t, e, &(exam_options){.most = 2, .adapter = a}, score, d);
    engine_adapter_close(&a);
    tune_close(&t);
    return err;
}

static void what_was_written_is_examined(void **state)
{
    (void)state;
    cj_diag d = {0};
    answer_tally score;
    const tune_options o = small(in_folder("whole.gguf"));
    ok(finish(&o, &score, &d), &d);
    assert_int_equal(score.answerable + score.unanswerable, 2);
    assert_int_equal(score.quoted, score.verbatim); /* it is held to the form */
    assert_int_equal(score.quoted, score.answer_in_quote);
}

/* ---- the log ---- */

static int64_t lines_of(const char *path)
{
    buf text = {0};
    cj_diag d = {0};
    ok(file_read(path, 1 << 20, &text, &d), &d);
    int64_t n = 0;
    for (size_t i = 0; i < text.len; i++) n += text.data[i] == '\n';
    buf_deinit(&text);
    return n;
}

static train_report step(int64_t n) { return (train_report){.step = n, .steps = 200, .loss = 4.0 / (double)n, .rate = 1e-3, .rows = 10 * n}; }
static train_report look(int64_t n) { return (train_report){.step = n, .steps = 200, .checked = true, .held_out = 3.0, .best = true}; }

static void the_log_is_taken_back(void **state)
{
    (void)state;
    cj_diag d = {0};
    tune_log *l;
    const char *path = in_folder("x.log.jsonl");
    ok(tune_log_open(&l, path, 0, 0, &d), &d);
    for (int64_t i = 1; i <= 10; i++) {
        const train_report a = step(i), b = look(i);
        ok(tune_log_add(l, &a, &d), &d);
        if (i % 5 == 0) ok(tune_log_add(l, &b, &d), &d);
    }
    tune_log_close(&l);
    assert_int_equal(lines_of(path), 12);

    FILE *f = fopen(path, "a"); /* a line that was cut short */
    fputs("{\"step\": 11, \"lo", f);
    fclose(f);
    ok(tune_log_open(&l, path, 10, 5, &d), &d); /* the look after step 10 was not saved */
    assert_int_equal(lines_of(path), 11);
    tune_log_close(&l);
    ok(tune_log_open(&l, path, 4, 0, &d), &d);
    assert_int_equal(lines_of(path), 4);
    tune_log_close(&l);
    ok(tune_log_open(&l, path, 0, 0, &d), &d);
    assert_int_equal(lines_of(path), 0);
    tune_log_close(&l);
}

/* Of any number of steps, numbers that are none among them. */
static void the_picture(void **state)
{
    (void)state;
    cj_diag d = {0};
    const tune_picture names = {"a <title>", "steps", "loss", "training", "held out", true};
    for (int64_t n = 0; n <= 1000; n = 3 * n + 1) {
        tune_log *l;
        buf text = {0};
        ok(tune_log_open(&l, in_folder("p.log.jsonl"), 0, 0, &d), &d);
        for (int64_t i = 1; i <= n; i++) {
            train_report a = step(i), b = look(i);
            if (i % 7 == 3) a.loss = NAN;
            ok(tune_log_add(l, &a, &d), &d);
            if (i % 2) ok(tune_log_add(l, &b, &d), &d);
        }
        ok(tune_log_draw(l, &names, in_folder("p.svg"), &d), &d);
        ok(file_read(in_folder("p.svg"), 1 << 20, &text, &d), &d);
        assert_true(strstr(text.data, "</svg>") && strstr(text.data, "a &lt;title&gt;") && !strstr(text.data, "nan"));
        buf_deinit(&text);
        tune_log_close(&l);
    }
}

static void no_disk(void **state)
{
    (void)state;
    cj_diag d = {0};
    answer_tally score;
    tune_options o = small(in_folder("disk.gguf"));
    o.steps = 1;
    for (int64_t n = 0;; n++) {
        file_fail_after(n, ENOSPC);
        const cj_err err = finish(&o, &score, &d);
        file_fail_after(-1, 0);
        if (!err) break;
        assert_int_equal(err, CJ_E_NOSPACE);
        assert_true(n < 200);
    }
}

static void no_memory(void **state)
{
    (void)state;
    answer_tally score;
    tune_options o = small(in_folder("memory.gguf"));
    o.steps = 1;
    o.fresh = true;
    for (int64_t n = 0;; n += 1 + n / 8) { /* closer where more is opened */
        mem_fail_after(n);
        const cj_err err = finish(&o, &score, NULL);
        mem_fail_after(-1);
        if (!err) break;
        assert_int_equal(err, CJ_E_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_follow_from_the_rows), cmocka_unit_test(what_was_written_is_examined), cmocka_unit_test(the_log_is_taken_back),
        cmocka_unit_test(the_picture), cmocka_unit_test(no_disk), cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
