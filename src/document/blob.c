/* Documents as bytes. All numbers are little-endian.
 *
 *     "CJDOC 1\n", xxh3 of all that follows (8)
 *     bytes of the name (4), of the encoding it was converted from (4), of the text (8), how many chapters, articles, pages (4 each),
 *     0 (4), sha256 of the original file (64 hexadecimal digits, or 64 times 0 when it is not known)
 *     name, encoding, text
 *     chapters: where it begins, its title, its title's end (8 each); articles: label, label's end (8 each); pages (8 each)
 *
 * What is loaded is hostile until checked: sizes add up to the whole, text is UTF-8 without zeros, and every place is in order and
 * at the beginning of a character.
 */
#include <endian.h>
#include <string.h>

#include "base/utf8.h"
#include "document/inside.h"

static const char magic[8] = {'C', 'J', 'D', 'O', 'C', ' ', '1', '\n'};
static const char unknown[64]; /* a hash that is not known */
enum { SHA = 64, FRAME = 16, HEAD = FRAME + 4 + 4 + 8 + 4 * 4 + SHA, CHAPTER_WORDS = 3, ARTICLE_WORDS = 2 };

static cj_err put32(buf *b, size_t v, cj_diag *d)
{
    uint32_t le = htole32((uint32_t)v);
    return buf_append(b, &le, sizeof le, d);
}

static cj_err put64(buf *b, uint64_t v, cj_diag *d)
{
    uint64_t le = htole64(v);
    return buf_append(b, &le, sizeof le, d);
}

static cj_err put_places(const document *doc, buf *out, cj_diag *d)
{
    for (int i = 0; i < doc->n_chapters; i++) {
        const document_chapter *c = &doc->chapters[i];
        TRY(put64(out, c->byte, d));
        TRY(put64(out, c->title_byte, d));
        TRY(put64(out, c->title_end, d));
    }
    for (int i = 0; i < doc->n_articles; i++) {
        TRY(put64(out, doc->articles[i].byte, d));
        TRY(put64(out, doc->articles[i].label_end, d));
    }
    for (int i = 0; i < doc->n_pages; i++) TRY(put64(out, doc->pages[i], d));
    return CJ_OK;
}

cj_err document_save(const document *doc, buf *out, cj_diag *d)
{
    const char *encoding = doc->converted_from ? doc->converted_from : "";
    size_t begin = out->len;
    TRY(buf_append(out, magic, sizeof magic, d));
    TRY(put64(out, 0, d));
    TRY(put32(out, strlen(doc->name), d));
    TRY(put32(out, strlen(encoding), d));
    TRY(put64(out, doc->text.len, d));
    TRY(put32(out, (size_t)doc->n_chapters, d));
    TRY(put32(out, (size_t)doc->n_articles, d));
    TRY(put32(out, (size_t)doc->n_pages, d));
    TRY(put32(out, 0, d));
    TRY(buf_append(out, doc->sha256[0] ? doc->sha256 : unknown, SHA, d));
    TRY(buf_puts(out, doc->name, d));
    TRY(buf_puts(out, encoding, d));
    TRY(buf_append(out, doc->text.data, doc->text.len, d));
    TRY(put_places(doc, out, d));
    uint64_t sum = htole64(hash_xxh3(out->data + begin + FRAME, out->len - begin - FRAME));
    memcpy(out->data + begin + sizeof magic, &sum, sizeof sum);
    return CJ_OK;
}

/* ---- loading ---- */

typedef struct reader {
    const char *at;
    const char *what;
    size_t text_bytes, name_bytes, encoding_bytes;
    uint32_t chapters, articles, pages;
} reader;

static uint32_t take32(reader *r)
{
    uint32_t le;
    memcpy(&le, r->at, sizeof le);
    r->at += sizeof le;
    return le32toh(le);
}

static uint64_t take64(reader *r)
{
    uint64_t le;
    memcpy(&le, r->at, sizeof le);
    r->at += sizeof le;
    return le64toh(le);
}

static cj_err damaged(const reader *r, cj_diag *d) { return diag_fail(d, CJ_E_INPUT, MSG_DOCUMENT_DAMAGED, "%s", r->what); }

/* A place in the text at which a character begins, or its end. */
static bool is_place(const document *doc, uint64_t at)
{
    return at <= doc->text.len && (at == doc->text.len || ((unsigned char)doc->text.data[at] & 0xC0) != 0x80);
}

static bool take_chapters(reader *r, document *doc)
{
    uint64_t least = 0;
    for (uint32_t i = 0; i < r->chapters; i++) {
        uint64_t byte = take64(r), title = take64(r), end = take64(r);
        if (byte < least || byte > title || title >= end || !is_place(doc, byte) || !is_place(doc, title) || !is_place(doc, end)) return false;
        if (utf8_count(doc->text.data + title, end - title) > DOCUMENT_TITLE_MAX) return false;
        doc->chapters[i] = (document_chapter){.byte = byte, .title_byte = title, .title_end = end, .end = doc->text.len};
        if (i) doc->chapters[i - 1].end = byte;
        least = end;
    }
    return true;
}

static bool take_articles(reader *r, document *doc)
{
    uint64_t least = 0;
    for (uint32_t i = 0; i < r->articles; i++) {
        uint64_t byte = take64(r), end = take64(r);
        if (byte < least || byte >= end || !is_place(doc, byte) || !is_place(doc, end)) return false;
        doc->articles[i] = (document_article){byte, end};
        least = end;
    }
    return true;
}

static bool take_pages(reader *r, document *doc)
{
    uint64_t least = 0;
    for (uint32_t i = 0; i < r->pages; i++) {
        uint64_t byte = take64(r);
        if (byte < least || !is_place(doc, byte)) return false;
        doc->pages[i] = byte;
        least = byte;
    }
    return true;
}

static char *take_text(reader *r, size_t n)
{
    char *s = mem_strndup(r->at, n);
    r->at += n;
    return s;
}

/* Text without zeros and without broken characters. */
static bool is_sound(const char *s, size_t n) { return utf8_valid_prefix(s, n) == n && !memchr(s, 0, n); }

static cj_err take_head(reader *r, const char *bytes, size_t n, document *doc, cj_diag *d)
{
    if (n < HEAD || memcmp(bytes, magic, sizeof magic)) return damaged(r, d);
    r->at = bytes + sizeof magic;
    if (take64(r) != hash_xxh3(bytes + FRAME, n - FRAME)) return damaged(r, d);
    r->name_bytes = take32(r);
    r->encoding_bytes = take32(r);
    uint64_t text_bytes = take64(r);
    r->chapters = take32(r);
    r->articles = take32(r);
    r->pages = take32(r);
    if (take32(r) || !r->name_bytes || r->name_bytes > DOCUMENT_NAME_MAX || r->encoding_bytes > 64 || !text_bytes || text_bytes > DOCUMENT_TEXT_MAX)
        return damaged(r, d);
    if (r->chapters > DOCUMENT_CHAPTERS_MAX || r->articles > DOCUMENT_ARTICLES_MAX || r->pages > DOCUMENT_PAGES_MAX) return damaged(r, d);
    r->text_bytes = text_bytes;
    size_t words = (size_t)r->chapters * CHAPTER_WORDS + (size_t)r->articles * ARTICLE_WORDS + r->pages;
    if (n != HEAD + r->name_bytes + r->encoding_bytes + r->text_bytes + words * 8) return damaged(r, d);
    memcpy(doc->sha256, r->at, SHA);
    r->at += SHA;
    bool known = strspn(doc->sha256, "0123456789abcdef") == SHA;
    if (!known && memcmp(doc->sha256, unknown, SHA)) return damaged(r, d);
    return CJ_OK;
}

static cj_err take_all(reader *r, const char *bytes, size_t n, document *doc, cj_diag *d)
{
    TRY(take_head(r, bytes, n, doc, d));
    if (!is_sound(r->at, r->name_bytes + r->encoding_bytes) || !is_sound(r->at + r->name_bytes + r->encoding_bytes, r->text_bytes)) return damaged(r, d);
    doc->name = take_text(r, r->name_bytes);
    if (r->encoding_bytes) doc->converted_from = take_text(r, r->encoding_bytes);
    doc->chapters = mem_array(r->chapters, sizeof *doc->chapters);
    doc->articles = mem_array(r->articles, sizeof *doc->articles);
    doc->pages = mem_array(r->pages, sizeof *doc->pages);
    if (!doc->name || (r->encoding_bytes && !doc->converted_from) || !doc->chapters || !doc->articles || !doc->pages) return diag_nomem(d, n);
    TRY(buf_append(&doc->text, r->at, r->text_bytes, d));
    r->at += r->text_bytes;
    doc->n_chapters = (int)r->chapters;
    doc->n_articles = (int)r->articles;
    doc->n_pages = (int)r->pages;
    if (!take_chapters(r, doc) || !take_articles(r, doc) || !take_pages(r, doc)) return damaged(r, d);
    return document_count_chars(doc, d);
}

cj_err document_load(document **out, const void *bytes, size_t n, const char *what, cj_diag *d)
{
    document *doc = mem_zalloc(sizeof *doc);
    if (!doc) return diag_nomem(d, sizeof *doc);
    buf_init(&doc->text, DOCUMENT_TEXT_MAX + 1);
    reader r = {.what = what};
    cj_err e = take_all(&r, bytes, n, doc, d);
    if (e) document_close(&doc);
    else *out = doc;
    return e;
}
