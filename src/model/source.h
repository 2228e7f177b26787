/* Where a model comes from: a GGUF file, or a folder as its maker publishes it (config.json and safetensors).
 *
 * Adapters ask both under one naming and in one form, those of GGUF: settings without the architecture ("attention.head_count"),
 * tensors as "blk.3.attn_q.weight". A folder answers through a dialect (family/dialect.c): tables that say what the maker calls a
 * setting or a tensor, and what must be done to the numbers of a tensor that the maker stores in another form. So a family is written
 * once. What no table can say is left to the adapter, which may ask source_is_folder: the order of rows and heads, for one, may
 * differ between the two. A maker whose names are not in the tables yet needs rows there, and nothing else where the form is the same.
 * A source is read-only once open; weights point into it.
 */
#ifndef MODEL_SOURCE_H
#define MODEL_SOURCE_H

#include "format/gguf.h"
#include "format/safetensors.h"

typedef struct model_source model_source;

/* What makes a stored number the one that is meant: nothing, 1 + x, -e^x. */
typedef enum source_form { SOURCE_AS_IS, SOURCE_PLUS_ONE, SOURCE_NEG_EXP } source_form;

typedef struct source_tensor {
    const char *name;   /* as stored, for messages */
    int type;           /* quant_type */
    int64_t dims[4];    /* dims[0] is the row length; 1 where there are fewer */
    const void *data;
    size_t bytes;
    source_form form;
    int64_t index;      /* of a folder: source_tensor_at gives it */
} source_tensor;

/* path: a file or a folder. */
CJ_NODISCARD cj_err source_open(model_source **out, const char *path, cj_diag *d);
void source_close(model_source **s);

const char *source_path(const model_source *s);
bool source_is_folder(const model_source *s);
bool source_is_cut(const model_source *s); /* a file of it was cut short while it was open */
const gguf *source_gguf(const model_source *s); /* NULL for a folder */
const safetensors *source_safetensors(const model_source *s); /* of a folder: its tensors stand at the same places as source_tensor_at's */
/* Whether the names of its settings and tensors are known: a folder's are where a dialect has its model_type. */
bool source_is_known(const model_source *s);
/* Whether the settings of a folder say that its weights are kept in a form of their own, which no adapter here reads. */
bool source_is_quantised(const model_source *s);
/* The architecture, by its name in GGUF; of a folder that is not known, its model_type. */
gguf_str source_arch(const model_source *s);
gguf_str source_name(const model_source *s);

/* Settings. Optional ones that are absent leave *out as it was. A value per layer is read at `layer`; pass 0 for others. */
CJ_NODISCARD cj_err source_int(const model_source *s, const char *key, gguf_need need, int64_t layer, int64_t lo, int64_t hi, int64_t *out, cj_diag *d);
CJ_NODISCARD cj_err source_float(const model_source *s, const char *key, gguf_need need, float *out, cj_diag *d);
CJ_NODISCARD cj_err source_bool(const model_source *s, const char *key, gguf_need need, int64_t layer, bool *out, cj_diag *d);
CJ_NODISCARD cj_err source_text(const model_source *s, const char *key, gguf_need need, int64_t layer, gguf_str *out, cj_diag *d);

/* False: there is none. A stored element type that no kernel reads is an error. */
CJ_NODISCARD cj_err source_tensor_find(const model_source *s, const char *name, bool *found, source_tensor *out, cj_diag *d);
/* Whether it is there. */
bool source_tensor_here(const model_source *s, const char *name);
/* All that is stored, under its stored name, in a fixed order. */
int64_t source_tensor_count(const model_source *s);
source_tensor source_tensor_at(const model_source *s, int64_t i);
/* Whether it belongs to a layer of a folder's text model, which is another model if it is left out. GGUF files may hold what is not needed. */
bool source_is_layered(const model_source *s, int64_t i);

#endif
