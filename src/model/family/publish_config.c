/* Settings as makers write them. What they say is what the spec says; publish.c checks that by opening the folder again. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/family/dialect.h"
#include "model/family/publish.h"

static const publish_maker makers[] = {
    {"gemma3", "Gemma3ForCausalLM", "hidden_activation", "gelu_pytorch_tanh", 1e6},
    {"llama", "LlamaForCausalLM", "hidden_act", "silu", 1e4},
    {"qwen2", "Qwen2ForCausalLM", "hidden_act", "silu", 1e6},
    {"qwen3", "Qwen3ForCausalLM", "hidden_act", "silu", 1e6},
};

const publish_maker *publish_maker_of(const char *family)
{
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++)
        if (!strcmp(makers[i].family, family)) return &makers[i];
    return NULL;
}

static const char *truth(bool yes) { return yes ? "true" : "false"; }

static cj_err put_text(buf *b, const char *key, const char *value, cj_diag *d) { return buf_printf(b, d, ",\n  \"%s\": \"%s\"", key, value); }
static cj_err put_int(buf *b, const char *key, int64_t value, cj_diag *d) { return buf_printf(b, d, ",\n  \"%s\": %lld", key, (long long)value); }
static cj_err put_float(buf *b, const char *key, double value, cj_diag *d) { return buf_printf(b, d, ",\n  \"%s\": %.9g", key, value); }
static cj_err put_truth(buf *b, const char *key, bool value, cj_diag *d) { return buf_printf(b, d, ",\n  \"%s\": %s", key, truth(value)); }
static cj_err put_id(buf *b, const char *key, int32_t id, cj_diag *d) { return id < 0 ? CJ_OK : put_int(b, key, id, d); }

/* ---- biases ---- */

static bool all_biases_are(const model_spec *m, bool qkv, bool output, bool feed)
{
    for (int i = 0; i < m->n_layers; i++) {
        const gqa_spec *a = &m->layers[i].gqa;
        const dense_spec *f = &m->layers[i].dense;
        const struct {
            const float *bias;
            bool wanted;
        } all[] = {{a->q.bias, qkv}, {a->k.bias, qkv}, {a->v.bias, qkv}, {a->o.bias, output}, {f->gate.bias, feed}, {f->up.bias, feed}, {f->down.bias, feed}};
        for (size_t j = 0; j < sizeof all / sizeof *all; j++)
            if (!all[j].bias == all[j].wanted) return false;
    }
    return !m->head.bias;
}

/* Qwen2 has them on q, k and v without a word; elsewhere attention has all four or none. */
static cj_err put_biases(const model *m, const publish_maker *maker, buf *b, cj_diag *d)
{
    const model_spec *s = model_spec_of(m);
    const bool qkv = s->layers[0].gqa.q.bias, output = s->layers[0].gqa.o.bias, feed = s->layers[0].dense.down.bias;
    const bool fixed = !strcmp(maker->family, "qwen2"), sayable = fixed ? qkv && !output : qkv == output;
    if (!sayable || (feed && strcmp(maker->family, "llama")) || !all_biases_are(s, qkv, output, feed))
        return diag_fail(d, CJ_E_UNSUPPORTED, MSG_PUBLISH_FORM, "%s" ARG "%s", model_path(m), "bias");
    if (!fixed) TRY(put_truth(b, "attention_bias", qkv, d));
    return strcmp(maker->family, "llama") ? CJ_OK : put_truth(b, "mlp_bias", feed, d);
}

/* ---- families ---- */

static cj_err put_softcap(buf *b, const char *key, float cap, cj_diag *d)
{
    return cap > 0 ? put_float(b, key, (double)cap, d) : buf_printf(b, d, ",\n  \"%s\": null", key);
}

static cj_err put_gemma(const model *m, buf *b, cj_diag *d)
{
    const model_spec *s = model_spec_of(m);
    float base = 1e4f;
    int64_t window = 0;
    TRY(source_float(model_source_of(m), "rope.freq_base_swa", GGUF_OPTIONAL, &base, d));
    TRY(source_int(model_source_of(m), "attention.sliding_window", GGUF_REQUIRED, 0, 1, (int64_t)1 << 32, &window, d));
    const double scale = (double)s->layers[0].gqa.scale;
    TRY(put_float(b, "rope_local_base_freq", (double)base, d));
    TRY(put_int(b, "query_pre_attn_scalar", lround(1 / (scale * scale)), d));
    TRY(put_int(b, "sliding_window", window, d));
    TRY(put_softcap(b, "attn_logit_softcapping", s->layers[0].gqa.softcap, d));
    TRY(put_softcap(b, "final_logit_softcapping", s->logit_softcap, d));
    TRY(buf_puts(b, ",\n  \"layer_types\": [", d));
    for (int i = 0; i < s->n_layers; i++) TRY(buf_printf(b, d, "%s\"%s_attention\"", i ? ", " : "", s->layers[i].gqa.window ? "sliding" : "full"));
    return buf_puts(b, "]", d);
}

/* ---- the files ---- */

static const char *type_name(int type) { return type == QUANT_F32 ? "float32" : type == QUANT_F16 ? "float16" : "bfloat16"; }

static cj_err put_sizes(const model_spec *s, buf *b, cj_diag *d)
{
    const gqa_spec *a = &s->layers[0].gqa;
    TRY(put_int(b, "vocab_size", s->vocab, d));
    TRY(put_int(b, "hidden_size", s->hidden, d));
    TRY(put_int(b, "intermediate_size", s->layers[0].dense.width, d));
    TRY(put_int(b, "num_hidden_layers", s->n_layers, d));
    TRY(put_int(b, "num_attention_heads", a->heads, d));
    TRY(put_int(b, "num_key_value_heads", a->kv_heads, d));
    TRY(put_int(b, "head_dim", a->dk, d));
    TRY(put_int(b, "max_position_embeddings", s->context, d));
    TRY(put_float(b, "rms_norm_eps", (double)s->norm_eps, d));
    return put_truth(b, "tie_word_embeddings", s->head.w.data == s->embed.data, d);
}

cj_err publish_config(const model *m, const publish_maker *maker, int type, const tokenizer *vocab, buf *b, cj_diag *d)
{
    const model_spec *s = model_spec_of(m);
    float base = (float)maker->base;
    TRY(source_float(model_source_of(m), "rope.freq_base", GGUF_OPTIONAL, &base, d));
    TRY(buf_printf(b, d, "{\n  \"architectures\": [\"%s\"]", maker->architecture));
    TRY(put_text(b, "model_type", source_dialect_for(maker->family)->model_type, d));
    TRY(put_text(b, "dtype", type_name(type), d));
    TRY(put_sizes(s, b, d));
    TRY(put_text(b, maker->act_key, maker->act, d));
    TRY(put_biases(m, maker, b, d));
    TRY(put_float(b, "attention_dropout", 0, d));
    TRY(put_float(b, "rope_theta", (double)base, d));
    TRY(publish_rope_scaling(m, base, b, d));
    if (!strcmp(maker->family, "gemma3")) TRY(put_gemma(m, b, d));
    if (vocab) {
        const token_specials *ids = tokenizer_specials(vocab);
        TRY(put_id(b, "bos_token_id", ids->bos, d));
        TRY(put_id(b, "eos_token_id", ids->eos, d));
        TRY(put_id(b, "pad_token_id", ids->pad, d));
    }
    return buf_puts(b, "\n}\n", d);
}

/* Every token that ends an answer here ends it there. */
cj_err publish_generation(const tokenizer *vocab, buf *b, cj_diag *d)
{
    const char *between = "";
    TRY(buf_puts(b, "{\n  \"eos_token_id\": [", d));
    for (int32_t id = 0; id < tokenizer_size(vocab); id++) {
        if (!tokenizer_is_end(vocab, id)) continue;
        TRY(buf_printf(b, d, "%s%d", between, id));
        between = ", ";
    }
    TRY(buf_puts(b, "]", d));
    TRY(put_id(b, "bos_token_id", tokenizer_specials(vocab)->bos, d));
    TRY(put_id(b, "pad_token_id", tokenizer_specials(vocab)->pad, d));
    return buf_puts(b, "\n}\n", d);
}
