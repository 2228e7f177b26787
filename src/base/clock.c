/* Time from the operating system. */
#include "base/clock.h"

#include <math.h>
#include <time.h>

double clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double told = NAN;

void clock_wall_set(double at) { told = at; }

double clock_processor(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double clock_wall(void)
{
    if (!isnan(told)) return told;
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

void clock_calendar_of(double wall, struct tm *out)
{
    time_t t = wall > -1e11 && wall < 1e11 ? (time_t)wall : 0;
    if (!localtime_r(&t, out)) *out = (struct tm){.tm_mday = 1, .tm_year = 70, .tm_wday = 4};
}

void clock_calendar(struct tm *out) { clock_calendar_of((double)time(NULL), out); }
