/* float32 to blocks of 32. Codes are always chosen for the scale as it will be read back, rounded to half precision. */
#include <math.h>

#include "quant/blocks.h"
#include "quant/codec.h"
#include "quant/fit.h"
#include "quant/quant.h"

static void pack_nibbles(const int8_t codes[QUANT_BLOCK], uint8_t qs[16])
{
    for (int i = 0; i < 16; i++) qs[i] = (uint8_t)((codes[i] & 15) | (codes[i + 16] & 15) << 4);
}

static void pack_high_bits(const int8_t codes[QUANT_BLOCK], uint8_t qh[4])
{
    for (int i = 0; i < 4; i++) {
        unsigned bits = 0;
        for (int k = 0; k < 8; k++) bits |= ((unsigned)codes[8 * i + k] >> 4 & 1u) << k;
        qh[i] = (uint8_t)bits;
    }
}

/* Codes 0 .. 2 * half - 1 that mean (code - half) * d. */
static void encode_symmetric(const float *x, int half, uint16_t *d, int8_t codes[QUANT_BLOCK])
{
    float weight[QUANT_BLOCK];
    quant_fit_weights(x, QUANT_BLOCK, weight);
    quant_line line = quant_fit_symmetric(x, weight, QUANT_BLOCK, -half, half - 1);
    *d = quant_f32_to_f16_finite(line.step);
    line.step = quant_f16_to_f32(*d);
    quant_fit_codes(x, NULL, QUANT_BLOCK, line, -half, half - 1, codes);
    for (int i = 0; i < QUANT_BLOCK; i++) codes[i] = (int8_t)(codes[i] + half);
}

static void encode_affine(const float *x, int highest, uint16_t *d, uint16_t *m, int8_t codes[QUANT_BLOCK])
{
    float weight[QUANT_BLOCK];
    quant_fit_weights(x, QUANT_BLOCK, weight);
    quant_line line = quant_fit_affine(x, weight, QUANT_BLOCK, highest, false);
    *d = quant_f32_to_f16_finite(line.step);
    *m = quant_f32_to_f16_finite(line.base);
    line = (quant_line){quant_f16_to_f32(*d), quant_f16_to_f32(*m)};
    quant_fit_codes(x, NULL, QUANT_BLOCK, line, 0, highest, codes);
}

void quant_encode_q4_0(const float *in, void *blocks, int64_t n)
{
    quant_block_q4_0 *b = blocks;
    int8_t codes[QUANT_BLOCK];
    for (int64_t k = 0; k < n / QUANT_BLOCK; k++, b++, in += QUANT_BLOCK) {
        encode_symmetric(in, 8, &b->d, codes);
        pack_nibbles(codes, b->qs);
    }
}

void quant_encode_q4_1(const float *in, void *blocks, int64_t n)
{
    quant_block_q4_1 *b = blocks;
    int8_t codes[QUANT_BLOCK];
    for (int64_t k = 0; k < n / QUANT_BLOCK; k++, b++, in += QUANT_BLOCK) {
        encode_affine(in, 15, &b->d, &b->m, codes);
        pack_nibbles(codes, b->qs);
    }
}

void quant_encode_q5_0(const float *in, void *blocks, int64_t n)
{
    quant_block_q5_0 *b = blocks;
    int8_t codes[QUANT_BLOCK];
    for (int64_t k = 0; k < n / QUANT_BLOCK; k++, b++, in += QUANT_BLOCK) {
        encode_symmetric(in, 16, &b->d, codes);
        pack_nibbles(codes, b->qs);
        pack_high_bits(codes, b->qh);
    }
}

void quant_encode_q5_1(const float *in, void *blocks, int64_t n)
{
    quant_block_q5_1 *b = blocks;
    int8_t codes[QUANT_BLOCK];
    for (int64_t k = 0; k < n / QUANT_BLOCK; k++, b++, in += QUANT_BLOCK) {
        encode_affine(in, 31, &b->d, &b->m, codes);
        pack_nibbles(codes, b->qs);
        pack_high_bits(codes, b->qh);
    }
}

void quant_encode_q8_0(const float *in, void *blocks, int64_t n)
{
    quant_block_q8_0 *b = blocks;
    for (int64_t k = 0; k < n / QUANT_BLOCK; k++, b++, in += QUANT_BLOCK) {
        float largest = 0;
        for (int i = 0; i < QUANT_BLOCK; i++) largest = fabsf(in[i]) > largest ? fabsf(in[i]) : largest;
        b->d = quant_f32_to_f16_finite(largest / 127);
        quant_fit_codes(in, NULL, QUANT_BLOCK, (quant_line){quant_f16_to_f32(b->d), 0}, -127, 127, b->qs);
    }
}
