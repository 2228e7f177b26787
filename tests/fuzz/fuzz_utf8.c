/* Bytes as UTF-8: every function agrees with the others on what a character is, and nothing is read past the end. */
#include <assert.h>

#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *s = (const char *)data;
    size_t valid = utf8_valid_prefix(s, size), at = 0, characters = 0;
    assert(valid <= size);
    while (at < size) {
        uint32_t cp;
        char back[4];
        int n = utf8_decode(s + at, size - at, &cp);
        assert(n >= 1 && n <= 4 && (size_t)n <= size - at);
        assert((cp == UTF8_INVALID) <= (n == 1));
        if (cp == UTF8_INVALID) assert(at >= valid);
        else assert(utf8_encode(cp, back) == n && utf8_width(cp) >= 0);
        at += (size_t)n;
        characters++;
    }
    assert(utf8_count(s, size) == characters);
    assert(utf8_incomplete_tail(s, size) <= 3);
    return 0;
}
