/* Loops over rows of floats, sixteen at a time: what vec.inc and train.inc are written in. */
#ifndef KERNEL_SIMD_SIMD_ROWS_H
#define KERNEL_SIMD_SIMD_ROWS_H

#include "kernel/simd/simd.h"

/* Lanes of a row from i on. */
SIMD_FN int vec_left(int64_t n, int64_t i) { return n - i < 16 ? (int)(n - i) : 16; }

/* A loop over a row: BODY sees i and, in the last round, m < 16 lanes. Whole vectors take the plain loads. */
#define VEC_LOAD(p) (m == 16 ? f32x16_load((p) + i) : f32x16_load_part((p) + i, m))
#define VEC_STORE(p, v)                                  \
    do {                                                 \
        if (m == 16) f32x16_store((p) + i, (v));         \
        else f32x16_store_part((p) + i, (v), m);         \
    } while (0)
#define VEC_ROW(n, BODY)                                       \
    do {                                                       \
        int64_t i = 0;                                         \
        for (; i + 16 <= (n); i += 16) {                       \
            const int m = 16;                                  \
            BODY                                               \
        }                                                      \
        if (i < (n)) {                                         \
            const int m = vec_left((n), i);                    \
            BODY                                               \
        }                                                      \
    } while (0)

#endif
