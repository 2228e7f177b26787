/* What a model file or a maker's folder may say: settings that contradict one another or its tensors, kinds that are not known here, and what a
 * setting must change. Every folder is a golden one with one text exchanged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/engine.h"
#include "format/gguf_write.h"
#include "support/own_folder.h"

static const char *golden(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/tests/golden/%s", getenv("CJ_SOURCE"), name);
    return path;
}

/* Of a file of a model, the text that is exchanged. */
typedef struct change {
    const char *file, *from, *to;
} change;

/* Copies a file; where the change is for it, with the first `from` exchanged. The header of safetensors gets its new length. */
static void copy_changed(const char *source, const char *target, const char *name, const change *c)
{
    buf text = {0}, out;
    file_out f;
    assert_int_equal(file_read(source, 1 << 24, &text, NULL), CJ_OK);
    buf_init(&out, 1 << 24);
    if (strcmp(c->file, name)) assert_int_equal(buf_append(&out, text.data, text.len, NULL), CJ_OK);
    else {
        const char *at = memmem(text.data, text.len, c->from, strlen(c->from));
        assert_non_null(at);
        const size_t before = (size_t)(at - text.data), after = before + strlen(c->from);
        assert_int_equal(buf_append(&out, text.data, before, NULL), CJ_OK);
        assert_int_equal(buf_puts(&out, c->to, NULL), CJ_OK);
        assert_int_equal(buf_append(&out, text.data + after, text.len - after, NULL), CJ_OK);
        uint64_t length;
        memcpy(&length, out.data, sizeof length);
        length += strlen(c->to) - strlen(c->from);
        if (!strcmp(name, "model.safetensors")) memcpy(out.data, &length, sizeof length);
    }
    assert_int_equal(file_out_open(&f, target, NULL), CJ_OK);
    assert_int_equal(file_out_write(&f, out.data, out.len, NULL), CJ_OK);
    assert_int_equal(file_out_commit(&f, NULL), CJ_OK);
    buf_deinit(&text);
    buf_deinit(&out);
}

/* Opens a golden own_folder with a change; what there is to say if it cannot be is in *sentence. */
static cj_err open_changed(engine **e, const char *name, const change *c, char sentence[2048])
{
    static const char *const files[] = {"config.json", "model.safetensors"};
    assert_int_equal(file_make_dirs(in_folder("model"), NULL), CJ_OK);
    for (int i = 0; i < 2; i++) {
        char *source = file_join(golden(name), files[i]), *target = file_join(in_folder("model"), files[i]);
        copy_changed(source, target, files[i], c);
        mem_free(source);
        mem_free(target);
    }
    cj_diag d = {0};
    *e = NULL;
    cj_err err = engine_open(e, &(engine_options){.path = in_folder("model"), .level = KERNEL_REF, .threads = 1, .chunk = 8}, &d);
    *sentence = 0;
    if (err) cj_diag_text(&d, CJ_LANG_EN, sentence, 2048);
    return err;
}

static const model_spec *spec_of(const engine *e) { return model_spec_of(engine_model(e)); }

static engine *good(const char *name, const change *c)
{
    char text[2048];
    engine *e;
    if (open_changed(&e, name, c, text)) fail_msg("%s: %s", c->to, text);
    return e;
}

static const change none = {"", "", ""};
#define CONFIG(from, to) (&(change){"config.json", from, to})
#define TENSORS(from, to) (&(change){"model.safetensors", from, to})

static void contradictions_are_told(void **state)
{
    (void)state;
    static const struct { const char *from, *to, *said; } cases[] = {
        {"\"model_type\": \"qwen3_5_text\"", "\"model_type\": \"mamba\"", "\"mamba\""},
        {"\"model_type\": \"qwen3_5_text\"", "\"model_type\": \"llama\"", "attn_q"}, /* of a family whose tensors are others */
        {"\"model_type\": \"qwen3_5_text\"", "\"type\": \"qwen3_5_text\"", "model_type"},
        {"\"hidden_size\": 64", "\"hidden_size\": 65", "embed_tokens"},
        {"\"hidden_size\": 64", "\"hidden_size\": \"64\"", "hidden_size"},
        {"\"hidden_size\": 64", "\"hidden_size\": -1", "hidden_size"},
        {"\"hidden_size\": 64", "\"hidden_size\": null", "hidden_size"},
        {"\"hidden_size\": 64", "\"hidden_size\": [64]", "hidden_size"},
        {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": true", "num_key_value_heads"},
        {"\"num_hidden_layers\": 8", "\"num_hidden_layers\": 9", "layer_types"},
        {"\"num_hidden_layers\": 8", "\"num_hidden_layers\": 7", "layers.7."},
        {"\"rms_norm_eps\": 1e-05", "\"rms_norm_eps\": 0", "epsilon"},
        {"\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false", "output.weight"},
        {"\"use_cache\": true", "\"quantization_config\": {\"quant_method\": \"fp8\"}", "quantization_config"},
        {"\"linear_value_head_dim\": 24", "\"linear_value_head_dim\": 26", "heads"},
        {"\"linear_value_head_dim\": 24", "\"linear_value_head_dim\": 20", "in_proj_qkv"},
        {"\"linear_num_key_heads\": 2", "\"linear_num_key_heads\": 3", "heads"},
        {"\"linear_conv_kernel_dim\": 4", "\"linear_conv_kernel_dim\": 1000000", "linear_conv_kernel_dim"},
        {"\"layer_types\": [\n    \"linear_attention\"", "\"layer_types\": [\n    \"sliding_attention\"", "sliding_attention"},
        {"\"layer_types\": [\n    \"linear_attention\"", "\"layer_types\": [\n    null", "layer_types"},
        {",\n    \"full_attention\"\n  ]", "\n  ]", "layer_types"}, /* one too few */
        {"\"hidden_act\": \"silu\"", "\"hidden_act\": \"relu2\"", "relu2"},
        {"\"rope_theta\": 10000000.0,", "", "rope_theta"},
        {"\"rope_type\": \"default\"", "\"rope_type\": \"longrope\"", "longrope"},
        {"\"rope_type\": \"default\"", "\"type\": \"dynamic\"", "dynamic"},
        {"\"rope_type\": \"default\"", "\"rope_type\": \"linear\"", "factor"},
        {"\"rope_type\": \"default\"", "\"rope_type\": \"yarn\", \"factor\": 4.0, \"mscale\": 1.0", "mscale"},
        {"\"rope_type\": \"default\"", "\"rope_type\": \"yarn\", \"factor\": 4.0, \"truncate\": false", "truncate"},
        {"\"rope_type\": \"default\"", "\"rope_type\": \"yarn\", \"factor\": 4.0, \"attention_factor\": 0", "rotary"},
        {"\"partial_rotary_factor\": 0.25", "\"partial_rotary_factor\": 7.5", "rotary"},
        {"{", "[", "config.json"},
    };
    char text[2048];
    engine *e;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!open_changed(&e, "qwen3_5", CONFIG(cases[i].from, cases[i].to), text)) fail_msg("taken: %s", cases[i].to);
        if (!strstr(text, cases[i].said) || strstr(text, "{0}")) fail_msg("%s: %s", cases[i].to, text);
    }
    e = good("qwen3_5", CONFIG("\"use_cache\": true", "\"text_config\": null"));
    engine_close(&e);
}

/* What is stored and has no place, and what is not stored but must be. */
static void tensors_are_neither_left_nor_lacking(void **state)
{
    (void)state;
    static const struct { const char *model, *from, *to, *said; } cases[] = {
        {"qwen3_5", "{", "{\"model.layers.0.linear_attn.extra.bias\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},       ", "extra.bias"},
        {"qwen3_5", "self_attn.q_norm.weight", "self_attn.x_norm.weight", "attn_q_norm"},
        {"qwen3_5", "self_attn.k_norm.weight", "self_attn.x_norm.weight", "attn_k_norm"},
        {"qwen3_next", "mlp.shared_expert.gate_proj", "mlp.shared_expert.gate_prox", "ffn_gate_shexp"},
        {"qwen3_next", "mlp.shared_expert_gate.weight", "mlp.shared_expert_hate.weight", "ffn_gate_inp_shexp"},
    };
    char text[2048];
    engine *e;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *to = cases[i].to;
        if (!open_changed(&e, cases[i].model, TENSORS(cases[i].from, to), text)) fail_msg("taken: %s", to);
        if (!strstr(text, cases[i].said) || strstr(text, "{0}")) fail_msg("%s: %s", to, text);
    }
}

/* Tensors that do not lie at multiples of their elements are the same model. */
static void tensors_may_lie_anywhere(void **state)
{
    (void)state;
    static const int32_t ids[] = {7, 30, 12, 41, 5};
    engine *e = good("qwen3_5", &none);
    const size_t bytes = (size_t)spec_of(e)->vocab * sizeof(float);
    const uint64_t sum = model_fingerprint(engine_model(e));
    float *want = mem_alloc(bytes);
    for (int shifted = 0; shifted < 2; shifted++) {
        session *s = NULL;
        if (shifted) e = good("qwen3_5", TENSORS("{", "{ "));
        assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
        assert_int_equal(session_eval(s, ids, 5, &(session_call){.want = WANT_LAST}, NULL, NULL), CJ_OK);
        if (shifted) assert_memory_equal(session_logits(s), want, bytes);
        else memcpy(want, session_logits(s), bytes);
        assert_true(model_fingerprint(engine_model(e)) == sum);
        session_close(&s);
        engine_close(&e);
    }
    mem_free(want);
}

/* A own_folder says whether the embedding makes the logits too, and where a head that is stored has its place. */
static void the_head_is_the_one_meant(void **state)
{
    (void)state;
    engine *e = good("qwen3_next", &none);
    assert_ptr_not_equal(spec_of(e)->head.w.data, spec_of(e)->embed.data);
    engine_close(&e);
    e = good("qwen3_next", CONFIG("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true"));
    assert_ptr_equal(spec_of(e)->head.w.data, spec_of(e)->embed.data);
    engine_close(&e);
    e = good("qwen3_next", TENSORS("\"lm_head.weight\":", "\"model.lm_head.weight\":  "));
    assert_ptr_not_equal(spec_of(e)->head.w.data, spec_of(e)->embed.data);
    engine_close(&e);
}

/* The same weights under another setting are another model: nothing that was kept for the one fits the other. */
static void settings_make_another_model(void **state)
{
    (void)state;
    static const change changes[] = {
        {"", "", ""},
        {"config.json", "\"rope_theta\": 10000000.0", "\"rope_theta\": 20000000.0"},
        {"config.json", "\"partial_rotary_factor\": 0.25", "\"partial_rotary_factor\": 0.5"},
        {"config.json", "\"rms_norm_eps\": 1e-05", "\"rms_norm_eps\": 1e-06"},
        {"config.json", "\"max_position_embeddings\": 512", "\"max_position_embeddings\": 1024"},
        {"config.json", "\"rope_type\": \"default\"", "\"rope_type\": \"linear\", \"factor\": 2.0"},
        {"config.json", "\"rope_type\": \"default\"", "\"type\": \"yarn\", \"factor\": 2.0"},
    };
    enum { CHANGES = sizeof changes / sizeof *changes };
    uint64_t sums[CHANGES];
    for (int i = 0; i < CHANGES; i++) {
        engine *e = good("qwen3_5", &changes[i]);
        sums[i] = model_fingerprint(engine_model(e));
        engine_close(&e);
        for (int k = 0; k < i; k++) assert_true(sums[k] != sums[i]);
    }
    engine *e = good("qwen3_5", &none);
    assert_true(model_fingerprint(engine_model(e)) == sums[0]);
    engine_close(&e);
}

static void yarn_of_folders(void **state)
{
    (void)state;
    engine *e = good("qwen3_5", CONFIG("\"rope_type\": \"default\"",
                                       "\"rope_type\": \"yarn\", \"factor\": 4.0, \"original_max_position_embeddings\": 256, \"attention_factor\": 2.5"));
    assert_true(spec_of(e)->ropes[0].magnitude == 2.5f);
    assert_int_equal(spec_of(e)->ropes[0].window, 1024); /* beyond the 512 that it gives as its own */
    engine_close(&e);
    e = good("qwen3_5", CONFIG("\"rope_type\": \"default\"", "\"type\": \"yarn\", \"factor\": 4.0"));
    assert_true(fabs((double)spec_of(e)->ropes[0].magnitude - (1 + 0.1 * log(4))) < 1e-6);
    assert_int_equal(spec_of(e)->ropes[0].window, 512);
    engine_close(&e);
}

static void write_file(const char *path, const char *text)
{
    file_out f;
    assert_int_equal(file_out_open(&f, path, NULL), CJ_OK);
    assert_int_equal(file_out_write(&f, text, strlen(text), NULL), CJ_OK);
    assert_int_equal(file_out_commit(&f, NULL), CJ_OK);
}

/* A pipe in a folder is no file: nobody may ever write to it. */
static void pipes_are_not_waited_for(void **state)
{
    (void)state;
    static const char *const names[] = {"config.json", "model.safetensors.index.json", "chat_template.jinja"};
    for (int i = 0; i < 3; i++) {
        engine *e = good("qwen3_5", &none);
        engine_close(&e);
        char *path = file_join(in_folder("model"), names[i]), *tensors = file_join(in_folder("model"), "model.safetensors");
        (void)!unlink(path);
        assert_int_equal(mkfifo(path, 0600), 0);
        if (i == 1) assert_int_equal(unlink(tensors), 0); /* a single file goes before an index */
        assert_int_equal(engine_open(&e, &(engine_options){.path = in_folder("model"), .level = KERNEL_REF, .threads = 1}, NULL), CJ_E_INPUT);
        assert_int_equal(unlink(path), 0);
        mem_free(path);
        mem_free(tensors);
    }
}

/* A own_folder whose index names its files is the same model, and no failure of memory leaves anything. */
static void an_index_names_the_files(void **state)
{
    (void)state;
    engine *e = good("qwen3_5", &none);
    const uint64_t sum = model_fingerprint(engine_model(e));
    engine_close(&e);
    char *single = file_join(in_folder("model"), "model.safetensors"), *part = file_join(in_folder("model"), "part.safetensors"),
         *listing = file_join(in_folder("model"), "model.safetensors.index.json");
    assert_int_equal(rename(single, part), 0);
    write_file(listing, "{\"weight_map\": {\"model.norm.weight\": \"part.safetensors\"}}");
    cj_err err = CJ_E_NOMEM;
    for (int64_t n = 0; err; n += n < 100 ? 1 : 7) {
        mem_fail_after(n);
        err = engine_open(&e, &(engine_options){.path = in_folder("model"), .level = KERNEL_REF, .threads = 1, .chunk = 8}, NULL);
        mem_fail_after(-1);
        assert_true(!err || err == CJ_E_NOMEM);
    }
    assert_true(model_fingerprint(engine_model(e)) == sum);
    engine_close(&e);
    char *const paths[] = {single, part, listing};
    for (int i = 0; i < 3; i++) {
        (void)!unlink(paths[i]);
        mem_free(paths[i]);
    }
}

static void a_folder_has_its_template_beside_it(void **state)
{
    (void)state;
    static const char text[] = "{{ messages[0].content }}";
    engine *e = good("qwen3_5", &none);
    engine_close(&e);
    char *path = file_join(in_folder("model"), "chat_template.jinja");
    write_file(path, text);
    e = good("qwen3_5", &none);
    assert_string_equal(engine_template(e), text);
    engine_close(&e);
    assert_int_equal(unlink(path), 0);
    mem_free(path);
}

/* ---- GGUF ---- */

static cj_err open_file(const char *path, char sentence[2048])
{
    engine *e = NULL;
    cj_diag d = {0};
    cj_err err = engine_open(&e, &(engine_options){.path = path, .level = KERNEL_REF, .threads = 1, .chunk = 8}, &d);
    *sentence = 0;
    if (err) cj_diag_text(&d, CJ_LANG_EN, sentence, 2048);
    engine_close(&e);
    return err;
}

static void unknown_scalings_are_refused(void **state)
{
    (void)state;
    char text[2048];
    copy_changed(golden("llama-linear/model.gguf"), in_folder("longrp.gguf"), "model.gguf", &(change){"model.gguf", "linear", "longrp"});
    assert_int_equal(open_file(in_folder("longrp.gguf"), text), CJ_E_UNSUPPORTED);
    assert_non_null(strstr(text, "longrp"));
}

/* Copies a file whose third layer has twice the heads, each half as long: the same rows and columns. */
static void write_uneven(const char *source, const char *target)
{
    static const uint32_t heads[] = {4, 4, 8, 4}, kv_heads[] = {2, 2, 4, 2};
    gguf *g = NULL;
    gguf_writer *w = NULL;
    assert_int_equal(gguf_open(&g, source, NULL), CJ_OK);
    assert_int_equal(gguf_writer_open(&w, target, NULL), CJ_OK);
    for (int64_t i = 0; i < gguf_key_count(g); i++) {
        const gguf_key *k = gguf_key_at(g, i);
        if (strstr(k->name, "_length") && strstr(k->name, "attention")) continue;
        if (strstr(k->name, "head_count_kv")) assert_int_equal(gguf_put_array(w, k->name, GGUF_U32, kv_heads, 4, NULL), CJ_OK);
        else if (strstr(k->name, "head_count")) assert_int_equal(gguf_put_array(w, k->name, GGUF_U32, heads, 4, NULL), CJ_OK);
        else assert_int_equal(gguf_put_key(w, k, NULL), CJ_OK);
    }
    for (int64_t i = 0; i < gguf_tensor_count(g); i++) {
        const gguf_tensor *t = gguf_tensor_at(g, i);
        assert_int_equal(gguf_put_tensor(w, t->name, t->type, t->n_dims, t->dims, NULL), CJ_OK);
    }
    for (int64_t i = 0; i < gguf_tensor_count(g); i++) assert_int_equal(gguf_write_data(w, gguf_tensor_at(g, i)->data, gguf_tensor_at(g, i)->bytes, NULL), CJ_OK);
    assert_int_equal(gguf_writer_commit(&w, NULL), CJ_OK);
    gguf_close(&g);
}

/* Sixteen elements of a head are rotated; a layer whose heads have eight would be written beyond. */
static void heads_shorter_than_the_rotation_are_refused(void **state)
{
    (void)state;
    char text[2048];
    write_uneven(golden("llama/model.gguf"), in_folder("uneven.gguf"));
    assert_int_equal(open_file(in_folder("uneven.gguf"), text), CJ_E_INPUT);
    assert_non_null(strstr(text, "rotary"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contradictions_are_told), cmocka_unit_test(tensors_are_neither_left_nor_lacking), cmocka_unit_test(tensors_may_lie_anywhere), cmocka_unit_test(the_head_is_the_one_meant),
        cmocka_unit_test(settings_make_another_model), cmocka_unit_test(yarn_of_folders), cmocka_unit_test(pipes_are_not_waited_for),
        cmocka_unit_test(an_index_names_the_files), cmocka_unit_test(a_folder_has_its_template_beside_it),
        cmocka_unit_test(unknown_scalings_are_refused), cmocka_unit_test(heads_shorter_than_the_rotation_are_refused),
    };
    return cmocka_run_group_tests(tests, own_folder_make, own_folder_remove);
}
