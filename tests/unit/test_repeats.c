/* engine/repeats: chains of equal tokens, cut and linked again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/repeats.h"

enum { N = 2000, VOCAB = 37 };

static void assert_linked(const repeats *r, const int32_t *ids, int64_t n)
{
    assert_int_equal(r->n, n);
    for (int64_t i = 0; i < n; i++) {
        int64_t want = i - 1;
        while (want >= 0 && ids[want] != ids[i]) want--;
        assert_int_equal(r->before[i], ids[i] < VOCAB && ids[i] >= 0 ? want : -1);
    }
}

static void chains_follow_cuts(void **state)
{
    int32_t ids[N];
    repeats r = {0};
    (void)state;
    srand(1);
    for (int i = 0; i < N; i++) ids[i] = rand() % (VOCAB + 3) - 1; /* some are none of the vocabulary */
    assert_int_equal(repeats_link(&r, ids, 700, VOCAB, NULL), CJ_OK);
    assert_linked(&r, ids, 700);
    assert_int_equal(repeats_link(&r, ids, N, VOCAB, NULL), CJ_OK);
    assert_linked(&r, ids, N);
    for (int round = 0; round < 20; round++) {
        int64_t cut = rand() % N;
        repeats_cut(&r, ids, cut);
        for (int64_t i = cut; i < N; i++) ids[i] = rand() % VOCAB;
        assert_int_equal(repeats_link(&r, ids, N, VOCAB, NULL), CJ_OK);
        assert_linked(&r, ids, N);
    }
    repeats_cut(&r, ids, 0);
    assert_int_equal(r.n, 0);
    repeats_deinit(&r);
}

static void no_memory_changes_nothing(void **state)
{
    int32_t ids[N] = {0};
    repeats r = {0};
    (void)state;
    for (int n = 0; n < 2; n++) {
        mem_fail_after(n);
        assert_int_equal(repeats_link(&r, ids, N, VOCAB, NULL), CJ_E_NOMEM);
        mem_fail_after(-1);
        assert_int_equal(r.n, 0);
    }
    assert_int_equal(repeats_link(&r, ids, N, VOCAB, NULL), CJ_OK);
    assert_linked(&r, ids, N);
    repeats_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(chains_follow_cuts), cmocka_unit_test(no_memory_changes_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
