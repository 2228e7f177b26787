/* Ceilings of AVX-512; compiled again with VNNI and with BF16, each time for the one loop that these add. */
#if !defined(__AVX512F__) || !defined(__AVX512BW__)
#error "compile this file with the AVX-512 flags"
#endif
#include <immintrin.h>

#include "kernel/ceiling_table.h"

enum { CHAINS = 24 }; /* independent sums: more than latency times throughput, and they fit the registers */

#if defined(__AVX512VNNI__)
static double int8_avx512vnni(int64_t rounds)
{
    __m512i acc[CHAINS], x = _mm512_set1_epi8(3), w = _mm512_set1_epi8(2);
#pragma GCC unroll 32
    for (int c = 0; c < CHAINS; c++) acc[c] = _mm512_setzero_si512();
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 32
        for (int c = 0; c < CHAINS; c++) {
            acc[c] = _mm512_dpbusd_epi32(acc[c], x, w);
            __asm__ volatile("" : "+v"(acc[c])); /* nothing is to be proved about the result */
        }
    return 2.0 * 64 * CHAINS;
}

void ceiling_fill_avx512vnni(ceiling_table *t) { t->int8 = int8_avx512vnni; }
#elif defined(__AVX512BF16__)
static double bf16_avx512(int64_t rounds)
{
    __m512 acc[CHAINS];
    __m512bh x = (__m512bh)_mm512_set1_epi16(0x3f80), w = x;
#pragma GCC unroll 32
    for (int c = 0; c < CHAINS; c++) acc[c] = _mm512_setzero_ps();
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 32
        for (int c = 0; c < CHAINS; c++) {
            acc[c] = _mm512_dpbf16_ps(acc[c], x, w);
            __asm__ volatile("" : "+v"(acc[c]));
        }
    return 2.0 * 32 * CHAINS;
}

void ceiling_fill_avx512bf16(ceiling_table *t) { t->bf16 = bf16_avx512; }
#else
static double f32_avx512(int64_t rounds)
{
    __m512 acc[CHAINS], x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1.0f);
#pragma GCC unroll 32
    for (int c = 0; c < CHAINS; c++) acc[c] = y;
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 32
        for (int c = 0; c < CHAINS; c++) {
            acc[c] = _mm512_fmadd_ps(acc[c], x, y);
            __asm__ volatile("" : "+v"(acc[c]));
        }
    return 2.0 * 16 * CHAINS;
}

/* Without VNNI: multiply bytes, add pairs, widen, add. */
static double int8_avx512(int64_t rounds)
{
    __m512i acc[CHAINS], x = _mm512_set1_epi8(3), w = _mm512_set1_epi8(2), one = _mm512_set1_epi16(1);
#pragma GCC unroll 32
    for (int c = 0; c < CHAINS; c++) acc[c] = _mm512_setzero_si512();
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 32
        for (int c = 0; c < CHAINS; c++) {
            __asm__ volatile("" : "+v"(x)); /* the products are not to be moved out of the loop */
            __m512i products = _mm512_maddubs_epi16(x, w);
            acc[c] = _mm512_add_epi32(acc[c], _mm512_madd_epi16(products, one));
            __asm__ volatile("" : "+v"(acc[c]));
        }
    return 2.0 * 64 * CHAINS;
}

void ceiling_fill_avx512(ceiling_table *t)
{
    t->f32 = f32_avx512;
    t->int8 = int8_avx512;
}
#endif
