/* The table of formats, and the way of a file through it: told, converted to UTF-8, extracted behind a fence, checked. */
#include "document/formats.h"

#include <string.h>
#include <strings.h>

#include "document/encoding.h"
#include "document/html.h"
#include "document/inside.h"

static bool begins_with(const document_source *s, const char *mark, size_t n) { return s->n >= n && !memcmp(s->bytes, mark, n); }

static bool ends_in(const char *name, const char *ending)
{
    size_t n = strlen(name), k = strlen(ending);
    return n > k && !strcasecmp(name + n - k, ending);
}

static bool is_html(const document_source *s)
{
    if (ends_in(s->path, ".html") || ends_in(s->path, ".htm") || ends_in(s->path, ".xhtml")) return true;
    size_t at = begins_with(s, "\xEF\xBB\xBF", 3) ? 3 : 0;
    while (at < s->n && strchr(" \t\r\n", s->bytes[at])) at++;
    const char *p = s->bytes + at;
    size_t left = s->n - at;
    return (left > 14 && !strncasecmp(p, "<!doctype html", 14)) || (left > 5 && !strncasecmp(p, "<html", 5) && strchr("> \t\r\n", p[5]));
}

/* Some programs write a line before the mark. */
static bool is_pdf(const document_source *s) { return s->n > 5 && memmem(s->bytes, s->n < 1024 ? s->n : 1024, "%PDF-", 5); }

/* Parts are named in the clear within an archive; what kind it is need not be unpacked to be seen. */
static bool is_zip(const document_source *s) { return begins_with(s, "PK\3\4", 4) || begins_with(s, "PK\5\6", 4); }
static bool holds(const document_source *s, const char *part) { return is_zip(s) && memmem(s->bytes, s->n, part, strlen(part)); }
static bool is_epub(const document_source *s) { return holds(s, "META-INF/container.xml"); }
static bool is_docx(const document_source *s) { return holds(s, "word/document"); }
static bool is_old_office(const document_source *s) { return begins_with(s, "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", 8); }
static bool is_rtf(const document_source *s) { return begins_with(s, "{\\rtf", 5); }

static bool is_text(const document_source *s) { return s->n > 0; }

/* Plain text and Markdown are their own text. In other files, of programs and settings, # begins a comment. */
static cj_err text_extract(const document_source *s, draft *out, cj_diag *d)
{
    static const char *const endings[] = {".md", ".markdown", ".txt", ".text"};
    out->markdown = !strcmp(s->name, "-");
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) out->markdown |= ends_in(s->name, endings[i]);
    return buf_append(&out->text, s->bytes, s->n, d);
}


/* In this order; the last takes what is left. */
static const struct format {
    bool (*is)(const document_source *s);
    format_extract *extract; /* NULL: refused */
    msg_id refusal;
    void (*charset)(const char *bytes, size_t n, char *name, size_t size); /* what it says itself of its encoding */
    bool text;     /* converted to UTF-8 before it is extracted */
    bool fenced;   /* extracted behind a fence */
} formats[] = {
    {is_pdf, pdf_extract, .fenced = false},
    {is_epub, epub_extract, .fenced = true},
    {is_docx, docx_extract, .fenced = true},
    {is_zip, NULL, .refusal = MSG_ARCHIVE_OTHER},
    {is_old_office, NULL, .refusal = MSG_DOCUMENT_OLD_OFFICE},
    {is_rtf, NULL, .refusal = MSG_DOCUMENT_RTF},
    {is_html, html_extract, .charset = html_charset, .text = true, .fenced = true},
    {is_text, text_extract, .text = true},
};

static cj_err extract(document **out, const document_source *s, format_extract *f, cj_diag *d)
{
    draft t;
    draft_init(&t);
    cj_err e = f(s, &t, d);
    if (!e && !t.text.len) e = diag_fail(d, CJ_E_INPUT, MSG_DOCUMENT_NO_TEXT, "%s", s->path);
    if (!e) e = document_of_draft(out, s->name, &t, d);
    draft_deinit(&t);
    return e;
}

process_fence formats_fence(const document_source *s)
{
    return (process_fence){.about = s->path, .memory = FORMATS_MEMORY, .output = FORMATS_OUTPUT, .seconds = FORMATS_SECONDS,
                           .go_on = s->go_on, .user = s->user};
}

typedef struct fenced_extract {
    const document_source *source;
    format_extract *extract;
} fenced_extract;

/* Behind the fence; the document goes over it as it would be saved. */
static cj_err extract_and_save(void *arg, buf *out, cj_diag *d)
{
    const fenced_extract *f = arg;
    document *doc = NULL;
    TRY(extract(&doc, f->source, f->extract, d));
    cj_err e = document_save(doc, out, d);
    document_close(&doc);
    return e;
}

static cj_err extract_fenced(document **out, const document_source *s, format_extract *f, cj_diag *d)
{
    buf saved;
    buf_init(&saved, FORMATS_OUTPUT);
    process_fence fence = formats_fence(s);
    cj_err e = process_work_fenced(&fence, extract_and_save, &(fenced_extract){s, f}, &saved, d);
    if (!e) e = document_load(out, saved.data, saved.len, s->path, d);
    buf_deinit(&saved);
    return e;
}

/* Notes what only this side of the fence knows. */
static cj_err complete(document *doc, const document_source *s, const encoding_found *found, cj_diag *d)
{
    hash_sha256 h;
    hash_sha256_init(&h);
    hash_sha256_add(&h, s->bytes, s->n);
    hash_sha256_hex(&h, doc->sha256);
    doc->unread = found->unread;
    if (!found->from) return CJ_OK;
    doc->converted_from = mem_strdup(found->from);
    return doc->converted_from ? CJ_OK : diag_nomem(d, strlen(found->from));
}

static const struct format *format_of(const document_source *s)
{
    const struct format *f = formats;
    while (!f->is(s)) f++;
    return f;
}

bool formats_is_binary(const document_source *s)
{
    if (!s->n || !format_of(s)->text || !memchr(s->bytes, 0, s->n)) return false;
    buf text;
    encoding_found found;
    buf_init(&text, 1 << 20);
    bool is_utf16 = !encoding_to_utf8(s->path, "", s->bytes, s->n & ~(size_t)1, &text, &found, NULL);
    buf_deinit(&text);
    return !is_utf16;
}

/* Makes s the same in UTF-8, in `text`. */
static cj_err convert(document_source *s, const struct format *f, buf *text, encoding_found *found, cj_diag *d)
{
    char charset[32] = "";
    if (f->charset) f->charset(s->bytes, s->n, charset, sizeof charset);
    TRY(encoding_to_utf8(s->path, charset, s->bytes, s->n, text, found, d));
    s->bytes = text->data;
    s->n = text->len;
    return text->len ? CJ_OK : diag_fail(d, CJ_E_INPUT, MSG_FILE_EMPTY, "%s", s->path);
}

cj_err formats_read(document **out, const document_source *s, cj_diag *d)
{
    if (!s->n) return diag_fail(d, CJ_E_INPUT, MSG_FILE_EMPTY, "%s", s->path);
    const struct format *f = format_of(s);
    if (!f->extract) return diag_fail(d, CJ_E_UNSUPPORTED, f->refusal, "%s", s->path);
    buf text;
    encoding_found found = {0};
    document *doc = NULL;
    document_source in_utf8 = *s;
    buf_init(&text, DOCUMENT_TEXT_MAX);
    cj_err e = CJ_OK;
    if (f->text) {
        e = convert(&in_utf8, f, &text, &found, d);
        if (!e && format_of(&in_utf8)->text) f = format_of(&in_utf8); /* in UTF-16 a page does not show itself before */
    }
    if (!e) e = f->fenced ? extract_fenced(&doc, &in_utf8, f->extract, d) : extract(&doc, &in_utf8, f->extract, d);
    if (!e) e = complete(doc, s, &found, d);
    buf_deinit(&text);
    if (e) document_close(&doc);
    else *out = doc;
    return e;
}
