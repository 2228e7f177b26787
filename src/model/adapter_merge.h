/* A model with an adapter in its weights: w + scale * b . a for every pair, so that it needs no adapter any more.
 *
 * A GGUF model becomes one GGUF file where `out` ends so, else a folder as its maker publishes it (publish.h); a folder becomes a folder with one
 * model.safetensors and all its other files as they were. What an activated
 * adapter leaves alone (the text before the question) is not left alone by a merged one.
 */
#ifndef MODEL_ADAPTER_MERGE_H
#define MODEL_ADAPTER_MERGE_H

#include "format/convert.h"
#include "model/adapter_file.h"

/* a fits m (adapter_file_fit). Of o the type (of a file's matrices; a folder takes CONVERT_KEEP only), pool and progress count. */
CJ_NODISCARD cj_err adapter_merge(const model *m, const adapter_file *a, const char *out, const convert_options *o, convert_result *r, cj_diag *d);

#endif
