/* Documents: bytes in any encoding are refused with a sentence, or become text whose chapters and positions agree with each other. */
#include <assert.h>
#include <string.h>

#include "base/utf8.h"
#include "document/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at_chapters(const document *doc)
{
    size_t bytes = document_bytes(doc), end = 0;
    for (int i = 0; i < document_chapters(doc); i++) {
        const document_chapter *c = document_chapter_at(doc, i);
        assert(c->byte >= end && c->byte <= c->title_byte && c->title_byte < c->title_end && c->title_end <= c->end && c->end <= bytes);
        assert(utf8_count(document_text(doc) + c->title_byte, c->title_end - c->title_byte) <= DOCUMENT_TITLE_MAX);
        assert(document_chapter_of(doc, c->byte) == i && document_chapter_of(doc, c->end - 1) == i);
        end = c->byte + 1;
    }
}

static void look_at_positions(const document *doc)
{
    size_t bytes = document_bytes(doc), step = bytes / 200 + 1;
    for (size_t at = 0; at <= bytes; at += step) {
        int64_t ch = document_char_at(doc, at);
        size_t back = document_byte_at(doc, ch);
        assert(ch >= 0 && ch <= document_chars(doc) && back <= bytes);
        assert(document_char_at(doc, back) == ch);
        int chapter = document_chapter_of(doc, at);
        assert(chapter >= -1 && chapter < document_chapters(doc));
        assert(document_paragraph_of(doc, at) >= 0);
    }
    assert(document_char_at(doc, bytes) == document_chars(doc) && document_byte_at(doc, document_chars(doc)) == bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    document *doc = NULL;
    cj_diag d = {0};
    if (document_from_bytes(&doc, "folder/a.txt", (const char *)data, size, &d)) {
        char text[512];
        assert(!doc && d.code < 0 && cj_diag_text(&d, CJ_LANG_ZH, text, sizeof text) > 0);
        return 0;
    }
    const char *text = document_text(doc);
    assert(document_bytes(doc) > 0 && text[document_bytes(doc)] == 0 && !strcmp(document_name(doc), "a.txt"));
    assert(utf8_valid_prefix(text, document_bytes(doc)) == document_bytes(doc));
    assert((int64_t)utf8_count(text, document_bytes(doc)) == document_chars(doc));
    look_at_chapters(doc);
    look_at_positions(doc);
    document_close(&doc);
    return 0;
}
