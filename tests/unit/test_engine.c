/* engine/: what a session computes does not depend on how it got there: chunked = whole, reused = cold, restored = cold. */
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

#include "engine/engine.h"
#include "engine/sampler.h"
#include "support/session_case.h"

enum { N = 96 };
static int32_t ids[N];

static char *golden(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/tests/golden/%s/model.gguf", getenv("CJ_SOURCE"), name);
    return path;
}

static engine *open_engine(const char *name, bool exact, kv_type kv, int threads)
{
    return engine_of(&(engine_options){.path = golden(name), .level = KERNEL_AUTO, .threads = threads, .exact = exact, .kv = kv, .chunk = 33});
}

static double distance(const float *a, const float *b)
{
    double d = 0, n = 0;
    for (int i = 0; i < VOCAB; i++) d += pow((double)a[i] - b[i], 2), n += pow(b[i], 2);
    return sqrt(d / n);
}

static void prefixes_are_reused(void **state)
{
    (void)state;
    const char *const models[] = {"gemma3", "llama", "qwen3_moe"};
    for (size_t m = 0; m < 3; m++) {
        engine *e = open_engine(models[m], true, KV_F32, 2);
        session *s = NULL;
        float got[VOCAB], want[VOCAB];
        int64_t reused;
        int32_t other[N];
        assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
        last_logits(s, ids, N, &reused, got);
        assert_int_equal(reused, 0);
        last_logits(s, ids, N, &reused, want);
        assert_int_equal(reused, N); /* its logits are remembered */
        assert_memory_equal(got, want, VOCAB * sizeof *got);
        last_logits(s, ids, 50, &reused, got); /* a shorter one */
        assert_int_equal(reused, 49);
        cold(e, ids, 50, want);
        assert_true(distance(got, want) < 1e-5);
        memcpy(other, ids, sizeof ids);
        other[40] = (other[40] + 1) % VOCAB; /* another one from token 40 on */
        last_logits(s, other, N, &reused, got);
        assert_int_equal(reused, 40);
        cold(e, other, N, want);
        assert_true(distance(got, want) < 1e-5);
        session_close(&s);
        engine_close(&e);
    }
}

static void fast_mode_is_the_same_at_any_thread_count(void **state)
{
    (void)state;
    static const kv_type kinds[] = {KV_Q8, KV_Q4};
    float first[VOCAB], got[VOCAB];
    for (int i = 0; i < 8; i++) {
        const int threads = i % 4 + 1;
        engine *e = open_engine("gemma3", false, kinds[i / 4], threads);
        cold(e, ids, N, threads == 1 ? first : got);
        if (threads > 1) assert_memory_equal(first, got, sizeof got);
        engine_close(&e);
    }
}

/* Where tokens share bytes too: of q4, values of two tokens lie in one. */
static void restored_is_cold_with(kv_type kv)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/cj-session-%ld", (long)getpid());
    engine *e = open_engine("gemma3", false, kv, 1);
    session *s = NULL, *back = NULL;
    float got[VOCAB], want[VOCAB];
    int64_t reused;
    assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
    assert_int_equal(session_open(&back, e, 0, NULL), CJ_OK);
    last_logits(s, ids, 66, NULL, want);
    assert_int_equal(session_save(s, path, NULL), CJ_OK);
    assert_int_equal(session_load(back, path, NULL), CJ_OK);
    assert_int_equal(session_count(back), 66);
    last_logits(back, ids, N, &reused, got);
    assert_int_equal(reused, 66);
    last_logits(s, ids, N, &reused, want);
    assert_memory_equal(got, want, sizeof got); /* to the bit: the same chunks follow the same pages */
    session_close(&s);
    session_close(&back);
    engine_close(&e);
    /* another model and other settings refuse it, and so does a damaged or cut file */
    const struct { const char *model; kv_type kv; } others[] = {{"gemma3-mqa", kv}, {"gemma3", KV_Q8}};
    for (size_t i = 0; i < 2; i++) {
        e = open_engine(others[i].model, false, others[i].kv, 1);
        assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
        assert_int_equal(session_load(s, path, NULL), CJ_E_INPUT);
        assert_int_equal(session_count(s), 0);
        session_close(&s);
        engine_close(&e);
    }
    e = open_engine("gemma3", false, kv, 1);
    assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
    for (off_t size = file_size(path) - 1; size > 0; size = size * 2 / 3) {
        assert_int_equal(truncate(path, size), 0);
        assert_int_equal(session_load(s, path, NULL), CJ_E_INPUT);
    }
    unlink(path);
    session_close(&s);
    engine_close(&e);
}

static void restored_is_cold(void **state)
{
    (void)state;
    restored_is_cold_with(KV_BF16);
    restored_is_cold_with(KV_Q4);
}

/* What is cut back and written anew is as if it had never been there. */
static void written_over_is_cold(void **state)
{
    (void)state;
    engine *e = open_engine("llama", false, KV_Q4, 1);
    session *s = NULL;
    float got[VOCAB], want[VOCAB];
    int32_t other[N];
    int64_t reused;
    memcpy(other, ids, sizeof ids);
    for (int i = 33; i < N; i++) other[i] = (other[i] + 7) % VOCAB;
    assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
    last_logits(s, other, N, NULL, got);
    last_logits(s, ids, N, &reused, got);
    assert_int_equal(reused, 33); /* a chunk ends there: the same calls follow */
    cold(e, ids, N, want);
    assert_memory_equal(got, want, sizeof got);
    session_close(&s);
    engine_close(&e);
}

static void write_bytes(const char *path, const void *bytes, size_t n)
{
    file_out f;
    assert_int_equal(file_out_open(&f, path, NULL), CJ_OK);
    assert_int_equal(file_out_write(&f, bytes, n, NULL), CJ_OK);
    assert_int_equal(file_out_commit(&f, NULL), CJ_OK);
}

/* A bit flipped anywhere in the file: refused, and the session is empty and as good as new. */
static void a_damaged_snapshot_is_refused(void **state)
{
    (void)state;
    enum { TOKENS = 66, IDS = 40, PADDING = IDS + 4 * TOKENS, CONTEXT = 320 }; /* where they begin in the file */
    char path[64];
    snprintf(path, sizeof path, "/tmp/cj-damaged-%ld", (long)getpid());
    engine *e = open_engine("gemma3", false, KV_Q8, 1);
    session *s = NULL;
    float got[VOCAB], want[VOCAB];
    assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
    last_logits(s, ids, TOKENS, NULL, want);
    assert_int_equal(session_save(s, path, NULL), CJ_OK);
    buf b;
    assert_int_equal(file_read(path, 1 << 24, &b, NULL), CJ_OK);
    srand(3);
    for (int i = 0; i < 400; i++) {
        size_t at = i < 320 ? (size_t)i : CONTEXT + (size_t)rand() % (b.len - CONTEXT);
        if (at >= PADDING && at < CONTEXT) continue; /* means nothing */
        b.data[at] ^= (char)(1 << i % 8);
        write_bytes(path, b.data, b.len);
        assert_int_equal(session_load(s, path, NULL), CJ_E_INPUT);
        assert_int_equal(session_count(s), 0);
        b.data[at] ^= (char)(1 << i % 8);
    }
    last_logits(s, ids, TOKENS, NULL, got);
    assert_memory_equal(got, want, sizeof got);
    write_bytes(path, b.data, b.len);
    for (int64_t n = 0, err = CJ_E_NOMEM; err; n++) {
        mem_fail_after(n);
        err = session_load(s, path, NULL);
        mem_fail_after(-1);
        assert_true(err == CJ_OK || err == CJ_E_NOMEM);
        assert_int_equal(session_count(s), err ? 0 : TOKENS);
    }
    unlink(path);
    buf_deinit(&b);
    session_close(&s);
    engine_close(&e);
}

typedef struct stopper {
    int calls, stop_at;
} stopper;

static bool stop(void *arg, int64_t done, int64_t total)
{
    (void)done;
    (void)total;
    stopper *s = arg;
    return s->calls++ != s->stop_at;
}

static void a_cancel_leaves_a_good_session(void **state)
{
    (void)state;
    engine *e = open_engine("gemma3", true, KV_F32, 1);
    float got[VOCAB], want[VOCAB];
    cold(e, ids, N, want);
    for (int at = 0; at < 20; at++) {
        session *s = NULL;
        stopper st = {.stop_at = at};
        session_call call = {.want = WANT_LAST, .on_progress = stop, .arg = &st};
        assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
        assert_int_equal(session_eval(s, ids, N, &call, NULL, NULL), CJ_E_CANCELLED);
        assert_int_equal(session_count(s), at / 7 * 33 + (at % 7 == 6 ? 33 : 0)); /* 7 layers a chunk of 33 */
        last_logits(s, ids, N, NULL, got);
        assert_true(distance(got, want) < 1e-5);
        session_close(&s);
    }
    engine_close(&e);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    engine *e = open_engine("llama", true, KV_F32, 1);
    session *s = NULL;
    session_call call = {.want = WANT_LAST};
    int32_t bad[] = {1, VOCAB}, negative[] = {-1};
    assert_int_equal(session_open(&s, e, 20, NULL), CJ_OK);
    assert_int_equal(session_eval(s, bad, 2, &call, NULL, NULL), CJ_E_INPUT);
    assert_int_equal(session_eval(s, negative, 1, &call, NULL, NULL), CJ_E_INPUT);
    assert_int_equal(session_eval(s, ids, 0, &call, NULL, NULL), CJ_E_USAGE);
    assert_int_equal(session_eval(s, ids, 21, &call, NULL, NULL), CJ_E_LIMIT);
    assert_int_equal(session_eval(s, ids, 20, &call, NULL, NULL), CJ_OK);
    session_close(&s);
    engine_close(&e);
    engine_options opt = {.path = "/no/such.gguf"};
    assert_int_equal(engine_open(&e, &opt, NULL), CJ_E_NOT_FOUND);
    assert_null(e);
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    for (int64_t n = 0;; n++) {
        engine *e = NULL;
        session *s = NULL;
        engine_options opt = {.path = golden("qwen3_moe"), .level = KERNEL_AUTO, .threads = 1, .kv = KV_Q8, .chunk = 40};
        session_call call = {.want = WANT_LAST};
        mem_fail_after(n);
        cj_err err = engine_open(&e, &opt, NULL);
        if (!err) err = session_open(&s, e, 0, NULL);
        if (!err) err = session_eval(s, ids, N, &call, NULL, NULL);
        mem_fail_after(-1);
        session_close(&s);
        engine_close(&e);
        if (!err) {
            assert_true(n > 50);
            return;
        }
        assert_int_equal(err, CJ_E_NOMEM);
    }
}

/* ---- sampling ---- */

static int32_t pick(const sampler_options *o, const float *logits, int64_t vocab, const int32_t *history, int64_t n)
{
    sampler *s = NULL;
    assert_int_equal(sampler_open(&s, o, vocab, NULL), CJ_OK);
    int32_t id = sampler_pick(s, logits, history, n);
    sampler_close(&s);
    return id;
}

/* 0.45 off what is before the fifth, which lies 0.4 below the first; the second is refused. */
static float likes_the_fifth(void *arg, int32_t id) { return id == 1 ? -INFINITY : id < 4 ? -0.45f : 0; }
static float refuses(void *arg, int32_t id) { return -INFINITY; }

static void sampling_keeps_its_promises(void **state)
{
    (void)state;
    enum { V = 1000, DRAWS = 20000 };
    float logits[V];
    for (int i = 0; i < V; i++) logits[i] = (float)(-(i % 100) * 0.1 - i / 100 * 5); /* mass falls off slowly, then in steps */
    sampler_options o = SAMPLER_GREEDY;
    assert_int_equal(pick(&o, logits, V, NULL, 0), 0);
    sampler_bias forbid = {0, -INFINITY};
    o.bias = &forbid;
    o.n_bias = 1;
    assert_int_equal(pick(&o, logits, V, NULL, 0), 1);
    o = SAMPLER_GREEDY;
    o.weigh = likes_the_fifth;
    assert_int_equal(pick(&o, logits, V, NULL, 0), 4);
    o.weigh = refuses;
    assert_int_equal(pick(&o, logits, V, NULL, 0), -1);
    const int32_t history[] = {0, 0, 1};
    o = SAMPLER_GREEDY;
    o.presence = 0.25f;
    assert_int_equal(pick(&o, logits, V, history, 3), 2);
    o = (sampler_options){.temperature = 1, .top_p = 1, .repetition = 1, .seed = 7};
    sampler *s = NULL;
    int count[V] = {0};
    assert_int_equal(sampler_open(&s, &o, V, NULL), CJ_OK);
    for (int i = 0; i < DRAWS; i++) count[sampler_pick(s, logits, NULL, 0)]++;
    sampler_close(&s);
    double sum = 0;
    for (int i = 0; i < V; i++) sum += exp(logits[i]);
    for (int i = 0; i < 30; i++) { /* frequencies within five standard deviations */
        double p = exp(logits[i]) / sum;
        assert_true(fabs(count[i] - DRAWS * p) < 5 * sqrt(DRAWS * p));
    }
    const struct { int32_t k; float p, m; int most; } kept[] = {{3, 1, 0, 3}, {0, 0.3f, 0, 4}, {0, 1, 0.5f, 7}, {2, 0.9f, 0.01f, 2}};
    for (size_t c = 0; c < 4; c++) {
        o.top_k = kept[c].k;
        o.top_p = kept[c].p;
        o.min_p = kept[c].m;
        int32_t largest = 0;
        assert_int_equal(sampler_open(&s, &o, V, NULL), CJ_OK);
        for (int i = 0; i < 2000; i++) {
            int32_t id = sampler_pick(s, logits, NULL, 0);
            largest = id > largest ? id : largest;
        }
        sampler_close(&s);
        assert_int_equal(largest, kept[c].most - 1);
    }
    o.temperature = -1;
    assert_int_equal(sampler_open(&s, &o, V, NULL), CJ_E_USAGE);
    sampler_logprob top[3];
    float lp = sampler_logprobs(logits, V, 5, top, 3);
    assert_true(fabs(lp - (logits[5] - log(sum))) < 1e-4);
    for (int i = 0; i < 3; i++) assert_int_equal(top[i].id, i);
}

int main(void)
{
    for (int i = 0; i < N; i++) ids[i] = (i * 37 + 11) % VOCAB;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefixes_are_reused), cmocka_unit_test(fast_mode_is_the_same_at_any_thread_count),
        cmocka_unit_test(restored_is_cold), cmocka_unit_test(written_over_is_cold), cmocka_unit_test(a_damaged_snapshot_is_refused),
        cmocka_unit_test(a_cancel_leaves_a_good_session),
        cmocka_unit_test(what_cannot_be_is_refused), cmocka_unit_test(no_memory_is_an_error), cmocka_unit_test(sampling_keeps_its_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
