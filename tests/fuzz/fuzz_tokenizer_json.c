/* Any tokenizer.json: a tokenizer that can be used, or a sentence. */
#include <assert.h>
#include <string.h>

#include "token/tokenizer_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tokenizer *t = NULL;
    cj_diag d = {0};
    const char *json = (const char *)data;
    if (tokenizer_json_parse(&t, "input", json, size, json, size, &d)) {
        char text[512];
        assert(!t && d.code < 0 && cj_diag_text(&d, CJ_LANG_EN, text, sizeof text) > 0);
        return 0;
    }
    token_list l;
    token_list_init(&l);
    assert(tokenizer_encode(t, json, size, TOKEN_ADD_SPECIAL | TOKEN_PARSE_SPECIAL, &l, NULL) == CJ_OK);
    token_list_deinit(&l);
    tokenizer_close(&t);
    return 0;
}
