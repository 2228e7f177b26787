/* Half-precision conversions in plain C (IEEE 754 binary16, bfloat16). Included by quant.h. */
#ifndef QUANT_HALF_H
#define QUANT_HALF_H

#include <stdint.h>
#include <string.h>

static inline float quant_bits_to_f32(uint32_t u) { float f; memcpy(&f, &u, 4); return f; }
static inline uint32_t quant_f32_bits(float f) { uint32_t u; memcpy(&u, &f, 4); return u; }

static inline float quant_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exp = (h >> 10) & 0x1fu, man = h & 0x3ffu;
    if (exp == 31) return quant_bits_to_f32(sign | 0x7f800000u | man << 13);
    if (exp) return quant_bits_to_f32(sign | (exp + 112) << 23 | man << 13);
    /* zero and subnormals: man * 2^-24 is exact in float32 */
    float f = (float)man * 0x1p-24f;
    return sign ? -f : f;
}

static inline uint16_t quant_f32_to_f16(float f)
{
    uint32_t u = quant_f32_bits(f), sign = u >> 16 & 0x8000u, a = u & 0x7fffffffu;
    if (a > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (a >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* rounds past 65504 */
    if (a < 0x38800000u) { /* subnormal half: adding 0.5 aligns the mantissa, the adder rounds to even */
        uint32_t v = quant_f32_bits(quant_bits_to_f32(a) + 0.5f) - quant_f32_bits(0.5f);
        return (uint16_t)(sign | v);
    }
    uint32_t odd = a >> 13 & 1u;
    return (uint16_t)(sign | (a - 0x38000000u + 0xfffu + odd) >> 13);
}

static inline float quant_bf16_to_f32(uint16_t h) { return quant_bits_to_f32((uint32_t)h << 16); }

static inline uint16_t quant_f32_to_bf16(float f)
{
    uint32_t u = quant_f32_bits(f);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(u >> 16 | 0x40u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

#endif
