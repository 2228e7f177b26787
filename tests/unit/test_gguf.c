/* The GGUF reader: what it gives for good files, and that every kind of bad file gets its own sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "format/gguf.h"
#include "gguf_build.h"
#include "quant/quant.h"
#include "support/own_folder.h"
#include "support/skip.h"

/* Opens the file built so far and frees it again; *g stays open on success. */
static cj_err open_built(gguf_build *b, gguf **g, cj_diag *d)
{
    *d = (cj_diag){0};
    return gguf_open_memory(g, b->b.data, b->b.len, d);
}

static void expect_refused(gguf_build *b, cj_err code, msg_id message)
{
    gguf *g = NULL;
    cj_diag d;
    cj_err e = open_built(b, &g, &d);
    char text[2048];
    cj_diag_text(&d, CJ_LANG_EN, text, sizeof text);
    if (e != code || d.message != (int)message) fail_msg("code %d message %d (%s), expected %d, %d", e, d.message, text, code, (int)message);
    assert_int_equal(d.code, code);
    assert_null(strstr(text, "{0}")); /* all arguments were given */
    assert_null(g);
    buf_deinit(&b->b);
}

/* ---- good files ---- */

static void put_all_kinds(gguf_build *b)
{
    build_key_string(b, "general.architecture", "toy");
    build_key_u32(b, "toy.layers", 3);
    build_key(b, "u8", 0), build_bytes(b, "\xff", 1);
    build_key(b, "i8", 1), build_bytes(b, "\xff", 1);
    build_key(b, "u16", 2), build_bytes(b, "\xff\xff", 2);
    build_key(b, "i16", 3), build_bytes(b, "\xfe\xff", 2);
    build_key(b, "i32", 5), build_u32(b, (uint32_t)-7);
    build_key(b, "f32", 6), build_u32(b, quant_f32_bits(1.5f));
    build_key(b, "yes", 7), build_bytes(b, "\1", 1);
    build_key(b, "u64", 10), build_u64(b, UINT64_MAX);
    build_key(b, "i64", 11), build_u64(b, (uint64_t)INT64_MIN);
    double pi = 3.25, nan_value = NAN;
    build_key(b, "f64", 12), build_bytes(b, &pi, 8);
    build_key(b, "nan", 12), build_bytes(b, &nan_value, 8);
    build_key(b, "per.layer", 9), build_u32(b, 2), build_u64(b, 3), build_bytes(b, "\1\0\2\0\3\0", 6);
    build_key(b, "words", 9), build_u32(b, 8), build_u64(b, 3), build_string(b, "甲"), build_string(b, ""), build_string(b, "xyz");
    build_key(b, "none", 9), build_u32(b, 8), build_u64(b, 0);
    build_key(b, "flags", 9), build_u32(b, 7), build_u64(b, 2), build_bytes(b, "\0\1", 2);
}

/* A file of that version with them. */
static gguf *open_all_kinds(gguf_build *b, uint32_t version)
{
    gguf *g = NULL;
    cj_diag d;
    build_begin(b, version);
    put_all_kinds(b);
    build_end(b, 32, 0);
    assert_int_equal(open_built(b, &g, &d), CJ_OK);
    return g;
}

static void integers_of_any_width(void **state)
{
    (void)state;
    gguf_build b;
    cj_diag d;
    gguf *g = open_all_kinds(&b, 3);
    static const struct { const char *name; int64_t value; } ints[] = {
        {"toy.layers", 3}, {".layers", 3}, {"u8", 255}, {"i8", -1}, {"u16", 65535}, {"i16", -2}, {"i32", -7}, {"i64", INT64_MIN}};
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        int64_t v = 99;
        assert_int_equal(gguf_int(g, ints[i].name, GGUF_REQUIRED, INT64_MIN, INT64_MAX, &v, &d), CJ_OK);
        assert_int_equal(v, ints[i].value);
    }
    int64_t v = 42;
    assert_int_equal(gguf_int(g, "absent", GGUF_OPTIONAL, 0, 1, &v, &d), CJ_OK);
    assert_int_equal(v, 42);
    assert_int_equal(gguf_int(g, "absent", GGUF_REQUIRED, 0, 1, &v, &d), CJ_E_INPUT);
    assert_int_equal(d.message, MSG_GGUF_KEY_MISSING);
    assert_int_equal(gguf_int(g, "u8", GGUF_OPTIONAL, 0, 254, &v, &d), CJ_E_INPUT);
    assert_int_equal(d.message, MSG_GGUF_KEY_RANGE);
    assert_int_equal(gguf_int(g, "u64", GGUF_OPTIONAL, 0, INT64_MAX - 1, &v, &d), CJ_E_INPUT);
    assert_int_equal(gguf_int(g, "f32", GGUF_OPTIONAL, 0, 9, &v, &d), CJ_E_INPUT);
    assert_int_equal(d.message, MSG_GGUF_KEY_KIND);
    assert_int_equal(gguf_int(g, "per.layer", GGUF_OPTIONAL, 0, 9, &v, &d), CJ_E_INPUT);
    assert_int_equal(v, 42);
    gguf_close(&g);
    buf_deinit(&b.b);
}

static void other_values(void **state)
{
    (void)state;
    gguf_build b;
    cj_diag d;
    gguf *g = open_all_kinds(&b, 2);
    assert_int_equal(gguf_key_count(g), (int64_t)b.keys);
    assert_string_equal(gguf_key_at(g, 1)->name, "toy.layers");
    float f = 0;
    assert_int_equal(gguf_float(g, "f32", GGUF_REQUIRED, &f, &d), CJ_OK);
    assert_true(f == 1.5f);
    assert_int_equal(gguf_float(g, "f64", GGUF_REQUIRED, &f, &d), CJ_OK);
    assert_true(f == 3.25f);
    assert_int_equal(gguf_float(g, "i32", GGUF_REQUIRED, &f, &d), CJ_OK);
    assert_true(f == -7.0f);
    assert_int_equal(gguf_float(g, "nan", GGUF_REQUIRED, &f, &d), CJ_E_INPUT);
    assert_int_equal(gguf_float(g, "yes", GGUF_REQUIRED, &f, &d), CJ_E_INPUT);
    bool yes = false;
    assert_int_equal(gguf_bool(g, "yes", GGUF_REQUIRED, &yes, &d), CJ_OK);
    assert_true(yes);
    assert_int_equal(gguf_bool(g, "u8", GGUF_OPTIONAL, &yes, &d), CJ_E_INPUT);
    gguf_str s;
    assert_int_equal(gguf_string(g, "general.architecture", GGUF_REQUIRED, &s, &d), CJ_OK);
    assert_int_equal(s.len, 3);
    assert_memory_equal(s.data, "toy", 3);
    assert_int_equal(gguf_string(g, "words", GGUF_REQUIRED, &s, &d), CJ_E_INPUT);
    gguf_close(&g);
    buf_deinit(&b.b);
}

static void arrays_and_layers(void **state)
{
    (void)state;
    gguf_build b;
    cj_diag d;
    gguf *g = open_all_kinds(&b, 3);
    int64_t v = 0;
    bool flag = false;
    for (int64_t layer = 0; layer < 3; layer++) {
        assert_int_equal(gguf_int_at(g, "per.layer", GGUF_REQUIRED, layer, 0, 9, &v, &d), CJ_OK);
        assert_int_equal(v, layer + 1);
        assert_int_equal(gguf_int_at(g, ".layers", GGUF_REQUIRED, layer, 0, 9, &v, &d), CJ_OK);
        assert_int_equal(v, 3);
    }
    assert_int_equal(gguf_int_at(g, "per.layer", GGUF_OPTIONAL, 3, 0, 9, &v, &d), CJ_E_INPUT);
    assert_int_equal(d.message, MSG_GGUF_KEY_INDEX);
    assert_int_equal(gguf_bool_at(g, "flags", GGUF_REQUIRED, 1, &flag, &d), CJ_OK);
    assert_true(flag);
    float f = 0;
    assert_int_equal(gguf_float_at(g, "per.layer", GGUF_REQUIRED, 2, &f, &d), CJ_OK);
    assert_true(f == 3.0f);
    gguf_array a = {0};
    assert_int_equal(gguf_array_get(g, "words", GGUF_REQUIRED, GGUF_STRINGS, &a, &d), CJ_OK);
    assert_int_equal(a.count, 3);
    assert_int_equal(gguf_array_string(&a, 0).len, 3);
    assert_memory_equal(gguf_array_string(&a, 0).data, "甲", 3);
    assert_int_equal(gguf_array_string(&a, 1).len, 0);
    assert_memory_equal(gguf_array_string(&a, 2).data, "xyz", 3);
    assert_int_equal(gguf_array_get(g, "none", GGUF_REQUIRED, GGUF_STRINGS, &a, &d), CJ_OK);
    assert_int_equal(a.count, 0);
    assert_int_equal(gguf_array_get(g, "words", GGUF_REQUIRED, GGUF_INTS, &a, &d), CJ_E_INPUT);
    assert_int_equal(gguf_array_get(g, "i32", GGUF_REQUIRED, GGUF_INTS, &a, &d), CJ_OK);
    assert_int_equal(a.count, 1);
    assert_int_equal(gguf_array_int(&a, 0), -7);
    gguf_close(&g);
    buf_deinit(&b.b);
}

static void tensors_lie_where_they_say(void **state)
{
    (void)state;
    gguf_build b;
    gguf *g = NULL;
    cj_diag d;
    build_begin(&b, 3);
    build_key_u32(&b, "general.alignment", 64);
    const uint64_t dims[] = {64, 3, 2};
    build_row(&b, "norm", 5, QUANT_F32, 512);
    build_tensor(&b, "w", 3, dims, QUANT_Q8_0, 64);
    build_end(&b, 64, 64 + 2 * 3 * 68 + 40 + 20);
    assert_int_equal(open_built(&b, &g, &d), CJ_OK);
    assert_int_equal(gguf_tensor_count(g), 2);
    assert_ptr_equal(gguf_tensor_at(g, 0), gguf_tensor_find(g, "norm"));
    assert_null(gguf_tensor_find(g, "v"));
    const gguf_tensor *w = gguf_tensor_find(g, "w"), *norm = gguf_tensor_find(g, "norm");
    assert_int_equal(w->type, QUANT_Q8_0);
    assert_int_equal(w->n_dims, 3);
    assert_int_equal(w->dims[2], 2);
    assert_int_equal(w->dims[3], 1);
    assert_int_equal(w->bytes, 2 * 3 * 68);
    assert_int_equal((const uint8_t *)norm->data - (const uint8_t *)w->data, 512 - 64);
    assert_int_equal(*(const uint8_t *)w->data, (uint8_t)(64 * 7));
    gguf_close(&g);
    assert_null(g);
    gguf_close(&g);
    buf_deinit(&b.b);
}

/* ---- bad files ---- */

/* A small good file with keys of all kinds and two tensors. */
static void build_good(gguf_build *b)
{
    build_begin(b, 3);
    put_all_kinds(b);
    build_row(b, "one", 32, QUANT_Q4_0, 0);
    build_row(b, "two", 8, QUANT_F32, 32);
    build_end(b, 32, 64);
}

static void every_truncation(void **state)
{
    (void)state;
    gguf_build b;
    gguf *g = NULL;
    cj_diag d;
    build_good(&b);
    assert_int_equal(open_built(&b, &g, &d), CJ_OK);
    gguf_close(&g);
    for (size_t n = 0; n < b.b.len; n++) {
        uint8_t *copy = mem_alloc(n); /* a block of its own, so that a sanitizer sees any read past the end */
        memcpy(copy, b.b.data, n);
        assert_int_equal(gguf_open_memory(&g, copy, n, &d), CJ_E_INPUT);
        assert_null(g);
        mem_free(copy);
    }
    buf_deinit(&b.b);
}

static void wrong_header(void **state)
{
    (void)state;
    gguf_build b;
    build_good(&b);
    b.b.data[0] = 'g';
    expect_refused(&b, CJ_E_INPUT, MSG_GGUF_MAGIC);
    static const uint32_t versions[] = {0, 1, 4, 0x03000000u};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        build_good(&b);
        memcpy(b.b.data + 4, &versions[i], 4);
        expect_refused(&b, CJ_E_UNSUPPORTED, MSG_GGUF_VERSION);
    }
    static const uint64_t counts[] = {GGUF_TENSORS_MAX, (uint64_t)1 << 63, UINT64_MAX, (uint64_t)1 << 61, 100};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (size_t which = 0; which < 2; which++) {
            build_good(&b);
            memcpy(b.b.data + b.counts_at + 8 * which, &counts[i], 8);
            expect_refused(&b, CJ_E_INPUT, MSG_GGUF_COUNT);
        }
    }
    build_good(&b); /* a key more than there are: the first tensor is taken for one */
    b.b.data[b.counts_at + 8]++;
    expect_refused(&b, CJ_E_INPUT, MSG_GGUF_NAME);
}

static void bad_keys(void **state)
{
    (void)state;
    gguf_build b;
    build_begin(&b, 3);
    build_key_u32(&b, "", 1);
    build_end(&b, 32, 0);
    expect_refused(&b, CJ_E_INPUT, MSG_GGUF_NAME);
    static const char *const names[] = {"line\nbreak", ".dot", "\xff\xfe", "\xed\xa0\x80"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        build_begin(&b, 3);
        build_key_u32(&b, names[i], 1);
        build_end(&b, 32, 0);
        expect_refused(&b, CJ_E_INPUT, MSG_GGUF_NAME);
    }
    char longest[GGUF_NAME_MAX + 2];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    build_begin(&b, 3);
    build_key_u32(&b, longest, 1);
    build_end(&b, 32, 0);
    expect_refused(&b, CJ_E_INPUT, MSG_GGUF_NAME);
    build_begin(&b, 3);
    build_key_u32(&b, "twice", 1);
    build_key_u32(&b, "between", 1);
    build_key_u32(&b, "twice", 1);
    build_end(&b, 32, 0);
    expect_refused(&b, CJ_E_INPUT, MSG_GGUF_DUPLICATE);
    build_begin(&b, 3);
    build_key(&b, "type", 13);
    build_end(&b, 32, 64);
    expect_refused(&b, CJ_E_INPUT, MSG_GGUF_KEY_TYPE);
    build_begin(&b, 3);
    build_key(&b, "nested", 9), build_u32(&b, 9), build_u64(&b, 1);
    build_end(&b, 32, 64);
    expect_refused(&b, CJ_E_INPUT, MSG_GGUF_KEY_TYPE);
    build_begin(&b, 3);
    build_key(&b, "bool", 7), build_bytes(&b, "\2", 1);
    build_end(&b, 32, 64);
    expect_refused(&b, CJ_E_INPUT, MSG_GGUF_KEY_BOOL);
}

static void bad_arrays(void **state)
{
    (void)state;
    static const uint64_t counts[] = {1000, GGUF_ARRAY_MAX, GGUF_ARRAY_MAX + 1, (uint64_t)1 << 62, (uint64_t)1 << 63, UINT64_MAX};
    static const uint32_t items[] = {0, 4, 7, 8, 10};
    gguf_build b;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (size_t k = 0; k < sizeof items / sizeof *items; k++) {
            build_begin(&b, 3);
            build_key(&b, "array", 9), build_u32(&b, items[k]), build_u64(&b, counts[i]);
            build_end(&b, 32, 64);
            expect_refused(&b, CJ_E_INPUT, MSG_GGUF_COUNT);
        }
    }
    static const uint64_t lengths[] = {65, GGUF_STRING_MAX, (uint64_t)1 << 63, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        msg_id message = lengths[i] > GGUF_STRING_MAX ? MSG_GGUF_COUNT : MSG_GGUF_TRUNCATED;
        build_begin(&b, 3);
        build_key(&b, "string", 8), build_u64(&b, lengths[i]);
        build_end(&b, 8, 32);
        expect_refused(&b, CJ_E_INPUT, message);
        build_begin(&b, 3);
        build_key(&b, "strings", 9), build_u32(&b, 8), build_u64(&b, 2), build_string(&b, "ok"), build_u64(&b, lengths[i]);
        build_end(&b, 8, 32);
        expect_refused(&b, CJ_E_INPUT, message);
    }
}

static void bad_tensors(void **state)
{
    (void)state;
    static const struct { uint32_t n_dims; uint64_t dims[5]; uint32_t type; uint64_t offset; cj_err code; msg_id message; } cases[] = {
        {0, {1}, QUANT_F32, 0, CJ_E_INPUT, MSG_GGUF_TENSOR_SHAPE},
        {5, {1, 1, 1, 1, 1}, QUANT_F32, 0, CJ_E_INPUT, MSG_GGUF_TENSOR_SHAPE},
        {1, {0}, QUANT_F32, 0, CJ_E_INPUT, MSG_GGUF_TENSOR_SHAPE},
        {1, {UINT64_MAX}, QUANT_F32, 0, CJ_E_INPUT, MSG_GGUF_TENSOR_SHAPE},
        {1, {(uint64_t)1 << 62}, QUANT_F32, 0, CJ_E_INPUT, MSG_GGUF_TENSOR_SHAPE},
        {4, {(uint64_t)1 << 16, (uint64_t)1 << 16, (uint64_t)1 << 16, (uint64_t)1 << 16}, QUANT_F32, 0, CJ_E_INPUT, MSG_GGUF_TENSOR_SHAPE},
        {3, {32, (uint64_t)1 << 32, (uint64_t)1 << 32}, QUANT_Q8_0, 0, CJ_E_INPUT, MSG_GGUF_TENSOR_SHAPE},
        {1, {33}, QUANT_Q8_0, 0, CJ_E_INPUT, MSG_GGUF_TENSOR_SHAPE},
        {2, {128, 2}, QUANT_Q4_K, 0, CJ_E_INPUT, MSG_GGUF_TENSOR_SHAPE},
        {1, {32}, 4, 0, CJ_E_UNSUPPORTED, MSG_GGUF_TENSOR_TYPE},
        {1, {256}, 10, 0, CJ_E_UNSUPPORTED, MSG_GGUF_TENSOR_TYPE},
        {1, {256}, 31, 0, CJ_E_UNSUPPORTED, MSG_GGUF_TENSOR_TYPE},
        {1, {256}, 0xffffffffu, 0, CJ_E_UNSUPPORTED, MSG_GGUF_TENSOR_TYPE},
        {1, {8}, QUANT_F32, 1, CJ_E_INPUT, MSG_GGUF_TENSOR_MISALIGNED},
        {1, {8}, QUANT_F32, 16, CJ_E_INPUT, MSG_GGUF_TENSOR_MISALIGNED},
        {1, {8}, QUANT_F32, 96, CJ_E_INPUT, MSG_GGUF_TRUNCATED},
        {1, {8}, QUANT_F32, 64, CJ_E_INPUT, MSG_GGUF_TRUNCATED},
        {1, {8}, QUANT_F32, (uint64_t)1 << 63, CJ_E_INPUT, MSG_GGUF_TRUNCATED},
        {1, {8}, QUANT_F32, UINT64_MAX - 31, CJ_E_INPUT, MSG_GGUF_TRUNCATED},
        {1, {17}, QUANT_F32, 0, CJ_E_INPUT, MSG_GGUF_TRUNCATED},
    };
    gguf_build b;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        build_begin(&b, 3);
        build_tensor(&b, "t", cases[i].n_dims, cases[i].dims, cases[i].type, cases[i].offset);
        build_end(&b, 32, 64);
        expect_refused(&b, cases[i].code, cases[i].message);
    }
    build_begin(&b, 3);
    build_row(&b, "same", 8, QUANT_F32, 0);
    build_row(&b, "same", 8, QUANT_F32, 32);
    build_end(&b, 32, 64);
    expect_refused(&b, CJ_E_INPUT, MSG_GGUF_DUPLICATE);
    build_begin(&b, 3);
    build_row(&b, "late", 8, QUANT_F32, 32);
    build_row(&b, "early", 9, QUANT_F32, 0);
    build_end(&b, 32, 64);
    expect_refused(&b, CJ_E_INPUT, MSG_GGUF_TENSOR_OVERLAP);
    build_begin(&b, 3);
    build_row(&b, "a", 8, QUANT_F32, 0);
    build_row(&b, "b", 8, QUANT_F32, 0);
    build_end(&b, 32, 64);
    expect_refused(&b, CJ_E_INPUT, MSG_GGUF_TENSOR_OVERLAP);
}

static void bad_alignment(void **state)
{
    (void)state;
    static const uint32_t bad[] = {0, 1, 4, 12, 33, 1u << 17, 1u << 31, 0xffffffffu};
    gguf_build b;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        build_begin(&b, 3);
        build_key_u32(&b, "general.alignment", bad[i]);
        build_end(&b, 32, 0);
        expect_refused(&b, CJ_E_INPUT, MSG_GGUF_ALIGNMENT);
    }
    build_begin(&b, 3);
    build_key(&b, "general.alignment", 10), build_u64(&b, (uint64_t)1 << 40);
    build_end(&b, 32, 0);
    expect_refused(&b, CJ_E_INPUT, MSG_GGUF_ALIGNMENT);
    build_begin(&b, 3);
    build_key_string(&b, "general.alignment", "32");
    build_end(&b, 32, 0);
    expect_refused(&b, CJ_E_INPUT, MSG_GGUF_KEY_KIND);
}

/* A file with every byte in turn set to a few nasty values must open or be refused, never crash. */
static void every_byte_changed(void **state)
{
    (void)state;
    static const char values[] = {0, 1, 9, 127, (char)128, (char)255};
    gguf_build b;
    gguf *g = NULL;
    build_good(&b);
    for (size_t i = 0; i < b.b.len; i++) {
        char old = b.b.data[i];
        for (size_t v = 0; v < sizeof values; v++) {
            b.b.data[i] = values[v];
            if (!gguf_open_memory(&g, b.b.data, b.b.len, NULL)) gguf_close(&g);
        }
        b.b.data[i] = old;
    }
    buf_deinit(&b.b);
}

static void no_memory(void **state)
{
    (void)state;
    gguf_build b;
    gguf *g = NULL;
    cj_diag d;
    build_good(&b);
    bool opened = false;
    for (int n = 0; !opened; n++) {
        mem_fail_after(n);
        cj_err e = open_built(&b, &g, &d);
        mem_fail_after(-1);
        opened = e == CJ_OK;
        if (!opened) assert_int_equal(e, CJ_E_NOMEM);
        if (!opened) assert_null(g);
        assert_true(n < 1000);
    }
    gguf_close(&g);
    buf_deinit(&b.b);
}

/* ---- files and split models ---- */

static void save(const gguf_build *b, const char *name)
{
    file_out f;
    assert_int_equal(file_out_open(&f, in_folder(name), NULL), CJ_OK);
    assert_int_equal(file_out_write(&f, b->b.data, b->b.len, NULL), CJ_OK);
    assert_int_equal(file_out_commit(&f, NULL), CJ_OK);
}

/* Part `no` of `count`, in a file whose name says it is part `named`; it holds one tensor. */
static void save_part(int no, int count, int named, const char *tensor, int total)
{
    gguf_build b;
    char name[64];
    build_begin(&b, 3);
    build_key(&b, "split.no", 2), build_bytes(&b, &no, 2);
    build_key(&b, "split.count", 2), build_bytes(&b, &count, 2);
    build_key(&b, "split.tensors.count", 5), build_u32(&b, (uint32_t)total);
    build_row(&b, tensor, 8, QUANT_F32, 0);
    build_end(&b, 32, 32);
    snprintf(name, sizeof name, "m-%05d-of-%05d.gguf", named + 1, 3);
    save(&b, name);
    buf_deinit(&b.b);
}

static void expect_file_refused(const char *name, cj_err code, msg_id message)
{
    gguf *g = NULL;
    cj_diag d = {0};
    assert_int_equal(gguf_open(&g, in_folder(name), &d), code);
    assert_int_equal(d.message, message);
    assert_null(g);
}

static void split_models(void **state)
{
    (void)state;
    static const char first[] = "m-00001-of-00003.gguf";
    gguf *g = NULL;
    cj_diag d = {0};
    for (int i = 0; i < 3; i++) save_part(i, 3, i, (const char *[]){"a", "b", "c"}[i], 3);
    assert_int_equal(gguf_open(&g, in_folder(first), &d), CJ_OK);
    assert_int_equal(gguf_parts(g), 3);
    assert_int_equal(gguf_tensor_count(g), 3);
    assert_string_equal(gguf_tensor_at(g, 2)->name, "c");
    assert_non_null(gguf_tensor_find(g, "b"));
    gguf_close(&g);
    expect_file_refused("m-00002-of-00003.gguf", CJ_E_INPUT, MSG_GGUF_SPLIT_FIRST);
    save_part(2, 3, 2, "a", 3);
    expect_file_refused(first, CJ_E_INPUT, MSG_GGUF_DUPLICATE);
    save_part(0, 3, 2, "c", 3); /* a cycle: the last part is the first again */
    expect_file_refused(first, CJ_E_INPUT, MSG_GGUF_SPLIT_PART);
    save_part(1, 3, 2, "c", 3);
    expect_file_refused(first, CJ_E_INPUT, MSG_GGUF_SPLIT_PART);
    save_part(2, 4, 2, "c", 3);
    expect_file_refused(first, CJ_E_INPUT, MSG_GGUF_SPLIT_PART);
    save_part(2, 3, 2, "c", 3);
    save_part(0, 3, 0, "a", 4);
    expect_file_refused(first, CJ_E_INPUT, MSG_GGUF_SPLIT_TENSORS);
    save_part(0, 3, 0, "a", 3);
    assert_int_equal(unlink(in_folder("m-00003-of-00003.gguf")), 0);
    expect_file_refused(first, CJ_E_NOT_FOUND, MSG_FILE_NOT_FOUND);
    save_part(0, 4, 0, "a", 3);
    expect_file_refused(first, CJ_E_INPUT, MSG_GGUF_SPLIT_NAME);
    save_part(0, 30000, 0, "a", 3);
    expect_file_refused(first, CJ_E_INPUT, MSG_GGUF_COUNT);
    for (int i = 1; i <= 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "m-%05d-of-00003.gguf", i);
        unlink(in_folder(name));
    }
}

static void no_such_file(void **state)
{
    (void)state;
    expect_file_refused("absent.gguf", CJ_E_NOT_FOUND, MSG_FILE_NOT_FOUND);
    expect_file_refused(".", CJ_E_INPUT, MSG_FILE_IS_DIR);
    gguf_build b = {0};
    buf_init(&b.b, 10);
    save(&b, "empty.gguf");
    expect_file_refused("empty.gguf", CJ_E_INPUT, MSG_FILE_EMPTY);
    unlink(in_folder("empty.gguf"));
    buf_deinit(&b.b);
}

/* A golden model of the reference data, if it is at hand. */
static void a_real_file(void **state)
{
    (void)state;
    char path[4096];
    const char *shared = getenv("CJ_SHARED");
    snprintf(path, sizeof path, "%s/golden/qwen3_moe/model.gguf", shared ? shared : ".");
    if (!file_exists(path)) skip_because("no reference model in CJ_SHARED");
    gguf *g = NULL;
    cj_diag d = {0};
    assert_int_equal(gguf_open(&g, path, &d), CJ_OK);
    int64_t layers = 0, experts = 0;
    assert_int_equal(gguf_int(g, ".block_count", GGUF_REQUIRED, 1, 1000, &layers, &d), CJ_OK);
    assert_int_equal(gguf_int(g, ".expert_count", GGUF_REQUIRED, 1, 1000, &experts, &d), CJ_OK);
    const gguf_tensor *t = gguf_tensor_find(g, "blk.0.ffn_gate_exps.weight");
    assert_non_null(t);
    assert_int_equal(t->n_dims, 3);
    assert_int_equal(t->dims[2], experts);
    gguf_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_of_any_width), cmocka_unit_test(other_values),
        cmocka_unit_test(arrays_and_layers),     cmocka_unit_test(tensors_lie_where_they_say),
        cmocka_unit_test(every_truncation),      cmocka_unit_test(wrong_header),
        cmocka_unit_test(bad_keys),              cmocka_unit_test(bad_arrays),
        cmocka_unit_test(bad_tensors),           cmocka_unit_test(bad_alignment),
        cmocka_unit_test(every_byte_changed),    cmocka_unit_test(no_memory),
        cmocka_unit_test(split_models),          cmocka_unit_test(no_such_file),
        cmocka_unit_test(a_real_file),
    };
    return cmocka_run_group_tests(tests, own_folder_make, own_folder_remove);
}
