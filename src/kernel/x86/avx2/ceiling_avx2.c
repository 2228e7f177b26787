/* Ceilings of AVX2; compiled a second time with AVX-VNNI, where 8-bit products have an instruction of their own. */
#if !defined(__AVX2__) || !defined(__FMA__)
#error "compile this file with -mavx2 -mfma -mf16c"
#endif
#include <immintrin.h>

#include "kernel/ceiling_table.h"

enum { CHAINS = 12 }; /* independent sums: more than latency times throughput, and they fit the registers */

#ifdef __AVXVNNI__
static double int8_avxvnni(int64_t rounds)
{
    __m256i acc[CHAINS], x = _mm256_set1_epi8(3), w = _mm256_set1_epi8(2);
#pragma GCC unroll 32
    for (int c = 0; c < CHAINS; c++) acc[c] = _mm256_setzero_si256();
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 32
        for (int c = 0; c < CHAINS; c++) {
            acc[c] = _mm256_dpbusd_avx_epi32(acc[c], x, w);
            __asm__ volatile("" : "+x"(acc[c])); /* nothing is to be proved about the result */
        }
    return 2.0 * 32 * CHAINS;
}

void ceiling_fill_avxvnni(ceiling_table *t) { t->int8 = int8_avxvnni; }
#else
static double f32_avx2(int64_t rounds)
{
    __m256 acc[CHAINS], x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1.0f);
#pragma GCC unroll 32
    for (int c = 0; c < CHAINS; c++) acc[c] = y;
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 32
        for (int c = 0; c < CHAINS; c++) {
            acc[c] = _mm256_fmadd_ps(acc[c], x, y);
            __asm__ volatile("" : "+x"(acc[c])); /* nothing is to be proved about the result */
        }
    return 2.0 * 8 * CHAINS;
}

/* Without VNNI: multiply bytes, add pairs, widen, add. */
static double int8_avx2(int64_t rounds)
{
    __m256i acc[CHAINS], x = _mm256_set1_epi8(3), w = _mm256_set1_epi8(2), one = _mm256_set1_epi16(1);
#pragma GCC unroll 32
    for (int c = 0; c < CHAINS; c++) acc[c] = _mm256_setzero_si256();
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 32
        for (int c = 0; c < CHAINS; c++) {
            __asm__ volatile("" : "+x"(x)); /* the products are not to be moved out of the loop */
            __m256i products = _mm256_maddubs_epi16(x, w);
            acc[c] = _mm256_add_epi32(acc[c], _mm256_madd_epi16(products, one));
            __asm__ volatile("" : "+x"(acc[c]));
        }
    return 2.0 * 32 * CHAINS;
}

void ceiling_fill_avx2(ceiling_table *t) { *t = (ceiling_table){.f32 = f32_avx2, .int8 = int8_avx2}; }
#endif
