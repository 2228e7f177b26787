/* Time. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H
#include <stdint.h>
#include <time.h>
double clock_now(void);          /* seconds on a clock that never goes back */
double clock_wall(void);         /* seconds since 1970; may jump */
uint64_t clock_seed(void);       /* a fresh seed for those who gave none */
void clock_sleep(double seconds); /* or less, when a signal comes */
void clock_calendar(struct tm *out); /* the local date and time */
#endif
