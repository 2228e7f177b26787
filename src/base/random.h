/* Numbers drawn from a seed, the same ones everywhere: splitmix64 (Steele et al. 2014). */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <math.h>
#include <stdint.h>

typedef struct random_state {
    uint64_t state;
} random_state;

static inline uint64_t random_bits(random_state *r)
{
    uint64_t x = r->state += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

/* 0..n-1; n >= 1. */
static inline int64_t random_below(random_state *r, int64_t n) { return (int64_t)((random_bits(r) >> 11) % (uint64_t)n); }

/* order[n] becomes 0..n-1 in random order. */
static inline void random_order(random_state *r, int *order, int n)
{
    for (int i = 0; i < n; i++) {
        int j = (int)random_below(r, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}

/* [0, 1), evenly. */
static inline double random_unit(random_state *r) { return (double)(random_bits(r) >> 11) * 0x1p-53; }

/* Mean 0, deviation 1 (Box and Muller 1958). */
static inline double random_normal(random_state *r)
{
    const double radius = sqrt(-2 * log(1 - random_unit(r))), angle = 2 * 3.14159265358979323846 * random_unit(r);
    return radius * cos(angle);
}

#endif
