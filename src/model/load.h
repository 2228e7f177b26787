/* Binding: how a family adapter reads configuration and tensors. Every call fails with a sentence that names the key or tensor.
 * Keys and tensors are named as in GGUF, whatever the source (source.h).
 */
#ifndef MODEL_LOAD_H
#define MODEL_LOAD_H

#include "base/mem.h"
#include "model/model.h"

typedef struct model_load {
    const model_source *source;
    kernel_ctx *ctx;
    arena *mem;         /* specs, rows put in order: lives as long as the model */
    model_spec *spec;
    bool *bound;        /* [source_tensor_count] of a folder: which tensors an adapter has taken; NULL for a file */
} model_load;

/* Optional keys leave *out as it was. A value per layer is read at `layer`; pass 0 for plain keys. */
CJ_NODISCARD cj_err load_int(model_load *l, const char *key, gguf_need need, int64_t layer, int64_t lo, int64_t hi, int64_t *out, cj_diag *d);
CJ_NODISCARD cj_err load_float(model_load *l, const char *key, gguf_need need, float *out, cj_diag *d);
/* Whether a string key has this value. */
bool load_string_is(model_load *l, const char *key, const char *value);
/* That it has it, or is absent. */
CJ_NODISCARD cj_err load_only(model_load *l, const char *key, const char *value, cj_diag *d);

/* A stored matrix of the given shape, by a printf name. An absent optional one leaves out->w.data NULL. The bias "<name>.bias"
 * is bound when the file has it. */
CJ_NODISCARD cj_err load_linear(model_load *l, model_linear *out, gguf_need need, int64_t rows, int64_t cols, cj_diag *d,
                                const char *name, ...) __attribute__((format(printf, 7, 8)));
/* Rows of a stored matrix whose rows come in groups of several parts (q and its gate head by head, say): of every group of `group` rows those from
 * `first` on, `count` of them; one pick after the other. Copied in this order. A bias is refused. */
typedef struct row_pick {
    int64_t groups, group, first, count;
} row_pick;
CJ_NODISCARD cj_err load_rows(model_load *l, model_linear *out, const row_pick *picks, int n_picks, int64_t cols, cj_diag *d,
                              const char *name, ...) __attribute__((format(printf, 7, 8)));
/* The matrices [rows][cols] of a layer's experts: a stack "blk.%d.<stem>_exps.weight", or each by itself, "blk.%d.<stem>.%d.weight". */
CJ_NODISCARD cj_err load_experts(model_load *l, kernel_weight **out, int experts, int64_t rows, int64_t cols, int layer, const char *stem, cj_diag *d);
/* A vector of n floats as device memory; *out stays NULL when an optional one is absent. */
CJ_NODISCARD cj_err load_vector(model_load *l, float **out, gguf_need need, int64_t n, cj_diag *d, const char *name, ...)
    __attribute__((format(printf, 6, 7)));
/* Stored [rows][cols] as floats [cols][rows] in device memory. */
CJ_NODISCARD cj_err load_turned(model_load *l, float **out, int64_t rows, int64_t cols, cj_diag *d, const char *name, ...)
    __attribute__((format(printf, 6, 7)));

/* After an adapter is done: that it has taken every tensor of every layer. What it does not know would be left out silently. */
CJ_NODISCARD cj_err load_check_taken(const model_load *l, cj_diag *d);

/* What the families here have in common, in the order an adapter calls them: sizes, embedding, head and final norm; one layer's
 * attention (heads, key sizes, q/k/v/o, optional biases and q/k norms); its dense feed-forward; its mixture. */
CJ_NODISCARD cj_err load_frame(model_load *l, cj_diag *d);
CJ_NODISCARD cj_err load_gqa(model_load *l, int layer, cj_diag *d);
CJ_NODISCARD cj_err load_dense(model_load *l, int layer, vec_act act, cj_diag *d);
CJ_NODISCARD cj_err load_moe(model_load *l, int layer, vec_act act, cj_diag *d);
/* The same without their norms; q may be stored with an output gate, head by head. Fills heads and sizes first. */
CJ_NODISCARD cj_err load_heads(model_load *l, int layer, cj_diag *d);
CJ_NODISCARD cj_err load_gqa_gated(model_load *l, int layer, cj_diag *d);

/* Fills a rope: base frequency, and the scaling the file asks for (none, linear, YaRN, or a table rope_freqs.weight). */
typedef struct rope_options {
    int dims;
    bool interleaved, scaled; /* scaled: apply rope.scaling.* */
    float base;
} rope_options;
CJ_NODISCARD cj_err load_rope(model_load *l, rope_spec *out, const rope_options *o, cj_diag *d);

#endif
