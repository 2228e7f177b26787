/* Adapters: what a session computes with one does not depend on how it got there, and nothing of it stays where it did not act. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/adapter.h"
#include "model/low_rank.h"
#include "support/adapter_make.h"
#include "support/own_folder.h"

enum { N = 96, VOCAB = 320, ALL = (1 << ADAPTER_TARGETS) - 1, FROM = 40 };
static int32_t ids[N];
static const char *const models[] = {"gemma3", "llama", "llama-biases", "qwen3", "qwen3_moe"};
enum { MODELS = sizeof models / sizeof *models };

static engine *open_engine(const char *name, bool exact, int64_t chunk)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/tests/golden/%s/model.gguf", getenv("CJ_SOURCE"), name);
    engine *e = NULL;
    engine_options opt = {.path = path, .level = KERNEL_AUTO, .threads = 2, .exact = exact, .kv = exact ? KV_F32 : KV_Q8, .chunk = chunk};
    assert_int_equal(engine_open(&e, &opt, NULL), CJ_OK);
    return e;
}

static engine_adapter *adapter_for(engine *e, unsigned targets, uint64_t seed, float by)
{
    made_adapter m;
    engine_adapter *a = NULL;
    adapter_facts facts = {.name = "made"};
    make_adapter(&m, model_spec_of(engine_model(e)), 4, seed % 2 ? QUANT_F32 : QUANT_BF16, targets, seed, by);
    assert_int_equal(engine_adapter_of(&a, e, &m.data, &facts, NULL), CJ_OK);
    arena_deinit(&m.mem);
    return a;
}

static cj_err take_logits(void *arg, int64_t position, int64_t rows, const float *logits, cj_diag *d)
{
    memcpy((float *)arg + position * VOCAB, logits, (size_t)(rows * VOCAB) * sizeof *logits);
    return CJ_OK;
}

/* The logits of every token, by a session of its own. */
static void all_logits(engine *e, const engine_adapter *a, int64_t from, float *out)
{
    session *s = NULL;
    assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
    assert_int_equal(session_set_adapter(s, a, from, NULL), CJ_OK);
    session_call call = {.want = WANT_ALL, .on_logits = take_logits, .arg = out};
    assert_int_equal(session_eval(s, ids, N, &call, NULL, NULL), CJ_OK);
    session_close(&s);
}

static void last_logits(session *s, const int32_t *t, int64_t n, int64_t *reused, float *out)
{
    assert_int_equal(session_eval(s, t, n, &(session_call){.want = WANT_LAST}, reused, NULL), CJ_OK);
    memcpy(out, session_logits(s), VOCAB * sizeof *out);
}

static double distance(const float *a, const float *b, int n)
{
    double d = 0, sum = 0;
    for (int i = 0; i < n; i++) d += pow((double)a[i] - b[i], 2), sum += pow(b[i], 2);
    return sqrt(d / sum);
}

static float got[N * VOCAB], want[N * VOCAB], other[N * VOCAB];

static void zeros_change_nothing(void **state)
{
    for (int m = 0; m < 2 * MODELS; m++) {
        engine *e = open_engine(models[m / 2], m % 2, 33);
        engine_adapter *a = adapter_for(e, ALL, 1, 0);
        all_logits(e, NULL, 0, want);
        all_logits(e, a, 0, got);
        assert_memory_equal(got, want, sizeof got);
        all_logits(e, a, FROM, got);
        assert_memory_equal(got, want, sizeof got);
        engine_adapter_close(&a);
        engine_close(&e);
    }
}

/* One target at a time too: what is fused where must not be lost. */
static void it_acts_from_its_position_on(void **state)
{
    for (int m = 0; m < 2 * MODELS; m++) {
        engine *e = open_engine(models[m / 2], m % 2, 33);
        const bool moe = !strcmp(models[m / 2], "qwen3_moe");
        all_logits(e, NULL, 0, want);
        for (int t = -1; t < ADAPTER_TARGETS; t++) {
            engine_adapter *a = adapter_for(e, t < 0 ? ALL : 1u << t, 2, 0.3f);
            all_logits(e, a, FROM, got);
            if (!moe || m % 2) assert_memory_equal(got, want, FROM * VOCAB * sizeof *got); /* in fast mode an expert's rows are computed by their number */
            const bool absent = t >= ADAPTER_GATE && moe; /* experts have no pairs */
            for (int i = FROM; i < N; i++) assert_true((distance(got + i * VOCAB, want + i * VOCAB, VOCAB) > 1e-4) == !absent);
            engine_adapter_close(&a);
        }
        engine_close(&e);
    }
}

static void chunks_and_single_tokens_are_the_whole(void **state)
{
    for (int m = 0; m < MODELS; m++)
        for (int64_t from = 0; from <= FROM; from += FROM) {
            engine *whole = open_engine(models[m], true, 200), *parts = open_engine(models[m], true, 7);
            engine_adapter *a = adapter_for(whole, ALL, 3, 0.3f), *b = adapter_for(parts, ALL, 3, 0.3f);
            all_logits(whole, a, from, want);
            all_logits(parts, b, from, got);
            assert_true(distance(got, want, N * VOCAB) < 1e-5);
            session *s = NULL;
            assert_int_equal(session_open(&s, whole, 0, NULL), CJ_OK);
            assert_int_equal(session_set_adapter(s, a, from, NULL), CJ_OK);
            for (int n = 30; n <= N; n++) {
                last_logits(s, ids, n, NULL, got);
                assert_true(distance(got, want + (n - 1) * VOCAB, VOCAB) < 1e-5);
            }
            session_close(&s);
            engine_adapter_close(&a);
            engine_adapter_close(&b);
            engine_close(&whole);
            engine_close(&parts);
        }
}

/* What a session says after any change of its adapter is what a cold one says; and what the base has read stays. */
static void switching_is_cold(void **state)
{
    for (int m = 0; m < 2 * MODELS; m++) {
        engine *e = open_engine(models[m / 2], m % 2, 200);
        engine_adapter *set[] = {NULL, adapter_for(e, ALL, 4, 0.3f), adapter_for(e, ALL, 5, 0.3f)};
        const struct { int which; int64_t from, kept; } steps[] = {{1, 40, 40}, {0, 0, 40}, {2, 40, 40}, {2, 40, N}, {1, 40, 40}, {1, 20, 20}, {1, 60, 20},
                                                                   {0, 0, 60}, {0, 0, N}, {2, N - 1, N - 1}, {0, 0, N - 1}, {1, 0, 0}};
        session *s = NULL;
        assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
        last_logits(s, ids, N, NULL, got);
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            int64_t reused;
            assert_int_equal(session_set_adapter(s, set[steps[i].which], steps[i].from, NULL), CJ_OK);
            assert_true(session_count(s) <= steps[i].kept);
            last_logits(s, ids, N, &reused, got);
            assert_int_equal(reused, steps[i].kept);
            all_logits(e, set[steps[i].which], steps[i].from, want);
            assert_true(distance(got, want + (N - 1) * VOCAB, VOCAB) < (m % 2 ? 1e-5 : 0.05));
        }
        session_close(&s);
        engine_adapter_close(&set[1]);
        engine_adapter_close(&set[2]);
        engine_close(&e);
    }
}

/* Sequences of one batch with one adapter, with another and with none; some have rows it does not act on. */
static void a_batch_is_each_alone(void **state)
{
    enum { SEQS = 5, EACH = 19 };
    for (int m = 0; m < MODELS; m++) {
        engine *e = open_engine(models[m], true, 200);
        const model *base = engine_model(e);
        made_adapter made[2];
        low_rank *laid[3] = {0};
        for (int i = 0; i < 2; i++) {
            make_adapter(&made[i], model_spec_of(base), 3 + 2 * i, QUANT_F32, ALL, 6 + (uint64_t)i, 0.3f);
            assert_int_equal(low_rank_open(&laid[i], engine_kernel(e), &made[i].data, NULL), CJ_OK);
        }
        static const struct { int which; int64_t plain; model_want want; } how[SEQS] = {{0, 0, WANT_LAST}, {0, 7, WANT_ALL}, {2, 0, WANT_LAST}, {1, 18, WANT_ALL}, {1, 0, WANT_LAST}};
        model_job *job = NULL;
        model_rows rows[SEQS];
        kv_cache *kv[SEQS];
        assert_int_equal(model_job_open(&job, base, SEQS * EACH, NULL), CJ_OK);
        int64_t at = 0;
        for (int round = 0; round < 2; round++) { /* alone, then together */
            for (int i = 0; i < SEQS; i++) {
                assert_int_equal(model_kv_open(base, KV_F32, &kv[i], NULL), CJ_OK);
                rows[i] = (model_rows){.kv = kv[i], .ids = ids + 3 * i, .count = EACH, .logits = how[i].want, .adapter = laid[how[i].which], .plain = how[i].plain};
            }
            bool done = false;
            at = 0;
            for (int i = 0; !round && i < SEQS; i++) {
                assert_int_equal(model_job_begin(job, &(model_batch){.seqs = &rows[i], .n_seqs = 1, .logits = want + at * VOCAB}, NULL), CJ_OK);
                for (done = false; !done;) assert_int_equal(model_job_step(job, &done, NULL), CJ_OK);
                at += how[i].want == WANT_ALL ? EACH : 1;
            }
            if (round) {
                assert_int_equal(model_job_begin(job, &(model_batch){.seqs = rows, .n_seqs = SEQS, .logits = got}, NULL), CJ_OK);
                while (!done) assert_int_equal(model_job_step(job, &done, NULL), CJ_OK);
            } else
                memcpy(other, want, (size_t)(at * VOCAB) * sizeof *want);
            for (int i = 0; i < SEQS; i++) kv_close(&kv[i]);
        }
        assert_true(distance(got, other, (3 + 2 * EACH) * VOCAB) < 1e-5);
        model_job_close(&job);
        for (int i = 0; i < 2; i++) {
            low_rank_close(&laid[i]);
            arena_deinit(&made[i].mem);
        }
        engine_close(&e);
    }
}

/* Snapshots and the shelf hold what the base has read; what an adapter had a part in comes back to itself only. */
static void what_it_wrote_is_not_taken_for_the_bases(void **state)
{
    engine *e = open_engine("gemma3", false, 33);
    engine_adapter *a = adapter_for(e, ALL, 4, 0.3f), *b = adapter_for(e, ALL, 5, 0.3f);
    session *s = NULL, *back = NULL;
    shelf *sh = NULL;
    shelf_entry *entry = NULL, *read = NULL;
    int64_t count, reused;
    assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
    assert_int_equal(session_open(&back, e, 0, NULL), CJ_OK);
    assert_int_equal(session_set_adapter(s, a, 66, NULL), CJ_OK);
    last_logits(s, ids, 66, NULL, got);
    assert_int_equal(session_save(s, in_folder("plain"), NULL), CJ_OK); /* it has not acted yet */
    assert_int_equal(session_load(back, in_folder("plain"), NULL), CJ_OK);
    shelf_plan plan = {.name = "book", .key = session_shelf_key(s), .model_name = "tiny", .model_path = "-", .ids = ids, .n = N};
    assert_int_equal(shelf_open(&sh, in_folder("shelf"), NULL), CJ_OK);
    assert_int_equal(shelf_write(sh, &entry, &plan, NULL), CJ_OK);
    assert_int_equal(session_keep(s, entry, NULL), CJ_OK);
    last_logits(s, ids, N, NULL, want);
    assert_int_equal(session_keep(s, entry, NULL), CJ_E_USAGE);
    assert_int_equal(session_keep_begin(s, entry, NULL), CJ_E_USAGE);
    assert_int_equal(session_save(s, in_folder("adapted"), NULL), CJ_OK);
    const struct { const engine_adapter *of; int64_t from; cj_err err; } tries[] = {{NULL, 0, CJ_E_INPUT}, {b, 66, CJ_E_INPUT}, {a, 65, CJ_E_INPUT}, {a, 66, CJ_OK}};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(session_set_adapter(back, tries[i].of, tries[i].from, NULL), CJ_OK);
        assert_int_equal(session_load(back, in_folder("adapted"), NULL), tries[i].err);
        assert_int_equal(session_count(back), tries[i].err ? 0 : N);
    }
    /* attached no further than the base goes, and cut no further back than needed */
    assert_int_equal(shelf_read(sh, &read, "book", NULL), CJ_OK);
    const int64_t from[] = {66, 50, 0};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(session_set_adapter(back, b, from[i], NULL), CJ_OK);
        assert_int_equal(session_attach(back, read, 66, &count, NULL), CJ_OK);
        assert_true(i ? count <= from[i] : count == 66); /* windows can be had back at checkpoints */
        last_logits(back, ids, N, &reused, got);
        assert_int_equal(reused, count);
        all_logits(e, b, from[i], want);
        assert_true(distance(got, want + (N - 1) * VOCAB, VOCAB) < 0.05);
    }
    shelf_entry_close(&entry);
    shelf_entry_close(&read);
    session_close(&s);
    session_close(&back);
    shelf_close(&sh);
    engine_adapter_close(&a);
    engine_adapter_close(&b);
    engine_close(&e);
}

static void no_memory_is_an_error(void **state)
{
    engine *e = open_engine("gemma3", false, 33);
    made_adapter m;
    make_adapter(&m, model_spec_of(engine_model(e)), 4, QUANT_BF16, ALL, 9, 0.3f);
    for (int64_t n = 0;; n++) {
        engine_adapter *a = NULL;
        session *s = NULL;
        mem_fail_after(n);
        cj_err err = engine_adapter_of(&a, e, &m.data, &(adapter_facts){.name = "made"}, NULL);
        if (!err) err = session_open(&s, e, 0, NULL);
        if (!err) err = session_set_adapter(s, a, 5, NULL);
        if (!err) err = session_eval(s, ids, N, &(session_call){.want = WANT_LAST}, NULL, NULL);
        mem_fail_after(-1);
        session_close(&s);
        engine_adapter_close(&a);
        if (!err) {
            assert_true(n > 50);
            break;
        }
        assert_int_equal(err, CJ_E_NOMEM);
    }
    arena_deinit(&m.mem);
    engine_close(&e);
}

/* Another model's adapter has a sentence, not a crash. */
static void a_misfit_is_refused(void **state)
{
    engine *e = open_engine("gemma3", false, 33), *small = open_engine("llama", false, 33), *moe = open_engine("qwen3_moe", false, 33);
    made_adapter m;
    engine_adapter *a = NULL;
    cj_diag d = {0};
    make_adapter(&m, model_spec_of(engine_model(e)), 4, QUANT_F32, ALL, 9, 0.3f);
    assert_int_equal(engine_adapter_of(&a, small, &m.data, &(adapter_facts){.name = "made"}, &d), CJ_E_INPUT);
    assert_int_equal(engine_adapter_of(&a, moe, &m.data, &(adapter_facts){.name = "made"}, NULL), CJ_E_INPUT);
    m.data.n_layers = 1;
    assert_int_equal(engine_adapter_of(&a, moe, &m.data, &(adapter_facts){.name = "made"}, NULL), CJ_E_INPUT);
    assert_null(a);
    arena_deinit(&m.mem);
    engine_close(&e);
    engine_close(&small);
    engine_close(&moe);
}

int main(void)
{
    for (int i = 0; i < N; i++) ids[i] = (i * 37 + 11) % VOCAB;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeros_change_nothing), cmocka_unit_test(it_acts_from_its_position_on), cmocka_unit_test(chunks_and_single_tokens_are_the_whole),
        cmocka_unit_test(switching_is_cold), cmocka_unit_test(a_batch_is_each_alone),
        cmocka_unit_test_setup_teardown(what_it_wrote_is_not_taken_for_the_bases, own_folder_make, own_folder_remove),
        cmocka_unit_test(no_memory_is_an_error), cmocka_unit_test(a_misfit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
