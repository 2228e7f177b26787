/* Matrix kernels for NEON. */
#if !defined(__aarch64__) || !defined(__ARM_NEON)
#error "compile this file for 64-bit Arm"
#endif

#define ISA(name) name##_neon
#define MR 6
#define NV 1 /* 6 x 4 registers of sums, 4 of weights, 1 of x, the rest for products: all thirty-two */
#include "kernel/simd/gemm.inc"
