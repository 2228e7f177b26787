/* Attention over pages with NEON. */
#if !defined(__aarch64__) || !defined(__ARM_NEON)
#error "compile this file for 64-bit Arm"
#endif
#define ATTN_MR 6
#include "kernel/simd/attn.inc"

void attn_fill_neon(attn_table *t) { attn_fill(t); }
