/* The running softmax: joining what was computed over different keys. */
#include <math.h>
#include <string.h>

#include "kernel/attn_work.h"

void attn_state_reset(attn_state *s)
{
    for (int r = 0; r < s->rows; r++) {
        s->max[r] = -INFINITY;
        s->sum[r] = 0;
    }
    memset(s->out, 0, (size_t)s->rows * (size_t)s->ld * sizeof *s->out);
}

/* The larger; a NaN on either side wins, so that a spoilt row stays spoilt. */
static float larger(float a, float b) { return a > b || isnan(a) ? a : b; }

void attn_state_merge(attn_state *into, const attn_state *part)
{
    for (int r = 0; r < into->rows; r++) {
        float max = larger(into->max[r], part->max[r]);
        float a = attn_rescale(into->max[r], max), b = attn_rescale(part->max[r], max);
        float *x = into->out + r * into->ld;
        const float *y = part->out + r * part->ld;
        for (int64_t c = 0; c < into->ld; c++) x[c] = x[c] * a + y[c] * b;
        into->sum[r] = into->sum[r] * (double)a + part->sum[r] * (double)b;
        into->max[r] = max;
    }
}

void attn_state_sink(attn_state *s, int r, float score)
{
    float max = larger(s->max[r], score), a = attn_rescale(s->max[r], max);
    float *x = s->out + r * s->ld;
    for (int64_t c = 0; c < s->ld; c++) x[c] *= a;
    s->sum[r] = s->sum[r] * (double)a + (double)attn_rescale(score, max);
    s->max[r] = max;
}
