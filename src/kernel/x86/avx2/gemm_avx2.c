/* Matrix kernels for AVX2 with FMA and F16C; compiled a second time with AVX-VNNI (gemm_fill_avxvnni). */
#if !defined(SIMD_EMULATE) && !(defined(__AVX2__) && defined(__FMA__) && defined(__F16C__))
#error "compile this file with -mavx2 -mfma -mf16c"
#endif

#ifdef __AVXVNNI__
#define ISA(name) name##_avxvnni
#else
#define ISA(name) name##_avx2
#endif
#define MR 6
#define NV 1 /* 6 x 2 ymm of sums, 2 of weights, 1 of x, 1 for the product: all sixteen */
#include "kernel/simd/gemm.inc"
