/* The public header, as a program that knows nothing else would use it: options left out, text as it is written, quotes that are the
 * document's, calls that are stopped, errors told apart, memory that runs out. The model is a tiny random one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/mem.h"
#include "changjuan.h"

static char file[] = "/tmp/test_api_XXXXXX", home[] = "/tmp/test_api_home_XXXXXX";
static const char text[] = "第一回 山\n\n从前有座山，山里有座庙。\n庙里有个老和尚，在给小和尚讲故事。\n";
static cj_engine *e;

static int open_engine(void **state)
{
    char share[512];
    snprintf(share, sizeof share, "%s/share", getenv("CJ_SOURCE"));
    setenv("JUAN_SHARE", share, 1);
    setenv("JUAN_HOME", mkdtemp(home), 1);
    int fd = mkstemp(file);
    FILE *f = fdopen(fd, "w");
    if (!f || fputs(text, f) < 0 || fclose(f)) return -1;
    return cj_engine_open(&e, &(cj_engine_options){.model = getenv("CJ_TINY_BASE"), .threads = 1}, NULL);
}

static int close_engine(void **state)
{
    cj_engine_close(&e);
    cj_engine_close(&e); /* a NULL is allowed */
    unlink(file);
    return folder_remove(home, NULL);
}

static bool collect(void *user, const char *piece, size_t bytes) { return !buf_append(user, piece, bytes, NULL); }

static void writes(void **state)
{
    char *a = NULL, *b = NULL;
    buf heard;
    buf_init(&heard, 1 << 16);
    cj_write_options o = {.max_tokens = 8, .on_text = collect, .user = &heard};
    assert_int_equal(cj_write(e, "从前", &o, &a, NULL), CJ_OK);
    assert_int_equal(heard.len, strlen(a));
    assert_memory_equal(a, heard.len ? heard.data : "", heard.len);
    o.on_text = NULL;
    assert_int_equal(cj_write(e, "从前", &o, &b, NULL), CJ_OK);
    assert_string_equal(a, b);
    cj_free(a);
    cj_free(b);
    cj_free(NULL);
    assert_int_equal(cj_write(e, "从前", &o, NULL, NULL), CJ_OK);
    buf_deinit(&heard);
}

/* Says stop, and counts how often it was asked. */
static bool once(void *user, const char *piece, size_t bytes)
{
    ++*(int *)user;
    return false;
}
static bool never(void *user, int64_t done, int64_t total) { return false; }

static void options_out_of_range(void **state)
{
    char *a = NULL;
    cj_answer *answer = NULL;
    const char *files[] = {file};
    assert_int_equal(cj_write(e, "庙里", &(cj_write_options){.max_tokens = -1}, &a, NULL), CJ_E_USAGE);
    assert_int_equal(cj_write(e, "庙里", &(cj_write_options){.top_p = -0.5}, &a, NULL), CJ_E_USAGE);
    assert_int_equal(cj_ask(e, files, 1, "庙在哪里？", &(cj_ask_options){.quotes = -1}, &answer, NULL), CJ_E_USAGE);
    assert_int_equal(cj_ask(e, files, 1, "庙在哪里？", &(cj_ask_options){.quotes = 193}, &answer, NULL), CJ_E_USAGE);
    assert_int_equal(cj_ask(e, files, 1, "庙在哪里？", &(cj_ask_options){.max_tokens = -1}, &answer, NULL), CJ_E_USAGE);
    assert_null(a);
    assert_null(answer);
}

static void writing_is_stopped(void **state)
{
    char *a = NULL;
    int asked = 0;
    assert_int_equal(cj_write(e, "庙里", &(cj_write_options){.max_tokens = 50, .on_text = once, .user = &asked}, &a, NULL), CJ_OK);
    assert_int_equal(asked, 1);
    assert_non_null(a);
    cj_free(a);
    a = NULL;
    assert_int_equal(cj_write(e, "山里的老和尚", &(cj_write_options){.on_progress = never}, &a, NULL), CJ_E_CANCELLED);
    assert_null(a);
}

static void asks(void **state)
{
    cj_answer *a = NULL;
    const char *files[] = {file, file};
    assert_int_equal(cj_ask(e, files, 2, "庙里有谁？", NULL, &a, NULL), CJ_OK);
    assert_non_null(a->text);
    assert_in_range(a->n_quotes, 1, 3);
    for (size_t i = 0; i < a->n_quotes; i++) {
        const cj_quote *q = &a->quotes[i];
        assert_true(q->verified && q->document < 2 && q->start < q->end && q->score >= 0 && q->score <= 1);
        assert_non_null(strstr(text, q->text));
        assert_string_equal(q->chapter, "第一回 山");
        assert_string_equal(q->name, strrchr(file, '/') + 1);
        assert_true(!q->article && q->page == 0);
    }
    cj_answer_free(&a);
    assert_null(a);
    cj_answer_free(&a);
    assert_int_equal(cj_ask(e, files, 1, "谁？", &(cj_ask_options){.on_progress = never}, &a, NULL), CJ_E_CANCELLED);
    assert_null(a);
}

static void answers_say_why_they_end(void **state)
{
    cj_answer *a = NULL;
    const char *files[] = {file};
    int asked = 0;
    static const struct { int64_t tokens; const char *end; } cases[] = {{1, "length"}, {4, "length"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(cj_ask(e, files, 1, "庙里有谁？", &(cj_ask_options){.max_tokens = cases[i].tokens}, &a, NULL), CJ_OK);
        if (!a->end || (strcmp(a->end, cases[i].end) && strcmp(a->end, "stop"))) fail_msg("%s", a->end ? a->end : "none");
        cj_answer_free(&a);
    }
    assert_int_equal(cj_ask(e, files, 1, "庙里有谁？", &(cj_ask_options){.on_text = once, .user = &asked}, &a, NULL), CJ_OK);
    assert_string_equal(a->end, asked ? "cancelled" : "stop");
    cj_answer_free(&a);
}

static void one_sentence_has_no_score(void **state)
{
    char path[] = "/tmp/test_api_XXXXXX";
    const char *files[] = {path};
    cj_answer *a = NULL;
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, strlen("第一回 山")) > 0);
    close(fd);
    assert_int_equal(cj_ask(e, files, 1, "山在哪里？", NULL, &a, NULL), CJ_OK);
    assert_int_equal(a->n_quotes, 1);
    assert_true(a->quotes->score == -1 && a->quotes->verified);
    cj_answer_free(&a);
    unlink(path);
}

/* In a process of its own: a model's file is cut while it is open. Returns how that ended. */
static int cut_in_use(bool guarded)
{
    char path[] = "/tmp/test_api_XXXXXX";
    char line[1024];
    int status, fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    snprintf(line, sizeof line, "cp '%s' %s", getenv("CJ_TINY_BASE"), path);
    assert_int_equal(system(line), 0);
    pid_t child = fork();
    if (!child) {
        cj_engine *cut = NULL;
        signal(SIGBUS, SIG_DFL);
        if (guarded) cj_guard_files();
        if (cj_engine_open(&cut, &(cj_engine_options){.model = path, .threads = 1}, NULL) || truncate(path, 4096)) _exit(99);
        _exit(-cj_write(cut, "从前", &(cj_write_options){.max_tokens = 4}, NULL, NULL));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    unlink(path);
    return status;
}

static void a_cut_file_is_an_error(void **state)
{
    int status = cut_in_use(true);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), -CJ_E_INPUT);
    assert_int_not_equal(cut_in_use(false), 0); /* the guard is what made the difference */
}

static void errors_are_told_apart(void **state)
{
    cj_engine *x = NULL;
    cj_answer *a = NULL;
    char *t = NULL;
    cj_diag d = {0};
    char sentence[1024];
    const char *absent[] = {"/tmp/there/is/no/such/file.txt"};
    assert_int_equal(cj_engine_open(&x, &(cj_engine_options){.model = "/tmp/there/is/no/such.gguf"}, &d), CJ_E_NOT_FOUND);
    assert_int_equal(cj_engine_open(&x, &(cj_engine_options){.model = file}, &d), CJ_E_INPUT);
    assert_int_equal(cj_engine_open(&x, &(cj_engine_options){.cpu = "abacus"}, &d), CJ_E_USAGE);
    assert_int_equal(cj_engine_open(&x, &(cj_engine_options){.kv = "q1"}, &d), CJ_E_USAGE);
    assert_int_equal(cj_engine_open(&x, &(cj_engine_options){.threads = -1}, &d), CJ_E_USAGE);
    assert_null(x);
    assert_int_equal(cj_ask(e, absent, 1, "谁？", NULL, &a, &d), CJ_E_NOT_FOUND);
    assert_true(cj_diag_text(&d, CJ_LANG_ZH, sentence, sizeof sentence) > 0);
    assert_non_null(strstr(sentence, absent[0]));
    assert_int_equal(cj_ask(e, absent, 0, "谁？", NULL, &a, &d), CJ_E_LIMIT);
    assert_int_equal(cj_write(e, "x", &(cj_write_options){.temperature = -1}, &t, &d), CJ_E_USAGE);
    assert_null(a);
    assert_null(t);
}

static void no_memory_is_an_error(void **state)
{
    cj_answer *a = NULL;
    const char *files[] = {file};
    for (int n = 0;; n++) {
        mem_fail_after(n);
        cj_err err = cj_ask(e, files, 1, "谁？", &(cj_ask_options){.max_tokens = 2}, &a, NULL);
        mem_fail_after(-1);
        if (!err) break;
        assert_int_equal(err, CJ_E_NOMEM);
        assert_null(a);
        assert_true(n < 5000);
    }
    cj_answer_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes), cmocka_unit_test(options_out_of_range), cmocka_unit_test(writing_is_stopped),    cmocka_unit_test(asks),
        cmocka_unit_test(answers_say_why_they_end), cmocka_unit_test(one_sentence_has_no_score), cmocka_unit_test(a_cut_file_is_an_error),
        cmocka_unit_test(errors_are_told_apart), cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, open_engine, close_engine);
}
