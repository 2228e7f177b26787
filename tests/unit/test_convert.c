/* The GGUF writer and the conversion of models: what is written reads back, and a failure leaves nothing behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/convert.h"
#include "format/gguf_write.h"
#include "quant/quant.h"
#include "support/own_folder.h"

static char source_path[64], out_path[64];

static const struct { const char *name; int n_dims; int64_t dims[3]; int type; } model[] = {
    {"token_embd.weight", 2, {256, 40}, QUANT_F32},
    {"output_norm.weight", 1, {256}, QUANT_F32},
    {"blk.0.attn_norm.weight", 1, {256}, QUANT_BF16},
    {"blk.0.attn_q.weight", 2, {256, 64}, QUANT_F16},
    {"blk.0.attn_v.weight", 2, {256, 32}, QUANT_BF16},
    {"blk.0.attn_output.weight", 2, {96, 64}, QUANT_F32},
    {"blk.0.attn_k.weight", 2, {50, 64}, QUANT_F32},
    {"blk.0.attn_q.bias", 1, {64}, QUANT_F32},
    {"blk.0.ffn_gate_inp.weight", 2, {256, 4}, QUANT_F16},
    {"blk.0.ffn_down_exps.weight", 3, {256, 64, 5}, QUANT_Q8_0},
    {"blk.1.ffn_down_exps.weight", 3, {256, 64, 5}, QUANT_Q4_0},
};
enum { TENSORS = sizeof model / sizeof *model, LAYERS = 16 };

static int64_t elements_of(size_t i)
{
    int64_t n = 1;
    for (int k = 0; k < model[i].n_dims; k++) n *= model[i].dims[k];
    return n;
}

static void fill(float *x, int64_t n, uint32_t seed)
{
    for (int64_t i = 0; i < n; i++) {
        double s = -6;
        for (int k = 0; k < 12; k++) s += (seed = seed * 1664525u + 1013904223u) / 4294967296.0;
        x[i] = (float)(0.05 * s);
    }
}

static void write_source(float first_value)
{
    gguf_writer *w = NULL;
    assert_int_equal(gguf_writer_open(&w, source_path, NULL), CJ_OK);
    const gguf_str words[] = {{"甲", 3}, {"", 0}, {"b", 1}};
    const float scores[] = {1, 2.5f, -3};
    assert_int_equal(gguf_put_string(w, "general.architecture", (gguf_str){"toy", 3}, NULL), CJ_OK);
    assert_int_equal(gguf_put_u32(w, "toy.block_count", LAYERS, NULL), CJ_OK);
    assert_int_equal(gguf_put_f32(w, "toy.epsilon", 1e-6f, NULL), CJ_OK);
    assert_int_equal(gguf_put_bool(w, "toy.flag", true, NULL), CJ_OK);
    assert_int_equal(gguf_put_strings(w, "toy.words", words, 3, NULL), CJ_OK);
    assert_int_equal(gguf_put_array(w, "toy.scores", GGUF_F32, scores, 3, NULL), CJ_OK);
    assert_int_equal(gguf_put_u32(w, "general.file_type", 0, NULL), CJ_OK);
    for (size_t i = 0; i < TENSORS; i++)
        assert_int_equal(gguf_put_tensor(w, model[i].name, model[i].type, model[i].n_dims, model[i].dims, NULL), CJ_OK);
    for (size_t i = 0; i < TENSORS; i++) {
        int64_t n = elements_of(i);
        float *x = mem_array((size_t)n, sizeof *x);
        void *blocks = mem_array((size_t)n, sizeof *x);
        fill(x, n, (uint32_t)i + 1);
        if (i == 0) x[0] = first_value;
        quant_info_get(model[i].type)->encode(x, blocks, n);
        size_t bytes = quant_row_bytes(model[i].type, n);
        assert_int_equal(gguf_write_data(w, blocks, bytes / 2, NULL), CJ_OK); /* in two pieces */
        assert_int_equal(gguf_write_data(w, (char *)blocks + bytes / 2, bytes - bytes / 2, NULL), CJ_OK);
        mem_free(x);
        mem_free(blocks);
    }
    assert_int_equal(gguf_writer_commit(&w, NULL), CJ_OK);
    assert_null(w);
}

static int files_in_folder(void)
{
    int n = 0;
    DIR *d = opendir(own_folder);
    for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static gguf *open_ok(const char *path)
{
    gguf *g = NULL;
    cj_diag d = {0};
    cj_err e = gguf_open(&g, path, &d);
    char text[1024];
    cj_diag_text(&d, CJ_LANG_EN, text, sizeof text);
    if (e) fail_msg("%s", text);
    return g;
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    write_source(0);
    gguf *g = open_ok(source_path);
    int64_t v = 0;
    float f = 0;
    bool flag = false;
    gguf_array words = {0};
    assert_int_equal(gguf_int(g, ".block_count", GGUF_REQUIRED, 0, 100, &v, NULL), CJ_OK);
    assert_int_equal(v, LAYERS);
    assert_int_equal(gguf_float(g, ".epsilon", GGUF_REQUIRED, &f, NULL), CJ_OK);
    assert_true(f == 1e-6f);
    assert_int_equal(gguf_bool(g, ".flag", GGUF_REQUIRED, &flag, NULL), CJ_OK);
    assert_true(flag);
    assert_int_equal(gguf_array_get(g, ".words", GGUF_REQUIRED, GGUF_STRINGS, &words, NULL), CJ_OK);
    assert_int_equal(words.count, 3);
    assert_memory_equal(gguf_array_string(&words, 0).data, "甲", 3);
    assert_int_equal(gguf_tensor_count(g), TENSORS);
    for (size_t i = 0; i < TENSORS; i++) {
        const gguf_tensor *t = gguf_tensor_at(g, (int64_t)i);
        assert_string_equal(t->name, model[i].name);
        assert_int_equal(t->type, model[i].type);
        assert_int_equal((uintptr_t)t->data % GGUF_ALIGN_DEFAULT, 0);
        for (int k = 0; k < model[i].n_dims; k++) assert_int_equal(t->dims[k], model[i].dims[k]);
    }
    gguf_close(&g);
}

static void the_writer_refuses_misuse(void **state)
{
    (void)state;
    gguf_writer *w = NULL;
    const int64_t row = 32, uneven = 33, none = 0;
    const char data[256] = {0};
    int before = files_in_folder();
    assert_int_equal(gguf_writer_open(&w, out_path, NULL), CJ_OK);
    assert_int_equal(gguf_put_tensor(w, "t", QUANT_Q8_0, 1, &uneven, NULL), CJ_E_INTERNAL);
    assert_int_equal(gguf_put_tensor(w, "t", QUANT_F32, 1, &none, NULL), CJ_E_INTERNAL);
    assert_int_equal(gguf_put_tensor(w, "t", 4, 1, &row, NULL), CJ_E_INTERNAL);
    assert_int_equal(gguf_put_tensor(w, "t", QUANT_F32, 1, &row, NULL), CJ_OK);
    assert_int_equal(gguf_write_data(w, data, 129, NULL), CJ_E_INTERNAL);
    assert_int_equal(gguf_write_data(w, data, 100, NULL), CJ_OK);
    assert_int_equal(gguf_put_u32(w, "late", 1, NULL), CJ_E_INTERNAL);
    assert_int_equal(gguf_put_tensor(w, "late", QUANT_F32, 1, &row, NULL), CJ_E_INTERNAL);
    assert_int_equal(gguf_writer_commit(&w, NULL), CJ_E_INTERNAL); /* 28 bytes are missing */
    assert_null(w);
    assert_int_equal(files_in_folder(), before);
}

/* Decodes tensor i of a file; the caller frees. */
static float *decoded(const gguf_tensor *t, int64_t n)
{
    float *x = mem_array((size_t)n, sizeof *x);
    assert_non_null(x);
    quant_info_get(t->type)->decode(t->data, x, n);
    return x;
}

static void expect_close(const gguf *a, const gguf *b, double bound)
{
    for (size_t i = 0; i < TENSORS; i++) {
        const gguf_tensor *t = gguf_tensor_find(a, model[i].name), *u = gguf_tensor_find(b, model[i].name);
        assert_non_null(u);
        int64_t n = elements_of(i);
        float *x = decoded(t, n), *y = decoded(u, n);
        double miss = 0, all = 0;
        for (int64_t k = 0; k < n; k++) {
            miss += pow((double)x[k] - (double)y[k], 2);
            all += pow((double)x[k], 2);
        }
        if (!(sqrt(miss / all) <= bound)) fail_msg("%s: relative error %g, at most %g", t->name, sqrt(miss / all), bound);
        if (t->n_dims == 1 && miss != 0) fail_msg("%s changed", t->name);
        mem_free(x);
        mem_free(y);
    }
}

static void types_are_chosen_by_tensor(void **state)
{
    (void)state;
    static const struct { int wanted, file_type, types[TENSORS]; double bound; } cases[] = {
        {QUANT_Q8_0, 7, {QUANT_Q8_0, 0, 0, QUANT_Q8_0, QUANT_Q8_0, QUANT_Q8_0, QUANT_F16, 0, 0, QUANT_Q8_0, QUANT_Q8_0}, 0.006},
        {QUANT_Q4_0, 2, {QUANT_Q6_K, 0, 0, QUANT_Q4_0, QUANT_Q4_0, QUANT_Q4_0, QUANT_F16, 0, 0, QUANT_Q4_0, QUANT_Q4_0}, 0.085},
        {QUANT_Q4_K, 15, {QUANT_Q6_K, 0, 0, QUANT_Q4_K, QUANT_Q6_K, QUANT_Q5_0, QUANT_F16, 0, 0, QUANT_Q6_K, QUANT_Q6_K}, 0.085},
        {QUANT_Q6_K, 18, {QUANT_Q6_K, 0, 0, QUANT_Q6_K, QUANT_Q6_K, QUANT_Q8_0, QUANT_F16, 0, 0, QUANT_Q6_K, QUANT_Q6_K}, 0.03},
        {QUANT_BF16, 32, {QUANT_BF16, 0, 0, QUANT_BF16, QUANT_BF16, QUANT_BF16, QUANT_BF16, 0, 0, QUANT_BF16, QUANT_BF16}, 0.002},
        {QUANT_F32, 0, {0}, 0},
    };
    write_source(0);
    gguf *source = open_ok(source_path);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        convert_result r = {0};
        cj_diag d = {0};
        assert_int_equal(convert_gguf(source_path, out_path, &(convert_options){.type = cases[c].wanted}, &r, &d), CJ_OK);
        gguf *g = open_ok(out_path);
        int64_t v = -1;
        assert_int_equal(gguf_int(g, "general.file_type", GGUF_REQUIRED, 0, 100, &v, &d), CJ_OK);
        assert_int_equal(v, cases[c].file_type);
        assert_int_equal(gguf_int(g, "general.quantization_version", GGUF_REQUIRED, 2, 2, &v, &d), CJ_OK);
        assert_int_equal(gguf_int(g, ".block_count", GGUF_REQUIRED, LAYERS, LAYERS, &v, &d), CJ_OK);
        const gguf_key *before = gguf_key_find(source, ".words"), *after = gguf_key_find(g, ".words");
        assert_int_equal(before->value_bytes, after->value_bytes);
        assert_memory_equal(before->value, after->value, before->value_bytes);
        assert_int_equal(gguf_key_count(g), gguf_key_count(source) + 1);
        int64_t bytes = 0;
        for (size_t i = 0; i < TENSORS; i++) {
            const gguf_tensor *t = gguf_tensor_at(g, (int64_t)i);
            assert_string_equal(t->name, model[i].name);
            if (t->type != cases[c].types[i]) fail_msg("%s has type %d, expected %d", t->name, t->type, cases[c].types[i]);
            bytes += (int64_t)t->bytes;
        }
        assert_int_equal(r.tensors, TENSORS);
        assert_int_equal(r.bytes_out, bytes);
        expect_close(source, g, cases[c].bound);
        gguf_close(&g);
    }
    gguf_close(&source);
}

static void a_tensor_that_fits_is_copied(void **state)
{
    (void)state;
    write_source(0);
    convert_result r = {0};
    assert_int_equal(convert_gguf(source_path, out_path, &(convert_options){.type = QUANT_Q8_0}, &r, NULL), CJ_OK);
    assert_int_equal(r.requantised, 1); /* the Q4_0 one */
    assert_int_equal(r.finer, 1);       /* rows of 50 */
    gguf *a = open_ok(source_path), *b = open_ok(out_path);
    const gguf_tensor *t = gguf_tensor_find(a, model[9].name), *u = gguf_tensor_find(b, model[9].name);
    assert_int_equal(t->bytes, u->bytes);
    assert_memory_equal(t->data, u->data, t->bytes);
    gguf_close(&a);
    gguf_close(&b);
}

static void threads_change_nothing(void **state)
{
    (void)state;
    buf one, many;
    write_source(0);
    assert_int_equal(convert_gguf(source_path, out_path, &(convert_options){.type = QUANT_Q4_K}, NULL, NULL), CJ_OK);
    assert_int_equal(file_read(out_path, 1 << 24, &one, NULL), CJ_OK);
    pool *p = NULL;
    assert_int_equal(pool_open(&p, 3, NULL), CJ_OK);
    /* In place: the source stays readable until the new file takes its name. */
    assert_int_equal(convert_gguf(source_path, source_path, &(convert_options){.type = QUANT_Q4_K, .pool = p}, NULL, NULL), CJ_OK);
    pool_close(&p);
    assert_int_equal(file_read(source_path, 1 << 24, &many, NULL), CJ_OK);
    assert_int_equal(one.len, many.len);
    assert_memory_equal(one.data, many.data, one.len);
    buf_deinit(&one);
    buf_deinit(&many);
}

/* ---- failures ---- */

typedef struct reports {
    int calls, stop_after;
    int64_t last, all;
} reports;

static bool note_report(void *arg, int64_t done, int64_t all)
{
    reports *r = arg;
    assert_true(done > r->last && done <= all);
    r->last = done;
    r->all = all;
    return ++r->calls != r->stop_after;
}

static void progress_and_cancelling(void **state)
{
    (void)state;
    write_source(0);
    unlink(out_path);
    reports r = {0};
    cj_diag d = {0};
    convert_options o = {.type = QUANT_Q8_0, .progress = note_report, .arg = &r};
    r.stop_after = 3;
    assert_int_equal(convert_gguf(source_path, out_path, &o, NULL, &d), CJ_E_CANCELLED);
    assert_int_equal(d.message, MSG_CONVERT_STOPPED);
    assert_int_equal(files_in_folder(), 1);
    r = (reports){0};
    assert_int_equal(convert_gguf(source_path, out_path, &o, NULL, &d), CJ_OK);
    assert_int_equal(r.last, r.all);
    assert_true(r.calls >= TENSORS);
}

static void failures_leave_nothing(void **state)
{
    (void)state;
    cj_diag d = {0};
    unlink(out_path);
    write_source(NAN);
    assert_int_equal(convert_gguf(source_path, out_path, &(convert_options){.type = QUANT_Q8_0}, NULL, &d), CJ_E_INPUT);
    assert_int_equal(d.message, MSG_CONVERT_NOT_FINITE);
    write_source(0);
    assert_int_equal(convert_gguf(source_path, out_path, &(convert_options){.type = 5}, NULL, &d), CJ_E_USAGE);
    assert_int_equal(convert_gguf("/nowhere/at/all", out_path, &(convert_options){.type = 8}, NULL, &d), CJ_E_NOT_FOUND);
    assert_int_equal(convert_gguf(source_path, "/nowhere/at/all", &(convert_options){.type = 8}, NULL, &d), CJ_E_NOT_FOUND);
    assert_int_equal(convert_gguf(source_path, own_folder, &(convert_options){.type = 8}, NULL, &d), CJ_E_INPUT);
    assert_int_equal(files_in_folder(), 1);
    bool done = false;
    for (int n = 0; !done; n++) {
        mem_fail_after(n);
        cj_err e = convert_gguf(source_path, out_path, &(convert_options){.type = QUANT_Q6_K}, NULL, &d);
        mem_fail_after(-1);
        done = e == CJ_OK;
        if (!done) assert_int_equal(e, CJ_E_NOMEM);
        assert_int_equal(files_in_folder(), done ? 2 : 1);
        assert_true(n < 1000);
    }
}

static int make_folder(void **state)
{
    if (own_folder_make(state)) return -1;
    snprintf(source_path, sizeof source_path, "%s/source.gguf", own_folder);
    snprintf(out_path, sizeof out_path, "%s/out.gguf", own_folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_back),   cmocka_unit_test(the_writer_refuses_misuse),
        cmocka_unit_test(types_are_chosen_by_tensor),   cmocka_unit_test(a_tensor_that_fits_is_copied),
        cmocka_unit_test(threads_change_nothing),       cmocka_unit_test(progress_and_cancelling),
        cmocka_unit_test(failures_leave_nothing),
    };
    return cmocka_run_group_tests(tests, make_folder, own_folder_remove);
}
