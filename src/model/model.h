/* A model: where it comes from, its spec and its weights. Read-only once open; any number of sessions may use it through one kernel_ctx. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "model/source.h"
#include "model/spec.h"

typedef struct model model;

/* path: a GGUF file or a folder (source.h). */
CJ_NODISCARD cj_err model_open(model **out, kernel_ctx *ctx, const char *path, cj_diag *d);
/* The same over a source that is open already; it is taken (closed with the model) on success. */
CJ_NODISCARD cj_err model_open_source(model **out, kernel_ctx *ctx, model_source *source, cj_diag *d);
void model_close(model **m);

const model_spec *model_spec_of(const model *m);
const model_source *model_source_of(const model *m);
const gguf *model_file(const model *m); /* NULL: it came from a folder */
const char *model_path(const model *m);
kernel_ctx *model_kernel(const model *m);
/* Bytes of all weights as stored. */
int64_t model_weight_bytes(const model *m);
/* Bytes of keys and values one more token takes, windows not counted. */
int64_t model_token_bytes(const model *m, kv_type type);
/* XXH3 over the settings as they were understood and samples of each tensor: what a snapshot is keyed by. */
uint64_t model_fingerprint(const model *m);
/* The part of it that is about the settings. */
uint64_t model_spec_fingerprint(const model_spec *m);
/* In sparse attention this query head looks at `times` (1 .. 255) as many far pages token by token as the others: a head that finds what was said
 * far back spreads its attention too thin for the means of pages. Not while a batch runs. A head that the model has not, or whose layer has a
 * window, is left out. */
CJ_NODISCARD cj_err model_keep_more(model *m, int layer, int head, int times, cj_diag *d);
/* An empty context for this model. */
CJ_NODISCARD cj_err model_kv_open(const model *m, kv_type type, kv_cache **out, cj_diag *d);

#endif
