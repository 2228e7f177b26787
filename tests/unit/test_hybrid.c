/* Models with recurrent layers, from their makers' folders: the states of a context, sessions that are cut, cancelled, saved and kept on a
 * shelf and still compute what a cold one computes. What a folder may say is in test_folders.c. */
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
#include "support/own_folder.h"
#include "support/session_case.h"

/* ---- contexts ---- */

static const kv_layer layers[] = {
    {.layout = {KV_STATE, 2, 4, 16}, .window = 1},
    {.layout = {KV_F32, 1, 4, 4}, .window = 0},
};

static kv_cache *open_cache(void)
{
    kv_cache *kv = NULL;
    assert_int_equal(kv_open(&kv, layers, 2, NULL), CJ_OK);
    return kv;
}

/* Adds n tokens, after which the state is full of `value`. */
static void add(kv_cache *kv, int64_t n, float value)
{
    assert_int_equal(kv_extend(kv, n, NULL), CJ_OK);
    float *next = kv_next_state(kv, 0);
    for (int i = 0; i < 2 * 4 * 16; i++) next[i] = value;
    for (int64_t p = kv_count(kv); p < kv_count(kv) + n; p++) kv_pages(kv, 1)[p / KV_PAGE][p % KV_PAGE] = (uint8_t)p;
    kv_advance(kv, n);
}

static float state_of(const kv_cache *kv)
{
    const float *s = kv_state(kv, 0);
    for (int i = 1; s && i < 2 * 4 * 16; i++) assert_true(s[i] == s[0]);
    return s ? s[0] : -1;
}

static void states_move_on(void **state)
{
    (void)state;
    kv_cache *kv = open_cache();
    assert_null(kv_state(kv, 0));
    add(kv, 100, 1);
    assert_true(state_of(kv) == 1);
    assert_int_equal(kv_extend(kv, 50, NULL), CJ_OK);
    kv_next_state(kv, 0)[0] = 99; /* a pass that is dropped */
    assert_true(state_of(kv) == 1);
    add(kv, 28, 2); /* to the end of a page */
    assert_true(state_of(kv) == 2);
    assert_int_equal(kv_first_needed(kv_layer_at(kv, 0), 128), 0);
    add(kv, 1, 3);
    assert_true(state_of(kv) == 3);
    assert_null(kv_pages(kv, 0)[0]); /* one state at a time */
    add(kv, 1000, 4);
    assert_true(state_of(kv) == 4);
    assert_int_equal(kv_bytes(kv), kv_page_bytes(&layers[0].layout) + (1129 / KV_PAGE + 1) * kv_page_bytes(&layers[1].layout));
    assert_int_equal(kv_cut(kv, 1129), 1129); /* where it stands */
    assert_int_equal(kv_cut(kv, 1128), 0);    /* nothing was marked */
    assert_null(kv_state(kv, 0));
    add(kv, 10, 5);
    assert_true(state_of(kv) == 5);
    kv_close(&kv);
}

static void marks_can_be_cut_to(void **state)
{
    (void)state;
    kv_cache *kv = open_cache(), *fork = NULL;
    for (int i = 1; i <= 6; i++) { /* more than are remembered */
        add(kv, 100, (float)i);
        kv_mark(kv);
        kv_mark(kv); /* once is enough */
    }
    add(kv, 50, 7);
    assert_int_equal(kv_fork(&fork, kv, NULL), CJ_OK);
    assert_int_equal(kv_cut(kv, 599), 500);
    assert_true(state_of(kv) == 5);
    assert_int_equal(kv_count(kv), 500);
    add(kv, 150, 8); /* another text: what was marked at 600 is not its own */
    assert_int_equal(kv_cut(kv, 640), 500);
    assert_true(state_of(kv) == 5);
    assert_int_equal(kv_cut(kv, 300), 300);
    assert_true(state_of(kv) == 3);
    assert_int_equal(kv_cut(kv, 299), 0); /* 200 has been forgotten */
    kv_close(&kv);
    assert_true(state_of(fork) == 7); /* the fork has all of its own */
    add(fork, 1, 9);
    assert_int_equal(kv_cut(fork, 650), 600);
    assert_true(state_of(fork) == 6);
    assert_int_equal(kv_cut(fork, 450), 400);
    assert_true(state_of(fork) == 4);
    kv_close(&fork);
}

static void snapshots_hold_the_state(void **state)
{
    (void)state;
    kv_cache *kv = open_cache(), *back = open_cache();
    file_out f;
    file_map m;
    size_t used;
    add(kv, 300, 6);
    assert_int_equal(file_out_open(&f, in_folder("snapshot"), NULL), CJ_OK);
    assert_int_equal(kv_save(kv, &f, NULL), CJ_OK);
    assert_int_equal(file_out_commit(&f, NULL), CJ_OK);
    assert_int_equal(file_map_open(&m, in_folder("snapshot"), NULL), CJ_OK);
    add(back, 1000, 1);
    kv_mark(back);
    assert_int_equal(kv_load(back, m.data, m.size, &used, "-", NULL), CJ_OK);
    assert_int_equal(kv_count(back), 300);
    assert_true(state_of(back) == 6);
    add(back, 1, 7);
    assert_true(state_of(back) == 7);
    for (size_t n = 0; n < m.size; n += 97) assert_int_equal(kv_load(back, m.data, n, &used, "-", NULL), CJ_E_INPUT);
    file_map_close(&m);
    kv_close(&kv);
    kv_close(&back);
}

static void no_memory_changes_nothing(void **state)
{
    (void)state;
    kv_cache *kv = open_cache();
    add(kv, 100, 1);
    kv_mark(kv);
    cj_err e = CJ_E_NOMEM;
    for (int64_t n = 0; e; n++) {
        mem_fail_after(n);
        e = kv_extend(kv, 400, NULL);
        mem_fail_after(-1);
        assert_true(!e || e == CJ_E_NOMEM);
        assert_true(state_of(kv) == 1);
        assert_int_equal(kv_count(kv), 100);
    }
    add(kv, 400, 2);
    assert_int_equal(kv_cut(kv, 200), 100);
    kv_close(&kv);
}

static cj_err count_checks(void *arg, int layer, int64_t page, const uint8_t *bytes, cj_diag *d)
{
    (void)page;
    (void)bytes;
    (void)d;
    *(int *)arg += layer == 0;
    return CJ_OK;
}

/* A state that came from a file unchecked is so still when a mark gives it back. */
static void restored_states_are_checked(void **state)
{
    (void)state;
    int checks = 0;
    kv_cache *kv = open_cache();
    uint8_t *bytes = mem_zalloc(kv_page_bytes(&layers[0].layout) + kv_page_bytes(&layers[1].layout));
    assert_int_equal(kv_resume(kv, 100, &(kv_source){&checks, count_checks}, NULL), CJ_OK);
    for (int i = 0; i < 2; i++) assert_int_equal(kv_attach(kv, i, 0, bytes, false, NULL), CJ_OK);
    kv_mark(kv);
    add(kv, 1, 5);
    assert_int_equal(kv_check(kv, 0, 0, 1, NULL), CJ_OK);
    assert_int_equal(checks, 0); /* the state is our own */
    assert_int_equal(kv_cut(kv, 100), 100);
    assert_true(state_of(kv) == 0);
    assert_int_equal(kv_check(kv, 0, 0, 1, NULL), CJ_OK);
    assert_int_equal(checks, 1);
    kv_close(&kv);
    mem_free(bytes);
}

/* ---- sessions ---- */

enum { N = 300 };
static int32_t ids[N];
static const char *const models[] = {"qwen3_5", "qwen3_next"};

static const char *golden(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/tests/golden/%s", getenv("CJ_SOURCE"), name);
    return path;
}

static engine *open_engine(const char *path, int64_t chunk)
{
    return engine_of(&(engine_options){.path = path, .level = KERNEL_AUTO, .threads = 1, .exact = true, .kv = KV_F32, .chunk = chunk});
}

/* Exact mode computes the same bits however a session came to where it stands. */
static void cut_sessions_are_cold(void **state)
{
    (void)state;
    float got[VOCAB], want[VOCAB];
    int64_t reused;
    for (int m = 0; m < 2; m++) {
        engine *e = open_engine(golden(models[m]), 33);
        session *s = NULL;
        int32_t other[N];
        assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
        last_logits(s, ids, 150, &reused, got);
        last_logits(s, ids, 250, &reused, got); /* goes on */
        assert_int_equal(reused, 150);
        cold(e, ids, 250, want);
        assert_memory_equal(got, want, sizeof got);
        memcpy(other, ids, sizeof ids);
        other[200] = (other[200] + 1) % VOCAB; /* back behind the prompt that was marked */
        last_logits(s, other, 280, &reused, got);
        assert_int_equal(reused, 150);
        cold(e, other, 280, want);
        assert_memory_equal(got, want, sizeof got);
        last_logits(s, ids, 120, &reused, got); /* and before it */
        assert_int_equal(reused, 0);
        cold(e, ids, 120, want);
        assert_memory_equal(got, want, sizeof got);
        last_logits(s, ids, 120, &reused, got); /* the same once more */
        assert_memory_equal(got, want, sizeof got);
        session_close(&s);
        engine_close(&e);
    }
}

/* Words are written one by one behind a prompt; the next prompt begins with the same one. */
static void the_prompt_is_had_back(void **state)
{
    (void)state;
    float got[VOCAB], want[VOCAB];
    int64_t reused;
    engine *e = open_engine(golden("qwen3_5"), 64);
    session *s = NULL;
    int32_t other[N];
    assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
    last_logits(s, ids, 140, NULL, got);
    for (int64_t n = 141; n < 160; n++) last_logits(s, ids, n, NULL, got);
    memcpy(other, ids, sizeof ids);
    for (int i = 145; i < N; i++) other[i] = (ids[i] + 7) % VOCAB;
    last_logits(s, other, 200, &reused, got);
    assert_int_equal(reused, 140);
    cold(e, other, 200, want);
    assert_memory_equal(got, want, sizeof got);
    session_close(&s);
    engine_close(&e);
}

/* Asked the same once more, after words were written: nothing is computed, and the next word comes out of the same state. */
static void the_same_prompt_is_not_read_again(void **state)
{
    (void)state;
    float first[VOCAB], got[VOCAB], want[VOCAB];
    int64_t reused;
    engine *e = open_engine(golden("qwen3_5"), 64);
    session *s = NULL;
    assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
    last_logits(s, ids, 140, NULL, first);
    for (int again = 0; again < 3; again++) {
        for (int64_t n = 141; n < 150; n++) last_logits(s, ids, n, NULL, got);
        last_logits(s, ids, 140, &reused, got);
        assert_int_equal(reused, 140);
        assert_memory_equal(got, first, sizeof got);
    }
    last_logits(s, ids, 141, &reused, got);
    assert_int_equal(reused, 140);
    cold(e, ids, 141, want);
    assert_memory_equal(got, want, sizeof got);
    int32_t other[N];
    memcpy(other, ids, sizeof ids);
    other[20] = (other[20] + 1) % VOCAB; /* as long, but not the same */
    last_logits(s, other, 140, &reused, got);
    assert_int_equal(reused, 0);
    cold(e, other, 140, want);
    assert_memory_equal(got, want, sizeof got);
    session_set_keep(s, 1); /* another attention has other logits */
    last_logits(s, other, 140, &reused, got);
    assert_true(reused < 140);
    session_close(&s);
    engine_close(&e);
}

static bool cancel_at(void *arg, int64_t done, int64_t total)
{
    int *left = arg;
    (void)done;
    (void)total;
    return (*left)-- > 0;
}

/* A pass that is cancelled in the middle of the layers has changed no state. */
static void a_cancel_leaves_a_good_session(void **state)
{
    (void)state;
    float got[VOCAB], want[VOCAB];
    engine *e = open_engine(golden("qwen3_5"), 50);
    cold(e, ids, 200, want);
    for (int after = 0; after < 40; after += 3) {
        session *s = NULL;
        int left = after;
        session_call call = {.want = WANT_LAST, .on_progress = cancel_at, .arg = &left};
        assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
        (void)!session_eval(s, ids, 200, &call, NULL, NULL);
        last_logits(s, ids, 200, NULL, got);
        assert_memory_equal(got, want, sizeof got);
        session_close(&s);
    }
    engine_close(&e);
}

/* A text of 250 tokens that one session reads onto a shelf of its own, and another session to have it back in. */
typedef struct shelved {
    engine *e;
    session *s, *back;
    shelf *shelf;
    shelf_entry *entry, *read;
} shelved;

static shelved shelve(const char *name, const char *folder)
{
    shelved k = {.e = open_engine(golden(name), 64)};
    assert_int_equal(session_open(&k.s, k.e, 0, NULL), CJ_OK);
    assert_int_equal(session_open(&k.back, k.e, 0, NULL), CJ_OK);
    assert_int_equal(shelf_open(&k.shelf, in_folder(folder), NULL), CJ_OK);
    const shelf_plan plan = {.name = "book", .key = session_shelf_key(k.s), .model_name = "tiny", .model_path = "-", .ids = ids, .n = 250};
    assert_int_equal(shelf_write(k.shelf, &k.entry, &plan, NULL), CJ_OK);
    return k;
}

static void unshelve(shelved *k)
{
    session_close(&k->back);
    session_close(&k->s);
    shelf_entry_close(&k->read);
    shelf_entry_close(&k->entry);
    shelf_close(&k->shelf);
    engine_close(&k->e);
}

/* What was read onto a shelf, and gone on with, is what a cold session computes; at an open segment's end and at a closed one's. */
static void the_shelf_gives_back_the_state(void **state)
{
    (void)state;
    float got[VOCAB], want[VOCAB];
    shelved k = shelve("qwen3_next", "shelf");
    int64_t count;
    cold(k.e, ids, 280, want);
    const int64_t ends[] = {130, 250};
    for (int i = 0; i < 2; i++) {
        last_logits(k.s, ids, ends[i], NULL, got);
        assert_int_equal(session_keep(k.s, k.entry, NULL), CJ_OK);
        if (i) assert_int_equal(shelf_finish(k.entry, NULL), CJ_OK);
        assert_int_equal(shelf_read(k.shelf, &k.read, "book", NULL), CJ_OK);
        assert_int_equal(session_attach(k.back, k.read, ends[i], &count, NULL), CJ_OK);
        assert_int_equal(count, ends[i]);
        last_logits(k.back, ids, 280, NULL, got);
        assert_memory_equal(got, want, sizeof got);
        int32_t other[N];
        memcpy(other, ids, sizeof ids);
        other[ends[i] + 3] = (other[ends[i] + 3] + 1) % VOCAB; /* the next question */
        int64_t reused;
        last_logits(k.back, other, 290, &reused, got);
        assert_int_equal(reused, ends[i]);
        float cold_other[VOCAB];
        cold(k.e, other, 290, cold_other);
        assert_memory_equal(got, cold_other, sizeof got);
        session_close(&k.back);
        assert_int_equal(session_open(&k.back, k.e, 0, NULL), CJ_OK);
        shelf_entry_close(&k.read);
    }
    int64_t damages = -1;
    const shelf_watch watch = {0};
    assert_int_equal(shelf_verify(k.shelf, NULL, &watch, &damages, NULL), CJ_OK);
    assert_int_equal(damages, 0);
    unshelve(&k);
}

/* Going back, the nearer one is taken of what the session remembers and what the entry keeps. */
static void the_nearest_state_is_taken(void **state)
{
    (void)state;
    float got[VOCAB], want[VOCAB];
    int64_t count, reused;
    int32_t other[N];
    shelved k = shelve("qwen3_5", "shelf-near");
    last_logits(k.s, ids, 250, NULL, got);
    assert_int_equal(session_keep(k.s, k.entry, NULL), CJ_OK);
    assert_int_equal(shelf_finish(k.entry, NULL), CJ_OK);
    assert_int_equal(shelf_read(k.shelf, &k.read, "book", NULL), CJ_OK);
    assert_int_equal(session_attach(k.back, k.read, 249, &count, NULL), CJ_OK);
    assert_int_equal(count, 0); /* there is no state before the end */
    last_logits(k.back, ids, 200, NULL, got);
    last_logits(k.back, ids, 280, NULL, got);
    memcpy(other, ids, sizeof ids);
    other[260] = (other[260] + 1) % VOCAB;
    last_logits(k.back, other, 280, &reused, got);
    assert_int_equal(reused, 250); /* of the entry; the session itself remembers 200 */
    cold(k.e, other, 280, want);
    assert_memory_equal(got, want, sizeof got);
    last_logits(k.back, other, 290, NULL, got);
    other[285] = (other[285] + 1) % VOCAB;
    last_logits(k.back, other, 290, &reused, got);
    assert_int_equal(reused, 280); /* and here the session's own is nearer */
    cold(k.e, other, 290, want);
    assert_memory_equal(got, want, sizeof got);
    unshelve(&k);
}

/* A session that began with an entry may read another text; going back in that one must not give the entry's. */
static void another_text_than_the_entrys_is_not_taken_for_it(void **state)
{
    (void)state;
    float got[VOCAB], want[VOCAB];
    int64_t count, reused;
    int32_t other[N];
    shelved k = shelve("qwen3_5", "shelf-other");
    last_logits(k.s, ids, 130, NULL, got);
    assert_int_equal(session_keep(k.s, k.entry, NULL), CJ_OK);
    assert_int_equal(shelf_read(k.shelf, &k.read, "book", NULL), CJ_OK);
    assert_int_equal(session_attach(k.back, k.read, 130, &count, NULL), CJ_OK);
    assert_int_equal(count, 130);
    memcpy(other, ids, sizeof ids);
    other[50] = (other[50] + 1) % VOCAB;
    last_logits(k.back, other, 280, &reused, got);
    assert_int_equal(reused, 0);
    other[200] = (other[200] + 1) % VOCAB;
    last_logits(k.back, other, 280, &reused, got);
    assert_int_equal(reused, 0); /* it shares 200 tokens with what is held, but only 50 with the entry, whose checkpoint is at 130 */
    cold(k.e, other, 280, want);
    assert_memory_equal(got, want, sizeof got);
    unshelve(&k);
}

/* Sparse attention stands in for far pages in the layers that have pages; the states go on as ever. */
static void sparse_attention_goes_with_states(void **state)
{
    (void)state;
    enum { LONG = 1500, KEEP = 2 }; /* more pages than are looked at */
    float dense[VOCAB], sparse[VOCAB];
    int32_t text[LONG];
    for (int i = 0; i < LONG; i++) text[i] = (i * 37 + i * i * 5 + 11) % VOCAB;
    engine *e = NULL;
    assert_int_equal(engine_open(&e, &(engine_options){.path = golden("qwen3_5"), .level = KERNEL_AUTO, .threads = 1, .kv = KV_BF16, .chunk = 200}, NULL), CJ_OK);
    for (int64_t keep = 0; keep <= KEEP; keep += KEEP) {
        session *s = NULL;
        assert_int_equal(session_open(&s, e, LONG, NULL), CJ_OK);
        session_set_keep(s, keep);
        last_logits(s, text, LONG, NULL, keep ? sparse : dense);
        session_close(&s);
    }
    double apart = 0, all = 0;
    for (int i = 0; i < VOCAB; i++) {
        apart += pow((double)sparse[i] - (double)dense[i], 2);
        all += pow((double)dense[i], 2);
    }
    assert_true(apart > 0); /* it is another way of computing */
    assert_true(apart < 0.01 * all);
    engine_close(&e);
}

static void only_attention_is_probed(void **state)
{
    (void)state;
    engine *e = open_engine(golden("qwen3_5"), 64);
    session *s = NULL;
    float mass[N] = {0};
    session_probe probe = {.layer = 3, .head = 1, .from = 90, .mass = mass};
    session_call call = {.probes = &probe, .n_probes = 1};
    assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
    assert_int_equal(session_eval(s, ids, 100, &call, NULL, NULL), CJ_OK);
    assert_true(mass[0] > 0);
    probe.layer = 0; /* of the delta rule */
    assert_int_equal(session_eval(s, ids, 100, &call, NULL, NULL), CJ_E_INTERNAL);
    probe.layer = 8;
    assert_int_equal(session_eval(s, ids, 100, &call, NULL, NULL), CJ_E_INTERNAL);
    session_close(&s);
    engine_close(&e);
}

/* A context that stands somewhere without a state must not go on as if it were at the beginning. */
static void a_state_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    engine *e = open_engine(golden("qwen3_5"), 64);
    kv_cache *kv = NULL;
    model_job *job = NULL;
    bool done;
    assert_int_equal(model_kv_open(engine_model(e), KV_F32, &kv, NULL), CJ_OK);
    assert_int_equal(model_job_open(&job, engine_model(e), 8, NULL), CJ_OK);
    assert_int_equal(kv_resume(kv, KV_PAGE, NULL, NULL), CJ_OK);
    const model_rows rows = {.kv = kv, .ids = ids, .count = 4};
    const model_batch batch = {.seqs = &rows, .n_seqs = 1};
    assert_int_equal(model_job_begin(job, &batch, NULL), CJ_OK);
    assert_int_equal(model_job_step(job, &done, NULL), CJ_E_INTERNAL);
    model_job_close(&job);
    kv_close(&kv);
    engine_close(&e);
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    cj_err e = CJ_E_NOMEM;
    int64_t n = 0;
    for (; e; n += n < 60 ? 1 : 7) {
        engine *got = NULL;
        mem_fail_after(n);
        e = engine_open(&got, &(engine_options){.path = golden("qwen3_next"), .level = KERNEL_REF, .threads = 1, .chunk = 8}, NULL);
        mem_fail_after(-1);
        assert_true(!e || e == CJ_E_NOMEM);
        engine_close(&got);
    }
    assert_true(n > 60);
}

static int begin(void **state)
{
    for (int i = 0; i < N; i++) ids[i] = (i * 37 + i * i * 5 + 11) % VOCAB;
    return own_folder_make(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_move_on), cmocka_unit_test(marks_can_be_cut_to), cmocka_unit_test(snapshots_hold_the_state),
        cmocka_unit_test(no_memory_changes_nothing), cmocka_unit_test(restored_states_are_checked), cmocka_unit_test(cut_sessions_are_cold),
        cmocka_unit_test(the_prompt_is_had_back), cmocka_unit_test(the_same_prompt_is_not_read_again),
        cmocka_unit_test(the_nearest_state_is_taken), cmocka_unit_test(a_cancel_leaves_a_good_session), cmocka_unit_test(the_shelf_gives_back_the_state),
        cmocka_unit_test(another_text_than_the_entrys_is_not_taken_for_it), cmocka_unit_test(only_attention_is_probed),
        cmocka_unit_test(sparse_attention_goes_with_states),
        cmocka_unit_test(a_state_that_is_not_there_is_an_error), cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, begin, own_folder_remove);
}
