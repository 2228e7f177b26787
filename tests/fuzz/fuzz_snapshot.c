/* Snapshots of a context: damaged in any way they are refused and leave it empty; what is taken can be written on. The checksums are
 * put right first, so that what lies behind them is reached too. */
#include <assert.h>
#include <string.h>

#include "base/hash.h"
#include "context/kv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Small pages: a seed is a few kilobytes. */
static const kv_layer layers[] = {
    {.layout = {KV_Q8, 1, 4, 4}, .window = 0},
    {.layout = {KV_F32, 1, 4, 4}, .window = 200},
};
enum { LAYERS = 2, FRONT = 24 + 32 * LAYERS, SUM = sizeof(uint64_t) };

static void set_sum(uint8_t *sum, const uint8_t *bytes, size_t n)
{
    uint64_t s = hash_xxh3(bytes, n);
    memcpy(sum, &s, sizeof s);
}

/* As far as the file goes: the sum of the front, then of every page where the header says there is one. */
static void mend(uint8_t *b, size_t size)
{
    if (size < FRONT + SUM) return;
    set_sum(b + FRONT, b, FRONT);
    int64_t count;
    memcpy(&count, b + 16, sizeof count);
    size_t at = FRONT + SUM;
    for (int i = 0; i < LAYERS; i++) {
        size_t bytes = kv_page_bytes(&layers[i].layout);
        int64_t first;
        memcpy(&first, b + 24 + 32 * i + 24, sizeof first);
        if (count < 0 || count > 4096 || first < 0 || first > count) return;
        for (int64_t p = first; p * KV_PAGE < count && size - at >= SUM + bytes; p++, at += SUM + bytes) set_sum(b + at, b + at + SUM, bytes);
    }
}

static void write_on(kv_cache *kv)
{
    int64_t count = kv_count(kv);
    assert(kv_extend(kv, 300, NULL) == CJ_OK);
    for (int l = 0; l < LAYERS; l++)
        for (int64_t p = count / KV_PAGE; p * KV_PAGE < count + 300; p++) memset(kv_pages(kv, l)[p], 1, kv_page_bytes(&layers[l].layout));
    kv_advance(kv, 300);
    assert(kv_count(kv) == count + 300);
    int64_t cut = kv_cut(kv, count / 2);
    assert(cut == count / 2 || cut == 0);
}

static void load(const uint8_t *data, size_t size)
{
    kv_cache *kv = NULL;
    cj_diag d = {0};
    size_t used = 0;
    assert(kv_open(&kv, layers, LAYERS, NULL) == CJ_OK);
    if (kv_load(kv, data, size, &used, "file", &d)) assert(d.code < 0 && kv_count(kv) == 0 && kv_bytes(kv) == 0);
    else assert(used <= size && kv_count(kv) >= 0);
    write_on(kv); /* refused or not, it is a good context */
    kv_close(&kv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *mended = mem_alloc(size);
    assert(mended);
    if (size) memcpy(mended, data, size);
    load(data, size);
    mend(mended, size);
    load(mended, size);
    mem_free(mended);
    return 0;
}
