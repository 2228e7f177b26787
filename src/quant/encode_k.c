/* float32 to super-blocks of 256: runs with small integer scales under a common half-precision one.
 *
 * Each run is first fitted alone. Then the common scales are set so that the largest run scale uses its whole range, each run
 * takes the integers near its own fit that lose least, and the common scales are fitted again to the choice of codes. The
 * round with the least error wins.
 */
#include <math.h>
#include <string.h>

#include "quant/blocks.h"
#include "quant/codec.h"
#include "quant/fit.h"
#include "quant/quant.h"

enum { ROUNDS = 3, RUNS = 8, RUN = 32, Q6_RUNS = 16, Q6_RUN = 16 };

static int clamp_round(float v, int lo, int hi)
{
    v = v > (float)lo ? v : (float)lo;
    v = v < (float)hi ? v : (float)hi;
    return (int)lrintf(v);
}

static float ratio(float a, float b) { return b != 0 ? a / b : 0; }

/* ---- Q4_K and Q5_K ---- */

typedef struct affine_block {
    uint16_t d, dmin;
    uint8_t scale[RUNS], minimum[RUNS]; /* 6 bits each */
    int8_t codes[QUANT_SUPER];
} affine_block;

static quant_line run_line(float d, float dmin, int scale, int minimum)
{
    return (quant_line){d * (float)scale, -dmin * (float)minimum};
}

/* Integers near the wanted line that lose least on this run; fills codes; returns the error. */
static float choose_run(const float *x, const float *weight, int highest, quant_line wanted, affine_block *b, int run)
{
    float d = quant_f16_to_f32(b->d), dmin = quant_f16_to_f32(b->dmin), least = INFINITY;
    int scale0 = clamp_round(ratio(wanted.step, d), 0, 63), minimum0 = clamp_round(ratio(-wanted.base, dmin), 0, 63);
    int scale = scale0, minimum = minimum0;
    for (int s = scale0 - 1; s <= scale0 + 1; s++) {
        for (int m = minimum0 - 1; m <= minimum0 + 1; m++) {
            if (s < 0 || s > 63 || m < 0 || m > 63) continue;
            float error = quant_fit_error(x, weight, RUN, run_line(d, dmin, s, m), 0, highest);
            if (!(error < least)) continue;
            least = error;
            scale = s;
            minimum = m;
        }
    }
    b->scale[run] = (uint8_t)scale;
    b->minimum[run] = (uint8_t)minimum;
    return quant_fit_codes(x, weight, RUN, run_line(d, dmin, scale, minimum), 0, highest, b->codes + run * RUN);
}

/* The common scales that suit the codes and integers of b best. Left alone where the equations say nothing. */
static void refit_common(const float *x, const float *weight, const affine_block *b, float *d, float *dmin)
{
    double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0; /* x ~ d * a - dmin * b */
    for (int i = 0; i < QUANT_SUPER; i++) {
        double p = (double)(b->scale[i / RUN] * b->codes[i]), q = b->minimum[i / RUN], w = (double)weight[i], v = (double)x[i];
        aa += w * p * p;
        ab += w * p * q;
        bb += w * q * q;
        ax += w * p * v;
        bx += w * q * v;
    }
    double det = aa * bb - ab * ab;
    if (bb == 0 && aa > 0) *d = (float)(ax / aa);
    if (!(det > 1e-6 * aa * bb)) return;
    double new_d = (ax * bb - bx * ab) / det, new_dmin = (ax * ab - bx * aa) / det;
    if (!(new_d > 0) || !(new_dmin >= 0)) return;
    *d = (float)new_d;
    *dmin = (float)new_dmin;
}

static void encode_affine(const float *x, int highest, affine_block *best)
{
    float weight[QUANT_SUPER], d = 0, dmin = 0, least = INFINITY;
    quant_line wanted[RUNS];
    for (int r = 0; r < RUNS; r++) {
        quant_fit_weights(x + r * RUN, RUN, weight + r * RUN);
        wanted[r] = quant_fit_affine(x + r * RUN, weight + r * RUN, RUN, highest, true);
        d = fmaxf(d, wanted[r].step / 63);
        dmin = fmaxf(dmin, -wanted[r].base / 63);
    }
    memset(best, 0, sizeof *best);
    for (int round = 0; round < ROUNDS; round++) {
        affine_block b = {.d = quant_f32_to_f16_finite(d), .dmin = quant_f32_to_f16_finite(dmin)};
        float error = 0;
        for (int r = 0; r < RUNS; r++) error += choose_run(x + r * RUN, weight + r * RUN, highest, wanted[r], &b, r);
        if (!(error < least)) break;
        least = error;
        *best = b;
        refit_common(x, weight, &b, &d, &dmin);
    }
}

static void pack_scales(const affine_block *b, uint8_t out[QUANT_K_SCALE_BYTES])
{
    for (int r = 0; r < 4; r++) {
        uint8_t high_scale = b->scale[r + 4], high_minimum = b->minimum[r + 4];
        out[r] = (uint8_t)(b->scale[r] | high_scale >> 4 << 6);
        out[r + 4] = (uint8_t)(b->minimum[r] | high_minimum >> 4 << 6);
        out[r + 8] = (uint8_t)((high_scale & 15) | (high_minimum & 15) << 4);
    }
}

static void pack_runs(const int8_t *codes, uint8_t qs[128])
{
    for (int c = 0; c < 4; c++, codes += 64)
        for (int i = 0; i < 32; i++) qs[32 * c + i] = (uint8_t)((codes[i] & 15) | (codes[i + 32] & 15) << 4);
}

void quant_encode_q4_k(const float *in, void *blocks, int64_t n)
{
    quant_block_q4_k *out = blocks;
    affine_block b;
    for (int64_t k = 0; k < n / QUANT_SUPER; k++, out++, in += QUANT_SUPER) {
        encode_affine(in, 15, &b);
        out->d = b.d;
        out->dmin = b.dmin;
        pack_scales(&b, out->scales);
        pack_runs(b.codes, out->qs);
    }
}

void quant_encode_q5_k(const float *in, void *blocks, int64_t n)
{
    quant_block_q5_k *out = blocks;
    affine_block b;
    for (int64_t k = 0; k < n / QUANT_SUPER; k++, out++, in += QUANT_SUPER) {
        encode_affine(in, 31, &b);
        out->d = b.d;
        out->dmin = b.dmin;
        pack_scales(&b, out->scales);
        pack_runs(b.codes, out->qs);
        memset(out->qh, 0, sizeof out->qh);
        for (int i = 0; i < QUANT_SUPER; i++) out->qh[i % RUN] |= (uint8_t)((b.codes[i] >> 4 & 1) << i / RUN);
    }
}

/* ---- Q6_K ---- */

typedef struct symmetric_block {
    uint16_t d;
    int8_t scale[Q6_RUNS], codes[QUANT_SUPER]; /* codes -32..31 */
} symmetric_block;

static float choose_symmetric_run(const float *x, const float *weight, float wanted, symmetric_block *b, int run)
{
    float d = quant_f16_to_f32(b->d), least = INFINITY;
    int scale0 = clamp_round(ratio(wanted, d), -128, 127), scale = scale0;
    for (int s = scale0 - 1; s <= scale0 + 1; s++) {
        if (s < -128 || s > 127) continue;
        float error = quant_fit_error(x, weight, Q6_RUN, (quant_line){d * (float)s, 0}, -32, 31);
        if (!(error < least)) continue;
        least = error;
        scale = s;
    }
    b->scale[run] = (int8_t)scale;
    return quant_fit_codes(x, weight, Q6_RUN, (quant_line){d * (float)scale, 0}, -32, 31, b->codes + run * Q6_RUN);
}

static float refit_symmetric(const float *x, const float *weight, const symmetric_block *b, float d)
{
    double aa = 0, ax = 0;
    for (int i = 0; i < QUANT_SUPER; i++) {
        double p = (double)(b->scale[i / Q6_RUN] * b->codes[i]), w = (double)weight[i];
        aa += w * p * p;
        ax += w * p * (double)x[i];
    }
    return aa > 0 ? (float)(ax / aa) : d;
}

static void encode_symmetric(const float *x, symmetric_block *best)
{
    float weight[QUANT_SUPER], wanted[Q6_RUNS], largest = 0, least = INFINITY;
    for (int r = 0; r < Q6_RUNS; r++) {
        quant_fit_weights(x + r * Q6_RUN, Q6_RUN, weight + r * Q6_RUN);
        wanted[r] = quant_fit_symmetric(x + r * Q6_RUN, weight + r * Q6_RUN, Q6_RUN, -32, 31).step;
        if (fabsf(wanted[r]) > fabsf(largest)) largest = wanted[r];
    }
    memset(best, 0, sizeof *best);
    float d = largest / -128; /* the larger end of the range of scales */
    for (int round = 0; round < ROUNDS; round++) {
        symmetric_block b = {.d = quant_f32_to_f16_finite(d)};
        float error = 0;
        for (int r = 0; r < Q6_RUNS; r++) error += choose_symmetric_run(x + r * Q6_RUN, weight + r * Q6_RUN, wanted[r], &b, r);
        if (!(error < least)) break;
        least = error;
        *best = b;
        d = refit_symmetric(x, weight, &b, d);
    }
}

void quant_encode_q6_k(const float *in, void *blocks, int64_t n)
{
    quant_block_q6_k *out = blocks;
    symmetric_block b;
    for (int64_t k = 0; k < n / QUANT_SUPER; k++, out++, in += QUANT_SUPER) {
        encode_symmetric(in, &b);
        memset(out, 0, sizeof *out);
        out->d = b.d;
        memcpy(out->scales, b.scale, sizeof out->scales);
        for (int i = 0; i < QUANT_SUPER; i++) {
            int half = i / 128, r = i / 32 % 4, at = i % 32, code = b.codes[i] + 32;
            out->ql[64 * half + 32 * (r & 1) + at] |= (uint8_t)((code & 15) << (r >= 2 ? 4 : 0));
            out->qh[32 * half + at] |= (uint8_t)(code >> 4 << 2 * r);
        }
    }
}
