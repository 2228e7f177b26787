/* Finding the line on which codes lie: the numerical heart of the encoders.
 *
 * All calls take n = 16 or 32 values and a weight for each (how much its squared error counts). Values may be anything, NaN too:
 * codes always stay in range, though the line through nonsense is nonsense.
 */
#ifndef QUANT_FIT_H
#define QUANT_FIT_H

#include <stdbool.h>
#include <stdint.h>

#include "quant/quant.h"

/* x ~ step * code + base */
typedef struct quant_line {
    float step, base;
} quant_line;

/* What an error in each value counts: a large weight matters more, but the small ones are many. */
void quant_fit_weights(const float *x, int n, float *weight);

/* The line through 0 with the least weighted squared error for codes lo..hi (lo < 0 < hi). The step may be negative. */
quant_line quant_fit_symmetric(const float *x, const float *weight, int n, int lo, int hi);
/* The same with a base, for codes 0..hi. nonpositive_base: base <= 0 is wanted. The step is not negative. */
quant_line quant_fit_affine(const float *x, const float *weight, int n, int hi, bool nonpositive_base);

/* The nearest code in lo..hi for each value; returns the weighted squared error (weight NULL: all 1). */
float quant_fit_codes(const float *x, const float *weight, int n, quant_line line, int lo, int hi, int8_t *codes);
/* That error alone. */
float quant_fit_error(const float *x, const float *weight, int n, quant_line line, int lo, int hi);

/* A scale as it can be stored: half precision, the largest finite value where it is too large, 0 for NaN. */
static inline uint16_t quant_f32_to_f16_finite(float f)
{
    if (!(f > -65504.0f)) return f < 0 ? 0xfbff : 0;
    return quant_f32_to_f16(f < 65504.0f ? f : 65504.0f);
}

#endif
