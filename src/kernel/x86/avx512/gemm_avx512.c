/* Matrix kernels for AVX-512; compiled a second time with VNNI (gemm_fill_avx512vnni). */
#if !defined(SIMD_EMULATE) && !(defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__))
#error "compile this file with -mavx512f -mavx512bw -mavx512dq -mavx512vl"
#endif

#ifdef SIMD_EMULATE
#define ISA(name) name##_avx512_emulated
#elif defined(__AVX512VNNI__)
#define ISA(name) name##_avx512vnni
#else
#define ISA(name) name##_avx512
#endif
#define MR 14
#define NV 2 /* 28 registers of sums, 2 of weights, 1 of x */
#include "kernel/simd/gemm.inc"
