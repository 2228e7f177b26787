/* Attention over pages with AVX-512: 12 rows x one register of accumulators. Compiled a second time with VNNI (attn_fill_avx512vnni). */
#if !defined(SIMD_EMULATE) && !(defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__))
#error "this file is compiled with -mavx512f -mavx512bw -mavx512dq -mavx512vl"
#endif
#ifdef SIMD_EMULATE /* quick to compile */
#define ATTN_MR 2
#else
#define ATTN_MR 12
#endif
#include "kernel/simd/attn.inc"

#ifdef __AVX512VNNI__
void attn_fill_avx512vnni(attn_table *t)
#else
void attn_fill_avx512(attn_table *t)
#endif
{
    attn_fill(t);
}
