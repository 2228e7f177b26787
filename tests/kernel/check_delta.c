/* The gated delta rule at every level, and over the plain-C vocabulary, against double precision; any cut of the tokens gives the same bits;
 * nothing is written past what is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gemm_case.h"
#include "level_case.h"

void delta_fill_emulated(delta_table *t);

#ifndef CHECK_LEVELS_ONLY
static void emulate(kernel_table *t) { delta_fill_emulated(&t->delta); }
#else
#define emulate NULL
#endif

static delta_table table_of(const subject *s) { return level_table(s, emulate).delta; }

/* ---- the rule ---- */

enum { ROWS = 70, DK = 128, LD = 2 * DK + DELTA_BLOCK + 3, LD_OUT = 20 };
static float qkv[ROWS * LD], gates[ROWS * 2], state0[DK * DELTA_BLOCK];

/* Unit keys, queries shorter, decays near 1: what a layer makes of its projections. */
static void make_case(int dk, uint64_t seed)
{
    for (int r = 0; r < ROWS; r++) {
        float *row = qkv + r * LD;
        double q = 0, k = 0;
        for (int i = 0; i < LD; i++) row[i] = gemm_gauss(&seed);
        for (int i = 0; i < dk; i++) q += row[i] * row[i], k += row[dk + i] * row[dk + i];
        for (int i = 0; i < dk; i++) row[i] /= (float)sqrt(q * dk), row[dk + i] /= (float)sqrt(k);
        gates[2 * r] = 1 / (1 + expf(-gemm_gauss(&seed)));
        gates[2 * r + 1] = expf(-0.3f * fabsf(gemm_gauss(&seed)));
    }
    for (int i = 0; i < dk * DELTA_BLOCK; i++) state0[i] = gemm_gauss(&seed);
}

static delta_part part_of(int dk, int columns, int from, int rows, float *out)
{
    const float *row = qkv + from * LD, *gate = gates + 2 * from;
    return (delta_part){.dk = dk, .columns = columns, .rows = rows, .ld_qkv = LD, .ld_out = LD_OUT, .ld_gate = 2, .q = row, .k = row + dk, .v = row + 2 * dk,
                        .beta = gate, .decay = gate + 1, .out = out + from * LD_OUT};
}

/* All tokens in double, the state too. */
static void expected(int dk, int columns, double *state, double *out)
{
    for (int i = 0; i < dk * DELTA_BLOCK; i++) state[i] = state0[i];
    for (int r = 0; r < ROWS; r++) {
        const float *q = qkv + r * LD, *k = q + dk, *v = k + dk;
        for (int c = 0; c < columns; c++) {
            double held = 0, sum = 0;
            for (int i = 0; i < dk; i++) held += (state[i * DELTA_BLOCK + c] *= gates[2 * r + 1]) * k[i];
            for (int i = 0; i < dk; i++) sum += (state[i * DELTA_BLOCK + c] += k[i] * gates[2 * r] * (v[c] - held)) * q[i];
            out[r * LD_OUT + c] = sum;
        }
    }
}

static const struct { int dk, columns; } sizes[] = {{4, 1}, {16, 8}, {16, 16}, {64, 12}, {128, 16}};

static void rule(void **given)
{
    const subject *s = *given;
    const delta_table t = table_of(s);
    static float state[DK * DELTA_BLOCK], out[ROWS * LD_OUT];
    static double want_state[DK * DELTA_BLOCK], want[ROWS * LD_OUT];
    for (size_t z = 0; z < sizeof sizes / sizeof *sizes; z++) {
        const int dk = sizes[z].dk, columns = sizes[z].columns;
        make_case(dk, z + 1);
        expected(dk, columns, want_state, want);
        for (int i = 0; i < ROWS * LD_OUT; i++) out[i] = 12345;
        memcpy(state, state0, sizeof state);
        const delta_part p = part_of(dk, columns, 0, ROWS, out);
        t.steps(state, &p);
        for (int r = 0; r < ROWS; r++)
            for (int c = 0; c < LD_OUT; c++) {
                float got = out[r * LD_OUT + c];
                if (c >= columns ? got != 12345 : !(fabs(got - want[r * LD_OUT + c]) <= 1e-5))
                    fail_msg("%s, dk %d, row %d, column %d: %.9g, not %.9g", s->name, dk, r, c, got, want[r * LD_OUT + c]);
            }
        for (int i = 0; i < dk; i++)
            for (int c = 0; c < columns; c++)
                if (!(fabs(state[i * DELTA_BLOCK + c] - want_state[i * DELTA_BLOCK + c]) <= 1e-5)) fail_msg("%s, dk %d: the state", s->name, dk);
    }
}

/* Tokens one by one, or in uneven stretches, leave the same bits. */
static void cuts(void **given)
{
    const delta_table t = table_of(*given);
    static float whole[DK * DELTA_BLOCK], state[DK * DELTA_BLOCK], out[ROWS * LD_OUT], want[ROWS * LD_OUT];
    make_case(DK, 9);
    memcpy(whole, state0, sizeof whole);
    const delta_part all = part_of(DK, DELTA_BLOCK, 0, ROWS, want);
    t.steps(whole, &all);
    for (int stretch = 1; stretch <= 33; stretch += 8) {
        memcpy(state, state0, sizeof state);
        for (int r = 0; r < ROWS; r += stretch) {
            const delta_part p = part_of(DK, DELTA_BLOCK, r, stretch < ROWS - r ? stretch : ROWS - r, out);
            t.steps(state, &p);
        }
        assert_memory_equal(state, whole, sizeof whole);
        for (int r = 0; r < ROWS; r++) assert_memory_equal(out + r * LD_OUT, want + r * LD_OUT, DELTA_BLOCK * sizeof *out);
    }
}

static void convolution(void **given)
{
    const subject *s = *given;
    const delta_table t = table_of(s);
    enum { MOST = 200, GUARD = 8 };
    static float x[DELTA_TAPS_MAX][MOST], w[DELTA_TAPS_MAX * MOST], y[MOST + GUARD];
    const float *rows[DELTA_TAPS_MAX];
    uint64_t seed = 5;
    static const int64_t lengths[] = {1, 15, 16, 17, 160, 200};
    for (int taps = 1; taps <= DELTA_TAPS_MAX; taps += 3)
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
            const int64_t n = lengths[l];
            for (int k = 0; k < taps; k++) rows[k] = x[k];
            for (int64_t i = 0; i < n * taps; i++) x[i / n][i % n] = gemm_gauss(&seed), w[i] = gemm_gauss(&seed);
            for (int64_t i = 0; i < n + GUARD; i++) y[i] = 12345;
            t.conv(y, rows, w, taps, n);
            for (int64_t i = 0; i < n; i++) {
                double sum = 0, size = 0;
                for (int k = 0; k < taps; k++) sum += (double)w[k * n + i] * x[k][i], size += fabs((double)w[k * n + i] * x[k][i]);
                double want = sum / (1 + exp(-sum));
                if (!(fabs(y[i] - want) <= 1e-6 * (1 + size))) fail_msg("%s: %d taps of %ld, element %ld: %.9g, not %.9g", s->name, taps, (long)n, (long)i, y[i], want);
            }
            for (int64_t i = 0; i < GUARD; i++) assert_true(y[n + i] == 12345);
        }
}

/* The vector levels and the emulation add in the same lanes: the same bits. */
static void levels_agree(void **given)
{
    (void)given;
    static float state[DK * DELTA_BLOCK], first[DK * DELTA_BLOCK], out[ROWS * LD_OUT];
    int seen = 0;
    make_case(DK, 3);
    for (int k = 1; k < SUBJECTS; k++) {
        if (!level_runs(&subjects[k])) continue;
        const delta_table t = table_of(&subjects[k]);
        const delta_part p = part_of(DK, DELTA_BLOCK, 0, ROWS, out);
        memcpy(state, state0, sizeof state);
        t.steps(state, &p);
        if (seen++) assert_memory_equal(state, first, sizeof state);
        memcpy(first, state, sizeof state);
    }
    if (seen < 2) skip_because("one level of vectors alone runs here");
}

int main(void)
{
    static const level_test each[] = {{"rule", rule}, {"cuts", cuts}, {"convolution", convolution}};
    enum { EACH = sizeof each / sizeof *each };
    struct CMUnitTest tests[SUBJECTS * EACH + 1] = {cmocka_unit_test(levels_agree)};
    level_tests(tests + 1, each, EACH);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
