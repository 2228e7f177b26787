/* Exact mode promises the same text everywhere: at every level, with any number of threads, whatever the chunks of the prompt, alone or
 * beside others in one batch, cold or from a snapshot, even one that another level wrote. Each promise here is 200 tokens, the likeliest
 * each time, held against the text of the plain C kernels on one thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/engine.h"
#include "hub/hub.h"
#include "../support/skip.h"

enum { PROMPT = 150, WRITTEN = 200, SEQUENCES = 3, CHUNK_MAX = 512 }; /* the prompt is longer than a page of the context */

/* gemma3 has windows that the prompt leaves behind, qwen3_5 (a folder) keeps states, qwen3_moe has a router. */
static const char *const goldens[] = {"gemma3", "qwen3_5", "llama", "qwen3_moe"};
enum { GOLDENS = sizeof goldens / sizeof *goldens };

static const char *golden(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/tests/golden/%s/model.gguf", getenv("CJ_SOURCE"), name);
    if (!file_exists(path)) snprintf(path, sizeof path, "%s/tests/golden/%s", getenv("CJ_SOURCE"), name);
    return path;
}

static engine *open_exact(const char *path, kernel_level level, int threads, int64_t chunk)
{
    engine *e = NULL;
    cj_diag d = {0};
    engine_options opt = {.path = path, .level = level, .threads = threads, .exact = true, .kv = KV_F32, .chunk = chunk};
    if (engine_open(&e, &opt, &d)) {
        char text[1024];
        cj_diag_text(&d, CJ_LANG_EN, text, sizeof text);
        fail_msg("%s", text);
    }
    return e;
}

static int64_t vocab_of(const engine *e) { return model_spec_of(engine_model(e))->vocab; }

/* A prompt of its own for every seed. */
static void make_prompt(const engine *e, int32_t *ids, int64_t n, int seed)
{
    int64_t vocab = vocab_of(e);
    for (int64_t i = 0; i < n; i++) ids[i] = (int32_t)((i * 37 + i * i * 5 + seed * 101 + 11) % vocab);
}

static int32_t likeliest(const float *logits, int64_t vocab)
{
    int64_t best = 0;
    for (int64_t i = 1; i < vocab; i++) best = logits[i] > logits[best] ? i : best;
    return (int32_t)best;
}

/* Lets the session go on from ids[0..n) to ids[0..n + more). */
static void write_on(session *s, int32_t *ids, int64_t n, int64_t more)
{
    session_call call = {.want = WANT_LAST};
    for (int64_t end = n + more; n < end; n++) {
        assert_int_equal(session_eval(s, ids, n, &call, NULL, NULL), CJ_OK);
        ids[n] = likeliest(session_logits(s), vocab_of(session_engine(s)));
    }
}

static void write_cold(engine *e, int32_t *ids, int64_t n, int64_t more)
{
    session *s = NULL;
    assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
    write_on(s, ids, n, more);
    session_close(&s);
}

/* The text of a golden model that all others are held against: sequence i of the batch has prompt i, the last one is the longest. */
typedef struct reference {
    int64_t prompt;
    int32_t ids[PROMPT + WRITTEN];
} reference;

static const reference *reference_of(int which, int sequence)
{
    static const int64_t prompts[SEQUENCES] = {3, 70, PROMPT};
    static reference all[GOLDENS][SEQUENCES];
    reference *r = &all[which][sequence];
    if (r->prompt) return r;
    engine *e = open_exact(golden(goldens[which]), KERNEL_REF, 1, CHUNK_MAX);
    r->prompt = prompts[sequence];
    make_prompt(e, r->ids, r->prompt, sequence);
    write_cold(e, r->ids, r->prompt, WRITTEN);
    engine_close(&e);
    return r;
}

static void assert_same_text(const int32_t *got, const reference *want, const char *where)
{
    for (int64_t i = 0; i < WRITTEN; i++) {
        int32_t g = got[want->prompt + i], w = want->ids[want->prompt + i];
        if (g != w) fail_msg("%s: token %lld is %d, not %d", where, (long long)i, g, w);
    }
}

/* The level that a test is about; the test is skipped where the processor has not got it. */
static kernel_level need_level(void **state)
{
    kernel_level level = *(kernel_level *)*state;
    if (!kernel_level_runs(level, cpu_get())) skip_because("this processor has no %s", kernel_level_name(level));
    return level;
}

static void write_this_way(const char *name, kernel_level level, int threads, int64_t chunk, const reference *want)
{
    int32_t got[PROMPT + WRITTEN];
    char where[128];
    snprintf(where, sizeof where, "%s, %d threads, chunks of %lld", name, threads, (long long)chunk);
    engine *e = open_exact(golden(name), level, threads, chunk);
    memcpy(got, want->ids, PROMPT * sizeof *got);
    write_cold(e, got, PROMPT, WRITTEN);
    assert_same_text(got, want, where);
    engine_close(&e);
}

static void threads_and_chunks(void **state)
{
    kernel_level level = need_level(state);
    static const struct { int threads; int64_t chunk; } ways[] = {{1, 129}, {2, 512}, {3, 64}, {1, 1}, {2, 7}};
    bool slow = level == KERNEL_REF; /* one way is enough for what all others are held against */
    for (int g = 0; g < GOLDENS; g++)
        for (size_t w = 0; w < (slow ? 1 : g ? 2 : sizeof ways / sizeof *ways); w++)
            write_this_way(goldens[g], level, ways[w].threads, ways[w].chunk, reference_of(g, SEQUENCES - 1));
}

/* ---- several sequences in one batch ---- */

typedef struct timeline {
    kv_cache *kv;
    int32_t ids[PROMPT + WRITTEN];
    int64_t prompt, have; /* tokens of the prompt; tokens there are */
    int64_t piece;        /* of the prompt that are read in one pass */
} timeline;

/* One pass of all timelines that are not yet at their end; false when none is left. */
static bool batch_pass(engine *e, model_job *job, timeline *lines, float *logits)
{
    model_rows rows[SEQUENCES];
    timeline *of[SEQUENCES];
    int n = 0;
    for (int i = 0; i < SEQUENCES; i++) {
        timeline *t = &lines[i];
        int64_t held = kv_count(t->kv), count = i64_min(t->piece, t->have - held);
        if (t->have == t->prompt + WRITTEN) continue;
        of[n] = t;
        rows[n++] = (model_rows){.kv = t->kv, .ids = t->ids + held, .count = count, .logits = held + count == t->have ? WANT_LAST : WANT_NONE};
    }
    if (!n) return false;
    model_batch batch = {.seqs = rows, .n_seqs = n, .logits = logits};
    assert_int_equal(model_job_begin(job, &batch, NULL), CJ_OK);
    for (bool done = false; !done;) assert_int_equal(model_job_step(job, &done, NULL), CJ_OK);
    for (int i = 0; i < n; i++)
        if (rows[i].logits == WANT_LAST) {
            of[i]->ids[of[i]->have++] = likeliest(logits, vocab_of(e));
            logits += vocab_of(e);
        }
    return true;
}

/* Some still read their prompts while others write, and each begins to write at another place. */
static void batches(void **state)
{
    kernel_level level = need_level(state);
    static const int64_t pieces[SEQUENCES] = {512, 50, 17};
    for (int g = 0; g < (level == KERNEL_REF ? 1 : GOLDENS); g++) {
        static timeline lines[SEQUENCES];
        engine *e = open_exact(golden(goldens[g]), level, 1, CHUNK_MAX);
        model_job *job = NULL;
        float *logits = mem_array(SEQUENCES, (size_t)vocab_of(e) * sizeof *logits);
        assert_int_equal(model_job_open(&job, engine_model(e), CHUNK_MAX, NULL), CJ_OK);
        for (int i = 0; i < SEQUENCES; i++) {
            const reference *want = reference_of(g, i);
            lines[i] = (timeline){.prompt = want->prompt, .have = want->prompt, .piece = pieces[i]};
            assert_int_equal(model_kv_open(engine_model(e), KV_F32, &lines[i].kv, NULL), CJ_OK);
            memcpy(lines[i].ids, want->ids, (size_t)want->prompt * sizeof *want->ids);
        }
        while (batch_pass(e, job, lines, logits)) {}
        for (int i = 0; i < SEQUENCES; i++) {
            char where[64];
            snprintf(where, sizeof where, "%s, sequence %d", goldens[g], i);
            assert_same_text(lines[i].ids, reference_of(g, i), where);
            kv_close(&lines[i].kv);
        }
        mem_free(logits);
        model_job_close(&job);
        engine_close(&e);
    }
}

/* ---- snapshots ---- */

static void snapshot_go_on(kernel_level writer, kernel_level reader, const char *path, const reference *want)
{
    int32_t got[PROMPT + WRITTEN];
    char snapshot[64], where[64];
    snprintf(snapshot, sizeof snapshot, "/tmp/cj-same-text-%ld", (long)getpid());
    snprintf(where, sizeof where, "saved at %s, restored at %s", kernel_level_name(writer), kernel_level_name(reader));
    session *s = NULL;
    engine *e = open_exact(path, writer, 1, 64);
    memcpy(got, want->ids, PROMPT * sizeof *got);
    assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
    write_on(s, got, PROMPT, WRITTEN / 2);
    assert_int_equal(session_save(s, snapshot, NULL), CJ_OK);
    session_close(&s);
    engine_close(&e);

    e = open_exact(path, reader, 1, 512);
    assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
    assert_int_equal(session_load(s, snapshot, NULL), CJ_OK);
    unlink(snapshot);
    assert_int_equal(session_count(s), PROMPT + WRITTEN / 2 - 1);
    write_on(s, got, PROMPT + WRITTEN / 2, WRITTEN / 2);
    session_close(&s);
    engine_close(&e);
    assert_same_text(got, want, where);
}

static void snapshots(void **state)
{
    kernel_level level = need_level(state);
    for (int g = 0; g < 2; g++) {
        snapshot_go_on(level, KERNEL_REF, golden(goldens[g]), reference_of(g, SEQUENCES - 1));
        snapshot_go_on(KERNEL_REF, level, golden(goldens[g]), reference_of(g, SEQUENCES - 1));
    }
}

/* ---- the default model ---- */

/* The text is written once; at the other levels, and in other chunks, it is read: had any of them written something else, the likeliest
 * token after some place would be another. */
typedef struct reader {
    const int32_t *want;
    int64_t from, vocab;
} reader;

static cj_err read_on(void *arg, int64_t position, int64_t rows, const float *logits, cj_diag *d)
{
    reader *r = arg;
    (void)d;
    for (int64_t i = 0; i < rows; i++)
        if (position + i + 1 >= r->from) assert_int_equal(likeliest(logits + i * r->vocab, r->vocab), r->want[position + i + 1]);
    return CJ_OK;
}

static void default_model(void **state)
{
    (void)state;
    enum { N = 60 };
    const kernel_level levels[] = {KERNEL_AVX2, KERNEL_AVX512, KERNEL_AMX, KERNEL_NEON};
    const int64_t chunks[] = {256, 33};
    int32_t want[N + WRITTEN];
    char *path = NULL, share[512];
    hub *h = NULL;
    snprintf(share, sizeof share, "%s/share", getenv("CJ_SOURCE"));
    if (hub_open(&h, NULL, share, NULL) || hub_model_path(h, hub_default(h), &path, NULL)) {
        hub_close(&h);
        skip_because("the default model is not on this machine (juan pull)");
    }
    hub_close(&h);
    engine *e = open_exact(path, KERNEL_AUTO, 0, 0);
    make_prompt(e, want, N, 1);
    write_cold(e, want, N, WRITTEN);
    engine_close(&e);
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        if (!kernel_level_runs(levels[l], cpu_get())) continue;
        for (size_t c = 0; c < 2; c++) {
            session *s = NULL;
            e = open_exact(path, levels[l], 1 + (int)c, chunks[c]);
            reader r = {want, N, vocab_of(e)};
            session_call call = {.want = WANT_ALL, .on_logits = read_on, .arg = &r};
            assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
            assert_int_equal(session_eval(s, want, N + WRITTEN - 1, &call, NULL, NULL), CJ_OK);
            session_close(&s);
            engine_close(&e);
        }
    }
    mem_free(path);
}

int main(void)
{
    static kernel_level levels[] = {KERNEL_REF, KERNEL_AVX2, KERNEL_AVX512, KERNEL_AMX, KERNEL_NEON};
#define AT_ALL(name) {#name ", ref", name, NULL, NULL, &levels[0]}, {#name ", avx2", name, NULL, NULL, &levels[1]}, \
    {#name ", avx512", name, NULL, NULL, &levels[2]}, {#name ", amx", name, NULL, NULL, &levels[3]}, {#name ", neon", name, NULL, NULL, &levels[4]}
    const struct CMUnitTest tests[] = {AT_ALL(threads_and_chunks), AT_ALL(batches), AT_ALL(snapshots), cmocka_unit_test(default_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
