/* The pool runs every item exactly once, whatever the number of threads, and sleeping workers wake up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdatomic.h>
#include <unistd.h>

#include "parallel/pool.h"

enum { ITEMS = 1000 };
static _Atomic int hits[ITEMS];

static void hit(void *arg, int64_t i, int worker)
{
    (void)arg;
    (void)worker;
    atomic_fetch_add(&hits[i], 1);
}

static void every_item_once(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        pool *p = NULL;
        assert_int_equal(pool_open(&p, threads, NULL), CJ_OK);
        assert_int_equal(pool_threads(p), threads);
        for (int round = 0; round < 200; round++) {
            for (int i = 0; i < ITEMS; i++) hits[i] = 0;
            pool_run(p, hit, NULL, round % ITEMS);
            for (int i = 0; i < ITEMS; i++) assert_int_equal(hits[i], i < round % ITEMS);
            if (round == 100) usleep(20000); /* long enough for the workers to sleep */
        }
        pool_close(&p);
        assert_null(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_item_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
