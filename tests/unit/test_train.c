/* Training as a whole: rates, steps that are left out, the held-out part, stopping; and checkpoints: a run that is killed and goes on has the bits of
 * one that was never stopped, whatever fails while one is written the old one stands, and what does not belong together is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "support/own_folder.h"
#include "train/train.h"

enum { STEPS = 30, SEQS = 2, ROWS = 9, HELD_OUT_BATCHES = 2 };

typedef struct world {
    kernel_ctx *ctx;
    model *m;
    trainee *t;
    trainer *r;
    train_source source, held_out;
    int64_t vocab;
    int32_t text[SEQS][ROWS + 1];
    grad_seq seqs[SEQS];
    int wrong; /* so many calls of next that succeed before one fails; 0: none fails */
} world;

static void ok(cj_err e, cj_diag *d)
{
    char text[1024];
    if (!e) return;
    cj_diag_text(d, CJ_LANG_EN, text, sizeof text);
    fail_msg("%s", text);
}

/* Texts with a law and some noise, whose random state is in the cursor. */
static void draw(world *w, train_cursor *cursor, grad_batch *out)
{
    random_state r = {cursor->at[1]};
    for (int s = 0; s < SEQS; s++) {
        w->text[s][0] = (int32_t)(random_bits(&r) % (uint64_t)w->vocab);
        for (int i = 1; i <= ROWS; i++) w->text[s][i] = (int32_t)((w->text[s][i - 1] * 3 + 1 + (int64_t)(random_bits(&r) % 2)) % w->vocab);
        w->seqs[s] = (grad_seq){.ids = w->text[s], .targets = w->text[s] + 1, .count = ROWS};
    }
    cursor->at[0]++;
    cursor->at[1] = r.state;
    *out = (grad_batch){.seqs = w->seqs, .n_seqs = SEQS};
}

static cj_err next(void *arg, train_cursor *cursor, grad_batch *out, cj_diag *d)
{
    world *w = arg;
    if (w->wrong && !--w->wrong) return diag_fail(d, CJ_E_INPUT, MSG_INTERNAL, "%s", "wrong data");
    draw(w, cursor, out);
    return CJ_OK;
}

static cj_err next_held_out(void *arg, train_cursor *cursor, grad_batch *out, cj_diag *d)
{
    if (cursor->at[0] < HELD_OUT_BATCHES) draw(arg, cursor, out);
    return CJ_OK;
}

static train_options usual(const world *w)
{
    return (train_options){
        .passes = {.max_rows = SEQS * ROWS}, .schedule = {.peak = 2e-2, .least = 1e-3, .warmup = 4, .steps = STEPS},
        .optimiser = OPTIMISER_USUAL, .accumulate = 2, .held_out = &w->held_out, .check_every = 7,
        .checkpoint = in_folder("run.checkpoint"), .save_every = 3,
    };
}

/* What in_folder gives stands only until its next call. */
static char checkpoint_path[4096];

static void clear(void) { assert_int_equal(folder_remove(in_folder("run.checkpoint"), NULL), CJ_OK); }

static void begin_with(world *w, int rank, const train_options *given)
{
    char path[512];
    cj_diag d = {0};
    *w = (world){0};
    snprintf(path, sizeof path, "%s/tests/golden/llama/model.gguf", getenv("CJ_SOURCE"));
    ok(kernel_open(&w->ctx, &(kernel_options){.level = KERNEL_AUTO, .threads = 1, .exact = true}, &d), &d);
    ok(model_open(&w->m, w->ctx, path, &d), &d);
    w->vocab = model_spec_of(w->m)->vocab;
    w->source = (train_source){.arg = w, .fingerprint = 1, .next = next};
    w->held_out = (train_source){.arg = w, .fingerprint = 2, .next = next_held_out};
    ok(trainee_open_adapter(&w->t, w->m, &(trainee_adapter_options){.rank = rank, .alpha = 4, .seed = 9}, &d), &d);
    train_options o = given ? *given : usual(w);
    if (o.checkpoint) {
        snprintf(checkpoint_path, sizeof checkpoint_path, "%s", in_folder("run.checkpoint"));
        o.checkpoint = checkpoint_path;
    }
    if (o.held_out) o.held_out = &w->held_out;
    ok(train_open(&w->r, w->m, w->t, &w->source, &o, &d), &d);
}

static void begin(world *w) { begin_with(w, 2, NULL); }

static void end(world *w)
{
    train_close(&w->r);
    trainee_close(&w->t);
    model_close(&w->m);
    kernel_close(&w->ctx);
}

static void resume(world *w, bool expected)
{
    cj_diag d = {0};
    bool found;
    ok(train_resume(w->r, &found, &d), &d);
    assert_int_equal(found, expected);
}

/* ---- rates ---- */

static void rates_follow_the_schedule(void **state)
{
    (void)state;
    const schedule cosine = {.peak = 1, .least = 0.1, .warmup = 10, .steps = 110};
    assert_true(fabs(schedule_rate(&cosine, 1) - 0.1) < 1e-12 && fabs(schedule_rate(&cosine, 10) - 1) < 1e-12);
    assert_true(fabs(schedule_rate(&cosine, 60) - 0.55) < 1e-12 && fabs(schedule_rate(&cosine, 110) - 0.1) < 1e-12 && fabs(schedule_rate(&cosine, 999) - 0.1) < 1e-12);
    const schedule wsd = {.kind = SCHEDULE_WSD, .peak = 2, .least = 0, .warmup = 4, .steps = 100, .fall = 20};
    assert_true(fabs(schedule_rate(&wsd, 2) - 1) < 1e-12 && fabs(schedule_rate(&wsd, 80) - 2) < 1e-12);
    assert_true(fabs(schedule_rate(&wsd, 90) - 1) < 1e-12 && fabs(schedule_rate(&wsd, 100)) < 1e-12);
    assert_true(fabs(schedule_rate(&(schedule){.peak = 1, .steps = 1}, 1)) < 1e-12);
}

/* ---- steps ---- */

static void fill(world *w, float g)
{
    for (int64_t i = 0; i < w->t->size; i++) w->t->g[i] = g;
}

static void spikes_and_no_numbers_are_left_out(void **state)
{
    (void)state;
    world w;
    optimiser o;
    cj_diag d = {0};
    double norm;
    bool skipped;
    begin(&w);
    ok(optimiser_open(&o, w.t, &OPTIMISER_USUAL, &d), &d);
    for (int i = 0; i < OPTIMISER_LEARN_USUAL; i++) {
        fill(&w, 0.01f);
        ok(optimiser_step(&o, 1e-3, 1, &norm, &skipped, &d), &d);
        assert_false(skipped);
    }
    assert_true(fabs(norm - 0.01 * sqrt((double)w.t->size)) < 1e-4);
    float before = w.t->w[0];
    fill(&w, 1);
    ok(optimiser_step(&o, 1e-3, 1, &norm, &skipped, &d), &d);
    assert_true(skipped && w.t->w[0] == before && w.t->g[0] == 0);
    fill(&w, NAN);
    ok(optimiser_step(&o, 1e-3, 1, &norm, &skipped, &d), &d);
    assert_true(skipped && w.t->w[0] == before);
    fill(&w, 0.01f);
    ok(optimiser_step(&o, 1e-3, 1, &norm, &skipped, &d), &d);
    assert_true(!skipped && w.t->w[0] != before && o.state.skipped == 2 && o.state.in_a_row == 0);
    for (int i = 0; i < OPTIMISER_SKIPS_MAX; i++) { /* a spike that lasts is the truth */
        fill(&w, 1);
        ok(optimiser_step(&o, 1e-3, 1, &norm, &skipped, &d), &d);
        assert_true(skipped);
    }
    fill(&w, 1);
    ok(optimiser_step(&o, 1e-3, 1, &norm, &skipped, &d), &d);
    assert_false(skipped);
    cj_err e = CJ_OK;
    for (int i = 0; i <= OPTIMISER_SKIPS_MAX; i++) {
        assert_int_equal(e, CJ_OK);
        fill(&w, INFINITY);
        e = optimiser_step(&o, 1e-3, 1, &norm, &skipped, &d);
    }
    assert_int_equal(e, CJ_E_INPUT);
    optimiser_close(&o);
    end(&w);
}

typedef struct watcher {
    double first, last, losses[STEPS + 1];
    int reports, checks, units, stop_at; /* stop_at: so many units; 0: never */
    double delay;
    int kill_at;                         /* a step after which the process kills itself; 0: none */
} watcher;

static bool go_on(void *arg)
{
    watcher *s = arg;
    return ++s->units != s->stop_at;
}

static void on_report(void *arg, const train_report *r)
{
    watcher *s = arg;
    s->reports++;
    if (r->checked) {
        s->checks++;
        return;
    }
    assert_true(r->step >= 1 && r->step <= STEPS && r->rows_per_second > 0 && r->rate > 0);
    s->losses[r->step] = r->loss;
    if (s->delay > 0) clock_sleep(s->delay);
    if (s->kill_at == r->step) kill(getpid(), SIGKILL);
}

static cj_err run(world *w, watcher *s, cj_diag *d) { return train_run(w->r, &(train_watch){.arg = s, .go_on = go_on, .on_report = on_report}, d); }

/* What a run without any stop comes to: weights and losses. */
static float *straight(watcher *s, int64_t *size)
{
    world w;
    cj_diag d = {0};
    begin(&w);
    *s = (watcher){0};
    ok(run(&w, s, &d), &d);
    *size = w.t->size;
    float *all = mem_array((size_t)*size, sizeof *all);
    memcpy(all, w.t->w, (size_t)*size * sizeof *all);
    assert_int_equal(train_state_of(w.r)->step, STEPS);
    assert_int_equal(s->checks, STEPS / 7 + 1);
    if (!(s->losses[STEPS] < s->losses[1])) fail_msg("%f, %f at first", s->losses[STEPS], s->losses[1]);
    end(&w);
    return all;
}

static void a_stopped_run_goes_on(void **state)
{
    (void)state;
    watcher whole, part;
    int64_t size;
    cj_diag d = {0};
    clear();
    float *want = straight(&whole, &size);
    clear();
    double losses[STEPS + 1] = {0};
    bool done = false;
    for (int round = 0; !done; round++) {
        world w;
        begin(&w);
        resume(&w, round > 0);
        part = (watcher){.stop_at = 53 + 17 * round};
        cj_err e = run(&w, &part, &d);
        if (e != CJ_E_CANCELLED) ok(e, &d);
        for (int i = 1; i <= STEPS; i++)
            if (part.losses[i] != 0) losses[i] = part.losses[i];
        done = !e;
        if (done) assert_memory_equal(w.t->w, want, (size_t)size * sizeof *want);
        end(&w);
        assert_true(round < 40);
    }
    assert_memory_equal(losses, whole.losses, sizeof losses);
    mem_free(want);
}

/* A process that trains and is killed: by itself after a step, or at any time. */
static pid_t child(int kill_at)
{
    const pid_t pid = fork();
    if (pid) return pid;
    world w;
    cj_diag d = {0};
    bool found;
    begin(&w);
    watcher s = {.kill_at = kill_at, .delay = kill_at ? 0 : 0.01};
    const cj_err e = train_resume(w.r, &found, &d);
    _exit(e ? 3 : run(&w, &s, &d) ? 4 : 0);
}

static void check_against(const float *want, int64_t size)
{
    world w;
    watcher s = {0};
    cj_diag d = {0};
    begin(&w);
    resume(&w, true);
    assert_true(train_is_done(w.r));
    ok(run(&w, &s, &d), &d); /* nothing is left to do but to take the best weights */
    assert_int_equal(s.reports, 0);
    assert_memory_equal(w.t->w, want, (size_t)size * sizeof *want);
    end(&w);
}

/* N steps are N/2, kill -9, N/2. */
static void a_killed_run_goes_on_bit_for_bit(void **state)
{
    (void)state;
    watcher whole;
    int64_t size;
    int status = 0;
    clear();
    float *want = straight(&whole, &size);
    clear();
    assert_int_equal(waitpid(child(STEPS / 2), &status, 0) > 0, 1);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(waitpid(child(-1), &status, 0) > 0, 1);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_against(want, size);

    clear();
    int kills = 0, rounds = 0;
    do { /* at any time, also while a checkpoint is written */
        const pid_t pid = child(0);
        clock_sleep(0.12 + 0.037 * rounds);
        kill(pid, SIGKILL);
        assert_true(waitpid(pid, &status, 0) > 0);
        if (WIFSIGNALED(status)) kills++;
        else assert_int_equal(WEXITSTATUS(status), 0);
    } while (WIFSIGNALED(status) && rounds++ < 60);
    if (WIFSIGNALED(status)) {
        assert_true(waitpid(child(-1), &status, 0) > 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    assert_true(kills > 0);
    check_against(want, size);
    mem_free(want);
}

static void patience_ends_a_run(void **state)
{
    (void)state;
    world w;
    watcher s = {0};
    cj_diag d = {0};
    clear();
    begin(&w);
    train_options o = usual(&w);
    end(&w);
    o.schedule.peak = o.schedule.least = 1.5; /* far too fast: the held-out part gets worse at once */
    o.check_every = 1;
    o.patience = 3;
    o.optimiser.spike = 0;
    begin_with(&w, 2, &o);
    ok(run(&w, &s, &d), &d);
    const train_state *t = train_state_of(w.r);
    assert_true(t->step < STEPS && t->worse == 3 && t->best_step == t->step - 3);
    double loss;
    ok(train_measure(w.r, &w.held_out, NULL, &loss, &d), &d); /* the best weights are back */
    assert_true(loss == t->best_loss);
    end(&w);
}

/* ---- what fails ---- */

static void a_failed_step_has_not_happened(void **state)
{
    (void)state;
    world w, other;
    cj_diag d = {0};
    train_report r, again;
    clear();
    begin(&w);
    w.wrong = 2; /* the second batch of the step */
    assert_int_equal(train_step(w.r, NULL, &r, &d), CJ_E_INPUT);
    assert_int_equal(train_state_of(w.r)->step, 0);
    ok(train_step(w.r, NULL, &r, &d), &d);
    begin(&other);
    ok(train_step(other.r, NULL, &again, &d), &d);
    assert_true(r.loss == again.loss && r.norm == again.norm);
    assert_memory_equal(w.t->w, other.t->w, (size_t)w.t->size * sizeof(float));
    end(&w);
    end(&other);
}

static cj_err try_resume(int rank, const train_options *o, uint64_t data, char text[1024])
{
    world w;
    cj_diag d = {0};
    bool found;
    begin_with(&w, rank, o);
    if (data) {
        train_close(&w.r);
        w.source.fingerprint = data;
        train_options same = o ? *o : usual(&w);
        same.checkpoint = checkpoint_path;
        ok(train_open(&w.r, w.m, w.t, &w.source, &same, &d), &d);
    }
    cj_err e = train_resume(w.r, &found, &d);
    *text = 0;
    if (e) cj_diag_text(&d, CJ_LANG_EN, text, 1024);
    end(&w);
    return e;
}

static void save_one(void)
{
    world w;
    cj_diag d = {0};
    train_report r;
    clear();
    begin(&w);
    ok(train_step(w.r, NULL, &r, &d), &d);
    ok(train_save(w.r, &d), &d);
    end(&w);
}

static void what_does_not_belong_together_is_told(void **state)
{
    (void)state;
    char text[1024];
    world w;
    save_one();
    begin(&w);
    train_options o = usual(&w);
    end(&w);
    assert_int_equal(try_resume(2, NULL, 0, text), CJ_OK);
    assert_int_equal(try_resume(3, NULL, 0, text), CJ_E_INPUT);
    assert_non_null(strstr(text, "rank"));
    assert_int_equal(try_resume(2, NULL, 77, text), CJ_E_INPUT);
    assert_non_null(strstr(text, "other data"));
    o.schedule.peak *= 2;
    assert_int_equal(try_resume(2, &o, 0, text), CJ_E_INPUT);
    assert_non_null(strstr(text, "settings"));
}

static void damage_is_told(void **state)
{
    (void)state;
    char text[1024];
    buf good = {0};
    save_one();
    assert_int_equal(file_read(checkpoint_path, 1 << 26, &good, NULL), CJ_OK);
    for (size_t i = 0; i < 40; i++) {
        const size_t at = i < 20 ? i * 16 : i * (good.len / 41); /* in the head, and all over the blocks */
        if (at >= good.len) break;
        good.data[at] = (char)(good.data[at] ^ 4);
        assert_int_equal(file_write(checkpoint_path, good.data, good.len, NULL), CJ_OK);
        if (try_resume(2, NULL, 0, text) == CJ_OK && at < 232) fail_msg("byte %zu", at);
        good.data[at] = (char)(good.data[at] ^ 4);
    }
    assert_int_equal(file_write(checkpoint_path, good.data, good.len - 1, NULL), CJ_OK);
    assert_int_equal(try_resume(2, NULL, 0, text), CJ_E_INPUT);
    assert_int_equal(file_write(checkpoint_path, "GGUF", 4, NULL), CJ_OK);
    assert_int_equal(try_resume(2, NULL, 0, text), CJ_E_INPUT);
    assert_int_equal(file_write(checkpoint_path, good.data, good.len, NULL), CJ_OK);
    assert_int_equal(try_resume(2, NULL, 0, text), CJ_OK);
    buf_deinit(&good);
}

/* Whatever fails while the second checkpoint is written, one of the two is there, whole. */
static void a_full_disk_leaves_the_old_checkpoint(void **state)
{
    (void)state;
    bool went = false;
    for (int n = 0; !went; n++) {
        world w;
        cj_diag d = {0};
        train_report r;
        save_one();
        begin(&w);
        resume(&w, true);
        ok(train_step(w.r, NULL, &r, &d), &d);
        file_fail_after(n, ENOSPC);
        cj_err e = train_save(w.r, &d);
        file_fail_after(-1, 0);
        went = !e;
        end(&w);
        begin(&w);
        resume(&w, true);
        assert_int_equal(train_state_of(w.r)->step, went ? 2 : 1);
        end(&w);
        assert_true(n < 50);
    }
}

static void memory_may_fail_anywhere(void **state)
{
    (void)state;
    bool went = false;
    save_one();
    for (int n = 0; !went; n++) {
        world w;
        cj_diag d = {0};
        bool found;
        begin(&w);
        train_close(&w.r);
        train_options o = usual(&w);
        o.checkpoint = checkpoint_path;
        mem_fail_after(n);
        cj_err e = train_open(&w.r, w.m, w.t, &w.source, &o, &d);
        if (!e) e = train_resume(w.r, &found, &d);
        if (!e) e = train_save(w.r, &d);
        mem_fail_after(-1);
        assert_true(!e || e == CJ_E_NOMEM);
        went = !e;
        end(&w);
        assert_true(n < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_follow_the_schedule), cmocka_unit_test(spikes_and_no_numbers_are_left_out), cmocka_unit_test(a_stopped_run_goes_on),
        cmocka_unit_test(a_killed_run_goes_on_bit_for_bit), cmocka_unit_test(patience_ends_a_run), cmocka_unit_test(a_failed_step_has_not_happened),
        cmocka_unit_test(what_does_not_belong_together_is_told), cmocka_unit_test(damage_is_told),
        cmocka_unit_test(a_full_disk_leaves_the_old_checkpoint), cmocka_unit_test(memory_may_fail_anywhere),
    };
    return cmocka_run_group_tests(tests, own_folder_make, own_folder_remove);
}
