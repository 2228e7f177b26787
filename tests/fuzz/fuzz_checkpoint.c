/* Checkpoints: damaged in any way they are told apart, and no access goes beyond them. The head's checksum is put right first, so that what lies
 * behind it is reached too. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "train/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 232, HEAD_SUM = 224 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const checkpoint_key key = {.model = 1, .shape = 2, .data = 3, .settings = 4, .size = 40, .blocks = 3};
    uint8_t *copy = malloc(size + 1); /* exactly as long as it is, so that a sanitizer sees what goes beyond */
    train_state s = {.step = -7};
    size_t first = 0;
    if (!copy) return 0;
    if (size) memcpy(copy, data, size);
    for (int mended = 0; mended < 2; mended++) {
        if (mended && size >= HEAD) {
            const uint64_t sum = hash_xxh3(copy, HEAD_SUM);
            memcpy(copy + HEAD_SUM, &sum, sizeof sum);
        }
        const cj_err e = checkpoint_check(copy, size, "fuzz", &key, &s, &first, NULL);
        if (e && s.step != -7) abort(); /* what is refused has changed nothing */
        if (!e && (first + 3 * 192 > size || s.step < 0)) abort();
        if (!e) s.step = -7;
    }
    free(copy);
    return 0;
}
