/* Adapters: a GGUF file; whole pairs of finite numbers come out of it, or a sentence. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "model/adapter_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile float sink;

static void look(const kernel_weight *w)
{
    float row[ADAPTER_RANK_MAX];
    const quant_info *q = quant_info_get(w->type);
    assert(w->rows > 0 && w->cols > 0);
    for (int64_t i = 0; i < w->rows * w->cols; i++) {
        q->decode((const char *)w->data + (size_t)i * (size_t)q->block_bytes, row, 1);
        assert(isfinite(row[0]));
        sink = row[0];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    adapter_file *f = NULL;
    cj_diag d = {0};
    if (adapter_file_open_memory(&f, data, size, &d)) {
        char text[1024];
        assert(!f && d.code < 0 && cj_diag_text(&d, CJ_LANG_ZH, text, sizeof text) > 0);
        return 0;
    }
    const model_adapter *a = adapter_file_data(f);
    const adapter_facts *facts = adapter_file_facts(f);
    assert(a->rank > 0 && a->rank <= ADAPTER_RANK_MAX && a->n_layers > 0 && a->n_layers <= MODEL_LAYERS_MAX && strlen(facts->name) <= ADAPTER_TEXT_MAX);
    for (int i = 0; i < a->n_layers * ADAPTER_TARGETS; i++) {
        const adapter_pair *p = &a->pairs[i];
        assert(!p->a.data == !p->b.data && p->a.rows == p->b.cols);
        if (!p->a.data) continue;
        look(&p->a);
        look(&p->b);
    }
    adapter_file_close(&f);
    assert(!f);
    return 0;
}
