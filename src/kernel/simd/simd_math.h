/* exp and tanh of sixteen lanes, to about one unit in the last place. NaN stays NaN. */
#ifndef KERNEL_SIMD_SIMD_MATH_H
#define KERNEL_SIMD_SIMD_MATH_H

#include "kernel/simd/simd.h"

/* e^r for |r| <= ln 2 / 2: the polynomial of degree 6 that is best throughout (relative error 3e-9). */
SIMD_FN f32x16 simd_exp_poly(f32x16 r)
{
    f32x16 p = f32x16_set1(0x1.6a2358p-10f);
    p = f32x16_fma(p, r, f32x16_set1(0x1.123a6ep-7f));
    p = f32x16_fma(p, r, f32x16_set1(0x1.5558f4p-5f));
    p = f32x16_fma(p, r, f32x16_set1(0x1.555490p-3f));
    p = f32x16_fma(p, r, f32x16_set1(0x1.fffffcp-2f));
    p = f32x16_fma(p, r, f32x16_set1(1.0f));
    return f32x16_fma(p, r, f32x16_set1(1.0f));
}

/* e^x; overflows to infinity above 88.7, denormal below -87.3, 0 below -104. */
SIMD_FN f32x16 f32x16_exp(f32x16 x)
{
    x = f32x16_min(f32x16_set1(89.0f), f32x16_max(f32x16_set1(-104.0f), x)); /* the second operand when one is NaN */
    f32x16 n = f32x16_round(f32x16_mul(x, f32x16_set1(0x1.715476p+0f)));
    f32x16 r = f32x16_fnma(n, f32x16_set1(0x1.62e400p-1f), x); /* ln 2 in two parts, the first short enough for an exact product */
    r = f32x16_fnma(n, f32x16_set1(0x1.7f7d1cp-20f), r);
    f32x16 half = f32x16_round(f32x16_mul(n, f32x16_set1(0.5f)));
    f32x16 low = f32x16_pow2(i32x16_from_f32(half)), high = f32x16_pow2(i32x16_from_f32(f32x16_sub(n, half)));
    return f32x16_mul(f32x16_mul(simd_exp_poly(r), low), high);
}

SIMD_FN f32x16 f32x16_tanh(f32x16 x)
{
    /* Taylor below 0.4, where 1 - 2 / (e^2x + 1) would lose digits. */
    f32x16 s = f32x16_mul(x, x), p = f32x16_set1(21844.0f / 6081075.0f);
    p = f32x16_fma(p, s, f32x16_set1(-1382.0f / 155925.0f));
    p = f32x16_fma(p, s, f32x16_set1(62.0f / 2835.0f));
    p = f32x16_fma(p, s, f32x16_set1(-17.0f / 315.0f));
    p = f32x16_fma(p, s, f32x16_set1(2.0f / 15.0f));
    p = f32x16_fma(p, s, f32x16_set1(-1.0f / 3.0f));
    f32x16 small = f32x16_fma(f32x16_mul(p, s), x, x);
    f32x16 a = f32x16_abs(x), e = f32x16_exp(f32x16_add(a, a)), one = f32x16_set1(1.0f);
    f32x16 large = f32x16_sub(one, f32x16_div(f32x16_set1(2.0f), f32x16_add(e, one)));
    large = f32x16_select(f32x16_less(x, f32x16_zero()), f32x16_sub(f32x16_zero(), large), large);
    return f32x16_select(f32x16_less(a, f32x16_set1(0.4f)), small, large);
}

/* 1 / (1 + e^-x) */
SIMD_FN f32x16 f32x16_sigmoid(f32x16 x)
{
    f32x16 one = f32x16_set1(1.0f);
    return f32x16_div(one, f32x16_add(one, f32x16_exp(f32x16_sub(f32x16_zero(), x))));
}

#endif
