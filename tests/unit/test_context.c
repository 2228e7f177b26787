/* context/: pages are shared, copied before they are written, dropped behind windows, cut, saved and read back. */
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
#include "context/kv.h"

static const kv_layer layers[] = {
    {.layout = {KV_Q8, 2, 16, 8}, .window = 0},
    {.layout = {KV_Q8, 1, 16, 16}, .window = 200},
};

static kv_cache *open_cache(void)
{
    kv_cache *kv = NULL;
    assert_int_equal(kv_open(&kv, layers, 2, NULL), CJ_OK);
    return kv;
}

/* Adds n tokens; every page touched gets a byte that tells its position and `mark`. */
static void add(kv_cache *kv, int64_t n, uint8_t mark)
{
    assert_int_equal(kv_extend(kv, n, NULL), CJ_OK);
    for (int l = 0; l < 2; l++)
        for (int64_t p = kv_count(kv); p < kv_count(kv) + n; p++) kv_pages(kv, l)[p / KV_PAGE][p % KV_PAGE] = (uint8_t)(mark + p);
    kv_advance(kv, n);
}

static void assert_marks(const kv_cache *kv, int64_t from, int64_t to, uint8_t mark)
{
    for (int64_t p = from; p < to; p++) assert_int_equal(kv_pages(kv, 0)[p / KV_PAGE][p % KV_PAGE], (uint8_t)(mark + p));
}

static void windows_drop_what_is_behind(void **state)
{
    (void)state;
    kv_cache *kv = open_cache();
    size_t per_page = 0;
    for (int l = 0; l < 2; l++) per_page += kv_page_bytes(&layers[l].layout);
    add(kv, 1000, 0);
    assert_int_equal(kv_bytes(kv), 8 * per_page);
    for (int i = 0; i < 20; i++) add(kv, 1000, 0);
    assert_null(kv_pages(kv, 1)[0]);
    assert_non_null(kv_pages(kv, 0)[0]);
    int64_t first = (kv_count(kv) - 200 - KV_SLACK) / KV_PAGE;
    assert_null(kv_pages(kv, 1)[first - 1]);
    assert_non_null(kv_pages(kv, 1)[first]);
    assert_int_equal(kv_cut(kv, kv_count(kv) - 4000), 17000);
    assert_marks(kv, 0, 17000, 0);
    assert_int_equal(kv_cut(kv, 100), 0); /* the window has left it: nothing can be kept */
    assert_int_equal(kv_bytes(kv), 0);
    add(kv, 10, 3);
    assert_marks(kv, 0, 10, 3);
    kv_close(&kv);
}

static void forks_share_and_copy(void **state)
{
    (void)state;
    kv_cache *a = open_cache(), *b = NULL;
    add(a, 200, 0);
    assert_int_equal(kv_fork(&b, a, NULL), CJ_OK);
    assert_ptr_equal(kv_pages(a, 0)[0], kv_pages(b, 0)[0]);
    add(b, 100, 50);
    assert_ptr_equal(kv_pages(a, 0)[0], kv_pages(b, 0)[0]);
    assert_ptr_not_equal(kv_pages(a, 0)[1], kv_pages(b, 0)[1]);
    assert_marks(b, 0, 200, 0);
    assert_marks(b, 200, 300, 50);
    add(a, 100, 90);
    assert_marks(a, 200, 300, 90);
    assert_marks(b, 200, 300, 50);
    kv_close(&a);
    assert_marks(b, 0, 200, 0); /* pages live as long as someone holds them */
    kv_close(&b);
}

static char *snapshot_file(const kv_cache *kv)
{
    static char path[64];
    file_out f;
    snprintf(path, sizeof path, "/tmp/cj-kv-%ld", (long)getpid());
    assert_int_equal(file_out_open(&f, path, NULL), CJ_OK);
    assert_int_equal(kv_save(kv, &f, NULL), CJ_OK);
    assert_int_equal(file_out_commit(&f, NULL), CJ_OK);
    return path;
}

static void snapshots_come_back_or_are_refused(void **state)
{
    (void)state;
    kv_cache *kv = open_cache(), *back = open_cache();
    add(kv, 6000, 7);
    char *path = snapshot_file(kv);
    buf b;
    size_t used = 0;
    assert_int_equal(file_read(path, 1 << 24, &b, NULL), CJ_OK);
    unlink(path);
    uint8_t *bytes = (uint8_t *)b.data;
    assert_int_equal(kv_load(back, bytes, b.len, &used, "x", NULL), CJ_OK);
    assert_int_equal(used, b.len);
    assert_int_equal(kv_count(back), 6000);
    assert_int_equal(kv_bytes(back), kv_bytes(kv));
    assert_marks(back, 0, 6000, 7);
    add(back, 500, 1); /* and can be written on */
    srand(1);
    for (int i = 0; i < 300; i++) { /* one flipped bit anywhere, one cut anywhere */
        size_t at = i < 120 ? (size_t)i : (size_t)rand() % b.len;
        bytes[at] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(kv_load(back, bytes, b.len, &used, "x", NULL), CJ_E_INPUT);
        assert_int_equal(kv_count(back), 0);
        bytes[at] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(kv_load(back, bytes, at, &used, "x", NULL), CJ_E_INPUT);
    }
    assert_int_equal(kv_load(back, bytes, b.len, &used, "x", NULL), CJ_OK);
    kv_cache *other = NULL;
    kv_layer changed[2] = {layers[0], layers[1]};
    changed[1].window = 100;
    assert_int_equal(kv_open(&other, changed, 2, NULL), CJ_OK);
    cj_diag d = {0};
    uint32_t older = KV_LAYOUT_VERSION - 1;
    memcpy(bytes + 4, &older, sizeof older); /* pages in the format of a version before */
    assert_int_equal(kv_load(back, bytes, b.len, &used, "x", &d), CJ_E_INPUT);
    assert_int_equal(d.message, MSG_SNAPSHOT_OLD);
    older = KV_LAYOUT_VERSION;
    memcpy(bytes + 4, &older, sizeof older);
    assert_int_equal(kv_load(other, bytes, b.len, &used, "x", NULL), CJ_E_INPUT);
    kv_close(&other);
    buf_deinit(&b);
    kv_close(&kv);
    kv_close(&back);
}

static void no_memory_changes_nothing(void **state)
{
    (void)state;
    for (int64_t n = 0;; n++) {
        kv_cache *kv = open_cache();
        add(kv, 300, 0);
        mem_fail_after(n);
        cj_err e = kv_extend(kv, 2000, NULL);
        mem_fail_after(-1);
        assert_int_equal(kv_count(kv), 300);
        assert_marks(kv, 0, 300, 0);
        if (!e) assert_true(n > 10);
        else assert_int_equal(e, CJ_E_NOMEM);
        add(kv, 2000, 0);
        assert_marks(kv, 0, 2300, 0);
        kv_close(&kv);
        if (!e) return;
    }
}

/* Knows one bad page of layer 0. */
static cj_err check_page(void *arg, int layer, int64_t page, const uint8_t *bytes, cj_diag *d)
{
    const int64_t *bad = arg;
    (void)bytes;
    return layer == 0 && page == *bad ? diag_fail(d, CJ_E_INPUT, MSG_SNAPSHOT_BAD, "%s", "page") : CJ_OK;
}

static void attached_pages_are_checked_and_copied(void **state)
{
    (void)state;
    const int64_t count = 1000; /* ends inside page 7 */
    int64_t bad = 3;
    kv_cache *from = open_cache(), *kv = open_cache();
    add(from, count, 0);
    assert_int_equal(kv_resume(kv, count, &(kv_source){&bad, check_page}, NULL), CJ_OK);
    assert_int_equal(kv_first_needed(&layers[0], count), 0);
    assert_int_equal(kv_first_needed(&layers[1], count), (count - 200) / KV_PAGE);
    for (int l = 0; l < 2; l++)
        for (int64_t p = kv_first_needed(&layers[l], count); p < 8; p++) assert_int_equal(kv_attach(kv, l, p, kv_pages(from, l)[p], l == 1, NULL), CJ_OK);
    assert_int_equal(kv_count(kv), count);
    assert_marks(kv, 0, count, 0);
    assert_int_equal(kv_check(kv, 0, 0, 3, NULL), CJ_OK);
    assert_int_equal(kv_check(kv, 0, 0, 8, NULL), CJ_E_INPUT);
    assert_int_equal(kv_check(kv, 0, 4, 8, NULL), CJ_OK);
    kv_cache *fork = NULL;
    assert_int_equal(kv_fork(&fork, kv, NULL), CJ_OK);
    assert_int_equal(kv_check(fork, 0, 0, 8, NULL), CJ_E_INPUT);
    add(kv, 300, 50); /* goes on inside page 7: a copy */
    assert_ptr_equal(kv_pages(kv, 0)[6], kv_pages(from, 0)[6]);
    assert_ptr_not_equal(kv_pages(kv, 0)[7], kv_pages(from, 0)[7]);
    assert_marks(from, 896, count, 0);
    assert_marks(kv, 0, count, 0);
    assert_marks(kv, count, count + 300, 50);
    assert_int_equal(kv_cut(kv, count), count);
    kv_close(&kv);
    assert_marks(fork, 0, count, 0);
    kv_close(&fork);
    bad = 7; /* what goes on in a damaged page is refused */
    kv = open_cache();
    assert_int_equal(kv_resume(kv, count, &(kv_source){&bad, check_page}, NULL), CJ_OK);
    for (int l = 0; l < 2; l++)
        for (int64_t p = kv_first_needed(&layers[l], count); p < 8; p++) assert_int_equal(kv_attach(kv, l, p, kv_pages(from, l)[p], false, NULL), CJ_OK);
    assert_int_equal(kv_extend(kv, 1, NULL), CJ_E_INPUT);
    kv_close(&kv);
    kv_close(&from);
}

static void write_pages(kv_cache *kv, int64_t n)
{
    assert_int_equal(kv_extend(kv, n, NULL), CJ_OK);
    for (int l = 0; l < 2; l++)
        for (int64_t p = kv_count(kv) / KV_PAGE; p * KV_PAGE < kv_count(kv) + n; p++)
            for (size_t i = 0; i < kv_page_bytes(&layers[l].layout); i++) kv_pages(kv, l)[p][i] = (uint8_t)((i * 7 + (size_t)p * 13) % 61);
    kv_summarise(kv, 0, kv_count(kv), n);
    kv_advance(kv, n);
}

/* Two groups, the same in both. */
static void assert_same_groups(const kv_cache *a, const kv_cache *b)
{
    uint8_t one[2][4096];
    assert_true(summary_bytes(&layers[0].layout) <= sizeof one[0]);
    for (int64_t g = 0; g < 2; g++) {
        summary_get(&layers[0].layout, kv_groups(a, 0), g, one[0]);
        summary_get(&layers[0].layout, kv_groups(b, 0), g, one[1]);
        assert_memory_equal(one[0], one[1], summary_bytes(&layers[0].layout));
    }
}

/* However a context came to be: in pieces, at once, as a fork, out of a snapshot, from attached pages and their summaries. */
static void groups_are_the_same_everywhere(void **state)
{
    (void)state;
    const int64_t pages = 2 * SUMMARY_GROUP + 5, count = pages * KV_PAGE;
    kv_cache *whole = open_cache(), *pieces = open_cache(), *fork = NULL, *back = open_cache(), *attached = open_cache();
    write_pages(whole, count);
    while (kv_count(pieces) < count) write_pages(pieces, i64_min(300, count - kv_count(pieces)));
    assert_same_groups(whole, pieces);
    assert_int_equal(kv_fork(&fork, whole, NULL), CJ_OK);
    assert_same_groups(whole, fork);
    char *path = snapshot_file(whole);
    buf b;
    size_t used;
    assert_int_equal(file_read(path, 1 << 24, &b, NULL), CJ_OK);
    unlink(path);
    assert_int_equal(kv_load(back, (uint8_t *)b.data, b.len, &used, "x", NULL), CJ_OK);
    assert_same_groups(whole, back);
    assert_int_equal(kv_resume(attached, count, NULL, NULL), CJ_OK);
    for (int64_t p = 0; p < pages; p++) {
        uint8_t one[4096];
        assert_int_equal(kv_attach(attached, 0, p, kv_pages(whole, 0)[p], true, NULL), CJ_OK);
        summary_get(&layers[0].layout, kv_summaries(whole, 0), p, one);
        summary_put(&layers[0].layout, kv_summaries(attached, 0), p, one);
    }
    kv_summarise_groups(attached, 0, 0, count);
    assert_same_groups(whole, attached);
    buf_deinit(&b);
    kv_cache *all[] = {attached, back, fork, pieces, whole};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) kv_close(&all[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_drop_what_is_behind), cmocka_unit_test(forks_share_and_copy), cmocka_unit_test(attached_pages_are_checked_and_copied),
        cmocka_unit_test(snapshots_come_back_or_are_refused), cmocka_unit_test(no_memory_changes_nothing),
        cmocka_unit_test(groups_are_the_same_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
