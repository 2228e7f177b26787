/* Scores of passages from attention mass. */
#include "reader/find.h"

#include <string.h>

void find_score(const find_input *in, float *score)
{
    memset(score, 0, (size_t)in->n_passages * sizeof *score);
    for (int h = 0; h < in->n_heads; h++) {
        const float *mass = in->mass[h];
        double all = 0;
        for (int64_t j = in->text; j < in->text_end; j++) all += mass[j];
        if (!(all > 0)) continue;
        int64_t p = 0;
        for (int64_t j = in->text; j < in->text_end && p < in->n_passages; j++) {
            while (p < in->n_passages && in->passages[p].end <= in->spans[j].start) p++;
            if (p < in->n_passages && in->spans[j].end > in->passages[p].byte) score[p] += (float)(mass[j] / all / in->n_heads);
        }
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
