/* A process that writes a shelf is killed (kill -9) at random moments. After each: nothing is damaged, nothing that it said was
 * acknowledged is gone, what is there is right, and reading goes on within one segment. And: one writes while others read.
 *
 *     test_shelf_crash [MOMENTS]     default 30; the long test takes 300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "../support/shelf_case.h"

enum { N = 150000, STEP = 1700, TEXTS = 4 };
static int moments = 30;

/* Four versions of a book: the later ones change near the end, in the middle, or are longer. */
static const struct { const char *name; int64_t n, change; } texts[TEXTS] = {{"a", N, N}, {"a", N, 140000}, {"b", N - 20000, 50000}, {"a", N, N}};
static int32_t *ids_of[TEXTS];

/* What the writer says through the pipe: version and tokens acknowledged. */
typedef struct word {
    int32_t text, pad;
    int64_t tokens;
} word;

static void say(int fd, int text, int64_t tokens)
{
    word w = {text, 0, tokens};
    if (write(fd, &w, sizeof w) != sizeof w) _exit(9);
}

static cj_err write_one(shelf *s, int text, int fd)
{
    shelf_plan p = case_plan(texts[text].name, ids_of[text], texts[text].n);
    shelf_entry *e = NULL;
    kv_cache *kv = NULL;
    int64_t count = 0;
    TRY(kv_open(&kv, case_layers, CASE_LAYERS, NULL));
    TRY(shelf_write(s, &e, &p, NULL));
    TRY(shelf_attach(e, kv, p.n, &count, NULL));
    say(fd, text, shelf_entry_info(e)->tokens);
    while (kv_count(kv) < p.n) {
        TRY(case_read(kv, p.ids, i64_min(shelf_entry_next(e), kv_count(kv) + STEP), NULL));
        TRY(case_keep(e, kv, NULL));
        say(fd, text, shelf_entry_info(e)->tokens);
        if (shelf_entry_info(e)->tokens > kv_count(kv)) TRY(shelf_attach(e, kv, p.n, &count, NULL));
    }
    TRY(shelf_finish(e, NULL));
    kv_close(&kv);
    shelf_entry_close(&e);
    return CJ_OK;
}

/* Writes the versions one after the other for ever; between two rounds everything goes. */
static void writer(const char *folder, int from, int fd)
{
    shelf *s = NULL;
    int64_t freed;
    if (shelf_open(&s, folder, NULL)) _exit(1);
    for (int text = from;; text = (text + 1) % TEXTS) {
        if (write_one(s, text, fd)) _exit(2);
        if (text == TEXTS - 1) {
            say(fd, TEXTS, 0);
            if (shelf_rm(s, "a", &freed, NULL) || shelf_rm(s, "b", &freed, NULL) || shelf_gc(s, &freed, NULL)) _exit(3);
        }
    }
}

/* The last that was said, after at least so many words; nothing new leaves it as it was. */
static void listen_to(int fd, int words, word *last)
{
    word w;
    struct pollfd said = {.fd = fd, .events = POLLIN};
    for (; words > 0; words--) {
        if (poll(&said, 1, 60000) < 1 || read(fd, &w, sizeof w) != sizeof w) fail_msg("the writer does not write");
        *last = w;
    }
    while (read(fd, &w, sizeof w) == sizeof w) *last = w;
}

/* Of a version that was being written. Afterwards it goes on there. */
static void assert_sound(const char *folder, const word *last)
{
    shelf *s = NULL;
    shelf_entry *e = NULL;
    kv_cache *kv = NULL;
    cj_diag d = {0};
    int64_t damages = -1, count = 0;
    shelf_watch watch = {0};
    assert_int_equal(shelf_open(&s, folder, &d), CJ_OK);
    assert_int_equal(shelf_verify(s, NULL, &watch, &damages, &d), CJ_OK);
    assert_int_equal(damages, 0);
    if (last->text < TEXTS) {
        shelf_plan p = case_plan(texts[last->text].name, ids_of[last->text], texts[last->text].n);
        assert_int_equal(shelf_write(s, &e, &p, &d), CJ_OK);
        assert_true(shelf_entry_info(e)->tokens >= last->tokens);
        assert_int_equal(kv_open(&kv, case_layers, CASE_LAYERS, NULL), CJ_OK);
        assert_int_equal(shelf_attach(e, kv, p.n, &count, &d), CJ_OK);
        assert_true(count > last->tokens - SHELF_SEGMENT);
        assert_int_equal(case_wrong(kv, p.ids, &d), -1);
        kv_close(&kv);
        shelf_entry_close(&e);
    }
    shelf_close(&s);
}

static void killed_at_any_moment(void **state)
{
    (void)state;
    char *folder = case_folder();
    word last = {TEXTS, 0, 0};
    int64_t progress = 0;
    srand(20);
    for (int i = 0; i < moments; i++) {
        int ends[2], status;
        assert_int_equal(pipe(ends), 0);
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
        pid_t child = fork();
        if (!child) writer(folder, last.text % TEXTS, ends[1]);
        close(ends[1]);
        word before = last;
        listen_to(ends[0], rand() % 12, &last); /* some die while they open */
        clock_sleep(0.0001 * (rand() % 120));
        assert_int_equal(waitpid(child, &status, WNOHANG), 0); /* it has not ended by itself */
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        listen_to(ends[0], 0, &last);
        close(ends[0]);
        assert_sound(folder, &last);
        progress += last.text != before.text || last.tokens != before.tokens;
    }
    assert_true(progress > moments / 4); /* it was killed at work */
    case_remove(folder);
}

/* A reader: opens the entry again and again while it grows. 0: all was right. */
static int reader(const char *folder)
{
    for (int rounds = 0; rounds < 400; rounds++) {
        shelf *s = NULL;
        shelf_entry *e = NULL;
        kv_cache *kv = NULL;
        int64_t count = 0;
        cj_diag d = {0};
        if (shelf_open(&s, folder, &d)) return 1;
        cj_err err = shelf_read(s, &e, "a", &d);
        if (err && err != CJ_E_NOT_FOUND) return 2;
        if (!err) {
            if (kv_open(&kv, case_layers, CASE_LAYERS, NULL) || shelf_attach(e, kv, N, &count, &d)) return 3;
            if (count != shelf_entry_info(e)->tokens || case_wrong(kv, ids_of[0], &d) != -1) return 4;
        }
        bool complete = !err && shelf_entry_info(e)->complete;
        kv_close(&kv);
        shelf_entry_close(&e);
        shelf_close(&s);
        if (complete) return 0;
        clock_sleep(0.002);
    }
    return 5;
}

static void others_read_while_one_writes(void **state)
{
    (void)state;
    char *folder = case_folder();
    enum { READERS = 3 };
    pid_t child[READERS];
    shelf *s = NULL;
    cj_diag d = {0};
    assert_int_equal(shelf_open(&s, folder, &d), CJ_OK);
    shelf_close(&s); /* a connection must not be carried over a fork */
    for (int i = 0; i < READERS; i++) {
        child[i] = fork();
        if (!child[i]) _exit(reader(folder));
    }
    assert_int_equal(shelf_open(&s, folder, &d), CJ_OK);
    shelf_plan p = case_plan("a", ids_of[0], N);
    assert_int_equal(case_write(s, &p, N, STEP, NULL, &d), CJ_OK);
    shelf_close(&s);
    for (int i = 0; i < READERS; i++) {
        int status;
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    case_remove(folder);
}

int main(int argc, char **argv)
{
    if (argc > 1) moments = atoi(argv[1]);
    for (int i = 0; i < TEXTS; i++) ids_of[i] = case_ids(texts[i].n, texts[i].change, i);
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_at_any_moment), cmocka_unit_test(others_read_while_one_writes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
