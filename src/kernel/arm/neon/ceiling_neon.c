/* Ceilings of NEON. */
#if !defined(__aarch64__) || !defined(__ARM_NEON)
#error "compile this file for 64-bit Arm"
#endif
#include <arm_neon.h>

#include "kernel/ceiling_table.h"

enum { CHAINS = 24 }; /* independent sums: more than latency times throughput, and they fit the registers */

static double f32_neon(int64_t rounds)
{
    float32x4_t acc[CHAINS], x = vdupq_n_f32(0.999f), y = vdupq_n_f32(0.001f);
#pragma GCC unroll 32
    for (int c = 0; c < CHAINS; c++) acc[c] = y;
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 32
        for (int c = 0; c < CHAINS; c++) {
            acc[c] = vfmaq_f32(acc[c], x, y);
            __asm__ volatile("" : "+w"(acc[c])); /* nothing is to be proved about the result */
        }
    return 2.0 * 4 * CHAINS;
}

/* Without the dot product extension: multiply bytes, add pairs into 32 bits. */
static double int8_neon(int64_t rounds)
{
    enum { SUMS = CHAINS / 2 };
    int32x4_t acc[SUMS];
    int8x8_t x = vdup_n_s8(3), w = vdup_n_s8(2);
#pragma GCC unroll 32
    for (int c = 0; c < SUMS; c++) acc[c] = vdupq_n_s32(0);
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 32
        for (int c = 0; c < SUMS; c++) {
            __asm__ volatile("" : "+w"(x)); /* the products are not to be moved out of the loop */
            acc[c] = vpadalq_s16(acc[c], vmull_s8(x, w));
            __asm__ volatile("" : "+w"(acc[c]));
        }
    return 2.0 * 8 * SUMS;
}

void ceiling_fill_neon(ceiling_table *t) { *t = (ceiling_table){.f32 = f32_neon, .int8 = int8_neon}; }
