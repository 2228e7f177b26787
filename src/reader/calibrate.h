/* Which heads of a model find: facts whose place in a text is known are asked for, each in its own words and in other words, while every head without a window
 * is watched; a head is scored by itself, by the very score of a finder. Then the few are chosen that find best together.
 */
#ifndef READER_CALIBRATE_H
#define READER_CALIBRATE_H

#include "reader/finder.h"

enum { CALIBRATE_WAYS = 2, CALIBRATE_FACTS_MIN = 8, CALIBRATE_CANDIDATES = 16, CALIBRATE_CHOSEN_MAX = 4 };

typedef struct calibrate_fact {
    const char *question[CALIBRATE_WAYS]; /* in its words, in other words */
    size_t byte, end;                     /* where it stands in the book's text */
} calibrate_fact;

/* Of `facts` questions of each way, for so many the first passage was right, or one of three; the sum of 1 over the place of the first that is right. */
typedef struct calibrate_figures {
    int facts, first[CALIBRATE_WAYS], among[CALIBRATE_WAYS];
    double reciprocal[CALIBRATE_WAYS];
} calibrate_figures;

/* By which heads are compared: the mean of 1 over the place, both ways counting alike. 0..1. */
double calibrate_value(const calibrate_figures *f);

typedef struct calibrate_head {
    int layer, head;
    calibrate_figures alone;
} calibrate_head;

typedef struct calibrate_set {
    finder_head item[CALIBRATE_CHOSEN_MAX];
    int n;
    calibrate_figures figures; /* of the facts it was chosen by */
} calibrate_set;

typedef struct calibration {
    calibrate_head *heads;    /* [n_heads] all of them, best first */
    int n_heads;
    calibrate_set chosen;
    calibrate_figures unseen; /* of each fact by a set that was chosen by the other half of them */
} calibration;

typedef struct calibrate_options {
    /* May be NULL; asking: questions are counted, else tokens of the text. False cancels. */
    bool (*on_progress)(void *arg, bool asking, int64_t done, int64_t total);
    void *arg;
} calibrate_options;

/* Reads the book (whose tokens must be there) and asks for at least CALIBRATE_FACTS_MIN facts. To be given to calibration_deinit whatever comes back. */
CJ_NODISCARD cj_err calibrate(calibration *out, engine *e, const book *b, const calibrate_fact *facts, int n, const calibrate_options *opt, cj_diag *d);
void calibration_deinit(calibration *c);

/* ---- choosing (choose_heads.c) ---- */

/* The place, from 1, of the best of the passages [right, right_end) by score[n]; what is as good as it counts as better. 0: nothing speaks for them. */
int64_t calibrate_place(const float *score, int64_t n, int64_t right, int64_t right_end);
/* Counts the place found for a question of one way. */
void calibrate_count(calibrate_figures *f, int way, int64_t place);

/* What candidates say of each passage, for each question: those of fact i are 2i and 2i + 1, one for each way. */
typedef struct calibrate_scores {
    const float *score;     /* [questions][heads][passages] */
    const int64_t *right, *right_end; /* [facts] the passages [right, right_end) hold it */
    int facts, heads;
    int64_t passages;
} calibrate_scores;

typedef struct calibrate_pick {
    int head; /* candidate */
    float weight;
} calibrate_pick;

typedef enum calibrate_half { CALIBRATE_EVEN, CALIBRATE_ODD, CALIBRATE_WHOLE } calibrate_half;

/* Fills picks[CALIBRATE_CHOSEN_MAX] one after the other, each time with the head and weight that help these facts most, until none helps enough. *n of them. */
CJ_NODISCARD cj_err calibrate_choose(const calibrate_scores *s, calibrate_half of, calibrate_pick *picks, int *n, cj_diag *d);
/* How well the heads picked do together; adds to *out. */
CJ_NODISCARD cj_err calibrate_check(const calibrate_scores *s, calibrate_half of, const calibrate_pick *picks, int n, calibrate_figures *out, cj_diag *d);

#endif
