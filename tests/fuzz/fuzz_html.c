/* HTML, as it is read behind the fence: any bytes end in a text whose headings lie in it. */
#include <assert.h>
#include <string.h>

#include "base/utf8.h"
#include "document/formats.h"
#include "document/html.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    char charset[32];
    draft t;
    document_source s = {.path = "a.html", .name = "a.html", .bytes = bytes, .n = size};
    html_charset(bytes, size, charset, sizeof charset);
    assert(strlen(charset) < sizeof charset);
    if (!size || utf8_valid_prefix(bytes, size) < size || memchr(bytes, 0, size)) return 0; /* another encoding is converted before */
    draft_init(&t);
    if (!html_extract(&s, &t, NULL)) {
        assert(utf8_valid_prefix(t.text.data, t.text.len) == t.text.len);
        for (int i = 0; i < t.n_headings; i++) {
            const document_chapter *h = &t.headings[i];
            assert(h->byte <= h->title_byte && h->title_byte < h->title_end && h->title_end <= t.text.len);
            assert(!i || t.headings[i - 1].title_end < h->byte);
        }
    }
    draft_deinit(&t);
    return 0;
}
