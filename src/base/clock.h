/* Time. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H
#include <stdint.h>
#include <time.h>
double clock_now(void);          /* seconds on a clock that never goes back */
double clock_processor(void);    /* seconds of processor time that this process has had, all threads together */
double clock_wall(void);         /* seconds since 1970; may jump */
void clock_wall_set(double at);  /* test hook: what it says from now on; NAN: the truth again */
uint64_t clock_seed(void);       /* a fresh seed for those who gave none */
void clock_sleep(double seconds); /* or less, when a signal comes */
void clock_calendar(struct tm *out); /* the local date and time */
void clock_calendar_of(double wall, struct tm *out); /* of that time; 1970-01-01 for one that has no date */
#endif
