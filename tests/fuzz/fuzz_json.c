/* JSON from outside (requests, configuration files): parsed strictly or refused with a sentence, never more. */
#include <assert.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_object *o = NULL;
    cj_diag d = {0};
    if (json_parse((const char *)data, size, "input", &o, &d)) {
        char text[256];
        assert(!o && d.code < 0 && cj_diag_text(&d, CJ_LANG_ZH, text, sizeof text) > 0);
        return 0;
    }
    json_object_to_json_string(o);
    json_object_put(o);
    return 0;
}
