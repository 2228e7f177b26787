/* Numbers drawn from a seed, the same ones everywhere: splitmix64. */
#ifndef EVAL_RANDOM_H
#define EVAL_RANDOM_H

#include <stdint.h>

typedef struct eval_random {
    uint64_t state;
} eval_random;

static inline uint64_t random_next(eval_random *r)
{
    uint64_t x = r->state += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

/* 0..n-1; n >= 1. */
static inline int64_t random_below(eval_random *r, int64_t n) { return (int64_t)((random_next(r) >> 11) % (uint64_t)n); }

/* order[n] becomes 0..n-1 in random order. */
static inline void random_order(eval_random *r, int *order, int n)
{
    for (int i = 0; i < n; i++) {
        int j = (int)random_below(r, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}

#endif
