/* What this machine can do at most, measured: the yardstick of every benchmark.
 *
 * Arithmetic is measured in registers, on all threads at once, with the instructions of the level; reading with all threads over
 * a buffer larger than any cache. Medians of a few short runs, about a third of a second in all.
 */
#ifndef KERNEL_CEILING_H
#define KERNEL_CEILING_H

#include "kernel/ops.h"

typedef struct kernel_ceilings {
    double f32_gflops;  /* fused multiply-adds, two operations each */
    double bf16_gflops; /* bfloat16 products summed in float32; 0 where the level has none */
    double int8_gops;   /* 8-bit products summed in 32 bits */
    double read_gbytes; /* 10^9 bytes a second */
} kernel_ceilings;

CJ_NODISCARD cj_err kernel_ceilings_measure(kernel_ctx *ctx, kernel_ceilings *out, cj_diag *d);

#endif
