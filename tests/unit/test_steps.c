/* reader/steps: answering from given passages and directly, over a text on a shelf, with a tiny random model: what it says means nothing,
 * but it stops when told, and tells of no memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reader/read.h"
#include "reader/steps.h"
#include "support/own_folder.h"

static engine *base;
static shelf *books;
static shelf_entry *entry;
static document *doc;
static book text;

static int begin(void **state)
{
    char lines[4096] = "";
    read_result r;
    if (own_folder_make(state)) return -1;
    for (int i = 0; i < 20; i++) snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "第%d天，他在第%d页写下：今天没有下雨。\n", i, i * 7 % 31);
    if (engine_open(&base, &(engine_options){.path = getenv("CJ_TINY_BASE"), .level = KERNEL_AUTO, .threads = 1, .kv = KV_F32}, NULL)) return -1;
    if (document_from_bytes(&doc, "a.txt", lines, strlen(lines), NULL) || shelf_open(&books, own_folder, NULL)) return -1;
    if (read_documents(base, books, &doc, 1, &(read_options){.name = "a", .model_name = "tiny"}, &r, NULL)) return -1;
    return shelf_read(books, &entry, "a", NULL) || book_load(&text, entry, NULL) ? -1 : 0;
}

static int end(void **state)
{
    book_deinit(&text);
    shelf_entry_close(&entry);
    shelf_close(&books);
    document_close(&doc);
    engine_close(&base);
    return own_folder_remove(state);
}

static const ask_options few = {.max_tokens = 4};

static cj_err answer_both_ways(cj_diag *d)
{
    const int64_t best[] = {7, 3, 11};
    buf given, direct;
    buf_init(&given, 1 << 16);
    buf_init(&direct, 1 << 16);
    cj_err e = steps_answer(base, &text, best, 3, "第3天写了什么？", &few, &given, d);
    if (!e) e = steps_direct(base, &text, entry, "第3天写了什么？", &few, &direct, d);
    buf_deinit(&given);
    buf_deinit(&direct);
    return e;
}

static void answers(void **state) { assert_int_equal(answer_both_ways(NULL), CJ_OK); }

static bool never(void *arg, ask_phase phase, int64_t done, int64_t total) { return false; }

static void stops(void **state)
{
    cj_diag d = {0};
    buf out;
    const ask_options opt = {.max_tokens = 4, .on_progress = never};
    buf_init(&out, 1 << 16);
    assert_int_equal(steps_answer(base, &text, (int64_t[]){1}, 1, "谁？", &opt, &out, &d), CJ_E_CANCELLED);
    assert_int_equal(steps_direct(base, &text, entry, "谁？", &opt, &out, &d), CJ_E_CANCELLED);
    buf_deinit(&out);
}

static void tells_of_no_memory(void **state)
{
    int failures = 0;
    for (int64_t n = 0;; n += n < 100 ? 1 : 13) {
        cj_diag d = {0};
        mem_fail_after(n);
        cj_err e = answer_both_ways(&d);
        mem_fail_after(-1);
        if (!e) break;
        assert_int_equal(e, CJ_E_NOMEM);
        assert_int_equal(d.code, e);
        failures++;
    }
    assert_true(failures > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers), cmocka_unit_test(stops), cmocka_unit_test(tells_of_no_memory)};
    return cmocka_run_group_tests_name("steps", tests, begin, end);
}
