/* Tests that are run at every level and over the plain-C vocabulary: what check_vec.c and check_delta.c share. */
#ifndef KERNEL_LEVEL_CASE_H
#define KERNEL_LEVEL_CASE_H

#include <stdio.h>

#include "../support/skip.h"
#include "kernel/table.h"

typedef struct subject {
    const char *name;
    kernel_level level;
    bool emulated; /* the vectors of a level that may not run here, in plain C */
} subject;

static const subject subjects[] = {
    {"ref", KERNEL_REF, false},
#if defined(__x86_64__)
    {"avx2", KERNEL_AVX2, false},
    {"avx512", KERNEL_AVX512, false},
#elif defined(__aarch64__)
    {"neon", KERNEL_NEON, false},
#endif
#ifndef CHECK_LEVELS_ONLY
    {"emulated", KERNEL_REF, true},
#endif
};
enum { SUBJECTS = sizeof subjects / sizeof *subjects, LEVEL_TESTS_MAX = 16 };

static inline bool level_runs(const subject *s) { return kernel_level_runs(s->level, cpu_get()); }

/* Skips the test where the level does not run. emulate puts the emulation's functions in. */
static inline kernel_table level_table(const subject *s, void (*emulate)(kernel_table *t))
{
    kernel_table t;
    if (!level_runs(s)) skip_because("this processor has no such level; its arithmetic is checked in plain C");
    kernel_table_fill(&t, s->level, cpu_get());
    if (s->emulated) emulate(&t);
    return t;
}

typedef struct level_test {
    const char *name;
    CMUnitTestFunction run; /* its state is the subject */
} level_test;

/* Fills tests[SUBJECTS * n] with each test on each subject. */
static inline void level_tests(struct CMUnitTest *tests, const level_test *each, int n)
{
    static char names[SUBJECTS * LEVEL_TESTS_MAX][64];
    for (int i = 0; i < SUBJECTS * n; i++) {
        const subject *s = &subjects[i / n];
        snprintf(names[i], sizeof names[i], "%s: %s", s->name, each[i % n].name);
        tests[i] = (struct CMUnitTest){.name = names[i], .test_func = each[i % n].run, .initial_state = (void *)(uintptr_t)s};
    }
}

#endif
