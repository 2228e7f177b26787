/* The safetensors reader: what it gives for good files, and that every kind of bad file is refused with a sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "format/safetensors.h"
#include "quant/quant.h"
#include "support/own_folder.h"

#define TWO "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}," \
            "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]}}"

/* A file of this header, padded with spaces so that the data begins `past` bytes after a multiple of 8, and `data` bytes 0, 1, 2... */
typedef struct image {
    uint8_t *bytes;
    size_t size;
} image;

static image make_past(const char *header, size_t past, size_t data)
{
    uint64_t n = size_round_up(strlen(header), 8) + past;
    image m = {mem_zalloc(8 + n + data), 8 + n + data};
    assert_non_null(m.bytes);
    memcpy(m.bytes, &n, 8);
    memset(m.bytes + 8, ' ', n);
    memcpy(m.bytes + 8, header, strlen(header));
    for (size_t i = 0; i < data; i++) m.bytes[8 + n + i] = (uint8_t)i;
    return m;
}

static image make(const char *header, size_t data) { return make_past(header, 0, data); }

static cj_err open_image(const image *m, safetensors **s, cj_diag *d)
{
    *d = (cj_diag){0};
    return safetensors_open_memory(s, m->bytes, m->size, d);
}

static void expect_refused(const char *header, size_t data)
{
    image m = make(header, data);
    safetensors *s = NULL;
    cj_diag d;
    char text[2048];
    if (!open_image(&m, &s, &d)) fail_msg("taken: %s", header);
    assert_null(s);
    assert_true(cj_diag_text(&d, CJ_LANG_EN, text, sizeof text) > 0);
    assert_null(strstr(text, "{0}")); /* all arguments were given */
    mem_free(m.bytes);
}

static void tensors_lie_where_they_say(void **state)
{
    (void)state;
    image m = make(TWO, 32);
    safetensors *s = NULL;
    cj_diag d;
    assert_int_equal(open_image(&m, &s, &d), CJ_OK);
    assert_int_equal(safetensors_count(s), 2);
    const safetensor *a = safetensors_find(s, "a"), *b = safetensors_find(s, "b");
    assert_ptr_equal(a, safetensors_at(s, 0));
    assert_int_equal(a->type, QUANT_F32);
    assert_int_equal(a->n_dims, 2);
    assert_int_equal(a->dims[0], 3); /* a row */
    assert_int_equal(a->dims[1], 2);
    assert_int_equal(a->dims[2], 1);
    assert_int_equal(*(const uint8_t *)a->data, 0);
    assert_int_equal(b->type, QUANT_BF16);
    assert_string_equal(b->dtype, "BF16");
    assert_int_equal(b->bytes, 8);
    assert_int_equal(*(const uint8_t *)b->data, 24);
    assert_null(safetensors_find(s, "c"));
    assert_null(safetensors_find(s, "__metadata__"));
    safetensors_close(&s);
    assert_null(s);
    mem_free(m.bytes);
}

/* As the format allows: wherever the data begins, and behind a tensor of bytes. */
static void tensors_need_not_lie_at_multiples(void **state)
{
    (void)state;
    for (size_t past = 0; past < 8; past++) {
        image m = make_past("{\"a\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[0,3]},\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[3,11]},"
                            "\"c\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[11,19]},\"d\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[19,23]}}", past, 23);
        safetensors *s = NULL;
        cj_diag d;
        cj_err e = CJ_E_NOMEM;
        for (int64_t n = 0; e; n++) {
            mem_fail_after(n);
            e = open_image(&m, &s, &d);
            mem_fail_after(-1);
            if (e) assert_int_equal(e, CJ_E_NOMEM);
        }
        const safetensor *b = safetensors_find(s, "b"), *c = safetensors_find(s, "d");
        assert_int_equal((uintptr_t)b->data % 4 + (uintptr_t)c->data % 2, 0);
        for (uint8_t i = 0; i < 8; i++) assert_int_equal(((const uint8_t *)b->data)[i], 3 + i);
        for (uint8_t i = 0; i < 4; i++) assert_int_equal(((const uint8_t *)c->data)[i], 19 + i);
        safetensors_close(&s);
        mem_free(m.bytes);
    }
}

static void shapes(void **state)
{
    (void)state;
    image m = make("{\"scalar\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
                   "\"five\":{\"dtype\":\"U8\",\"shape\":[1,2,1,2,3],\"data_offsets\":[8,20]}}", 20);
    safetensors *s = NULL;
    cj_diag d;
    assert_int_equal(open_image(&m, &s, &d), CJ_OK);
    const safetensor *five = safetensors_find(s, "five"), *scalar = safetensors_find(s, "scalar");
    assert_int_equal(scalar->n_dims, 0);
    assert_int_equal(scalar->type, -1);
    assert_int_equal(five->n_dims, 4);
    assert_int_equal(five->dims[0] * 1000 + five->dims[1] * 100 + five->dims[2] * 10 + five->dims[3], 3212);
    safetensors_close(&s);
    mem_free(m.bytes);
    expect_refused("{\"x\":{\"dtype\":\"U8\",\"shape\":[2,1,1,1,1],\"data_offsets\":[0,2]}}", 2);
}

static void bad_headers(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "", "[]", "{", "7", "{\"a\":3}", "{\"a\":{}}", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}",
        "{\"a\":{\"dtype\":\"F31\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4,0],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387906],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", /* a gap */
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
        "{\"\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        "{\"a\\n\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) expect_refused(headers[i], 8);
}

static void every_truncation(void **state)
{
    (void)state;
    image m = make(TWO, 32);
    for (size_t n = 0; n < m.size; n++) {
        safetensors *s = NULL;
        cj_diag d = {0};
        uint8_t *copy = mem_alloc(n + 1);
        memcpy(copy, m.bytes, n);
        assert_int_equal(safetensors_open_memory(&s, copy, n, &d), CJ_E_INPUT);
        assert_null(s);
        mem_free(copy);
    }
    mem_free(m.bytes);
}

static void every_byte_changed(void **state)
{
    (void)state;
    static const uint8_t values[] = {0, 1, '"', '9', '-', '}', 127, 255};
    image m = make(TWO, 32);
    for (size_t i = 0; i < m.size - 32; i++)
        for (size_t v = 0; v < sizeof values; v++) {
            safetensors *s = NULL;
            cj_diag d;
            uint8_t was = m.bytes[i];
            m.bytes[i] = values[v];
            if (!open_image(&m, &s, &d)) safetensors_close(&s);
            m.bytes[i] = was;
        }
    mem_free(m.bytes);
}

static void no_memory(void **state)
{
    (void)state;
    image m = make(TWO, 32);
    cj_err e = CJ_E_NOMEM;
    int64_t n = 0;
    for (; e; n++) {
        safetensors *s = NULL;
        cj_diag d;
        mem_fail_after(n);
        e = open_image(&m, &s, &d);
        mem_fail_after(-1);
        if (e) assert_int_equal(e, CJ_E_NOMEM);
        safetensors_close(&s);
    }
    assert_true(n > 2);
    mem_free(m.bytes);
}

/* ---- folders ---- */

static void save(const char *name, const void *bytes, size_t n)
{
    file_out f;
    assert_int_equal(file_out_open(&f, in_folder(name), NULL), CJ_OK);
    assert_int_equal(file_out_write(&f, bytes, n, NULL), CJ_OK);
    assert_int_equal(file_out_commit(&f, NULL), CJ_OK);
}

static void save_image(const char *name, const char *header, size_t data)
{
    image m = make(header, data);
    save(name, m.bytes, m.size);
    mem_free(m.bytes);
}

static cj_err open_with_index(const char *index, safetensors **s)
{
    cj_diag d = {0};
    char text[2048];
    save("model.safetensors.index.json", index, strlen(index));
    cj_err e = safetensors_open_folder(s, own_folder, &d);
    if (e) assert_true(cj_diag_text(&d, CJ_LANG_EN, text, sizeof text) > 0 && !strstr(text, "{0}"));
    return e;
}

static void sharded(void **state)
{
    (void)state;
    safetensors *s = NULL;
    assert_false(safetensors_here(own_folder));
    save_image("m-1.safetensors", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
    save_image("m-2.safetensors", "{\"b\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4);
    assert_int_equal(open_with_index("{\"weight_map\":{\"b\":\"m-2.safetensors\",\"a\":\"m-1.safetensors\"}}", &s), CJ_OK);
    assert_true(safetensors_here(own_folder));
    assert_int_equal(safetensors_count(s), 2);
    assert_non_null(safetensors_find(s, "a"));
    assert_non_null(safetensors_find(s, "b"));
    safetensors_close(&s);
    static const char *const bad[] = {
        "{}", "{\"weight_map\":[]}", "{\"weight_map\":{\"a\":7}}", "{\"weight_map\":{\"a\":\"../m-1.safetensors\"}}", "{\"weight_map\":{\"a\":\"m-3.safetensors\"}}",
        "{\"weight_map\":{\"a\":\"m-1.safetensors\",\"c\":\"m-2.safetensors\"}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_not_equal(open_with_index(bad[i], &s), CJ_OK);
        assert_null(s);
    }
    save_image("m-2.safetensors", "{\"a\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4); /* a name in two files */
    assert_int_equal(open_with_index("{\"weight_map\":{\"a\":\"m-2.safetensors\",\"b\":\"m-1.safetensors\"}}", &s), CJ_E_INPUT);
    save_image("model.safetensors", TWO, 32); /* one file goes before an index */
    assert_int_equal(safetensors_open_folder(&s, own_folder, NULL), CJ_OK);
    assert_int_equal(safetensors_count(s), 2);
    safetensors_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_lie_where_they_say), cmocka_unit_test(tensors_need_not_lie_at_multiples), cmocka_unit_test(shapes), cmocka_unit_test(bad_headers), cmocka_unit_test(every_truncation),
        cmocka_unit_test(every_byte_changed), cmocka_unit_test(no_memory), cmocka_unit_test(sharded),
    };
    return cmocka_run_group_tests(tests, own_folder_make, own_folder_remove);
}
