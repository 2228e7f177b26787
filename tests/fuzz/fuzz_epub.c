/* EPUB, as it is read behind the fence: archives of any bytes, and archives of any parts. */
#include <assert.h>

#include "base/utf8.h"
#include "document/formats.h"
#include "zip_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool is_archive = size > 2 && data[0] == 'P' && data[1] == 'K';
    size_t n = size;
    char *packed = is_archive ? NULL : zip_parts(data, size, &n);
    draft t;
    cj_diag d = {0};
    draft_init(&t);
    if (!epub_extract(&(document_source){.path = "a", .name = "a", .bytes = packed ? packed : (const char *)data, .n = n}, &t, &d)) {
        assert(utf8_valid_prefix(t.text.data ? t.text.data : "", t.text.len) == t.text.len);
        for (int i = 0; i < t.n_headings; i++)
            assert(t.headings[i].title_byte < t.headings[i].title_end && t.headings[i].title_end <= t.text.len);
    } else assert(d.code < 0);
    draft_deinit(&t);
    free(packed);
    return 0;
}
