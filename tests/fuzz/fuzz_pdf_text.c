/* What pdftotext writes: any bytes become a text with pages in order. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "document/pdf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    draft t;
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    draft_init(&t);
    if (!pdf_text_to_draft(text, size, &t, NULL)) {
        assert(utf8_valid_prefix(t.text.data ? t.text.data : "", t.text.len) == t.text.len && !t.n_headings);
        assert(!t.text.len || !memchr(t.text.data, 0, t.text.len));
        assert(t.n_pages > 0 || !size);
        for (int i = 0; i < t.n_pages; i++) assert(t.pages[i] <= t.text.len && (!i || t.pages[i] >= t.pages[i - 1]));
    }
    draft_deinit(&t);
    free(text);
    return 0;
}
