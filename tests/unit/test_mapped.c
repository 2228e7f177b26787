/* Mappings: a file that is cut short under us, signals that are none of ours, and a limit on resident memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mapped.h"

#define MIB ((size_t)1 << 20)

static char path[] = "/tmp/cj_mapped_XXXXXX";

static int make_file(size_t n)
{
    strcpy(path, "/tmp/cj_mapped_XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    uint8_t block[4096];
    memset(block, 7, sizeof block);
    for (size_t at = 0; at < n; at += sizeof block) assert_int_equal(write(fd, block, sizeof block), sizeof block);
    return fd;
}

static uint64_t sum_of(const volatile uint8_t *p, size_t n, size_t step)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i += step) sum += p[i];
    return sum;
}

static void what_is_cut_reads_as_zeros(void **state)
{
    enum { N = 64 * 4096, LEFT = 10 * 4096, AT = 5000 };
    (void)state;
    int fd = make_file(N);
    file_map whole, part;
    mapped_guard();
    mapped_guard(); /* once is enough */
    assert_int_equal(file_map_open(&whole, path, NULL), CJ_OK);
    assert_int_equal(file_map_part(&part, path, AT, N - AT, NULL), CJ_OK);
    assert_int_equal(sum_of(part.data, part.size, 1), 7 * (uint64_t)(N - AT));
    assert_false(mapped_any_cut() || mapped_is_cut(&whole) || mapped_is_cut(&part));
    assert_int_equal(ftruncate(fd, LEFT), 0);
    assert_false(mapped_is_cut(&part)); /* nobody looked yet */
    assert_int_equal(sum_of(part.data, part.size, 1), 7 * (uint64_t)(LEFT - AT));
    assert_true(mapped_is_cut(&part) && mapped_any_cut());
    assert_false(mapped_is_cut(&whole));
    assert_int_equal(sum_of(whole.data, LEFT, 1), 7 * (uint64_t)LEFT);
    assert_int_equal(whole.data[LEFT + 5], 0);
    assert_true(mapped_is_cut(&whole));
    file_map_close(&part);
    assert_true(mapped_any_cut());
    file_map_close(&whole);
    assert_false(mapped_any_cut());
    close(fd);
    unlink(path);
}

static volatile sig_atomic_t foreign_calls;
static void foreign(int sig)
{
    (void)sig;
    foreign_calls++;
    _exit(foreign_calls == 1 ? 42 : 43);
}

/* In a child: a mapping that is not ours is cut. */
static int touch_foreign(void (*handler)(int), bool guarded)
{
    int fd = make_file(8192), status;
    pid_t child = fork();
    if (!child) {
        signal(SIGBUS, SIG_DFL);
        if (handler) signal(SIGBUS, handler);
        if (guarded) mapped_guard();
        uint8_t *p = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
        if (ftruncate(fd, 4096)) _exit(1);
        _exit(p[6000] + 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    close(fd);
    unlink(path);
    return status;
}

static void others_keep_their_signals(void **state)
{
    (void)state;
    int status = touch_foreign(foreign, true);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
    status = touch_foreign(NULL, true);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGBUS);
}

static int64_t resident(void)
{
    long long size = 0, all = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lld %lld", &size, &all), 2);
    fclose(f);
    return all * sysconf(_SC_PAGESIZE);
}

static void memory_stays_within_the_limit(void **state)
{
    enum { N = 96 };
    (void)state;
    int fd = make_file(N * MIB);
    file_map part[4];
    size_t n = N * MIB / 4;
    const int64_t most = resident() + (int64_t)(40 * MIB);
    mapped_limit(most);
    for (int i = 0; i < 4; i++) assert_int_equal(file_map_part(&part[i], path, (int64_t)(i * n), n, NULL), CJ_OK);
    int64_t peak = 0;
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 4; i++)
            for (size_t at = 0; at < n; at += MIB) {
                assert_int_equal(sum_of(part[i].data + at, MIB, 64), 7 * MIB / 64);
                peak = i64_max(peak, resident());
                /* as slowly as it is given back, however busy the machine is: what is tested is that, and how much */
                for (double start = clock_now(); resident() > most - (int64_t)(4 * MIB); clock_sleep(0.0005)) assert_true(clock_now() - start < 60);
            }
    assert_true(peak <= most);
    assert_int_equal(mapped_needs(), 0);
    for (int i = 0; i < 4; i++) file_map_close(&part[i]);
    close(fd);
    unlink(path);
    /* what cannot be given back is told */
    mapped_limit((int64_t)(4 * MIB));
    double start = clock_now();
    while (!mapped_needs() && clock_now() - start < 10) clock_sleep(0.01);
    assert_true(mapped_needs() > (int64_t)(4 * MIB));
    mapped_limit(0);
    assert_int_equal(mapped_needs(), 0);
}

/* More mappings than a block of slots holds. */
static void there_may_be_many(void **state)
{
    enum { N = 700 };
    (void)state;
    int fd = make_file(8192);
    mapped_guard(); /* every test begins with cmocka's own handlers */
    file_map *m = mem_array(N, sizeof *m);
    for (int i = 0; i < N; i++) assert_int_equal(file_map_part(&m[i], path, 0, 8192, NULL), CJ_OK);
    assert_int_equal(ftruncate(fd, 4096), 0);
    assert_int_equal(m[N - 1].data[5000], 0);
    assert_true(mapped_is_cut(&m[N - 1]));
    assert_false(mapped_is_cut(&m[0]));
    for (int i = 0; i < N; i++) file_map_close(&m[i]);
    assert_false(mapped_any_cut());
    mem_free(m);
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_cut_reads_as_zeros), cmocka_unit_test(others_keep_their_signals), cmocka_unit_test(there_may_be_many),
        cmocka_unit_test(memory_stays_within_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
