/* Documents: made from a draft, asked for places. Characters are counted once, into `marks`. */
#include <string.h>

#include "base/file.h"
#include "base/utf8.h"
#include "document/chapters.h"
#include "document/formats.h"
#include "document/inside.h"

/* A byte that begins a character. */
static bool begins(char c) { return ((unsigned char)c & 0xC0) != 0x80; }

cj_err document_count_chars(document *doc, cj_diag *d)
{
    size_t n = doc->text.len / DOCUMENT_MARK_BYTES + 1;
    doc->marks = mem_array(n, sizeof *doc->marks);
    if (!doc->marks) return diag_nomem(d, n * sizeof *doc->marks);
    for (size_t i = 0; i < doc->text.len; i++) {
        if (i % DOCUMENT_MARK_BYTES == 0) doc->marks[i / DOCUMENT_MARK_BYTES] = doc->chars;
        doc->chars += begins(doc->text.data[i]);
    }
    if (doc->text.len % DOCUMENT_MARK_BYTES == 0) doc->marks[doc->text.len / DOCUMENT_MARK_BYTES] = doc->chars;
    return CJ_OK;
}

/* A name that can be shown: what is no character, or controls a terminal, becomes a question mark. NULL: no memory. */
static char *clean_name(const char *name)
{
    char *clean = mem_strdup(name);
    if (clean) clean[utf8_make_plain(clean, strlen(clean), '?')] = 0;
    return clean;
}

/* Headings that the format tells and headings that look so, in order; where both name a line, the format's stands. */
static cj_err join_chapters(document *doc, document_chapter *told, int n_told, document_chapter *seen, int n_seen, cj_diag *d)
{
    document_chapter *all = mem_array((size_t)n_told + (size_t)n_seen, sizeof *all);
    if (!all) return diag_nomem(d, ((size_t)n_told + (size_t)n_seen) * sizeof *all);
    int n = 0;
    for (int i = 0, k = 0; (i < n_told || k < n_seen) && n < DOCUMENT_CHAPTERS_MAX;) {
        bool both = i < n_told && k < n_seen && seen[k].title_end > told[i].byte && seen[k].byte < told[i].title_end;
        if (both) k++;
        else if (k == n_seen || (i < n_told && told[i].byte < seen[k].byte)) all[n++] = told[i++];
        else all[n++] = seen[k++];
    }
    doc->chapters = all;
    doc->n_chapters = chapters_close(all, n, doc->text.data, doc->text.len);
    return CJ_OK;
}

static cj_err fill_chapters(document *doc, document_chapter *told, int n_told, bool markdown, cj_diag *d)
{
    document_chapter *seen = NULL;
    int n_seen = 0;
    TRY(chapters_find(doc->text.data, doc->text.len, markdown, &seen, &n_seen, d));
    cj_err e = join_chapters(doc, told, n_told, seen, n_seen, d);
    mem_free(seen);
    return e;
}

static cj_err fill(document *doc, const char *name, draft *from, cj_diag *d)
{
    if (!from->text.len) return diag_fail(d, CJ_E_INPUT, MSG_FILE_EMPTY, "%s", name);
    doc->name = clean_name(name);
    if (!doc->name) return diag_nomem(d, strlen(name));
    doc->text = from->text;
    doc->pages = from->pages;
    doc->n_pages = from->n_pages;
    buf_init(&from->text, 0);
    from->pages = NULL;
    TRY(document_count_chars(doc, d));
    TRY(articles_find(doc->text.data, doc->text.len, &doc->articles, &doc->n_articles, d));
    return fill_chapters(doc, from->headings, from->n_headings, from->markdown, d);
}

cj_err document_of_draft(document **out, const char *name, draft *from, cj_diag *d)
{
    document *doc = mem_zalloc(sizeof *doc);
    if (!doc) return diag_nomem(d, sizeof *doc);
    cj_err e = fill(doc, name, from, d);
    if (e) document_close(&doc);
    else *out = doc;
    return e;
}

cj_err document_from_bytes(document **out, const char *name, const char *bytes, size_t n, cj_diag *d)
{
    const char *slash = strrchr(name, '/');
    return formats_read(out, &(document_source){.path = name, .name = slash ? slash + 1 : name, .bytes = bytes, .n = n}, d);
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
    mem_free(doc->converted_from);
    mem_free(doc->marks);
    mem_free(doc->chapters);
    mem_free(doc->articles);
    mem_free(doc->pages);
    mem_free(doc);
    *pdoc = NULL;
}

const char *document_name(const document *doc) { return doc->name; }
const char *document_text(const document *doc) { return doc->text.data; }
size_t document_bytes(const document *doc) { return doc->text.len; }
int64_t document_chars(const document *doc) { return doc->chars; }
const char *document_converted_from(const document *doc) { return doc->converted_from; }
int64_t document_unread(const document *doc) { return doc->unread; }
const char *document_sha256(const document *doc) { return doc->sha256; }
int document_chapters(const document *doc) { return doc->n_chapters; }
const document_chapter *document_chapter_at(const document *doc, int i) { return &doc->chapters[i]; }
int document_articles(const document *doc) { return doc->n_articles; }
const document_article *document_article_at(const document *doc, int i) { return &doc->articles[i]; }
int document_pages(const document *doc) { return doc->n_pages; }

int64_t document_char_at(const document *doc, size_t byte)
{
    if (byte >= doc->text.len) return doc->chars;
    int64_t ch = doc->marks[byte / DOCUMENT_MARK_BYTES];
    for (size_t i = byte / DOCUMENT_MARK_BYTES * DOCUMENT_MARK_BYTES; i < byte; i++) ch += begins(doc->text.data[i]);
    return ch;
}

size_t document_byte_at(const document *doc, int64_t ch)
{
    if (ch >= doc->chars) return doc->text.len;
    size_t lo = 0, hi = doc->text.len / DOCUMENT_MARK_BYTES; /* the last mark that is not past ch */
    while (lo < hi) {
        size_t mid = (lo + hi + 1) / 2;
        if (doc->marks[mid] <= ch) lo = mid;
        else hi = mid - 1;
    }
    size_t i = lo * DOCUMENT_MARK_BYTES;
    int64_t at = doc->marks[lo];
    while (i < doc->text.len && (at < ch || !begins(doc->text.data[i]))) at += begins(doc->text.data[i++]);
    return i;
}

/* The last of n things of `size` bytes that begins at byte or before it, where each says first where it begins; -1: none does. */
static int last_before(const void *list, int n, size_t size, size_t byte)
{
    int lo = -1, hi = n - 1;
    while (lo < hi) {
        int mid = (lo + hi + 1) / 2;
        size_t begin;
        memcpy(&begin, (const char *)list + (size_t)mid * size, sizeof begin);
        if (begin <= byte) lo = mid;
        else hi = mid - 1;
    }
    return lo;
}

int document_chapter_of(const document *doc, size_t byte) { return last_before(doc->chapters, doc->n_chapters, sizeof *doc->chapters, byte); }

int document_article_of(const document *doc, size_t byte)
{
    int a = last_before(doc->articles, doc->n_articles, sizeof *doc->articles, byte);
    return a >= 0 && document_chapter_of(doc, doc->articles[a].byte) == document_chapter_of(doc, byte) ? a : -1;
}

int document_page_of(const document *doc, size_t byte) { return last_before(doc->pages, doc->n_pages, sizeof *doc->pages, byte) + 1; }

int document_pages_without_text(const document *doc)
{
    int n = 0;
    for (int i = 0; i < doc->n_pages; i++) n += doc->pages[i] == (i + 1 < doc->n_pages ? doc->pages[i + 1] : doc->text.len);
    return n;
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
