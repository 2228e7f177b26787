/* The shelf: what was read comes back, goes on where it was, is shared between texts that begin alike, and is put in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../support/shelf_case.h"

static shelf *open_shelf(const char *folder)
{
    shelf *s = NULL;
    cj_diag d = {0};
    if (shelf_open(&s, folder, &d)) fail_msg("%s", d.args);
    return s;
}

static void write_to(shelf *s, const shelf_plan *p, int64_t to, int64_t resumed)
{
    cj_diag d = {0};
    int64_t from = -1;
    if (case_write(s, p, to, 3000, &from, &d)) {
        char text[2048];
        cj_diag_text(&d, CJ_LANG_EN, text, sizeof text);
        fail_msg("%s (%s:%d)", text, d.place, d.line);
    }
    assert_int_equal(from, resumed);
}

/* Opens the entry as a reader and looks at every page. */
static void assert_reads(shelf *s, const char *name, const int32_t *ids, int64_t n, int64_t tokens)
{
    shelf_entry *e = NULL;
    kv_cache *kv = NULL;
    cj_diag d = {0};
    int64_t count = -1;
    assert_int_equal(shelf_read(s, &e, name, &d), CJ_OK);
    assert_int_equal(shelf_entry_info(e)->tokens, tokens);
    assert_int_equal(shelf_entry_info(e)->tokens_total, n);
    assert_memory_equal(shelf_entry_ids(e), ids, (size_t)n * sizeof *ids);
    assert_int_equal(kv_open(&kv, case_layers, CASE_LAYERS, NULL), CJ_OK);
    assert_int_equal(shelf_attach(e, kv, n, &count, &d), CJ_OK);
    assert_int_equal(count, tokens);
    assert_int_equal(case_wrong(kv, ids, &d), -1);
    kv_close(&kv);
    shelf_entry_close(&e);
}

static void what_is_read_comes_back(void **state)
{
    (void)state;
    enum { N = 80000 };
    char *folder = case_folder();
    shelf *s = open_shelf(folder);
    int32_t *ids = case_ids(N, N, 0);
    shelf_plan p = case_plan("红楼梦", ids, N);
    write_to(s, &p, 5000, 0);
    assert_reads(s, p.name, ids, N, 5000);
    write_to(s, &p, 5000, 5000);
    write_to(s, &p, 40000, 5000);
    assert_reads(s, p.name, ids, N, 40000);
    shelf_close(&s);
    s = open_shelf(folder);
    write_to(s, &p, N, 40000);
    assert_reads(s, p.name, ids, N, N);
    write_to(s, &p, N, N); /* complete: nothing to do */
    free(ids);
    shelf_close(&s);
    case_remove(folder);
}

static int segment_files(const char *folder)
{
    char command[512], line[64] = "0";
    snprintf(command, sizeof command, "ls %s/segments | grep -c '\\.seg$'", folder);
    FILE *f = popen(command, "r");
    if (!f || !fgets(line, sizeof line, f)) line[0] = '0';
    if (f) pclose(f);
    return atoi(line);
}

/* A chapter more, a correction near the end, another book: what is shared is not read again. */
static void versions_share_what_they_share(void **state)
{
    (void)state;
    enum { N = 80000, LONGER = 90000, CHANGE = 70000 };
    char *folder = case_folder();
    shelf *s = open_shelf(folder);
    int32_t *ids = case_ids(LONGER, LONGER, 0), *corrected = case_ids(N, CHANGE, 1), *other = case_ids(N, 0, 5);
    shelf_plan p = case_plan("a", ids, N);
    write_to(s, &p, N, 0);
    assert_int_equal(segment_files(folder), 3);
    p = case_plan("b", ids, LONGER);
    write_to(s, &p, LONGER, N); /* to the end of the shorter one */
    assert_int_equal(segment_files(folder), 4);
    p = case_plan("c", corrected, N);
    write_to(s, &p, N, 2 * SHELF_SEGMENT); /* to the beginning of the segment of the correction */
    assert_int_equal(segment_files(folder), 5);
    p = case_plan("d", other, N);
    write_to(s, &p, 1000, 0);
    p = case_plan("a", corrected, N); /* the new version takes the place of the old one: all of it is there */
    write_to(s, &p, N, N);
    assert_reads(s, "a", corrected, N, N);
    assert_reads(s, "b", ids, LONGER, LONGER);
    p = case_plan("a", ids, N);
    write_to(s, &p, N, N);
    int64_t freed = 0;
    assert_int_equal(shelf_rm(s, "b", &freed, NULL), CJ_OK);
    assert_true(freed > 0);
    assert_int_equal(segment_files(folder), 5);
    assert_reads(s, "a", ids, N, N);
    assert_reads(s, "c", corrected, N, N);
    assert_int_equal(shelf_rm(s, "b", &freed, NULL), CJ_E_NOT_FOUND);
    free(ids);
    free(corrected);
    free(other);
    shelf_close(&s);
    case_remove(folder);
}

/* Half a book is given up for another version: the half is of use to it. */
static void an_unfinished_version_is_not_lost(void **state)
{
    (void)state;
    enum { N = 50000, CHANGE = 45000 };
    char *folder = case_folder();
    shelf *s = open_shelf(folder);
    int32_t *ids = case_ids(N, N, 0), *corrected = case_ids(N, CHANGE, 1);
    shelf_plan p = case_plan("a", ids, N);
    write_to(s, &p, 42000, 0);
    p = case_plan("a", corrected, N);
    write_to(s, &p, N, 42000);
    assert_reads(s, "a", corrected, N, N);
    free(ids);
    free(corrected);
    shelf_close(&s);
    case_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read_comes_back),
        cmocka_unit_test(versions_share_what_they_share),
        cmocka_unit_test(an_unfinished_version_is_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
