/* Attention over pages with AVX2 and FMA: 6 rows x 2 registers of accumulators, as two FMA ports and 16
 * registers want it. Compiled a second time with AVX-VNNI (attn_fill_avxvnni). */
#if !defined(SIMD_EMULATE) && !(defined(__AVX2__) && defined(__FMA__) && defined(__F16C__))
#error "this file is compiled with -mavx2 -mfma -mf16c"
#endif
#ifdef SIMD_EMULATE /* quick to compile */
#define ATTN_MR 2
#else
#define ATTN_MR 6
#endif
#include "kernel/simd/attn.inc"

#ifdef __AVXVNNI__
void attn_fill_avxvnni(attn_table *t)
#else
void attn_fill_avx2(attn_table *t)
#endif
{
    attn_fill(t);
}
