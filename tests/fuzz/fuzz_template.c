/* Chat templates, which come with a model from anybody. The input is a template; after a line of three dashes may follow the
 * variables as JSON. It is refused or rendered with a sentence or valid text; budgets are small so that nothing takes long. */
#include <assert.h>
#include <string.h>

#include "base/utf8.h"
#include "token/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char variables[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"你好\"}, {\"role\": \"user\", \"content\": \" Hi <b> \", \"n\": 2, \"t\": [1, 2.5, null]},"
    "{\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\": {\"a\": [true, {}]}}}]}],"
    "\"tools\": [{\"type\": \"function\"}], \"x\": 5, \"y\": 1.5, \"s\": \"红 楼,b\", \"e\": \"\", \"bos_token\": \"<s>\", \"add_generation_prompt\": true}";

static void render(const char *text, size_t n, json_object *request)
{
    static const struct tm noon = {.tm_year = 125, .tm_mon = 6, .tm_mday = 28, .tm_hour = 8};
    const jinja_options o = {.limits = {.steps = 20000, .depth = 200, .memory_bytes = 4 << 20, .output_bytes = 1 << 20}, .now = &noon};
    jinja_template *t = NULL;
    cj_diag d = {0};
    buf out;
    buf_init(&out, 1 << 22);
    cj_err e = jinja_template_open(&t, text, n, &d);
    if (!e) e = jinja_template_render(t, request, &o, &out, &d);
    if (e) {
        char said[CJ_DIAG_ARGS_MAX + 512];
        assert(d.code == e && cj_diag_text(&d, CJ_LANG_ZH, said, sizeof said) > 0 && !out.len);
        assert(utf8_valid_prefix(said, strlen(said)) == strlen(said));
    } else
        assert(out.len == 0 || utf8_valid_prefix(out.data, out.len) == out.len);
    jinja_template_close(&t);
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static json_object *usual; /* parsed once: the templates are what is searched */
    const char *text = (const char *)data, *cut = memmem(text, size, "\n---\n", 5);
    size_t n = cut ? (size_t)(cut - text) : size;
    json_object *request = NULL;
    if (!usual && json_parse(variables, strlen(variables), "variables", &usual, NULL)) return 0;
    if (cut && json_parse(cut + 5, size - n - 5, "variables", &request, NULL)) return 0;
    render(text, n, cut ? request : usual);
    json_object_put(request);
    return 0;
}
