/* Tables of names. A tensor "blk.3.attn_q.weight" is layer 3's, "attn_q" is its stem, which the table translates; an expert of its own
 * ("blk.3.ffn_gate.7.weight", a name that GGUF had before it stacked experts) has its number between stem and ending. */
#include "model/family/dialect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const source_dialect dialects[] = {
    {"gemma3_text", "gemma3", true, true},
    {"llama", "llama", false, false},
    {"qwen2", "qwen2", false, false},
    {"qwen3", "qwen3", false, false},
    {"qwen3_next", "qwen3next", true, false},
    {"qwen3_5_text", "qwen35", true, false},
    {"qwen3_5", "qwen35", true, false},
    {"qwen3_5_moe_text", "qwen35moe", true, false},
    {"qwen3_5_moe", "qwen35moe", true, false},
};

typedef struct name_pair {
    const char *ours, *theirs;
} name_pair;

static const name_pair keys[] = {
    {"attention.head_count", "num_attention_heads"},
    {"attention.head_count_kv", "num_key_value_heads"},
    {"attention.key_length", "head_dim"},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps"},
    {"attention.query_scalar", "query_pre_attn_scalar"},
    {"attention.sees_ahead", "use_bidirectional_attention"},
    {"attention.sliding_window", "sliding_window"},
    {"attention.sliding_window_pattern", "sliding_window_pattern"},
    {"attention.sliding_window_used", "use_sliding_window"},
    {"attention.value_length", "head_dim"},
    {"attn_logit_softcapping", "attn_logit_softcapping"},
    {"block_count", "num_hidden_layers"},
    {"context_length", "max_position_embeddings"},
    {"embedding_length", "hidden_size"},
    {"expert_count", "num_experts"},
    {"expert_feed_forward_length", "moe_intermediate_size"},
    {"expert_shared_feed_forward_length", "shared_expert_intermediate_size"},
    {"expert_used_count", "num_experts_per_tok"},
    {"expert_weights_norm", "norm_topk_prob"},
    {"feed_forward_length", "intermediate_size"},
    {"final_logit_softcapping", "final_logit_softcapping"},
    {"full_attention_interval", "full_attention_interval"},
    {"hidden_act", "hidden_act"},
    {"hidden_activation", "hidden_activation"},
    {"layer_types", "layer_types"},
    {"rope.freq_base", "rope_theta"},
    {"rope.freq_base_swa", "rope_local_base_freq"},
    {"rope.partial", "partial_rotary_factor"},
    {"rope.scaling.attention_factor", "attention_factor"},
    {"rope.scaling.factor", "factor"},
    {"rope.scaling.high_freq_factor", "high_freq_factor"},
    {"rope.scaling.low_freq_factor", "low_freq_factor"},
    {"rope.scaling.mscale", "mscale"},
    {"rope.scaling.mscale_all_dim", "mscale_all_dim"},
    {"rope.scaling.original_context_length", "original_max_position_embeddings"},
    {"rope.scaling.truncate", "truncate"},
    {"rope.scaling.type", "rope_type"},
    {"rope.scaling.yarn_beta_fast", "beta_fast"},
    {"rope.scaling.yarn_beta_slow", "beta_slow"},
    {"ssm.conv_kernel", "linear_conv_kernel_dim"},
    {"ssm.group_count", "linear_num_key_heads"},
    {"ssm.state_size", "linear_key_head_dim"},
    {"ssm.time_step_rank", "linear_num_value_heads"},
    {"ssm.value_size", "linear_value_head_dim"},
    {"tie_word_embeddings", "tie_word_embeddings"},
};

static const name_pair whole[] = {
    {"output.weight", "lm_head.weight"},
    {"output_norm.weight", "norm.weight"},
    {"token_embd.weight", "embed_tokens.weight"},
};

/* "#": an expert's number. */
static const name_pair stems[] = {
    {"attn_gate.weight", "linear_attn.in_proj_z.weight"},
    {"attn_k.bias", "self_attn.k_proj.bias"},
    {"attn_k.weight", "self_attn.k_proj.weight"},
    {"attn_k_norm.weight", "self_attn.k_norm.weight"},
    {"attn_norm.weight", "input_layernorm.weight"},
    {"attn_output.bias", "self_attn.o_proj.bias"},
    {"attn_output.weight", "self_attn.o_proj.weight"},
    {"attn_q.bias", "self_attn.q_proj.bias"},
    {"attn_q.weight", "self_attn.q_proj.weight"},
    {"attn_q_norm.weight", "self_attn.q_norm.weight"},
    {"attn_qkv.weight", "linear_attn.in_proj_qkv.weight"},
    {"attn_v.bias", "self_attn.v_proj.bias"},
    {"attn_v.weight", "self_attn.v_proj.weight"},
    {"ffn_down_exps.weight", "mlp.experts.down_proj"},
    {"ffn_gate_up_exps.weight", "mlp.experts.gate_up_proj"},
    {"ffn_down.bias", "mlp.down_proj.bias"},
    {"ffn_down.#.weight", "mlp.experts.#.down_proj.weight"},
    {"ffn_down.weight", "mlp.down_proj.weight"},
    {"ffn_down_shexp.weight", "mlp.shared_expert.down_proj.weight"},
    {"ffn_gate.bias", "mlp.gate_proj.bias"},
    {"ffn_gate.#.weight", "mlp.experts.#.gate_proj.weight"},
    {"ffn_gate.weight", "mlp.gate_proj.weight"},
    {"ffn_gate_inp.weight", "mlp.gate.weight"},
    {"ffn_gate_inp_shexp.weight", "mlp.shared_expert_gate.weight"},
    {"ffn_gate_shexp.weight", "mlp.shared_expert.gate_proj.weight"},
    {"ffn_norm.weight", "post_attention_layernorm.weight"},
    {"ffn_up.bias", "mlp.up_proj.bias"},
    {"ffn_up.#.weight", "mlp.experts.#.up_proj.weight"},
    {"ffn_up.weight", "mlp.up_proj.weight"},
    {"ffn_up_shexp.weight", "mlp.shared_expert.up_proj.weight"},
    {"ssm_a", "linear_attn.A_log"},
    {"ssm_alpha.weight", "linear_attn.in_proj_a.weight"},
    {"ssm_ba.weight", "linear_attn.in_proj_ba.weight"},
    {"ssm_beta.weight", "linear_attn.in_proj_b.weight"},
    {"ssm_conv1d.weight", "linear_attn.conv1d.weight"},
    {"ssm_dt.bias", "linear_attn.dt_bias"},
    {"ssm_in.weight", "linear_attn.in_proj_qkvz.weight"},
    {"ssm_norm.weight", "linear_attn.norm.weight"},
    {"ssm_out.weight", "linear_attn.out_proj.weight"},
};

/* Of a sandwich, where "post_attention" does not stand before the feed-forward but behind attention. */
static const name_pair sandwich[] = {
    {"ffn_norm.weight", "pre_feedforward_layernorm.weight"},
    {"post_attention_norm.weight", "post_attention_layernorm.weight"},
    {"post_ffw_norm.weight", "post_feedforward_layernorm.weight"},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *theirs(const name_pair *pairs, size_t n, const char *ours)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(pairs[i].ours, ours)) return pairs[i].theirs;
    return NULL;
}

const source_dialect *source_dialect_of(const char *model_type)
{
    for (size_t i = 0; i < COUNT(dialects); i++)
        if (!strcmp(dialects[i].model_type, model_type)) return &dialects[i];
    return NULL;
}

const source_dialect *source_dialect_for(const char *arch)
{
    for (size_t i = 0; i < COUNT(dialects); i++)
        if (!strcmp(dialects[i].arch, arch)) return &dialects[i];
    return NULL;
}

const char *source_key_name(const char *key) { return theirs(keys, COUNT(keys), key); }
bool source_key_by_layer(const char *key) { return !strcmp(key, "layer_types"); }

/* stem with the number in ".7." put as "#"; the number's digits in *number (*digits of them, 0: there is none). */
static bool take_number(const char *stem, char *out, size_t size, const char **number, int *digits)
{
    const char *dot = strchr(stem, '.');
    *digits = dot ? (int)strspn(dot + 1, "0123456789") : 0;
    if (!*digits) return snprintf(out, size, "%s", stem) < (int)size;
    *number = dot + 1;
    return snprintf(out, size, "%.*s#%s", (int)(dot + 1 - stem), stem, dot + 1 + *digits) < (int)size;
}

static const char *stem_of(const source_dialect *t, const char *ours)
{
    const char *own = t && t->sandwich ? theirs(sandwich, COUNT(sandwich), ours) : NULL;
    return own ? own : theirs(stems, COUNT(stems), ours);
}

bool source_tensor_name(const source_dialect *dialect, const char *name, char *out, size_t size)
{
    char stem[64];
    const char *number = "", *t = theirs(whole, COUNT(whole), name);
    int digits;
    if (t) return snprintf(out, size, "%s", t) < (int)size;
    if (strncmp(name, "blk.", 4)) return false;
    int layer = (int)strspn(name + 4, "0123456789");
    const char *rest = name + 4 + layer;
    if (!layer || *rest != '.' || !take_number(rest + 1, stem, sizeof stem, &number, &digits)) return false;
    t = stem_of(dialect, stem);
    if (!t) return false;
    const char *hash = strchr(t, '#');
    if (!hash) return snprintf(out, size, "layers.%.*s.%s", layer, name + 4, t) < (int)size;
    return snprintf(out, size, "layers.%.*s.%.*s%.*s%s", layer, name + 4, (int)(hash - t), t, digits, number, hash + 1) < (int)size;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

source_form source_tensor_form(const source_dialect *t, const char *name)
{
    if (ends_with(name, ".ssm_a")) return SOURCE_NEG_EXP;
    if (ends_with(name, ".ssm_norm.weight")) return SOURCE_AS_IS;
    return t && t->less_one && ends_with(name, "_norm.weight") ? SOURCE_PLUS_ONE : SOURCE_AS_IS;
}
