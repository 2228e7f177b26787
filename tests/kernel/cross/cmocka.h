/* As much of cmocka as the kernel checks use, for processors that have no cmocka beside their compiler (tests/kernel/check_neon.py). */
#ifndef TESTS_KERNEL_CROSS_CMOCKA_H
#define TESTS_KERNEL_CROSS_CMOCKA_H

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

typedef void (*CMUnitTestFunction)(void **state);
struct CMUnitTest {
    const char *name;
    CMUnitTestFunction test_func;
    void *initial_state;
};
#define cmocka_unit_test(f) {.name = #f, .test_func = f}

enum { CROSS_FAILED = 1, CROSS_SKIPPED = 2 };
static jmp_buf cross_leave;

#define print_message(...) printf(__VA_ARGS__)
#define fail() longjmp(cross_leave, CROSS_FAILED)
#define skip() longjmp(cross_leave, CROSS_SKIPPED)
#define fail_msg(...) (printf("# " __VA_ARGS__), printf("\n"), fail())
#define assert_true(x) ((x) ? (void)0 : (printf("# %s:%d: %s\n", __FILE__, __LINE__, #x), fail()))
#define assert_int_equal(a, b) assert_true((a) == (b))
#define assert_memory_equal(a, b, n) assert_true(memcmp(a, b, n) == 0)

/* Apart from the loop: a counter beside setjmp is not safe from what the compiler does with it. */
static __attribute__((noinline)) int cross_outcome(const struct CMUnitTest *test)
{
    void *state = test->initial_state;
    int left = setjmp(cross_leave);
    if (left == 0) test->test_func(&state);
    return left;
}

static inline int cross_run(const struct CMUnitTest *tests, size_t n)
{
    int failed = 0;
    printf("1..%zu\n", n);
    for (size_t i = 0; i < n; i++) {
        int left = cross_outcome(&tests[i]);
        if (left == CROSS_FAILED) failed++;
        printf("%sok %zu %s%s\n", left == CROSS_FAILED ? "not " : "", i + 1, tests[i].name, left == CROSS_SKIPPED ? " # SKIP" : "");
        fflush(stdout);
    }
    return failed;
}
#define _cmocka_run_group_tests(name, tests, n, setup, teardown) cross_run(tests, n)
#define cmocka_run_group_tests(tests, setup, teardown) cross_run(tests, sizeof(tests) / sizeof *(tests))

#endif
