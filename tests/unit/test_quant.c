/* Block formats: decoding is bit-exact against vectors from another implementation (tests/fixtures/quant_blocks.py); encoding keeps
 * within an error that each type is known for, and whatever the input holds, it writes blocks that decode to finite numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "quant/blocks.h"
#include "quant/quant.h"

static void fixture_read(buf *b)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/fixtures/quant_blocks.bin", getenv("CJ_SOURCE"));
    assert_int_equal(file_read(path, 1 << 20, b, NULL), CJ_OK);
}

static void decoding_is_exact(void **state)
{
    (void)state;
    static const int expected[] = {QUANT_Q4_0, QUANT_Q4_1, QUANT_Q5_0, QUANT_Q5_1, QUANT_Q8_0,
                                   QUANT_Q4_K, QUANT_Q5_K, QUANT_Q6_K, QUANT_F16, QUANT_BF16};
    buf b;
    fixture_read(&b);
    size_t at = 0;
    for (size_t t = 0; t < sizeof expected / sizeof *expected; t++) {
        uint32_t head[3];
        assert_true(at + sizeof head <= b.len);
        memcpy(head, b.data + at, sizeof head);
        at += sizeof head;
        assert_int_equal(head[0], expected[t]);
        const quant_info *q = quant_info_get((int)head[0]);
        assert_non_null(q);
        assert_int_equal(quant_row_bytes((int)head[0], head[1]), head[2]);
        assert_true(at + head[2] + 4 * (size_t)head[1] <= b.len);
        void *blocks = mem_alloc(head[2]); /* an aligned copy, and one whose end a sanitizer guards */
        float *out = mem_alloc(4 * (size_t)head[1]);
        memcpy(blocks, b.data + at, head[2]);
        q->decode(blocks, out, head[1]);
        for (uint32_t i = 0; i < head[1]; i++) {
            uint32_t want, got = quant_f32_bits(out[i]);
            memcpy(&want, b.data + at + head[2] + 4 * (size_t)i, 4);
            if (want != got) fail_msg("%s element %u: %08x, expected %08x", q->name, i, got, want);
        }
        mem_free(blocks);
        mem_free(out);
        at += head[2] + 4 * (size_t)head[1];
    }
    assert_int_equal(at, b.len);
    buf_deinit(&b);
}

/* ---- encoding ---- */

enum { ELEMENTS = 256 * 64 };

static uint32_t random_next(uint32_t *state) { return *state = *state * 1664525u + 1013904223u; }

/* Nearly Gaussian: a sum of twelve uniform numbers. `tails`: with more large values, as some weights have. */
static void fill(float *x, uint32_t seed, bool tails)
{
    for (int i = 0; i < ELEMENTS; i++) {
        double s = -6;
        for (int k = 0; k < 12; k++) s += random_next(&seed) / 4294967296.0;
        x[i] = (float)(0.02 * (tails ? s * fabs(s) : s));
    }
}

static double relative_error(const quant_info *q, const float *x)
{
    void *blocks = mem_alloc(ELEMENTS * sizeof *x);
    float *y = mem_alloc(ELEMENTS * sizeof *y);
    q->encode(x, blocks, ELEMENTS);
    q->decode(blocks, y, ELEMENTS);
    double miss = 0, all = 0;
    for (int i = 0; i < ELEMENTS; i++) {
        miss += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        all += (double)x[i] * (double)x[i];
    }
    mem_free(blocks);
    mem_free(y);
    return sqrt(miss / all);
}

static void encoding_keeps_close(void **state)
{
    (void)state;
    /* Gaussian, heavy tails: a few percent above what the encoders reach, well below plain rounding to the extreme. */
    static const struct { int type; double plain, tails; } bounds[] = {
        {QUANT_F32, 0, 0},           {QUANT_F16, 0.0003, 0.0003},  {QUANT_BF16, 0.002, 0.002},  {QUANT_Q4_0, 0.082, 0.110},
        {QUANT_Q4_1, 0.071, 0.091},  {QUANT_Q5_0, 0.041, 0.057},   {QUANT_Q5_1, 0.035, 0.046},  {QUANT_Q8_0, 0.0054, 0.0078},
        {QUANT_Q4_K, 0.0715, 0.092}, {QUANT_Q5_K, 0.0355, 0.0465}, {QUANT_Q6_K, 0.0170, 0.0230}};
    float *x = mem_alloc(ELEMENTS * sizeof *x);
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        const quant_info *q = quant_info_get(bounds[i].type);
        for (int tails = 0; tails < 2; tails++) {
            fill(x, 7, tails);
            double e = relative_error(q, x), bound = tails ? bounds[i].tails : bounds[i].plain;
            if (!(e <= bound)) fail_msg("%s: relative error %g, at most %g (tails %d)", q->name, e, bound, tails);
        }
    }
    mem_free(x);
}

/* What has been quantised before is found again nearly as it was. */
static void encoding_again_loses_little(void **state)
{
    (void)state;
    float *x = mem_alloc(ELEMENTS * sizeof *x);
    void *blocks = mem_alloc(ELEMENTS * sizeof *x);
    for (int type = 0; type < QUANT_TYPE_END; type++) {
        const quant_info *q = quant_info_get(type);
        if (!q) continue;
        fill(x, 3, false);
        q->encode(x, blocks, ELEMENTS);
        q->decode(blocks, x, ELEMENTS);
        double e = relative_error(q, x);
        if (!(e <= 0.01)) fail_msg("%s: relative error %g", q->name, e);
    }
    mem_free(x);
    mem_free(blocks);
}

static void expect_finite(const quant_info *q, const float *x, const char *what)
{
    void *blocks = mem_alloc(ELEMENTS * sizeof *x);
    float *y = mem_alloc(ELEMENTS * sizeof *y);
    q->encode(x, blocks, ELEMENTS);
    q->decode(blocks, y, ELEMENTS);
    for (int i = 0; i < ELEMENTS; i++)
        if (!isfinite(y[i])) fail_msg("%s: %s gives %g at %d", q->name, what, (double)y[i], i);
    mem_free(blocks);
    mem_free(y);
}

static void encoding_survives_anything(void **state)
{
    (void)state;
    static const float odd[] = {0, -0.0f, 1e-45f, -1e-38f, 1e-7f, 65504, -65505, 1e20f, -3e38f, NAN, INFINITY, -INFINITY};
    float *x = mem_alloc(ELEMENTS * sizeof *x);
    for (int type = 0; type < QUANT_TYPE_END; type++) {
        const quant_info *q = quant_info_get(type);
        if (!q || q->block_elems == 1) continue;
        for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
            for (int i = 0; i < ELEMENTS; i++) x[i] = odd[k];
            expect_finite(q, x, "a constant");
            fill(x, 5, false);
            for (int i = 0; i < ELEMENTS; i += 61) x[i] = odd[k];
            expect_finite(q, x, "an outlier");
        }
        uint32_t seed = 11;
        for (int i = 0; i < ELEMENTS; i++) x[i] = quant_bits_to_f32(random_next(&seed));
        expect_finite(q, x, "random bits");
    }
    mem_free(x);
}

static void constants_come_back(void **state)
{
    (void)state;
    static const float values[] = {0, 1, -1, 0.5f, -0.0625f, 12};
    float x[256], y[256], blocks[256];
    for (int type = 0; type < QUANT_TYPE_END; type++) {
        const quant_info *q = quant_info_get(type);
        if (!q) continue;
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
            for (int i = 0; i < 256; i++) x[i] = values[k];
            q->encode(x, blocks, 256);
            q->decode(blocks, y, 256);
            for (int i = 0; i < 256; i++)
                if (!(fabsf(y[i] - x[i]) <= 0.001f * fabsf(x[i]))) fail_msg("%s: %g became %g", q->name, (double)x[i], (double)y[i]);
        }
    }
}

static void names_and_sizes(void **state)
{
    (void)state;
    assert_int_equal(quant_type_by_name("q4_k"), QUANT_Q4_K);
    assert_int_equal(quant_type_by_name("BF16"), QUANT_BF16);
    assert_int_equal(quant_type_by_name("Q9"), -1);
    for (int i = -2; i < 64; i++) {
        const quant_info *q = quant_info_get(i);
        if (!q) {
            assert_int_equal(quant_row_bytes(i, 256), 0);
            continue;
        }
        assert_int_equal(quant_type_by_name(q->name), i);
        assert_non_null(q->decode);
        assert_non_null(q->encode);
        assert_int_equal(quant_row_bytes(i, 0), 0);
        assert_int_equal(quant_row_bytes(i, 256), 256 / q->block_elems * q->block_bytes);
        assert_int_equal(quant_row_bytes(i, -256), 0);
        if (q->block_elems > 1) assert_int_equal(quant_row_bytes(i, q->block_elems + 1), 0);
    }
    assert_null(quant_info_get(4)); /* numbers of withdrawn types */
    assert_null(quant_info_get(5));
    assert_int_equal(quant_row_bytes(QUANT_F32, INT64_MAX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoding_is_exact),
        cmocka_unit_test(encoding_keeps_close),
        cmocka_unit_test(encoding_again_loses_little),
        cmocka_unit_test(encoding_survives_anything),
        cmocka_unit_test(constants_come_back),
        cmocka_unit_test(names_and_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
