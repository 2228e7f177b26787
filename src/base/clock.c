/* Time from the operating system. */
#include "base/clock.h"

#include <time.h>

double clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double clock_wall(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

uint64_t clock_seed(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t x = (uint64_t)t.tv_sec * 1000000007u ^ (uint64_t)t.tv_nsec << 20;
    x ^= x >> 31; /* splitmix64, so that close times give far seeds */
    x *= 0xbf58476d1ce4e5b9u;
    return x ^ x >> 29;
}

void clock_sleep(double seconds)
{
    if (seconds <= 0) return;
    struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&t, NULL); /* a signal may end it early: callers look at the clock */
}

void clock_calendar(struct tm *out)
{
    time_t now = time(NULL);
    if (!localtime_r(&now, out)) *out = (struct tm){.tm_mday = 1, .tm_year = 70, .tm_wday = 4};
}
