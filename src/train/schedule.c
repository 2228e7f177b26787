/* Rates of learning. See schedule.h. */
#include "train/schedule.h"

#include <math.h>

/* From 0 at `begin` to 1 at `end`. */
static double part(int64_t step, int64_t begin, int64_t end) { return end > begin ? (double)(step - begin) / (double)(end - begin) : 1; }

double schedule_rate(const schedule *s, int64_t step)
{
    if (step < s->warmup) return s->peak * part(step, 0, s->warmup);
    if (step > s->steps) return s->least;
    if (s->kind == SCHEDULE_COSINE) return s->least + (s->peak - s->least) * 0.5 * (1 + cos(3.14159265358979323846 * part(step, s->warmup, s->steps)));
    const int64_t begin = s->steps - s->fall;
    return step <= begin ? s->peak : s->peak - (s->peak - s->least) * part(step, begin, s->steps);
}
