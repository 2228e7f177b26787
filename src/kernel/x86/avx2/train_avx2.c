/* Row operations of training for AVX2 with FMA. */
#if !defined(SIMD_EMULATE) && !(defined(__AVX2__) && defined(__FMA__) && defined(__F16C__))
#error "compile this file with -mavx2 -mfma -mf16c"
#endif

#define ISA(name) name##_avx2
#include "kernel/simd/train.inc"
