/* The index of a model in several files: those it names are opened as one, or it is refused with a sentence. */
#include <stdlib.h>

#include "folder_fuzz.h"
#include "format/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void end(void) { (void)!folder_remove(fuzz_folder(), NULL); }

static void put(const char *name, const char *header, size_t bytes)
{
    uint8_t file[256] = {0};
    const uint64_t n = strlen(header);
    memcpy(file, &n, sizeof n);
    memcpy(file + sizeof n, header, n);
    fuzz_file(name, file, sizeof n + n + bytes);
}

/* Two files that fit together, one that has a tensor of the first too, one that is none, and a folder. */
static void begin(void)
{
    char folder[128];
    snprintf(folder, sizeof folder, "%s/d", fuzz_folder());
    assert(file_make_dirs(folder, NULL) == CJ_OK);
    put("1", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
    put("2", "{\"b\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[0,6]}}", 6);
    put("3", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1);
    put("4", "{", 0);
    atexit(end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool begun;
    if (!begun) begin();
    begun = true;
    safetensors *s = NULL;
    cj_diag d = {0};
    fuzz_file("model.safetensors.index.json", data, size);
    if (safetensors_open_folder(&s, fuzz_folder(), &d)) {
        char text[1024];
        assert(!s && d.code < 0 && cj_diag_text(&d, CJ_LANG_ZH, text, sizeof text) > 0);
        return 0;
    }
    for (int64_t i = 0; i < safetensors_count(s); i++) {
        const safetensor *t = safetensors_at(s, i);
        assert(safetensors_find(s, t->name) == t && t->bytes <= 8);
        assert(i == 0 || strcmp(safetensors_at(s, i - 1)->name, t->name) < 0);
    }
    safetensors_close(&s);
    return 0;
}
