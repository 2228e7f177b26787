/* Llama and what is built like it (SmolLM2, Yi, stories260K). In GGUF the rows of q and k are permuted, so rotary pairs are
 * neighbours; in the maker's folder they are halves. */
#include "model/family/family.h"

cj_err family_llama_load(model_load *l, cj_diag *d)
{
    TRY(load_frame(l, d));
    TRY(load_only(l, "hidden_act", "silu", d));
    for (int i = 0; i < l->spec->n_layers; i++) {
        TRY(load_gqa(l, i, d));
        TRY(load_dense(l, i, VEC_SILU, d));
    }
    float base = 10000;
    int64_t dims = l->spec->layers[0].gqa.dk;
    TRY(load_float(l, "rope.freq_base", GGUF_OPTIONAL, &base, d));
    TRY(load_int(l, "rope.dimension_count", GGUF_OPTIONAL, 0, 0, dims, &dims, d));
    l->spec->n_ropes = 1;
    const rope_options o = {.dims = (int)dims, .interleaved = !source_is_folder(l->source), .scaled = true, .base = base};
    return load_rope(l, &l->spec->ropes[0], &o, d);
}
