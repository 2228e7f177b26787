/* GGUF files: opened and looked at in every way, or refused with a sentence. */
#include <assert.h>
#include <string.h>

#include "format/gguf.h"
#include "quant/quant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Volatile, so that the reads of every element are made. */
static volatile uint64_t sink;

static void look_at_key(const gguf *g, const gguf_key *k)
{
    int64_t i = 0;
    float f = 0;
    bool b = false;
    gguf_str s = {0};
    gguf_array a = {0};
    assert(gguf_key_find(g, k->name) == k);
    for (size_t at = 0; at < k->value_bytes; at++) sink += k->value[at];
    if (!gguf_int(g, k->name, GGUF_REQUIRED, INT64_MIN, INT64_MAX, &i, NULL)) sink += (uint64_t)i;
    if (!gguf_int_at(g, k->name, GGUF_REQUIRED, k->array.count - 1, 0, 100, &i, NULL)) assert(i >= 0 && i <= 100);
    if (!gguf_float_at(g, k->name, GGUF_REQUIRED, 1, &f, NULL)) assert(f - f == 0);
    if (!gguf_bool(g, k->name, GGUF_REQUIRED, &b, NULL)) sink += b;
    if (!gguf_string(g, k->name, GGUF_REQUIRED, &s, NULL)) assert(s.len <= GGUF_STRING_MAX);
    for (int kind = GGUF_INTS; kind <= GGUF_STRINGS; kind++) {
        if (gguf_array_get(g, k->name, GGUF_REQUIRED, (gguf_kind)kind, &a, NULL)) continue;
        for (int64_t e = 0; e < a.count; e++) {
            if (kind == GGUF_STRINGS) {
                s = gguf_array_string(&a, e);
                if (s.len) sink += (uint8_t)s.data[0] + (uint8_t)s.data[s.len - 1];
            } else {
                sink += (uint64_t)gguf_array_int(&a, e);
                sink += gguf_array_float(&a, e) > 0;
            }
        }
    }
}

static void look_at_tensor(const gguf *g, const gguf_tensor *t)
{
    float row[256];
    const quant_info *q = quant_info_get(t->type);
    assert(q && gguf_tensor_find(g, t->name) == t && t->bytes % (size_t)q->block_bytes == 0);
    for (size_t at = 0; at < t->bytes; at += (size_t)q->block_bytes) q->decode((const char *)t->data + at, row, q->block_elems);
    sink += row[0] > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gguf *g = NULL;
    cj_diag d = {0};
    if (gguf_open_memory(&g, data, size, &d)) {
        char text[512];
        assert(!g && d.code < 0 && cj_diag_text(&d, CJ_LANG_ZH, text, sizeof text) > 0);
        return 0;
    }
    int64_t layers = 0;
    if (!gguf_int(g, ".block_count", GGUF_OPTIONAL, 0, 100, &layers, NULL)) sink += (uint64_t)layers;
    for (int64_t i = 0; i < gguf_key_count(g); i++) look_at_key(g, gguf_key_at(g, i));
    for (int64_t i = 0; i < gguf_tensor_count(g); i++) look_at_tensor(g, gguf_tensor_at(g, i));
    gguf_close(&g);
    assert(!g);
    return 0;
}
