/* Documents. Characters are counted once: `marks` holds the number of characters before every MARK_BYTES-th byte. */
#include "document/document.h"

#include <string.h>

#include "base/file.h"
#include "base/utf8.h"
#include "document/chapters.h"
#include "document/encoding.h"

enum { MARK_BYTES = 4096 };

struct document {
    char *name;
    buf text;
    const char *converted_from;
    int64_t *marks;
    int64_t chars;
    document_chapter *chapters;
    int n_chapters;
};

/* A byte that begins a character. */
static bool begins(char c) { return ((unsigned char)c & 0xC0) != 0x80; }

static cj_err count_chars(document *doc, cj_diag *d)
{
    size_t n = doc->text.len / MARK_BYTES + 1;
    doc->marks = mem_array(n, sizeof *doc->marks);
    if (!doc->marks) return diag_nomem(d, n * sizeof *doc->marks);
    for (size_t i = 0; i < doc->text.len; i++) {
        if (i % MARK_BYTES == 0) doc->marks[i / MARK_BYTES] = doc->chars;
        doc->chars += begins(doc->text.data[i]);
    }
    if (doc->text.len % MARK_BYTES == 0) doc->marks[doc->text.len / MARK_BYTES] = doc->chars;
    return CJ_OK;
}

static cj_err fill(document *doc, const char *name, const char *bytes, size_t n, cj_diag *d)
{
    const char *slash = strrchr(name, '/');
    doc->name = mem_strdup(slash ? slash + 1 : name);
    if (!doc->name) return diag_nomem(d, strlen(name));
    buf_init(&doc->text, 4 * DOCUMENT_BYTES_MAX);
    TRY(encoding_to_utf8(name, bytes, n, &doc->text, &doc->converted_from, d));
    if (!doc->text.len) return diag_fail(d, CJ_E_INPUT, MSG_FILE_EMPTY, "%s", name);
    TRY(count_chars(doc, d));
    return chapters_find(doc->text.data, doc->text.len, &doc->chapters, &doc->n_chapters, d);
}

cj_err document_from_bytes(document **out, const char *name, const char *bytes, size_t n, cj_diag *d)
{
    document *doc = mem_zalloc(sizeof *doc);
    if (!doc) return diag_nomem(d, sizeof *doc);
    cj_err e = fill(doc, name, bytes, n, d);
    if (e) {
        document_close(&doc);
        return e;
    }
    *out = doc;
    return CJ_OK;
}

cj_err document_open(document **out, const char *path, cj_diag *d)
{
    buf raw;
    TRY(file_read(path, DOCUMENT_BYTES_MAX, &raw, d));
    cj_err e = document_from_bytes(out, path, raw.data, raw.len, d);
    buf_deinit(&raw);
    return e;
}

void document_close(document **pdoc)
{
    document *doc = *pdoc;
    if (!doc) return;
    mem_free(doc->name);
    buf_deinit(&doc->text);
    mem_free(doc->marks);
    mem_free(doc->chapters);
    mem_free(doc);
    *pdoc = NULL;
}

const char *document_name(const document *doc) { return doc->name; }
const char *document_text(const document *doc) { return doc->text.data; }
size_t document_bytes(const document *doc) { return doc->text.len; }
int64_t document_chars(const document *doc) { return doc->chars; }
const char *document_converted_from(const document *doc) { return doc->converted_from; }
int document_chapters(const document *doc) { return doc->n_chapters; }
const document_chapter *document_chapter_at(const document *doc, int i) { return &doc->chapters[i]; }

int64_t document_char_at(const document *doc, size_t byte)
{
    if (byte >= doc->text.len) return doc->chars;
    int64_t ch = doc->marks[byte / MARK_BYTES];
    for (size_t i = byte / MARK_BYTES * MARK_BYTES; i < byte; i++) ch += begins(doc->text.data[i]);
    return ch;
}

size_t document_byte_at(const document *doc, int64_t ch)
{
    if (ch >= doc->chars) return doc->text.len;
    size_t lo = 0, hi = doc->text.len / MARK_BYTES; /* the last mark that is not past ch */
    while (lo < hi) {
        size_t mid = (lo + hi + 1) / 2;
        if (doc->marks[mid] <= ch) lo = mid;
        else hi = mid - 1;
    }
    size_t i = lo * MARK_BYTES;
    int64_t at = doc->marks[lo];
    while (i < doc->text.len && (at < ch || !begins(doc->text.data[i]))) at += begins(doc->text.data[i++]);
    return i;
}

int document_chapter_of(const document *doc, size_t byte)
{
    int lo = -1, hi = doc->n_chapters - 1;
    while (lo < hi) {
        int mid = (lo + hi + 1) / 2;
        if (doc->chapters[mid].byte <= byte) lo = mid;
        else hi = mid - 1;
    }
    return lo;
}

int64_t document_paragraph_of(const document *doc, size_t byte)
{
    int c = document_chapter_of(doc, byte);
    size_t i = c < 0 ? 0 : doc->chapters[c].title_end;
    int64_t paragraphs = 0;
    bool in_text = false;
    for (; i <= byte && i < doc->text.len; i++) {
        char ch = doc->text.data[i];
        if (ch == '\n') in_text = false;
        else if (!in_text && ch != ' ' && ch != '\t' && ch != '\r') {
            in_text = true;
            paragraphs++;
        }
    }
    return paragraphs;
}
