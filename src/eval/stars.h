/* Counting stars: many pieces of evidence of one form, spread evenly over a text, all asked for at once and in order (after the benchmark
 * Counting-Stars, arXiv 2403.11802: its protocol, with sentences of our own).
 *
 * Two tasks: "stars", a penguin counts so many; "recount", it first counts wrong and then again, and only the second number is asked for.
 */
#ifndef EVAL_STARS_H
#define EVAL_STARS_H

#include "eval/task.h"

enum { STARS_MAX = 512, STARS_FILE_MAX = 1 << 20, STARS_COUNT_MAX = 1000000 };

typedef struct star_counts {
    int right[STARS_MAX], wrong[STARS_MAX]; /* [n] */
    int n;
} star_counts;

/* Numbers drawn from a seed: all different, each wrong one differs by one from the right one. */
void stars_draw(star_counts *s, int n, uint64_t seed);
/* The first n of the published numbers: a folder with a_stars.txt and r_stars.txt, objects of lists. Untrusted. */
CJ_NODISCARD cj_err stars_read(star_counts *s, int n, const char *folder, cj_diag *d);

/* A text of `chars` characters, stars at even depths. */
CJ_NODISCARD cj_err stars_task(eval_task *t, const star_counts *s, bool recount, const char *haystack, size_t bytes, int64_t chars, cj_diag *d);

#endif
