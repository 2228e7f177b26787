/* The steps of attention for training, in plain C. */
#include <math.h>
#include <string.h>

#include "kernel/attn.h"

static void panels(float *out, int64_t ld, const float *x, int64_t ldx, int n, int d)
{
    for (int c = 0; c < d; c += 16, out += ld)
        for (int i = 0; i < n; i++)
            for (int j = 0; j < 16; j++) out[i * 16 + j] = c + j < d ? x[i * ldx + c + j] : 0;
}

static void panels_turned(float *out, int64_t ld, const float *x, int64_t ldx, int n, int d)
{
    for (int i = 0; i < n; i += 16, out += ld)
        for (int c = 0; c < d; c++)
            for (int j = 0; j < 16; j++) out[c * 16 + j] = i + j < n ? x[(i + j) * ldx + c] : 0;
}

static void product(const attn_product *p)
{
    for (int i = 0; i < p->m; i++)
        for (int c = 0; c < p->n; c += 16) {
            float *to = p->c + i * p->ldc + c, sum[16] = {0};
            const float *b = p->b + c / 16 * p->ldb;
            if (p->add) memcpy(sum, to, sizeof sum);
            for (int k = 0; k < p->k; k++) {
                float a = p->a_t ? p->a[k * p->lda + i] : p->a[i * p->lda + k];
                for (int j = 0; j < 16; j++) sum[j] += a * b[k * 16 + j];
            }
            memcpy(to, sum, sizeof sum);
        }
}

static float largest(const float *s, int n, float max)
{
    for (int i = 0; i < n; i++) max = s[i] > max ? s[i] : max;
    return max;
}

static float weights(float *s, int n, float from)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        s[i] = exp2f(s[i] - from);
        sum += (double)s[i];
    }
    return (float)sum;
}

static void weights_back(float *s, float *dp, int n, float from, float mean, float by)
{
    for (int i = 0; i < n; i++) {
        float p = exp2f(s[i] - from);
        dp[i] = p * (dp[i] - mean) * (1 - by * s[i] * s[i]);
        s[i] = p;
    }
}

void attn_train_fill_ref(attn_table *t)
{
    t->panels = panels;
    t->panels_turned = panels_turned;
    t->product = product;
    t->largest = largest;
    t->weights = weights;
    t->weights_back = weights_back;
}
