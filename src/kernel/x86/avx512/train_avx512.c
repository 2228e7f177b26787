/* Row operations of training for AVX-512. */
#if !defined(SIMD_EMULATE) && !(defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__))
#error "compile this file with -mavx512f -mavx512bw -mavx512dq -mavx512vl"
#endif

#ifdef SIMD_EMULATE
#define ISA(name) name##_emulated
#else
#define ISA(name) name##_avx512
#endif
#include "kernel/simd/train.inc"
