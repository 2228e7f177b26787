/* Files of adapters: what is written comes back, what is damaged or of another model has a sentence; merged is applied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/adapter.h"
#include "format/safetensors_write.h"
#include "model/adapter_merge.h"
#include "support/adapter_make.h"
#include "support/own_folder.h"

enum { N = 64, VOCAB = 320, ALL = (1 << ADAPTER_TARGETS) - 1 };
static int32_t ids[N];

static const char *golden(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/tests/golden/%s%s", getenv("CJ_SOURCE"), name, strchr(name, '_') && strcmp(name, "qwen3_moe") ? "" : "/model.gguf");
    return path;
}

static engine *open_engine(const char *path)
{
    engine *e = NULL;
    engine_options opt = {.path = path, .level = KERNEL_AUTO, .threads = 1, .exact = true, .kv = KV_F32};
    assert_int_equal(engine_open(&e, &opt, NULL), CJ_OK);
    return e;
}

static void logits_with(engine *e, const engine_adapter *a, float *out)
{
    session *s = NULL;
    assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
    assert_int_equal(session_set_adapter(s, a, 0, NULL), CJ_OK);
    assert_int_equal(session_eval(s, ids, N, &(session_call){.want = WANT_LAST}, NULL, NULL), CJ_OK);
    memcpy(out, session_logits(s), VOCAB * sizeof *out);
    session_close(&s);
}

static double distance(const float *a, const float *b)
{
    double d = 0, sum = 0;
    for (int i = 0; i < VOCAB; i++) d += pow((double)a[i] - b[i], 2), sum += pow(b[i], 2);
    return sqrt(d / sum);
}

static adapter_facts facts_of(const engine *e)
{
    adapter_facts f = {.name = "问答", .base = "tiny", .prompt = "qa-1", .base_print = model_fingerprint(engine_model(e)), .activated = true};
    snprintf(f.arch, sizeof f.arch, "%s", model_spec_of(engine_model(e))->family);
    return f;
}

/* An adapter for e as a file in our folder. */
static const char *write_for(const engine *e, int rank, int type, unsigned targets, uint64_t seed)
{
    made_adapter m;
    const adapter_facts facts = facts_of(e);
    make_adapter(&m, model_spec_of(engine_model(e)), rank, QUANT_F32, targets, seed, 0.3f);
    assert_int_equal(adapter_file_write(in_folder("a.gguf"), &m.data, &facts, type, NULL), CJ_OK);
    arena_deinit(&m.mem);
    return in_folder("a.gguf");
}

/* ---- GGUF ---- */

static void same_matrix(const kernel_weight *got, const kernel_weight *want, int type)
{
    const int64_t n = want->rows * want->cols;
    char *stored = mem_alloc((size_t)want->rows * quant_row_bytes(type, want->cols));
    assert_int_equal(got->type, type);
    assert_int_equal(got->rows, want->rows);
    assert_int_equal(got->cols, want->cols);
    quant_info_get(type)->encode(want->data, stored, n);
    assert_memory_equal(got->data, stored, (size_t)want->rows * quant_row_bytes(type, want->cols));
    mem_free(stored);
}

static void what_is_written_comes_back(void **state)
{
    static const int types[] = {QUANT_F32, QUANT_F16, QUANT_BF16};
    engine *e = open_engine(golden("gemma3"));
    const adapter_facts facts = facts_of(e);
    for (int i = 0; i < 3; i++) {
        made_adapter m;
        adapter_file *f = NULL;
        make_adapter(&m, model_spec_of(engine_model(e)), 5, QUANT_F32, ALL, 3, 0.3f);
        assert_int_equal(adapter_file_write(in_folder("a.gguf"), &m.data, &facts, types[i], NULL), CJ_OK);
        assert_int_equal(adapter_file_open(&f, in_folder("a.gguf"), NULL), CJ_OK);
        assert_memory_equal(adapter_file_facts(f), &facts, sizeof facts);
        assert_true(adapter_file_bytes(f) > 0 && adapter_file_here(in_folder("a.gguf")));
        const model_adapter *a = adapter_file_data(f);
        assert_int_equal(a->rank, 5);
        assert_int_equal(a->n_layers, m.data.n_layers);
        assert_true(a->scale == m.data.scale);
        for (int k = 0; k < a->n_layers * ADAPTER_TARGETS; k++) {
            same_matrix(&a->pairs[k].a, &m.data.pairs[k].a, types[i]);
            same_matrix(&a->pairs[k].b, &m.data.pairs[k].b, types[i]);
        }
        adapter_file_close(&f);
        arena_deinit(&m.mem);
    }
    engine_close(&e);
}

static void put(const buf *b, size_t n) { assert_int_equal(file_write(in_folder("b.gguf"), b->data, n, NULL), CJ_OK); }

static cj_err open_damaged(void)
{
    adapter_file *f = NULL;
    cj_diag d = {0};
    char text[1024];
    const cj_err e = adapter_file_open(&f, in_folder("b.gguf"), &d);
    assert_true(!e || (d.code == e && cj_diag_text(&d, CJ_LANG_EN, text, sizeof text)));
    adapter_file_close(&f);
    return e;
}

static void rename_in(buf *b, const char *from, const char *to)
{
    char *at = memmem(b->data, b->len, from, strlen(from));
    assert_non_null(at);
    memcpy(at, to, strlen(to));
    put(b, b->len);
}

static void damage_is_refused(void **state)
{
    engine *e = open_engine(golden("llama"));
    buf b;
    const float nan = NAN;
    assert_int_equal(file_read(write_for(e, 2, QUANT_F32, 1 << ADAPTER_Q | 1 << ADAPTER_DOWN, 3), 1 << 24, &b, NULL), CJ_OK);
    for (size_t n = b.len - 1; n > 0; n = n * 9 / 10) {
        put(&b, n);
        assert_int_equal(open_damaged(), CJ_E_INPUT);
    }
    srand(5);
    for (int i = 0; i < 200; i++) { /* a wrong bit: a sentence, or other numbers */
        const size_t at = (size_t)rand() % b.len;
        b.data[at] ^= (char)(1 << i % 8);
        put(&b, b.len);
        (void)open_damaged();
        b.data[at] ^= (char)(1 << i % 8);
    }
    rename_in(&b, "blk.0.attn_q.weight.lora_b", "blk.9.attn_q.weight.lora_b"); /* two halves */
    assert_int_equal(open_damaged(), CJ_E_INPUT);
    rename_in(&b, "blk.9.attn_q.weight.lora_b", "blk.0.attn_q.weight.lora_c");
    assert_int_equal(open_damaged(), CJ_E_UNSUPPORTED);
    rename_in(&b, "blk.0.attn_q.weight.lora_c", "blk.0.attn_q.weight.lora_b");
    assert_int_equal(open_damaged(), CJ_OK);
    memcpy(b.data + b.len - sizeof nan, &nan, sizeof nan);
    put(&b, b.len);
    assert_int_equal(open_damaged(), CJ_E_INPUT);
    rename_in(&b, "adapter", "adopted"); /* general.type */
    assert_int_equal(open_damaged(), CJ_E_INPUT);
    buf_deinit(&b);
    write_for(e, ADAPTER_RANK_MAX + 1, QUANT_BF16, 1 << ADAPTER_Q, 3);
    adapter_file *f = NULL;
    assert_int_equal(adapter_file_open(&f, in_folder("a.gguf"), NULL), CJ_E_LIMIT);
    assert_int_equal(adapter_file_open(&f, golden("llama"), NULL), CJ_E_INPUT); /* a model */
    assert_int_equal(adapter_file_open(&f, in_folder("none.gguf"), NULL), CJ_E_NOT_FOUND);
    engine_close(&e);
}

static void another_model_refuses_it(void **state)
{
    engine *e = open_engine(golden("gemma3")), *others[] = {open_engine(golden("llama")), open_engine(golden("gemma3-mqa"))};
    engine_adapter *a = NULL;
    write_for(e, 2, QUANT_F32, ALL, 3);
    assert_int_equal(engine_adapter_open(&a, e, in_folder("a.gguf"), NULL), CJ_OK);
    assert_true(engine_adapter_is_at_home(a) && engine_adapter_facts(a)->activated);
    engine_adapter_close(&a);
    for (int i = 0; i < 2; i++) {
        cj_diag d = {0};
        assert_int_equal(engine_adapter_open(&a, others[i], in_folder("a.gguf"), &d), CJ_E_INPUT);
        assert_null(a);
        engine_close(&others[i]);
    }
    engine_close(&e);
}

static void no_memory_is_an_error(void **state)
{
    engine *e = open_engine(golden("gemma3"));
    made_adapter m;
    const adapter_facts facts = facts_of(e);
    make_adapter(&m, model_spec_of(engine_model(e)), 2, QUANT_F32, 1 << ADAPTER_K, 3, 0.3f);
    int stage = 0;
    for (int64_t n = 0; stage < 2; n++) {
        engine_adapter *a = NULL;
        mem_fail_after(n);
        const cj_err err = stage ? engine_adapter_open(&a, e, in_folder("a.gguf"), NULL) : adapter_file_write(in_folder("a.gguf"), &m.data, &facts, QUANT_F32, NULL);
        mem_fail_after(-1);
        engine_adapter_close(&a);
        assert_true(err == CJ_OK || err == CJ_E_NOMEM);
        assert_int_equal(file_exists(in_folder("a.gguf")), stage || !err);
        if (err) continue;
        assert_true(n > 10);
        stage++, n = -1;
    }
    arena_deinit(&m.mem);
    engine_close(&e);
}

/* ---- folders of PEFT's ---- */

static const char *const their_names[ADAPTER_TARGETS] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"};

/* Rows of heads that turn neighbours, as a maker's folder has them: halves. */
static void in_halves(kernel_weight *b, int heads)
{
    const int64_t head = b->rows / heads, cols = b->cols;
    float *x = (float *)(uintptr_t)b->data, *copy = mem_array((size_t)(b->rows * cols), sizeof *copy);
    memcpy(copy, x, (size_t)(b->rows * cols) * sizeof *x);
    for (int64_t r = 0; r < b->rows; r++) {
        const int64_t i = r % head, to = r - i + i % 2 * (head / 2) + i / 2;
        memcpy(x + to * cols, copy + r * cols, (size_t)cols * sizeof *x);
    }
    mem_free(copy);
}

static void put_matrices(safetensors_writer *w, const model_adapter *a, bool data)
{
    for (int i = 0; i < a->n_layers; i++)
        for (adapter_target t = 0; t < ADAPTER_TARGETS; t++)
            for (int k = 0; k < 2; k++) {
                const adapter_pair *p = adapter_pair_of(a, i, t);
                const kernel_weight *m = k ? &p->b : &p->a;
                char name[128];
                snprintf(name, sizeof name, "base_model.model.model.layers.%d.%s.lora_%c.weight", i, their_names[t], "AB"[k]);
                const size_t bytes = (size_t)(m->rows * m->cols) * sizeof(float);
                if (data) assert_int_equal(safetensors_write_data(w, m->data, bytes, NULL), CJ_OK);
                else assert_int_equal(safetensors_put(w, name, "F32", 2, (int64_t[]){m->cols, m->rows}, bytes, NULL), CJ_OK);
            }
}

static void write_peft(const model_adapter *a, const char *more)
{
    safetensors_writer *w = NULL;
    char config[512];
    assert_int_equal(file_make_dirs(in_folder("peft"), NULL), CJ_OK);
    snprintf(config, sizeof config, "{\"peft_type\": \"LORA\", \"r\": %d, \"lora_alpha\": %g, \"bias\": \"none\", \"base_model_name_or_path\": \"x/tiny\"%s}", a->rank,
             (double)a->scale * a->rank, more);
    assert_int_equal(file_write(in_folder("peft/adapter_config.json"), config, strlen(config), NULL), CJ_OK);
    assert_int_equal(safetensors_writer_open(&w, in_folder("peft/adapter_model.safetensors"), NULL), CJ_OK);
    put_matrices(w, a, false);
    put_matrices(w, a, true);
    assert_int_equal(safetensors_writer_commit(&w, NULL), CJ_OK);
}

static void a_folder_of_peft_is_the_same_adapter(void **state)
{
    static const char *const models[] = {"llama", "qwen3", "gemma3"};
    float got[VOCAB], want[VOCAB];
    for (int i = 0; i < 3; i++) {
        engine *e = open_engine(golden(models[i]));
        const model_spec *spec = model_spec_of(engine_model(e));
        engine_adapter *a = NULL, *b = NULL;
        made_adapter m;
        make_adapter(&m, spec, 3, QUANT_F32, ALL, 3, 0.3f);
        assert_int_equal(engine_adapter_of(&a, e, &m.data, &(adapter_facts){.name = "made"}, NULL), CJ_OK);
        for (int k = 0; !i && k < spec->n_layers; k++) {
            in_halves(&adapter_pair_of(&m.data, k, ADAPTER_Q)->b, spec->layers[k].gqa.heads);
            in_halves(&adapter_pair_of(&m.data, k, ADAPTER_K)->b, spec->layers[k].gqa.kv_heads);
        }
        write_peft(&m.data, "");
        assert_true(adapter_file_here(in_folder("peft")));
        assert_int_equal(engine_adapter_open(&b, e, in_folder("peft"), NULL), CJ_OK);
        assert_string_equal(engine_adapter_facts(b)->base, "tiny");
        logits_with(e, a, want);
        logits_with(e, b, got);
        assert_memory_equal(got, want, sizeof got);
        engine_adapter_close(&b);
        static const char *const beyond[] = {", \"use_dora\": true", ", \"modules_to_save\": [\"lm_head\"]", ", \"bias\": \"all\"", ", \"alpha_pattern\": {\"q_proj\": 3}",
                                             ", \"peft_type\": \"IA3\"", ", \"lora_alpha\": \"8\"", "["};
        for (size_t k = 0; !i && k < sizeof beyond / sizeof *beyond; k++) {
            write_peft(&m.data, beyond[k]);
            assert_true(engine_adapter_open(&b, e, in_folder("peft"), NULL) < 0);
        }
        engine_adapter_close(&a);
        arena_deinit(&m.mem);
        engine_close(&e);
    }
}

/* ---- merging ---- */

/* Opens the adapter a.gguf over e, merges it into `out`, and compares. */
static void merge_and_compare(engine *e, const char *out, int type)
{
    engine_adapter *a = NULL;
    adapter_file *f = NULL;
    float plain[VOCAB], applied[VOCAB], merged[VOCAB];
    const convert_options o = {.type = type};
    convert_result r;
    logits_with(e, NULL, plain);
    assert_int_equal(engine_adapter_open(&a, e, in_folder("a.gguf"), NULL), CJ_OK);
    logits_with(e, a, applied);
    assert_true(distance(plain, applied) > 0.01);
    assert_int_equal(adapter_file_open(&f, in_folder("a.gguf"), NULL), CJ_OK);
    assert_int_equal(adapter_file_fit(f, engine_model(e), NULL), CJ_OK);
    assert_int_equal(adapter_merge(engine_model(e), f, out, &o, &r, NULL), CJ_OK);
    assert_true(r.tensors > 0 && r.bytes_out > 0);
    engine_adapter_close(&a);
    adapter_file_close(&f);
    engine *whole = open_engine(out);
    assert_true(model_fingerprint(engine_model(whole)) != model_fingerprint(engine_model(e)));
    logits_with(whole, NULL, merged);
    assert_true(distance(merged, applied) < 1e-5);
    engine_close(&whole);
}

static void merged_is_applied(void **state)
{
    static const char *const models[] = {"gemma3", "llama-biases", "qwen3"};
    char out[4096], half[4096];
    snprintf(out, sizeof out, "%s", in_folder("merged.gguf"));
    snprintf(half, sizeof half, "%s", in_folder("half.gguf"));
    for (int i = 0; i < 3; i++) {
        engine *e = open_engine(golden(models[i]));
        write_for(e, 4, QUANT_F32, ALL, 3);
        merge_and_compare(e, out, CONVERT_KEEP);
        engine_close(&e);
        assert_int_equal(convert_gguf(golden(models[i]), half, &(convert_options){.type = QUANT_BF16}, NULL, NULL), CJ_OK);
        e = open_engine(half);
        write_for(e, 4, QUANT_BF16, ALL, 3);
        merge_and_compare(e, out, QUANT_F32);
        engine_close(&e);
    }
}

static void a_folder_stays_a_folder(void **state)
{
    char out[4096];
    adapter_file *f = NULL;
    snprintf(out, sizeof out, "%s", in_folder("folder"));
    engine *e = open_engine(golden("qwen3_5"));
    write_for(e, 4, QUANT_F32, ALL & ~(1u << ADAPTER_Q), 3);
    merge_and_compare(e, out, CONVERT_KEEP);
    assert_int_equal(adapter_file_open(&f, in_folder("a.gguf"), NULL), CJ_OK);
    assert_int_equal(adapter_merge(engine_model(e), f, out, &(convert_options){.type = CONVERT_KEEP}, NULL, NULL), CJ_E_USAGE); /* it is there */
    assert_int_equal(adapter_merge(engine_model(e), f, in_folder("other"), &(convert_options){.type = QUANT_F32}, NULL, NULL), CJ_E_USAGE);
    adapter_file_close(&f);
    write_for(e, 4, QUANT_F32, ALL, 3); /* its q is stored together with a gate */
    assert_int_equal(adapter_file_open(&f, in_folder("a.gguf"), NULL), CJ_OK);
    assert_int_equal(adapter_merge(engine_model(e), f, in_folder("other"), &(convert_options){.type = CONVERT_KEEP}, NULL, NULL), CJ_E_UNSUPPORTED);
    adapter_file_close(&f);
    engine_close(&e);
}

static void merging_without_memory_leaves_nothing(void **state)
{
    static const struct {
        const char *model, *out;
        bool folder;
    } cases[] = {{"gemma3", "out.gguf", false}, {"qwen3_5", "out", true}, {"llama-llama3rope", "published", true}};
    char out[4096];
    for (int i = 0; i < 3; i++) {
        snprintf(out, sizeof out, "%s", in_folder(cases[i].out));
        engine *e = open_engine(golden(cases[i].model));
        adapter_file *f = NULL;
        write_for(e, 2, QUANT_F32, 1 << ADAPTER_V, 3);
        assert_int_equal(adapter_file_open(&f, in_folder("a.gguf"), NULL), CJ_OK);
        for (int64_t n = 0, err = CJ_E_NOMEM; err; n++) {
            mem_fail_after(n);
            err = adapter_merge(engine_model(e), f, out, &(convert_options){.type = CONVERT_KEEP}, NULL, NULL);
            mem_fail_after(-1);
            assert_true(err == CJ_OK || err == CJ_E_NOMEM);
            assert_int_equal(cases[i].folder ? safetensors_here(out) : file_exists(out), !err);
            if (err) assert_int_equal(folder_remove(out, NULL), CJ_OK); /* what could not be removed without memory */
        }
        assert_int_equal(folder_remove(out, NULL), CJ_OK);
        adapter_file_close(&f);
        engine_close(&e);
    }
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, own_folder_make, own_folder_remove)

int main(void)
{
    for (int i = 0; i < N; i++) ids[i] = (i * 37 + 11) % VOCAB;
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(what_is_written_comes_back), IN_A_FOLDER(damage_is_refused), IN_A_FOLDER(another_model_refuses_it), IN_A_FOLDER(no_memory_is_an_error),
        IN_A_FOLDER(a_folder_of_peft_is_the_same_adapter), IN_A_FOLDER(merged_is_applied), IN_A_FOLDER(a_folder_stays_a_folder),
        IN_A_FOLDER(merging_without_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
