/* What juan calibrate keeps: refused with a sentence, or heads that a model could have with weights that can be added up. */
#include <assert.h>

#include "hub/heads.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hub_heads h;
    cj_diag d = {0};
    char text[CJ_DIAG_ARGS_MAX + 512];
    if (hub_heads_parse(&h, (const char *)data, size, "heads.json", 255, &d)) {
        assert(d.code < 0 && cj_diag_text(&d, CJ_LANG_ZH, text, sizeof text) > 0);
        return 0;
    }
    assert(h.n >= 1 && h.n <= HUB_HEADS_MAX);
    for (int i = 0; i < h.n; i++) {
        assert(h.item[i].layer >= 0 && h.item[i].layer <= HUB_HEAD_MAX && h.item[i].head >= 0 && h.item[i].head <= HUB_HEAD_MAX);
        assert(h.item[i].weight > 0 && h.item[i].weight <= 1);
    }
    return 0;
}
