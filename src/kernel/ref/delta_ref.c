/* The gated delta rule in plain C: the oracle. Sums in double. */
#include <math.h>

#include "kernel/delta.h"

static void step(float *s, const delta_part *p, const float *q, const float *k, const float *v, float decay, float beta, float *out)
{
    for (int c = 0; c < p->columns; c++) {
        double held = 0, sum = 0;
        for (int i = 0; i < p->dk; i++) {
            float *e = &s[i * DELTA_BLOCK + c];
            *e *= decay;
            held += (double)*e * k[i];
        }
        float change = beta * (v[c] - (float)held);
        for (int i = 0; i < p->dk; i++) {
            float *e = &s[i * DELTA_BLOCK + c];
            *e += k[i] * change;
            sum += (double)*e * q[i];
        }
        out[c] = (float)sum;
    }
}

static void steps(float *s, const delta_part *p)
{
    for (int64_t r = 0; r < p->rows; r++)
        step(s, p, p->q + r * p->ld_qkv, p->k + r * p->ld_qkv, p->v + r * p->ld_qkv, p->decay[r * p->ld_gate], p->beta[r * p->ld_gate],
             p->out + r * p->ld_out);
}

static void conv(float *y, const float *const *x, const float *w, int taps, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float sum = 0;
        for (int t = 0; t < taps; t++) sum += w[t * n + i] * x[t][i];
        y[i] = sum / (1.0f + expf(-sum));
    }
}

void delta_fill_ref(delta_table *t) { *t = (delta_table){.steps = steps, .conv = conv}; }
