/* A suite: the texts of one evaluation, made one after the other. */
#ifndef EVAL_SUITE_H
#define EVAL_SUITE_H

#include "eval/longbench.h"
#include "eval/needles.h"
#include "eval/stars.h"
#include "eval/task.h"

enum { SUITE_LENGTHS_MAX = 32, SUITE_REPEATS_MAX = 1000, SUITE_FILES_MAX = 64 };

typedef enum suite_kind { SUITE_NEEDLE, SUITE_STARS, SUITE_RULER, SUITE_LONGBENCH, SUITE_KINDS } suite_kind;

/* The kind's name on the command line, and how it is done, in a sentence or two for whoever reads the figures. Static. */
const char *suite_name(suite_kind k);
const char *suite_protocol(suite_kind k);
/* False: there is no such kind. */
bool suite_named(const char *name, suite_kind *k);

typedef struct suite_options {
    suite_kind kind;
    const char *const *text;          /* [n_texts] files that things are hidden in, joined */
    int n_texts;
    int64_t length[SUITE_LENGTHS_MAX]; /* [n_lengths] of the texts, in characters; none: as long as the files */
    int n_lengths;
    double depth[NEEDLES_DEPTHS_MAX];  /* [n_depths] 0..1 */
    int n_depths;
    int64_t repeat;                    /* how many texts of each length */
    uint64_t seed;                     /* of the first; the others follow */
    const char *needles;               /* file of needles */
    bool alone;                        /* no sentences of the same form beside the needles */
    int64_t stars;                     /* in a text, 1..STARS_MAX */
    const char *data;                  /* folder of LongBench; of Counting-Stars' numbers, or NULL: drawn from the seed */
} suite_options;

typedef struct suite {
    suite_options opt;
    buf haystack;
    int64_t haystack_chars;
    needle_set needles;
    star_counts counts;
    longbench longbench;
    int n; /* texts */
} suite;

/* Reads what the texts are made of. opt's strings must outlive the suite; close it whatever comes back. */
CJ_NODISCARD cj_err suite_open(suite *s, const suite_options *opt, cj_diag *d);
/* Text i of n; *length: as it was wanted. */
CJ_NODISCARD cj_err suite_make(const suite *s, int i, eval_task *t, int64_t *length, cj_diag *d);
void suite_close(suite *s);

#endif
