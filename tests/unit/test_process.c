/* base/: other programs, whole folders, growing files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/own_folder.h"
#include "../support/skip.h"
#include "base/background.h"
#include "base/clock.h"
#include "base/confine.h"
#include "base/file.h"
#include "base/grow.h"
#include "base/process.h"
#include "base/share.h"

static char *in_root(const char *name) { return file_join(own_folder, name); }

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* Runs a shell line to its end; the last words go to words. */
static int run(const char *line, const char *const env[], char *words, size_t size)
{
    const char *argv[] = {"sh", "-c", line, NULL};
    process p;
    bool ended;
    int status = -1;
    assert_int_equal(process_start(&p, argv, env, NULL), CJ_OK);
    assert_int_equal(process_wait(&p, 20, &ended, &status, NULL), CJ_OK);
    assert_true(ended);
    process_last_words(&p, words, size);
    process_stop(&p);
    return status;
}

static void a_program_ends_with_its_status(void **state)
{
    (void)state;
    char words[64];
    assert_int_equal(run("exit 7", NULL, words, sizeof words), 7);
    assert_string_equal(words, "");
    assert_int_equal(run("kill -9 $$", NULL, words, sizeof words), 128 + 9);
    assert_int_equal(run("echo first >&2; echo ' second ' >&2; echo out; echo >&2", NULL, words, sizeof words), 0);
    assert_string_equal(words, " second");
    assert_int_equal(run("printf 'bad\\033[31m\\377红\\n' >&2", NULL, words, sizeof words), 0);
    assert_string_equal(words, "bad [31m 红");
    assert_int_equal(run("for i in 1 2 3 4 5 6 7 8 9; do printf '%01000d\\n' $i >&2; done", NULL, words, 11), 0);
    assert_int_equal(strlen(words), 7); /* what fits, a character's length kept free */
    assert_int_equal(run("cat; echo read >&2", NULL, words, sizeof words), 0); /* there is nothing to read */
    assert_string_equal(words, "read");
}

static void the_environment_is_added_to(void **state)
{
    (void)state;
    char words[64];
    setenv("CJ_OLD", "old", 1);
    setenv("CJ_KEPT", "kept", 1);
    const char *env[] = {"CJ_OLD=new", "CJ_MORE=more", NULL};
    assert_int_equal(run("echo $CJ_OLD $CJ_KEPT $CJ_MORE >&2", env, words, sizeof words), 0);
    assert_string_equal(words, "new kept more");
}

static void what_is_not_there_is_named(void **state)
{
    (void)state;
    const char *argv[] = {"no-such-program-here", NULL};
    process p;
    cj_diag d = {0};
    assert_int_equal(process_start(&p, argv, NULL, &d), CJ_E_NOT_FOUND);
    assert_int_equal(d.message, MSG_PROGRAM_MISSING);
    process_stop(&p); /* nothing runs: fine */
    mem_fail_after(0);
    assert_int_equal(process_start(&p, argv, NULL, &d), CJ_E_NOMEM);
    mem_fail_after(-1);
}

/* A child that ignores the polite signal, with a child of its own: both end, within the two seconds it is given. */
static void stopping_ends_the_whole_group(void **state)
{
    (void)state;
    char line[160];
    char *pids = in_root("pids");
    snprintf(line, sizeof line, "trap '' TERM; sh -c \"trap '' TERM; echo \\$\\$ > %s; sleep 60\"; sleep 60", pids);
    const char *argv[] = {"sh", "-c", line, NULL};
    process p;
    bool ended = true;
    int status;
    assert_int_equal(process_start(&p, argv, NULL, NULL), CJ_OK);
    for (double until = clock_now() + 10; clock_now() < until && file_size(pids) < 2;) clock_sleep(0.02);
    assert_int_equal(process_wait(&p, 0.05, &ended, &status, NULL), CJ_OK);
    assert_false(ended);
    double began = clock_now();
    process_stop(&p);
    assert_in_range((int)(clock_now() - began), 1, 4);
    buf text;
    assert_int_equal(file_read(pids, 100, &text, NULL), CJ_OK);
    int grandchild = atoi(text.data);
    buf_deinit(&text);
    for (double until = clock_now() + 5; clock_now() < until && kill(grandchild, 0) == 0;) clock_sleep(0.02);
    char path[64], stat[64] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", grandchild);
    FILE *f = fopen(path, "r"); /* in a container without an init it may stay as a zombie */
    if (f) assert_int_equal(fscanf(f, "%*d %*s %63s", stat), 1);
    if (f) fclose(f);
    assert_true(!f || !strcmp(stat, "Z"));
    mem_free(pids);
}

static void folders_go_without_following_links(void **state)
{
    (void)state;
    char *outside = in_root("outside"), *inside = in_root("a/b/c"), *kept = in_root("outside/kept"), *top = in_root("a");
    char *link = in_root("a/b/link"), *file = in_root("a/file"), *moved = in_root("moved");
    assert_int_equal(file_make_dirs(outside, NULL), CJ_OK);
    assert_int_equal(file_make_dirs(inside, NULL), CJ_OK);
    write_text(kept, "12345");
    write_text(file, "123");
    assert_int_equal(folder_link(outside, link, NULL), CJ_OK);
    assert_int_equal(folder_link(outside, link, NULL), CJ_OK); /* replaces */
    assert_int_equal(folder_size(top), 3 + (int64_t)strlen(outside));
    folder_stamp one, two;
    assert_true(folder_stamp_of(file, &one));
    assert_int_equal(folder_move(file, moved, NULL), CJ_OK);
    assert_false(folder_stamp_of(file, &two));
    assert_true(folder_stamp_of(moved, &two));
    assert_true(one.size == 3 && one.size == two.size && one.modified == two.modified);
    assert_int_equal(folder_remove(top, NULL), CJ_OK);
    assert_false(file_exists(top));
    assert_true(file_exists(kept));
    assert_int_equal(folder_remove(top, NULL), CJ_OK); /* nothing there is fine */
    assert_int_equal(folder_size(top), 0);
    char *all[] = {outside, inside, kept, top, link, file, moved};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) mem_free(all[i]);
}

static void a_lock_is_for_one(void **state)
{
    (void)state;
    char *path = in_root("lock");
    int one = -1, two = -1;
    assert_int_equal(folder_lock(path, &one, NULL), CJ_OK);
    assert_true(one >= 0);
    assert_int_equal(folder_lock(path, &two, NULL), CJ_OK);
    assert_int_equal(two, -1);
    folder_unlock(one);
    assert_int_equal(folder_lock(path, &two, NULL), CJ_OK);
    assert_true(two >= 0);
    folder_unlock(two);
    mem_free(path);
}

static void list(char *out, size_t size)
{
    char *home = in_root("homes"), line[256], words[128];
    snprintf(line, sizeof line, "ls %s | tr '\\n' ' ' >&2", home);
    assert_int_equal(run(line, NULL, words, sizeof words), 0);
    snprintf(out, size, "%s", words);
    mem_free(home);
}

/* What a killed process has left is removed by the next one, what a living one holds is not. */
static void a_process_has_a_folder_of_its_own(void **state)
{
    (void)state;
    char *home = in_root("homes"), *path, names[128], ours[32];
    int lock, status;
    snprintf(ours, sizeof ours, "eval-%ld", (long)getpid());
    for (int killed = 0; killed < 2; killed++) {
        int ready[2];
        char one;
        assert_int_equal(pipe(ready), 0);
        pid_t child = fork();
        if (!child) {
            if (folder_own(home, "eval-", &path, &lock, NULL) || write(ready[1], "x", 1) != 1) _exit(1);
            if (killed) _exit(0);
            pause();
        }
        assert_int_equal(read(ready[0], &one, 1), 1);
        if (killed) assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(folder_own(home, "eval-", &path, &lock, NULL), CJ_OK);
        assert_true(file_is_dir(path));
        list(names, sizeof names);
        char theirs[32];
        snprintf(theirs, sizeof theirs, "eval-%ld", (long)child);
        assert_true(strstr(names, ours) && (strstr(names, theirs) == NULL) == (killed != 0));
        folder_disown(&path, &lock);
        assert_null(path);
        folder_disown(&path, &lock); /* nothing any more */
        if (!killed) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
        }
        close(ready[0]);
        close(ready[1]);
    }
    for (int64_t n = 0;; n++) {
        mem_fail_after(n);
        cj_err e = folder_own(home, "eval-", &path, &lock, NULL);
        mem_fail_after(-1);
        folder_disown(&path, &lock);
        if (!e) break;
        assert_int_equal(e, CJ_E_NOMEM);
    }
    list(names, sizeof names);
    assert_string_equal(names, "");
    mem_free(home);
}

static void growing_files_keep_what_they_are_told(void **state)
{
    (void)state;
    char *path = in_root("f.part"), *place = in_root("f"), out[16];
    grow_file g;
    size_t got;
    assert_int_equal(grow_open(&g, path, 0, NULL), CJ_OK);
    assert_int_equal(grow_write(&g, "hello world", 11, NULL), CJ_OK);
    grow_close(&g);
    assert_int_equal(grow_open(&g, path, 5, NULL), CJ_OK);
    assert_int_equal(g.size, 5);
    assert_int_equal(grow_write(&g, "!", 1, NULL), CJ_OK);
    assert_int_equal(grow_read(&g, 3, out, sizeof out, &got, NULL), CJ_OK);
    assert_int_equal(got, 3);
    assert_memory_equal(out, "lo!", 3);
    assert_int_equal(grow_finish(&g, place, NULL), CJ_OK);
    assert_false(file_exists(path));
    assert_int_equal(file_size(place), 6);
    assert_int_equal(grow_open(&g, path, 99, NULL), CJ_OK); /* fewer are there: the size says so */
    assert_int_equal(g.size, 0);
    char *nowhere = in_root("none/f");
    assert_int_equal(grow_finish(&g, nowhere, NULL), CJ_E_NOT_FOUND);
    assert_true(file_exists(path)); /* a failure leaves it where it was */
    assert_int_equal(folder_remove(path, NULL), CJ_OK);
    assert_int_equal(folder_link(place, path, NULL), CJ_OK);
    assert_int_not_equal(grow_open(&g, path, 0, NULL), CJ_OK); /* a link that somebody put there is not followed */
    assert_int_equal(file_size(place), 6);
    assert_int_equal(grow_read_only(&g, path, NULL), CJ_OK);
    assert_int_equal(g.size, 6);
    grow_close(&g);
    mem_free(path);
    mem_free(place);
    mem_free(nowhere);
}

static void the_share_folder_can_be_named(void **state)
{
    (void)state;
    setenv("JUAN_SHARE", "/some/where", 1);
    char *p = share_folder();
    assert_string_equal(p, "/some/where");
    mem_free(p);
    unsetenv("JUAN_SHARE");
    p = share_folder(); /* nothing lies beside this test: the place it was to be installed to */
    assert_non_null(p);
    assert_string_equal(p + strlen(p) - 5, "/juan");
    mem_free(p);
    mem_fail_after(0);
    assert_null(share_folder());
    mem_fail_after(-1);
}

/* ---- behind a fence ---- */

static const process_fence usual = {.about = "paper", .memory = 256 << 20, .output = 1 << 20, .seconds = 20};

/* One job for each way to go; what it tries must not work. */
static cj_err try_something(void *arg, buf *out, cj_diag *d)
{
    const char *what = arg;
    volatile char *bad = NULL;
    if (!strcmp(what, "add")) return buf_printf(out, d, "%d", 6 * 7);
    if (!strcmp(what, "fail")) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_LIMIT, "%s" ARG "%d", "页", 3);
    if (!strcmp(what, "files")) return buf_printf(out, d, "%d %d", open("/etc/passwd", O_RDONLY), open("/tmp/cj-leak", O_CREAT | O_WRONLY, 0600));
    if (!strcmp(what, "network")) return buf_printf(out, d, "%d", socket(AF_INET, SOCK_STREAM, 0));
    if (!strcmp(what, "processes")) return buf_printf(out, d, "%d %d", confine_has_filter() ? fork() : -1, kill(getppid(), 0));
    if (!strcmp(what, "crash")) *bad = 1;
    if (!strcmp(what, "memory"))
        for (int i = 0; i < 64; i++) {
            char *p = mem_alloc(64 << 20);
            if (!p) return diag_nomem(d, 64 << 20);
            memset(p, 1, 64 << 20);
        }
    if (!strcmp(what, "output"))
        for (;;) TRY(buf_puts(out, "长卷长卷长卷长卷", d));
    if (!strcmp(what, "flood"))
        for (;;)
            if (write(1, what, 5) < 0) return CJ_OK;
    if (!strcmp(what, "lie")) {
        int32_t lie[2] = {-77, 1 << 30};
        if (write(1, lie, sizeof lie) < 0) return CJ_OK;
        _exit(0);
    }
    if (!strcmp(what, "exit")) _exit(7);
    for (volatile int i = 0;;) i = i + 1;
}

static cj_err attempt(process_fence f, const char *what, char text[256])
{
    buf out;
    cj_diag d = {0};
    buf_init(&out, 1 << 22);
    cj_err e = process_work_fenced(&f, try_something, (void *)(uintptr_t)what, &out, &d);
    if (e) cj_diag_text(&d, CJ_LANG_EN, text, 256);
    else snprintf(text, 256, "%s", out.data);
    buf_deinit(&out);
    return e;
}

static void fenced_work_can_only_compute(void **state)
{
    (void)state;
    char text[256];
    assert_int_equal(attempt(usual, "add", text), CJ_OK);
    assert_string_equal(text, "42");
    assert_int_equal(attempt(usual, "fail", text), CJ_E_UNSUPPORTED);
    assert_string_equal(text, "页: more than the permitted 3.");
    assert_int_equal(attempt(usual, "files", text), CJ_OK);
    assert_string_equal(text, "-1 -1");
    assert_int_equal(attempt(usual, "network", text), CJ_OK);
    assert_string_equal(text, "-1");
    if (!confine_has_filter()) skip_because("this kernel has no filter of system calls");
    assert_int_equal(attempt(usual, "processes", text), CJ_OK);
    assert_string_equal(text, "-1 -1");
}

static void fenced_work_ends_within_its_limits(void **state)
{
    (void)state;
    char text[256];
    const struct { const char *what; cj_err code; const char *says; } cases[] = {
        {"crash", CJ_E_INPUT, "broke down"}, {"exit", CJ_E_INPUT, "broke down"}, {"lie", CJ_E_INPUT, "broke down"},
        {"output", CJ_E_LIMIT, "permitted"}, {"flood", CJ_E_LIMIT, "bytes of text"}, {"spin", CJ_E_LIMIT, "too long"},
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        {"memory", CJ_E_NOMEM, "256 MiB"},
#endif
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        process_fence f = usual;
        f.seconds = strcmp(cases[i].what, "spin") ? 20 : 1;
        assert_int_equal(attempt(f, cases[i].what, text), cases[i].code);
        assert_non_null(strstr(text, cases[i].says));
    }
}

static bool not_long(void *user) { return clock_now() < *(double *)user; }

static void fenced_work_can_be_cancelled(void **state)
{
    (void)state;
    char text[256];
    double start = clock_now(), until = start + 0.2;
    process_fence f = usual;
    f.go_on = not_long;
    f.user = &until;
    assert_int_equal(attempt(f, "spin", text), CJ_E_CANCELLED);
    assert_true(clock_now() - start < 5);
}

/* This test as a fenced program: which doors are shut, as exit status. */
enum { NO_NETWORK = 1, NO_PROCESS = 2, NO_WRITING = 4, READING = 8, DENIED = 15 }; /* reading is what it may */
static int try_doors(void)
{
    int shut = 0;
    if (socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM) shut |= NO_NETWORK;
    pid_t child = fork();
    if (!child) _exit(0);
    if (child < 0) shut |= NO_PROCESS;
    int fd = open("/tmp/cj-proc-leak", O_CREAT | O_WRONLY, 0600);
    if (fd < 0 || write(fd, "x", 1) < 0) shut |= NO_WRITING;
    if (open("/proc/self/exe", O_RDONLY) >= 0) shut |= READING;
    return shut;
}

static cj_err run_script(const char *script, const char *input, buf *out, int *status, char words[128], cj_diag *d)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    buf_init(out, 1 << 20);
    return process_run_fenced(&usual, argv, input, strlen(input), out, status, words, 128, d);
}

static void a_fenced_program_reads_and_answers(void **state)
{
    (void)state;
    buf out;
    int status;
    char words[128];
    cj_diag d = {0};
    assert_int_equal(run_script("read x; echo \"<$x>\"; echo tired >&2; exit 3", "一行\n二行", &out, &status, words, &d), CJ_OK);
    assert_string_equal(out.data, "<一行>\n");
    assert_string_equal(words, "tired");
    assert_int_equal(status, 3);
    buf_deinit(&out);
    char script[256], *path = in_root("leak");
    snprintf(script, sizeof script, "exec 2>&-; echo x >%s; echo $?; while :; do echo 1234567890; done", path);
    assert_int_equal(run_script(script, "", &out, &status, words, &d), CJ_E_LIMIT); /* more output than it may */
    assert_false(file_exists(path) && file_size(path) > 0);
    buf_deinit(&out);
    assert_int_equal(run_script("kill -SEGV $$; sleep 1; ulimit -c; exit 9", "", &out, &status, words, &d), confine_has_filter() ? CJ_OK : CJ_E_INPUT);
    buf_deinit(&out);
    const char *const absent[] = {"no-such-program-at-all", NULL};
    buf_init(&out, 1 << 20);
    assert_int_equal(process_run_fenced(&usual, absent, "", 0, &out, &status, words, sizeof words, &d), CJ_E_NOT_FOUND);
    buf_deinit(&out);
    mem_free(path);
}

/* A program may be begun with its standard descriptors closed: files that are opened then get their numbers. */
static void closed_descriptors_are_no_one_elses(void **state)
{
    (void)state;
    for (int closed = 1; closed < 8; closed++) {
        int status;
        pid_t child = fork();
        if (!child) {
            buf out;
            char words[128] = "", text[256] = "";
            for (int fd = 0; fd < 3; fd++)
                if (closed >> fd & 1) close(fd);
            bool good = !run_script("read x; echo \"<$x>\"; echo tired >&2", "line", &out, &status, words, NULL) && !strcmp(out.data, "<line>\n") && !strcmp(words, "tired");
            good = good && !attempt(usual, "add", text) && !strcmp(text, "42");
            process p;
            bool ended;
            const char *const argv[] = {"sh", "-c", "echo so >&2", NULL};
            good = good && !process_start(&p, argv, NULL, NULL) && !process_wait(&p, 20, &ended, &status, NULL) && ended;
            if (good) process_last_words(&p, words, sizeof words);
            _exit(good && !strcmp(words, "so") ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        if (status) fail_msg("closed: %d", closed);
    }
}

static void a_fenced_program_finds_doors_shut(void **state)
{
    (void)state;
    buf out;
    int status;
    char words[128];
    const char *const itself[] = {"/proc/self/exe", "try", NULL};
    if (!confine_has_filter()) skip_because("this kernel has no filter of system calls");
    buf_init(&out, 1 << 20);
    assert_int_equal(process_run_fenced(&usual, itself, "", 0, &out, &status, words, sizeof words, NULL), CJ_OK);
    assert_int_equal(status, DENIED);
    buf_deinit(&out);
}

/* ---- in the background ---- */

static char heard[256];
static void hear(const char *text, size_t n) { snprintf(heard, sizeof heard, "%.*s", (int)n, text); }

static volatile sig_atomic_t rung;
static void ring(int sig)
{
    (void)sig;
    rung = 1;
}
static bool was_rung(void) { return rung; }

/* Divides this process; the other one waits so long and settles, or ends with the status 7. */
static background begin_another(double wait, bool settles)
{
    char *log = in_root("log");
    background b;
    assert_int_equal(background_begin(&b, NULL), CJ_OK);
    if (b.pid) {
        mem_free(log);
        return b;
    }
    bool deaf = signal(SIGPIPE, SIG_IGN) == SIG_IGN; /* who listens may go away */
    for (double until = clock_now() + wait; clock_now() < until;) clock_sleep(0.05);
    fputs(deaf ? "ready\n" : "a closed pipe would end me\n", stderr);
    if (settles && background_settle(&b, "named", log, NULL)) _exit(8);
    fputs("for the log\n", stderr);
    _exit(settles ? 0 : 7);
}

static void what_is_in_the_background_settles_or_ends(void **state)
{
    char word[BACKGROUND_WORD_MAX];
    int status = -1;
    (void)state;
    background b = begin_another(0, true);
    assert_true(background_await(&b, hear, word, &status));
    assert_string_equal(word, "named");
    assert_string_equal(heard, "ready\n");
    b = begin_another(0, false);
    assert_false(background_await(&b, hear, word, &status));
    assert_int_equal(status, 7);
}

/* Ctrl-C before it has settled is for it too. */
static void what_has_not_settled_is_stopped(void **state)
{
    char word[BACKGROUND_WORD_MAX];
    int status = -1;
    struct sigaction how = {.sa_handler = ring}, before;
    (void)state;
    background b = begin_another(10, true);
    sigaction(SIGALRM, &how, &before);
    file_stop_when(was_rung);
    alarm(1);
    double start = clock_now();
    assert_false(background_await(&b, hear, word, &status));
    file_stop_when(NULL);
    sigaction(SIGALRM, &before, NULL);
    assert_int_equal(status, 128 + SIGTERM);
    assert_true(clock_now() - start < 8);
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "try")) _exit(try_doors()); /* at once: what sanitizers do at an end is not permitted */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_ends_with_its_status), cmocka_unit_test(the_environment_is_added_to),
        cmocka_unit_test(what_is_not_there_is_named), cmocka_unit_test(stopping_ends_the_whole_group),
        cmocka_unit_test(folders_go_without_following_links), cmocka_unit_test(a_lock_is_for_one), cmocka_unit_test(a_process_has_a_folder_of_its_own),
        cmocka_unit_test(growing_files_keep_what_they_are_told), cmocka_unit_test(the_share_folder_can_be_named),
        cmocka_unit_test(fenced_work_can_only_compute), cmocka_unit_test(fenced_work_ends_within_its_limits),
        cmocka_unit_test(fenced_work_can_be_cancelled), cmocka_unit_test(a_fenced_program_reads_and_answers),
        cmocka_unit_test(a_fenced_program_finds_doors_shut), cmocka_unit_test(closed_descriptors_are_no_one_elses), cmocka_unit_test(what_is_in_the_background_settles_or_ends),
        cmocka_unit_test(what_has_not_settled_is_stopped),
    };
    return cmocka_run_group_tests(tests, own_folder_make, own_folder_remove);
}
