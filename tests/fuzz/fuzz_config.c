/* The settings of a maker's folder (config.json) beside tensors that are as they should be: understood, and then the model computes, or refused
 * with a sentence. */
#include <stdlib.h>

#include "engine/engine.h"
#include "folder_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const models[] = {"qwen3_5", "qwen3_next"};
enum { MODELS = sizeof models / sizeof *models };

static void end(void) { (void)!folder_remove(fuzz_folder(), NULL); }

/* A folder for each golden model, with its tensors. */
static void begin(void)
{
    const char *source = getenv("CJ_SOURCE");
    assert(source);
    for (int i = 0; i < MODELS; i++) {
        char tensors[512], folder[128], link[160];
        snprintf(tensors, sizeof tensors, "%s/tests/golden/%s/model.safetensors", source, models[i]);
        snprintf(folder, sizeof folder, "%s/%s", fuzz_folder(), models[i]);
        snprintf(link, sizeof link, "%s/model.safetensors", folder);
        assert(file_make_dirs(folder, NULL) == CJ_OK && folder_link(tensors, link, NULL) == CJ_OK);
    }
    atexit(end);
}

static void compute(engine *e)
{
    static const int32_t ids[] = {1, 2, 3, 4, 5};
    session *s = NULL;
    cj_err err = session_open(&s, e, 0, NULL);
    if (!err) err = session_eval(s, ids, 5, &(session_call){.want = WANT_LAST}, NULL, NULL);
    assert(err <= 0);
    session_close(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool begun;
    if (!begun) begin();
    begun = true;
    for (int i = 0; i < MODELS; i++) {
        char folder[128], name[64], text[1024];
        engine *e = NULL;
        cj_diag d = {0};
        snprintf(folder, sizeof folder, "%s/%s", fuzz_folder(), models[i]);
        snprintf(name, sizeof name, "%s/config.json", models[i]);
        fuzz_file(name, data, size);
        if (engine_open(&e, &(engine_options){.path = folder, .level = KERNEL_REF, .threads = 1, .chunk = 4}, &d))
            assert(!e && d.code < 0 && cj_diag_text(&d, CJ_LANG_ZH, text, sizeof text) > 0);
        else compute(e);
        engine_close(&e);
    }
    return 0;
}
