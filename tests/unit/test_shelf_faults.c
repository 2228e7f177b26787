/* The shelf when memory ends, when a write or a sync fails, when the disk is full or read-only: nothing acknowledged is lost, the
 * same handle goes on when it can, and a sentence says what is wrong.
 *
 *     test_shelf_faults [STEP]     every STEP-th place to fail (default 149; the long test takes every one) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../support/fault_vfs.h"
#include "../support/shelf_case.h"
#include "../support/skip.h"

enum { N = 36000, BEFORE = 30000, STEP = 1500 }; /* a segment ends, another begins */
static int64_t every = 149;
static int32_t *ids, *other;

/* Writes on to the end of a text, keeping in *acknowledged what was. With `stubborn` a failure is made good (by `mend`) and the
 * same handle tried once more. */
static cj_err write_on(shelf *s, const shelf_plan *p, int64_t *acknowledged, void (*mend)(void), cj_diag *d)
{
    shelf_entry *e = NULL;
    kv_cache *kv = NULL;
    int64_t count = 0;
    cj_err err = kv_open(&kv, p->key.layers, p->key.n_layers, d);
    if (!err) err = shelf_write(s, &e, p, d);
    if (!err) {
        *acknowledged = i64_max(*acknowledged, shelf_entry_info(e)->tokens);
        err = shelf_attach(e, kv, p->n, &count, d);
    }
    while (!err && kv_count(kv) < p->n) {
        err = case_read(kv, p->ids, i64_min(shelf_entry_next(e), kv_count(kv) + STEP), d);
        if (!err) err = case_keep(e, kv, d);
        if (err && mend) {
            mend();
            mend = NULL;
            err = case_keep(e, kv, d);
            if (err && d->message == MSG_SHELF_BROKEN) break; /* only a new handle knows what came through */
        }
        if (!err) *acknowledged = shelf_entry_info(e)->tokens;
        if (!err && *acknowledged > kv_count(kv)) err = shelf_attach(e, kv, p->n, &count, d);
    }
    if (!err) err = shelf_put(e, "marks", "0123456789", 10, d);
    if (!err) err = shelf_finish(e, d);
    kv_close(&kv);
    shelf_entry_close(&e);
    return err;
}

/* No damage; at least so many tokens; what is there is right; and it can be read to its end. */
static void assert_sound(const char *folder, const shelf_plan *p, int64_t acknowledged)
{
    shelf *s = NULL;
    shelf_entry *e = NULL;
    kv_cache *kv = NULL;
    cj_diag d = {0};
    int64_t damages = -1, count = 0, tokens;
    shelf_watch watch = {0};
    assert_int_equal(shelf_open(&s, folder, &d), CJ_OK);
    assert_int_equal(shelf_verify(s, NULL, &watch, &damages, &d), CJ_OK);
    assert_int_equal(damages, 0);
    assert_int_equal(shelf_read(s, &e, p->name, &d), CJ_OK);
    tokens = shelf_entry_info(e)->tokens;
    assert_true(tokens >= acknowledged);
    assert_int_equal(kv_open(&kv, p->key.layers, p->key.n_layers, NULL), CJ_OK);
    assert_int_equal(shelf_attach(e, kv, p->n, &count, &d), CJ_OK);
    assert_int_equal(count, tokens);
    assert_int_equal(case_wrong(kv, p->ids, &d), -1);
    kv_close(&kv);
    shelf_entry_close(&e);
    assert_int_equal(case_write(s, p, p->n, 4000, &count, &d), CJ_OK);
    assert_true(count >= acknowledged);
    shelf_close(&s);
}

/* A shelf with an entry read half and another one, copied for every attempt. */
static char *begun(void)
{
    static char *first;
    char command[1024];
    if (!first) {
        shelf *s = NULL;
        first = case_folder();
        shelf_plan p = case_plan("a", ids, N), q = case_plan("b", other, 2000);
        assert_int_equal(shelf_open(&s, first, NULL), CJ_OK);
        assert_int_equal(case_write(s, &p, BEFORE, 5000, NULL, NULL), CJ_OK);
        assert_int_equal(case_write(s, &q, 2000, 5000, NULL, NULL), CJ_OK);
        shelf_close(&s);
    }
    char *folder = case_folder();
    snprintf(command, sizeof command, "cp -r %s/. %s/", first, folder);
    assert_int_equal(system(command), 0);
    return folder;
}

static void stop_files(void) { file_fail_after(-1, 0); }
static void stop_memory(void) { mem_fail_after(-1); }

/* One attempt: false when nothing failed any more. */
static bool attempt(void (*faults)(int64_t n), void (*mend)(void), bool stubborn, int64_t n)
{
    char *folder = begun();
    shelf *s = NULL;
    shelf_plan p = case_plan("a", ids, N);
    cj_diag d = {0};
    int64_t acknowledged = BEFORE;
    char text[1024];
    faults(n);
    cj_err e = shelf_open(&s, folder, &d);
    if (!e) e = write_on(s, &p, &acknowledged, stubborn ? mend : NULL, &d);
    mend();
    shelf_close(&s);
    if (e) {
        assert_true(e == CJ_E_NOMEM || e == CJ_E_NOSPACE || e == CJ_E_IO);
        assert_true(cj_diag_text(&d, CJ_LANG_EN, text, sizeof text) > 0);
    }
    assert_sound(folder, &p, acknowledged);
    case_remove(folder);
    return e != CJ_OK;
}

static void fail_full(int64_t n) { file_fail_after(n, ENOSPC); }
static void fail_io(int64_t n) { file_fail_after(n, EIO); }
static void fail_memory(int64_t n) { mem_fail_after(n); }

static void go_through(void (*faults)(int64_t n), void (*mend)(void), bool stubborn)
{
    int64_t n = 0;
    int quiet = 0; /* a failure may be made good, or matter to nobody: the end is when several in a row do not fail */
    for (; quiet < 12; n += every) quiet = attempt(faults, mend, stubborn, n) ? 0 : quiet + 1;
    assert_true(n > 100);
}

static void the_disk_is_full(void **state) { (void)state; go_through(fail_full, stop_files, false); }
static void a_write_or_a_sync_fails(void **state) { (void)state; go_through(fail_io, stop_files, false); }
static void it_is_tried_again(void **state)
{
    (void)state;
    for (int64_t n = 0; n < 400; n += every) (void)attempt(fail_full, stop_files, true, n);
}
static void memory_ends(void **state) { (void)state; go_through(fail_memory, stop_memory, false); }

/* verify, export, import, rm and gc: each fails with a sentence or does what it should. */
static cj_err look_after(const char *folder, const char *path, cj_diag *d)
{
    shelf *s = NULL;
    shelf_watch watch = {0};
    int64_t damages = 0, freed;
    cj_err e = shelf_open(&s, folder, d);
    if (!e) e = shelf_verify(s, NULL, &watch, &damages, d);
    assert_int_equal(damages, 0);
    if (!e) e = shelf_export(s, "b", path, &watch, d);
    if (!e) e = shelf_import(s, path, "c", &watch, NULL, d);
    if (!e) e = shelf_rm(s, "b", &freed, d);
    if (!e) e = shelf_gc(s, &freed, d);
    shelf_close(&s);
    return e;
}

static void tending_fails_cleanly(void **state)
{
    (void)state;
    void (*const fails[])(int64_t) = {fail_full, fail_memory};
    void (*const mends[])(void) = {stop_files, stop_memory};
    for (int k = 0; k < 2; k++) {
        int quiet = 0;
        for (int64_t n = 0; quiet < 12; n += every) {
            char *folder = begun(), path[512];
            cj_diag d = {0};
            snprintf(path, sizeof path, "%s/b.juan", folder);
            fails[k](n);
            cj_err e = look_after(folder, path, &d);
            mends[k]();
            quiet = e ? 0 : quiet + 1;
            if (e) assert_true(e == CJ_E_NOMEM || e == CJ_E_NOSPACE || e == CJ_E_IO);
            shelf_plan p = case_plan("a", ids, N);
            assert_sound(folder, &p, BEFORE);
            case_remove(folder);
        }
    }
}

/* The sentence of a full disk says how much is needed. */
static void a_full_disk_is_told(void **state)
{
    (void)state;
    char *folder = begun(), text[1024];
    shelf *s = NULL;
    shelf_plan p = case_plan("a", ids, N);
    shelf_entry *e = NULL;
    kv_cache *kv = NULL;
    cj_diag d = {0};
    int64_t count;
    struct rlimit before, small = {600000, 600000};
    assert_int_equal(shelf_open(&s, folder, &d), CJ_OK);
    assert_int_equal(shelf_write(s, &e, &p, &d), CJ_OK);
    assert_int_equal(kv_open(&kv, case_layers, CASE_LAYERS, NULL), CJ_OK);
    assert_int_equal(shelf_attach(e, kv, N, &count, NULL), CJ_OK);
    assert_int_equal(case_read(kv, ids, 32000, NULL), CJ_OK);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small); /* the kernel itself refuses to write on */
    assert_int_equal(shelf_append(e, kv, &d), CJ_E_NOSPACE);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(d.message, MSG_SHELF_FULL);
    cj_diag_text(&d, CJ_LANG_EN, text, sizeof text);
    assert_non_null(strstr(text, "about 1 MiB more are needed to finish a"));
    assert_int_equal(shelf_entry_info(e)->tokens, BEFORE);
    assert_int_equal(shelf_append(e, kv, &d), CJ_OK); /* room was made */
    assert_int_equal(shelf_entry_info(e)->tokens, 32000);
    kv_close(&kv);
    shelf_entry_close(&e);
    shelf_close(&s);
    assert_sound(folder, &p, 32000);
    case_remove(folder);
}

/* Returns 0 when all is as it should be: it may be asked, and not written. */
static int read_only_child(const char *folder)
{
    shelf *s = NULL;
    shelf_entry *e = NULL;
    kv_cache *kv = NULL;
    cj_diag d = {0};
    int64_t count = 0, freed, damages = -1;
    shelf_watch watch = {0};
    shelf_plan p = case_plan("a", ids, N);
    if (setgid(65534) || setuid(65534)) return 1;
    if (shelf_open(&s, folder, &d)) return 2;
    if (shelf_read(s, &e, "a", &d) || kv_open(&kv, case_layers, CASE_LAYERS, NULL) || shelf_attach(e, kv, N, &count, &d)) return 3;
    if (count != BEFORE || case_wrong(kv, ids, &d) != -1) return 4;
    kv_close(&kv);
    shelf_entry_close(&e);
    if (shelf_verify(s, NULL, &watch, &damages, &d) || damages) return 5;
    if (shelf_write(s, &e, &p, &d) != CJ_E_IO || d.message != MSG_SHELF_READ_ONLY) return 6;
    if (shelf_rm(s, "a", &freed, &d) != CJ_E_IO || d.message != MSG_SHELF_READ_ONLY) return 7;
    if (shelf_gc(s, &freed, &d) != CJ_E_IO) return 8;
    shelf_close(&s);
    return 0;
}

static void a_read_only_disk_can_be_asked(void **state)
{
    (void)state;
    if (geteuid()) skip_because("only root can become somebody who may not write");
    char *folder = begun(), command[512];
    int status = -1;
    snprintf(command, sizeof command, "chmod -R a+rX,a-w %s", folder);
    assert_int_equal(system(command), 0);
    pid_t child = fork();
    if (!child) _exit(read_only_child(folder));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    case_remove(folder);
}

int main(int argc, char **argv)
{
    if (argc > 1) every = atoi(argv[1]);
    faulty_sqlite();
    ids = case_ids(N, N, 0);
    other = case_ids(N, 0, 7);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_disk_is_full), cmocka_unit_test(a_write_or_a_sync_fails), cmocka_unit_test(it_is_tried_again),
        cmocka_unit_test(memory_ends),      cmocka_unit_test(tending_fails_cleanly),   cmocka_unit_test(a_full_disk_is_told),
        cmocka_unit_test(a_read_only_disk_can_be_asked),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char *first = begun();
    case_remove(first);
    return failed;
}
