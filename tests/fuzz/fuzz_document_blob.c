/* Saved documents: refused, or all places of what was loaded agree. The checksum is put right first, or nothing would get past it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/utf8.h"
#include "document/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FRAME = 16 };

static void look_at(const document *doc)
{
    size_t bytes = document_bytes(doc), step = bytes / 100 + 1;
    const char *text = document_text(doc);
    assert(bytes && !text[bytes] && utf8_valid_prefix(text, bytes) == bytes && strlen(document_name(doc)) > 0);
    for (int i = 0; i < document_chapters(doc); i++) {
        const document_chapter *c = document_chapter_at(doc, i);
        assert(c->byte <= c->title_byte && c->title_byte < c->title_end && c->title_end <= c->end && c->end <= bytes);
    }
    for (size_t at = 0; at <= bytes; at += step) {
        int article = document_article_of(doc, at), page = document_page_of(doc, at);
        assert(article >= -1 && article < document_articles(doc) && page >= 0 && page <= document_pages(doc));
        assert(document_chapter_of(doc, at) < document_chapters(doc) && document_paragraph_of(doc, at) >= 0);
        assert(document_char_at(doc, at) <= document_chars(doc));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    document *doc = NULL, *again = NULL;
    char *blob = malloc(size + 1);
    memcpy(blob, data, size);
    if (size > FRAME) {
        uint64_t sum = hash_xxh3(blob + FRAME, size - FRAME);
        memcpy(blob + 8, &sum, sizeof sum);
    }
    if (!document_load(&doc, blob, size, "a", NULL)) {
        buf saved;
        look_at(doc);
        buf_init(&saved, size + 1);
        assert(!document_save(doc, &saved, NULL) && saved.len == size && !memcmp(saved.data, blob, size));
        assert(!document_load(&again, saved.data, saved.len, "a", NULL));
        document_close(&again);
        buf_deinit(&saved);
    }
    document_close(&doc);
    free(blob);
    return 0;
}
