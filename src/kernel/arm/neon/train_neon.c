/* Row operations of training for NEON. */
#if !defined(__aarch64__) || !defined(__ARM_NEON)
#error "compile this file for 64-bit Arm"
#endif

#define ISA(name) name##_neon
#include "kernel/simd/train.inc"
