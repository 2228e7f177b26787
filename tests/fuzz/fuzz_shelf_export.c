/* Exported entries: refused with a sentence, or taken in whole and then sound. As they are, and with the checksums of head and sections put right. */
#include "shelf_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FRONT = 64, FILE_BYTES = 8, BODY_BYTES = 8, SUMMED = 16, BODY_SUM = 24, SUM = 56 };

static uint64_t load(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static void set_sum(uint8_t *b)
{
    memset(b + SUM, 0, sizeof(uint64_t));
    uint64_t s = hash_xxh3(b, FRONT);
    memcpy(b + SUM, &s, sizeof s);
}

static void mend(uint8_t *b, uint64_t size)
{
    if (size < FRONT) return;
    memcpy(b + FILE_BYTES, &size, sizeof size);
    set_sum(b);
    for (size_t at = FRONT; size - at >= FRONT;) {
        uint64_t bytes = load(b + at + BODY_BYTES), summed = load(b + at + SUMMED);
        if (bytes > size - at - FRONT || summed > bytes) return;
        uint64_t s = hash_xxh3(b + at + FRONT, summed);
        memcpy(b + at + BODY_SUM, &s, sizeof s);
        set_sum(b + at);
        at += FRONT + size_round_up(bytes, FRONT);
        if (at > size) return;
    }
}

static void take(const uint8_t *data, size_t size)
{
    char path[128], name[SHELF_NAME_MAX + 1];
    shelf *s = NULL;
    cj_diag d = {0};
    shelf_watch watch = {0};
    int64_t n = 0;
    snprintf(path, sizeof path, "%s/x.juan", fuzz_folder());
    fuzz_file("x.juan", data, size);
    assert(shelf_open(&s, fuzz_folder(), NULL) == CJ_OK);
    if (shelf_import(s, path, NULL, &watch, name, &d)) assert(d.code < 0);
    else {
        fuzz_read(s, name);
        assert(shelf_verify(s, name, &watch, &n, NULL) == CJ_OK && n == 0);
        assert(shelf_rm(s, name, &n, NULL) == CJ_OK);
    }
    shelf_close(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *mended = mem_alloc(size);
    assert(mended && file_make_dirs(fuzz_folder(), NULL) == CJ_OK);
    if (size) memcpy(mended, data, size);
    take(mended, size);
    mend(mended, size);
    take(mended, size);
    mem_free(mended);
    assert(folder_remove(fuzz_folder(), NULL) == CJ_OK);
    return 0;
}
