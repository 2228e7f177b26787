/* Block formats: decoding is bit-exact against vectors from another implementation (tests/fixtures/quant_blocks.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
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
        cmocka_unit_test(names_and_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
