/* Family adapters: each fills a model_spec from a model file. The only place where architectures have names. */
#ifndef MODEL_FAMILY_FAMILY_H
#define MODEL_FAMILY_FAMILY_H

#include "model/load.h"

typedef struct family {
    const char *arch;    /* general.architecture */
    bool neighbours;     /* rows of q and k in a GGUF file, of a model or an adapter, are ordered for pairs x[2i], x[2i + 1], not halves */
    cj_err (*load)(model_load *l, cj_diag *d); /* fills l->spec */
} family;

/* NULL when the architecture is unknown. */
const family *family_find(const char *arch, size_t len);
/* Names of the architectures known, separated by ", ". */
void family_names(char *out, size_t size);

cj_err family_llama_load(model_load *l, cj_diag *d);
cj_err family_qwen2_load(model_load *l, cj_diag *d);
cj_err family_qwen3_load(model_load *l, cj_diag *d);
cj_err family_qwen3moe_load(model_load *l, cj_diag *d);
cj_err family_qwen3next_load(model_load *l, cj_diag *d);
cj_err family_qwen35_load(model_load *l, cj_diag *d);
cj_err family_gemma3_load(model_load *l, cj_diag *d);

#endif
