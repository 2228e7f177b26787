/* Stored blocks of weights as vectors of 8-bit codes with float32 scales: what every kernel over quantised weights starts from.
 *
 * A codes_block is up to four groups of 32 weights: weight i of group g is q[g][i] * d[2g + i/16] + m[g]. Codes are centred where
 * the format has no minimum (Q4_0: -8..7), otherwise unsigned (Q4_K: 0..15), and m is 0 where it has none. d * q and the sum with m, each
 * rounded, are exactly what quant_decode_* gives.
 */
#ifndef KERNEL_SIMD_CODES_H
#define KERNEL_SIMD_CODES_H

#include <stdbool.h>

#include "kernel/simd/simd.h"
#include "quant/blocks.h"

enum { CODES_BLOCK = 128, CODES_GROUP = 32, CODES_GROUPS = CODES_BLOCK / CODES_GROUP };

typedef struct codes_block {
    i8x32 q[CODES_GROUPS];
    float d[2 * CODES_GROUPS], m[CODES_GROUPS];
} codes_block;

/* A quantised type, as a constant that the compiler sees through. */
typedef struct codes_type {
    void (*read)(codes_block *b, const void *row, int64_t group); /* groups [group, group + 4) of a row; group is a multiple of 4 */
    size_t block_bytes;
    int peak;     /* largest |code| */
    bool has_min;
    bool two;     /* a scale for each 16 */
} codes_type;

/* For every quantised type: name, number, largest |code|, has minima, has a scale for each 16. */
#define CODES_TYPES(M)                        \
    M(q4_0, QUANT_Q4_0, 8, false, false)      \
    M(q4_1, QUANT_Q4_1, 15, true, false)      \
    M(q5_0, QUANT_Q5_0, 16, false, false)     \
    M(q5_1, QUANT_Q5_1, 31, true, false)      \
    M(q8_0, QUANT_Q8_0, 128, false, false)    \
    M(q4_k, QUANT_Q4_K, 15, true, false)      \
    M(q5_k, QUANT_Q5_K, 31, true, false)      \
    M(q6_k, QUANT_Q6_K, 32, false, true)

SIMD_FN uint32_t codes_word(const uint8_t *p)
{
    uint32_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

SIMD_FN void codes_set(codes_block *b, int g, i8x32 q, float d, float m)
{
    b->q[g] = q;
    b->d[2 * g] = b->d[2 * g + 1] = d;
    b->m[g] = m;
}

SIMD_FN void codes_q4_0(codes_block *b, const void *row, int64_t group)
{
    const quant_block_q4_0 *s = (const quant_block_q4_0 *)row + group;
#pragma GCC unroll 4
    for (int g = 0; g < CODES_GROUPS; g++) codes_set(b, g, i8x32_sub(i8x32_nibbles(s[g].qs), i8x32_set1(8)), simd_f16(s[g].d), 0);
}

SIMD_FN void codes_q4_1(codes_block *b, const void *row, int64_t group)
{
    const quant_block_q4_1 *s = (const quant_block_q4_1 *)row + group;
#pragma GCC unroll 4
    for (int g = 0; g < CODES_GROUPS; g++) codes_set(b, g, i8x32_nibbles(s[g].qs), simd_f16(s[g].d), simd_f16(s[g].m));
}

SIMD_FN void codes_q5_0(codes_block *b, const void *row, int64_t group)
{
    const quant_block_q5_0 *s = (const quant_block_q5_0 *)row + group;
#pragma GCC unroll 4
    for (int g = 0; g < CODES_GROUPS; g++) { /* a high bit of 0 means 16 less: as a byte, all of bits 4 to 7 */
        i8x32 q = i8x32_or(i8x32_nibbles(s[g].qs), i8x32_bits(~codes_word(s[g].qh), (int8_t)0xf0));
        codes_set(b, g, q, simd_f16(s[g].d), 0);
    }
}

SIMD_FN void codes_q5_1(codes_block *b, const void *row, int64_t group)
{
    const quant_block_q5_1 *s = (const quant_block_q5_1 *)row + group;
#pragma GCC unroll 4
    for (int g = 0; g < CODES_GROUPS; g++) {
        i8x32 q = i8x32_or(i8x32_nibbles(s[g].qs), i8x32_bits(codes_word(s[g].qh), 16));
        codes_set(b, g, q, simd_f16(s[g].d), simd_f16(s[g].m));
    }
}

SIMD_FN void codes_q8_0(codes_block *b, const void *row, int64_t group)
{
    const quant_block_q8_0 *s = (const quant_block_q8_0 *)row + group;
#pragma GCC unroll 4
    for (int g = 0; g < CODES_GROUPS; g++) codes_set(b, g, i8x32_load(s[g].qs), simd_f16(s[g].d), 0);
}

/* The scales and minima of runs 4h .. 4h+3 of a Q4_K or Q5_K block (quant_k_scale, four at a time). */
SIMD_FN void codes_k_scales(codes_block *b, const uint8_t *s, int half, float d, float dmin)
{
    uint32_t first = codes_word(s), second = codes_word(s + 4), third = codes_word(s + 8);
    uint32_t scale = half ? (third & 0x0f0f0f0fu) | (first >> 2 & 0x30303030u) : first & 0x3f3f3f3fu;
    uint32_t minimum = half ? (third >> 4 & 0x0f0f0f0fu) | (second >> 2 & 0x30303030u) : second & 0x3f3f3f3fu;
#pragma GCC unroll 4
    for (int g = 0; g < CODES_GROUPS; g++) {
        b->d[2 * g] = b->d[2 * g + 1] = d * (float)(scale >> 8 * g & 255);
        b->m[g] = -(dmin * (float)(minimum >> 8 * g & 255));
    }
}

SIMD_FN void codes_q4_k(codes_block *b, const void *row, int64_t group)
{
    const quant_block_q4_k *s = (const quant_block_q4_k *)row + group / 8;
    int half = (int)(group / 4 & 1);
    codes_k_scales(b, s->scales, half, simd_f16(s->d), simd_f16(s->dmin));
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        i8x32 v = i8x32_load(s->qs + 64 * half + 32 * i);
        b->q[2 * i] = i8x32_field(v, 0, 15);
        b->q[2 * i + 1] = i8x32_field(v, 4, 15);
    }
}

SIMD_FN void codes_q5_k(codes_block *b, const void *row, int64_t group)
{
    const quant_block_q5_k *s = (const quant_block_q5_k *)row + group / 8;
    int half = (int)(group / 4 & 1);
    codes_k_scales(b, s->scales, half, simd_f16(s->d), simd_f16(s->dmin));
    i8x32 high = i8x32_field(i8x32_load(s->qh), 4 * half, 15); /* bit g is the top bit of group g */
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        i8x32 v = i8x32_load(s->qs + 64 * half + 32 * i);
        b->q[2 * i] = i8x32_or(i8x32_field(v, 0, 15), i8x32_shl(i8x32_field(high, 2 * i, 1), 4));
        b->q[2 * i + 1] = i8x32_or(i8x32_field(v, 4, 15), i8x32_shl(i8x32_field(high, 2 * i + 1, 1), 4));
    }
}

SIMD_FN void codes_q6_k(codes_block *b, const void *row, int64_t group)
{
    const quant_block_q6_k *s = (const quant_block_q6_k *)row + group / 8;
    int half = (int)(group / 4 & 1);
    float d = simd_f16(s->d);
    i8x32 high = i8x32_load(s->qh + 32 * half);
#pragma GCC unroll 4
    for (int g = 0; g < CODES_GROUPS; g++) {
        i8x32 low = i8x32_field(i8x32_load(s->ql + 64 * half + 32 * (g & 1)), g >= 2 ? 4 : 0, 15);
        b->q[g] = i8x32_sub(i8x32_or(low, i8x32_shl(i8x32_field(high, 2 * g, 3), 4)), i8x32_set1(32));
        b->d[2 * g] = d * (float)s->scales[8 * half + 2 * g];
        b->d[2 * g + 1] = d * (float)s->scales[8 * half + 2 * g + 1];
        b->m[g] = 0;
    }
}

#define CODES_TYPE(name, number, peak, has_min, two) \
    static const codes_type codes_type_##name __attribute__((unused)) = {codes_##name, sizeof(quant_block_##name), peak, has_min, two};
CODES_TYPES(CODES_TYPE)

/* Block at element k0 of a row with `left` elements from there on; groups past the row's end become zeros (a scale of 0). Only types
 * of 32 elements a block have such ends. */
SIMD_FN void codes_read(codes_block *b, const void *row, int64_t k0, int64_t left, const codes_type *type)
{
    _Alignas(16) uint8_t whole[CODES_GROUPS * sizeof(quant_block_q8_0)];
    if (left < CODES_BLOCK) {
        memset(whole, 0, sizeof whole);
        memcpy(whole, (const uint8_t *)row + (size_t)(k0 / CODES_GROUP) * type->block_bytes,
               (size_t)(left / CODES_GROUP) * type->block_bytes);
        row = whole;
        k0 = 0;
    }
    type->read(b, row, k0 / CODES_GROUP);
}

/* Weights 0..15 and 16..31 of group g, with the roundings of quant_decode_*. */
SIMD_FN void codes_decode(const codes_block *b, int g, bool has_min, f32x16 *low, f32x16 *high)
{
    int8_t q[CODES_GROUP];
    i8x32_store(q, b->q[g]);
    *low = f32x16_mul(f32x16_from_i8(q), f32x16_set1(b->d[2 * g]));
    *high = f32x16_mul(f32x16_from_i8(q + 16), f32x16_set1(b->d[2 * g + 1]));
    if (has_min) {
        *low = f32x16_add(*low, f32x16_set1(b->m[g]));
        *high = f32x16_add(*high, f32x16_set1(b->m[g]));
    }
}

#endif
