/* Blocks to float32, in the order of operations that the formats imply: each product and sum is rounded on its own. */
#include "quant/blocks.h"
#include "quant/codec.h"
#include "quant/quant.h"

static uint32_t high_bits(const uint8_t qh[4])
{
    return (uint32_t)qh[0] | (uint32_t)qh[1] << 8 | (uint32_t)qh[2] << 16 | (uint32_t)qh[3] << 24;
}

void quant_decode_q4_0(const void *blocks, float *out, int64_t n)
{
    const quant_block_q4_0 *b = blocks;
    for (int64_t k = 0; k < n / QUANT_BLOCK; k++, b++, out += QUANT_BLOCK) {
        float d = quant_f16_to_f32(b->d);
        for (int i = 0; i < 16; i++) {
            out[i] = (float)((b->qs[i] & 15) - 8) * d;
            out[i + 16] = (float)((b->qs[i] >> 4) - 8) * d;
        }
    }
}

void quant_decode_q4_1(const void *blocks, float *out, int64_t n)
{
    const quant_block_q4_1 *b = blocks;
    for (int64_t k = 0; k < n / QUANT_BLOCK; k++, b++, out += QUANT_BLOCK) {
        float d = quant_f16_to_f32(b->d), m = quant_f16_to_f32(b->m);
        for (int i = 0; i < 16; i++) {
            out[i] = (float)(b->qs[i] & 15) * d + m;
            out[i + 16] = (float)(b->qs[i] >> 4) * d + m;
        }
    }
}

void quant_decode_q5_0(const void *blocks, float *out, int64_t n)
{
    const quant_block_q5_0 *b = blocks;
    for (int64_t k = 0; k < n / QUANT_BLOCK; k++, b++, out += QUANT_BLOCK) {
        float d = quant_f16_to_f32(b->d);
        uint32_t high = high_bits(b->qh);
        for (int i = 0; i < 16; i++) {
            int low_half = (int)((b->qs[i] & 15u) | (high >> i & 1) << 4);
            int high_half = (int)((b->qs[i] >> 4 & 15u) | (high >> (i + 16) & 1) << 4);
            out[i] = (float)(low_half - 16) * d;
            out[i + 16] = (float)(high_half - 16) * d;
        }
    }
}

void quant_decode_q5_1(const void *blocks, float *out, int64_t n)
{
    const quant_block_q5_1 *b = blocks;
    for (int64_t k = 0; k < n / QUANT_BLOCK; k++, b++, out += QUANT_BLOCK) {
        float d = quant_f16_to_f32(b->d), m = quant_f16_to_f32(b->m);
        uint32_t high = high_bits(b->qh);
        for (int i = 0; i < 16; i++) {
            int low_half = (int)((b->qs[i] & 15u) | (high >> i & 1) << 4);
            int high_half = (int)((b->qs[i] >> 4 & 15u) | (high >> (i + 16) & 1) << 4);
            out[i] = (float)low_half * d + m;
            out[i + 16] = (float)high_half * d + m;
        }
    }
}

void quant_decode_q8_0(const void *blocks, float *out, int64_t n)
{
    const quant_block_q8_0 *b = blocks;
    for (int64_t k = 0; k < n / QUANT_BLOCK; k++, b++, out += QUANT_BLOCK) {
        float d = quant_f16_to_f32(b->d);
        for (int i = 0; i < QUANT_BLOCK; i++) out[i] = (float)b->qs[i] * d;
    }
}

void quant_decode_q4_k(const void *blocks, float *out, int64_t n)
{
    const quant_block_q4_k *b = blocks;
    for (int64_t k = 0; k < n / QUANT_SUPER; k++, b++) {
        float d = quant_f16_to_f32(b->d), dmin = quant_f16_to_f32(b->dmin);
        for (int run = 0; run < 8; run++, out += 32) {
            uint8_t scale, minimum;
            quant_k_scale(b->scales, run, &scale, &minimum);
            float step = d * (float)scale, below = dmin * (float)minimum;
            const uint8_t *qs = b->qs + run / 2 * 32;
            int shift = run % 2 * 4;
            for (int i = 0; i < 32; i++) out[i] = step * (float)(qs[i] >> shift & 15) - below;
        }
    }
}

void quant_decode_q5_k(const void *blocks, float *out, int64_t n)
{
    const quant_block_q5_k *b = blocks;
    for (int64_t k = 0; k < n / QUANT_SUPER; k++, b++) {
        float d = quant_f16_to_f32(b->d), dmin = quant_f16_to_f32(b->dmin);
        for (int run = 0; run < 8; run++, out += 32) {
            uint8_t scale, minimum;
            quant_k_scale(b->scales, run, &scale, &minimum);
            float step = d * (float)scale, below = dmin * (float)minimum;
            const uint8_t *qs = b->qs + run / 2 * 32;
            int shift = run % 2 * 4;
            for (int i = 0; i < 32; i++) {
                int code = (qs[i] >> shift & 15) | (b->qh[i] >> run & 1) << 4;
                out[i] = step * (float)code - below;
            }
        }
    }
}

void quant_decode_q6_k(const void *blocks, float *out, int64_t n)
{
    const quant_block_q6_k *b = blocks;
    for (int64_t k = 0; k < n / QUANT_SUPER; k++, b++) {
        float d = quant_f16_to_f32(b->d);
        for (int run = 0; run < 8; run++, out += 32) { /* runs of 32 elements, each with two scales */
            int half = run / 4, r = run % 4;
            const uint8_t *ql = b->ql + 64 * half + 32 * (r & 1), *qh = b->qh + 32 * half;
            int low_shift = r >= 2 ? 4 : 0, high_shift = 2 * r;
            for (int i = 0; i < 32; i++) {
                float step = d * (float)b->scales[2 * run + i / 16];
                int code = (ql[i] >> low_shift & 15) | (qh[i] >> high_shift & 3) << 4;
                out[i] = step * (float)(code - 32);
            }
        }
    }
}
