/* Choosing heads that find together: the best one, then, as long as it helps, another beside those there are. What helps is decided on two halves of the facts:
 * a head counts for what it gains in the half where it gains less, since of many heads some gain a little somewhere by chance. */
#include <string.h>

#include "reader/calibrate.h"

static const float weights[] = {1, 0.5f, 0.25f};
enum { WEIGHTS = sizeof weights / sizeof *weights };
static const double least_gain = 0.005; /* of calibrate_value: for less no head is watched */

int64_t calibrate_place(const float *score, int64_t n, int64_t right, int64_t right_end)
{
    float best = 0;
    int64_t place = 1;
    for (int64_t p = right; p < right_end; p++) best = score[p] > best ? score[p] : best;
    if (!(best > 0)) return 0;
    for (int64_t p = 0; p < n; p++) place += (p < right || p >= right_end) && score[p] >= best;
    return place;
}

void calibrate_count(calibrate_figures *f, int way, int64_t place)
{
    f->facts += way == 0;
    f->first[way] += place == 1;
    f->among[way] += place >= 1 && place <= 3;
    f->reciprocal[way] += place ? 1 / (double)place : 0;
}

double calibrate_value(const calibrate_figures *f)
{
    return f->facts ? (f->reciprocal[0] + f->reciprocal[1]) / (CALIBRATE_WAYS * (double)f->facts) : 0;
}

static bool counts(calibrate_half of, int fact) { return of == CALIBRATE_WHOLE || fact % 2 == (int)of; }

static const float *score_of(const calibrate_scores *s, int question, int head) { return s->score + ((int64_t)question * s->heads + head) * s->passages; }

static void add(float *sum, const float *score, int64_t n, float weight)
{
    for (int64_t p = 0; p < n; p++) sum[p] += weight * score[p];
}

enum { HALVES = 2 };
typedef struct halves {
    double value[HALVES];
} halves;

/* How well sum[questions][passages] does with one more head beside it, by halves of the facts that count; room[passages]. */
static halves values_with(const calibrate_scores *s, calibrate_half of, const float *sum, calibrate_pick more, float *room)
{
    calibrate_figures f[HALVES] = {0};
    halves out;
    for (int q = 0; q < s->facts * CALIBRATE_WAYS; q++) {
        const int fact = q / CALIBRATE_WAYS, half = (of == CALIBRATE_WHOLE ? fact : fact / 2) % HALVES;
        if (!counts(of, fact)) continue;
        memcpy(room, sum + q * s->passages, (size_t)s->passages * sizeof *room);
        add(room, score_of(s, q, more.head), s->passages, more.weight);
        calibrate_count(&f[half], q % CALIBRATE_WAYS, calibrate_place(room, s->passages, s->right[fact], s->right_end[fact]));
    }
    for (int i = 0; i < HALVES; i++) out.value[i] = calibrate_value(&f[i]);
    return out;
}

/* The first head is the best one of all. */
static double gain(const halves *from, const halves *to, bool first)
{
    const double a = to->value[0] - from->value[0], b = to->value[1] - from->value[1];
    return first ? (a + b) / HALVES : a < b ? a : b;
}

static bool picked(const calibrate_pick *picks, int n, int head)
{
    for (int i = 0; i < n; i++)
        if (picks[i].head == head) return true;
    return false;
}

/* The head and weight that gain most beside the picks [n] that make up sum; *reached is what these reach, and then what that reaches. The first one needs no weight. */
static calibrate_pick best_more(const calibrate_scores *s, calibrate_half of, const float *sum, const calibrate_pick *picks, int n, float *room, halves *reached,
                                double *gained)
{
    calibrate_pick best = {0, 1};
    halves most = *reached;
    *gained = -1;
    for (int h = 0; h < s->heads; h++)
        for (int w = 0; w < (n ? WEIGHTS : 1) && !picked(picks, n, h); w++) {
            const calibrate_pick pick = {h, weights[w]};
            const halves v = values_with(s, of, sum, pick, room);
            const double more = gain(reached, &v, n == 0);
            if (more > *gained) best = pick, most = v, *gained = more;
        }
    *reached = most;
    return best;
}

cj_err calibrate_choose(const calibrate_scores *s, calibrate_half of, calibrate_pick *picks, int *n, cj_diag *d)
{
    const size_t questions = (size_t)s->facts * CALIBRATE_WAYS;
    float *sum = mem_array(questions + 1, (size_t)s->passages * sizeof *sum), *room = sum ? sum + (int64_t)questions * s->passages : NULL;
    halves reached = {{0}};
    if (!sum) return diag_nomem(d, (questions + 1) * (size_t)s->passages * sizeof *sum);
    for (*n = 0; *n < CALIBRATE_CHOSEN_MAX;) {
        double gained;
        const calibrate_pick pick = best_more(s, of, sum, picks, *n, room, &reached, &gained);
        if (*n && gained < least_gain) break;
        picks[(*n)++] = pick;
        for (int q = 0; q < (int)questions; q++) add(sum + q * s->passages, score_of(s, q, pick.head), s->passages, pick.weight);
    }
    mem_free(sum);
    return CJ_OK;
}

cj_err calibrate_check(const calibrate_scores *s, calibrate_half of, const calibrate_pick *picks, int n, calibrate_figures *out, cj_diag *d)
{
    float *sum = mem_array((size_t)s->passages, sizeof *sum);
    if (!sum) return diag_nomem(d, (size_t)s->passages * sizeof *sum);
    for (int q = 0; q < s->facts * CALIBRATE_WAYS; q++) {
        const int fact = q / CALIBRATE_WAYS;
        if (!counts(of, fact)) continue;
        memset(sum, 0, (size_t)s->passages * sizeof *sum);
        for (int i = 0; i < n; i++) add(sum, score_of(s, q, picks[i].head), s->passages, picks[i].weight);
        calibrate_count(out, q % CALIBRATE_WAYS, calibrate_place(sum, s->passages, s->right[fact], s->right_end[fact]));
    }
    mem_free(sum);
    return CJ_OK;
}
