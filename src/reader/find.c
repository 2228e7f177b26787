/* Scores of passages from attention mass. */
#include "reader/find.h"

#include <math.h>
#include <string.h>

void find_share(const find_text *t, const float *mass, float *share) { find_share_bins(t, mass, 1, share); }

void find_share_bins(const find_text *t, const float *mass, int64_t bin, float *share)
{
    double all = 0;
    memset(share, 0, (size_t)t->n_passages * sizeof *share);
    for (int64_t j = t->begin; j < t->end; j++) all += (double)mass[j / bin];
    if (!(all > 0)) return;
    int64_t p = 0;
    for (int64_t j = t->begin; j < t->end && p < t->n_passages; j++) {
        while (p < t->n_passages && t->passages[p].end <= t->spans[j].start) p++;
        if (p < t->n_passages && t->spans[j].end > t->passages[p].byte) share[p] += (float)((double)mass[j / bin] / all);
    }
}

void find_add(float *score, const float *share, const float *usual, int64_t n, float weight, bool root)
{
    for (int64_t i = 0; i < n; i++) {
        const float beyond = fmaxf(0, share[i] - usual[i]);
        score[i] += weight * (root ? sqrtf(fmaxf(beyond / FIND_LITTLE, share[i] - FIND_USUAL * usual[i])) : beyond);
    }
}

int find_best(const float *score, int64_t n, int64_t *best, int most)
{
    int held = 0;
    for (int64_t i = 0; i < n; i++) {
        if (held == most && !(score[i] > score[best[held - 1]])) continue;
        int at = held < most ? held++ : held - 1;
        for (; at > 0 && score[i] > score[best[at - 1]]; at--) best[at] = best[at - 1];
        best[at] = i;
    }
    return held;
}
