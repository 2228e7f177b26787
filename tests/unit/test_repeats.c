/* engine/repeats: chains of equal tokens, cut and linked again; what rows look back at along them. */
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
        assert_int_equal(r->token.before[i], ids[i] < VOCAB && ids[i] >= 0 ? want : -1);
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

/* What row i should look back at, in order, by looking at every position. */
static int64_t expected(const int32_t *ids, int64_t i, int64_t near, int64_t most, int32_t *out)
{
    const int64_t end = (i / KV_PAGE + 1 - near) * KV_PAGE;
    static bool taken[N];
    int64_t n = 0, tokens = 0, pairs = 0;
    for (int64_t at = end - 1; at >= KV_PAGE; at--) {
        bool token = ids[at - 1] == ids[i] && ids[i] >= 0 && ids[i] < VOCAB && tokens < most;
        bool pair = ids[at - 1] == ids[i] && ids[at - 2] == ids[i - 1] && pairs < most;
        tokens += token;
        pairs += pair;
        taken[at] = token || pair;
    }
    for (int64_t at = KV_PAGE; at < end; at++)
        if (taken[at]) out[n++] = (int32_t)at;
    return n;
}

static void rows_look_back(void **state)
{
    enum { NEAR = 2 };
    int32_t ids[N], want[N];
    repeats r = {0};
    (void)state;
    srand(2);
    for (int i = 0; i < N; i++) ids[i] = rand() % (VOCAB + 3) - 1;
    assert_int_equal(repeats_link(&r, ids, N, VOCAB, NULL), CJ_OK);
    int64_t seen = 0;
    for (int64_t most = 1; most <= 200; most = most * 3 + 1)
        for (int64_t pos = 0, count = 1; pos < N; pos += count, count = i64_min(count * 2 + 3, N - pos)) {
            op_repeats rep;
            assert_int_equal(repeats_collect(&r, ids, pos, count, NEAR, most, &rep, NULL), CJ_OK);
            for (int64_t k = 0; k < count; k++) {
                int64_t n = pos + k > 1 ? expected(ids, pos + k, NEAR, most, want) : 0;
                assert_int_equal(rep.begin[k + 1] - rep.begin[k], n);
                assert_memory_equal(rep.at + rep.begin[k], want, (size_t)n * sizeof *want);
                seen += n;
            }
        }
    assert_true(seen > N);
    repeats_deinit(&r);
}

static void no_memory_changes_nothing(void **state)
{
    int32_t ids[N] = {0};
    repeats r = {0};
    (void)state;
    for (int n = 0; n < 3; n++) { /* what one round has made stays for the next */
        mem_fail_after(n);
        assert_int_equal(repeats_link(&r, ids, N, VOCAB, NULL), CJ_E_NOMEM);
        mem_fail_after(-1);
        assert_int_equal(r.n, 0);
    }
    assert_int_equal(repeats_link(&r, ids, N, VOCAB, NULL), CJ_OK);
    assert_linked(&r, ids, N);
    for (int n = 0; n < 2; n++) {
        op_repeats rep;
        mem_fail_after(n);
        assert_int_equal(repeats_collect(&r, ids, 0, N, 1, 4, &rep, NULL), CJ_E_NOMEM);
        mem_fail_after(-1);
    }
    repeats_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(chains_follow_cuts), cmocka_unit_test(rows_look_back), cmocka_unit_test(no_memory_changes_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
