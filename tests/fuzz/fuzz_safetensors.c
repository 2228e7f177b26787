/* safetensors files: opened and every byte of every tensor read, or refused with a sentence. */
#include <assert.h>

#include "format/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Volatile, so that the reads are made. */
static volatile uint64_t sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    safetensors *s = NULL;
    cj_diag d = {0};
    if (safetensors_open_memory(&s, data, size, &d)) {
        char text[512];
        assert(!s && d.code < 0 && cj_diag_text(&d, CJ_LANG_ZH, text, sizeof text) > 0);
        return 0;
    }
    size_t all = 0;
    for (int64_t i = 0; i < safetensors_count(s); i++) {
        const safetensor *t = safetensors_at(s, i);
        assert(safetensors_find(s, t->name) == t && t->n_dims <= SAFETENSORS_DIMS_MAX);
        for (size_t at = 0; at < t->bytes; at++) sink += ((const uint8_t *)t->data)[at];
        all += t->bytes;
    }
    assert(all <= size);
    safetensors_close(&s);
    assert(!s);
    return 0;
}
