/* Weighted least squares with integer codes.
 *
 * For fixed codes the best line is a linear equation; for a fixed line the best codes are a rounding. Going back and forth can
 * only lower the error, but it stops at the nearest hollow, so a number of starting lines is tried first: those that put the
 * extreme values on, a little inside or a little outside the ends of the code range. The best start is then improved.
 *
 * Sums are kept in eight lanes, so that a compiler can use vectors without being allowed to reorder additions.
 */
#include "quant/fit.h"

#include <math.h>

enum { LANES = 8, IMPROVEMENTS = 3 };

static float lane_sum(const float v[LANES])
{
    return ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7]));
}

/* The code nearest to v in lo..hi, as a float; NaN gives lo. Adding 1.5 * 2^23 leaves no room for a fraction. */
static inline float nearest(float v, float lo, float hi)
{
    v = v > lo ? v : lo;
    v = v < hi ? v : hi;
    return (v + 12582912.0f) - 12582912.0f;
}

void quant_fit_weights(const float *x, int n, float *weight)
{
    float sum = 0;
    for (int i = 0; i < n; i++) sum += x[i] * x[i];
    float typical = sqrtf(sum / (float)n);
    for (int i = 0; i < n; i++) weight[i] = typical + fabsf(x[i]);
}

/* Weighted sums over values x and codes q. */
typedef struct sums {
    float w, x, q, xq, qq, xx;
} sums;

static sums collect(const float *x, const float *weight, int n, float inverse, float base, float lo, float hi)
{
    float w_[LANES] = {0}, wx[LANES] = {0}, wq[LANES] = {0}, xq[LANES] = {0}, qq[LANES] = {0}, xx[LANES] = {0};
    for (int i = 0; i < n; i += LANES) {
        for (int l = 0; l < LANES; l++) {
            float v = x[i + l], w = weight[i + l], q = nearest((v - base) * inverse, lo, hi);
            w_[l] += w;
            wx[l] += w * v;
            xx[l] += w * v * v;
            wq[l] += w * q;
            xq[l] += w * q * v;
            qq[l] += w * q * q;
        }
    }
    return (sums){lane_sum(w_), lane_sum(wx), lane_sum(wq), lane_sum(xq), lane_sum(qq), lane_sum(xx)};
}

/* The best line for the codes behind s, and its error. */
static quant_line solve_symmetric(const sums *s, float *error)
{
    quant_line line = {s->qq > 0 ? s->xq / s->qq : 0, 0};
    *error = s->xx - line.step * s->xq;
    return line;
}

static quant_line solve_affine(const sums *s, bool nonpositive_base, float *error)
{
    float det = s->w * s->qq - s->q * s->q;
    quant_line line = {0, s->w > 0 ? s->x / s->w : 0};
    if (det > 0) {
        line.step = (s->w * s->xq - s->q * s->x) / det;
        line.base = (s->qq * s->x - s->q * s->xq) / det;
    }
    if (nonpositive_base && line.base > 0) return solve_symmetric(s, error);
    *error = s->xx - line.step * s->xq - line.base * s->x;
    return line;
}

static float inverse_of(float step) { return step != 0 ? 1 / step : 0; }

quant_line quant_fit_symmetric(const float *x, const float *weight, int n, int lo, int hi)
{
    float extreme = 0;
    for (int i = 0; i < n; i++)
        if (x[i] * x[i] > extreme * extreme) extreme = x[i];
    quant_line best = {0, 0};
    if (extreme == 0) return best;
    float best_error = 0, error;
    bool have = false;
    /* The extreme value goes to a code from 0.8 to 1.2 of either end. */
    for (int side = 0; side < 2; side++) {
        float end = side ? (float)hi : (float)lo;
        for (int k = -4; k <= 4; k++) {
            sums s = collect(x, weight, n, end * (1 + 0.05f * (float)k) / extreme, 0, (float)lo, (float)hi);
            quant_line line = solve_symmetric(&s, &error);
            if (!have || error < best_error) {
                best = line;
                best_error = error;
                have = true;
            }
        }
    }
    for (int k = 0; k < IMPROVEMENTS; k++) {
        sums s = collect(x, weight, n, inverse_of(best.step), 0, (float)lo, (float)hi);
        best = solve_symmetric(&s, &error);
    }
    return best;
}

quant_line quant_fit_affine(const float *x, const float *weight, int n, int hi, bool nonpositive_base)
{
    float low = x[0], high = x[0];
    for (int i = 1; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    if (nonpositive_base && low > 0) low = 0;
    quant_line best = {0, low};
    if (!(high > low)) return best;
    float best_error = 0, error, width = high - low;
    bool have = false;
    for (int k = -2; k <= 6; k++) { /* a range from 1.1 to 0.7 of the true one, about its middle or from its lower end */
        float cut = 0.05f * (float)k * width;
        for (int side = 0; side < 2; side++) {
            float from = side ? low + cut * 0.5f : low;
            float inverse = (float)hi / (width - cut);
            sums s = collect(x, weight, n, inverse, from, 0, (float)hi);
            quant_line line = solve_affine(&s, nonpositive_base, &error);
            if (line.step < 0 || (have && !(error < best_error))) continue;
            best = line;
            best_error = error;
            have = true;
        }
    }
    for (int k = 0; k < IMPROVEMENTS; k++) {
        sums s = collect(x, weight, n, inverse_of(best.step), best.base, 0, (float)hi);
        best = solve_affine(&s, nonpositive_base, &error);
    }
    return best;
}

float quant_fit_codes(const float *x, const float *weight, int n, quant_line line, int lo, int hi, int8_t *codes)
{
    float inverse = inverse_of(line.step), error[LANES] = {0};
    for (int i = 0; i < n; i += LANES) {
        for (int l = 0; l < LANES; l++) {
            float q = nearest((x[i + l] - line.base) * inverse, (float)lo, (float)hi);
            float miss = x[i + l] - (q * line.step + line.base);
            error[l] += (weight ? weight[i + l] : 1) * miss * miss;
            codes[i + l] = (int8_t)q;
        }
    }
    return lane_sum(error);
}

float quant_fit_error(const float *x, const float *weight, int n, quant_line line, int lo, int hi)
{
    float inverse = inverse_of(line.step), error[LANES] = {0};
    for (int i = 0; i < n; i += LANES) {
        for (int l = 0; l < LANES; l++) {
            float q = nearest((x[i + l] - line.base) * inverse, (float)lo, (float)hi);
            float miss = x[i + l] - (q * line.step + line.base);
            error[l] += weight[i + l] * miss * miss;
        }
    }
    return lane_sum(error);
}
