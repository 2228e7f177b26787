/* EPUB: a zip archive of web pages. META-INF/container.xml names the package; its spine is the order in which the pages are read; a
 * table of contents (NCX in old books, a page with links in new ones) names those pages that have no headings. */
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "document/archive.h"
#include "document/html.h"

enum { ITEMS_MAX = 1 << 15, ID_MAX = 256, BOOK_MEMORY = 64 << 20 };

typedef struct item {
    const char *id, *path; /* the path within the archive */
    bool is_page, is_contents;
} item;

typedef struct label {
    const char *path, *text;
} label;

typedef struct book {
    archive zip;
    arena mem;
    const char *package;      /* the part that holds the package */
    item *items;              /* [n_items], in the order of the manifest */
    int *spine;               /* [n_spine] items, in the order of reading */
    label *labels;            /* [n_labels] */
    int n_items, n_spine, n_labels;
    const char *contents;     /* the part that holds the table of contents; NULL: none */
    char ncx_id[ID_MAX];
    /* while the parts are read */
    bool font_only, encrypted;
    char link[ARCHIVE_NAME_MAX];
    int in_label;             /* depth of the elements whose text is a label */
    buf label_text;
} book;

static const char *keep(book *b, const char *s) { return arena_strndup(&b->mem, s, strlen(s)); }

/* ---- container and protection ---- */

static cj_err container_begin(void *user, const xml_element *e, cj_diag *d)
{
    book *b = user;
    char path[ARCHIVE_NAME_MAX];
    if (b->package || strcmp(e->name, "rootfile") || !xml_attribute(e, "full-path", path, sizeof path)) return CJ_OK;
    b->package = keep(b, path);
    return b->package ? CJ_OK : diag_nomem(d, strlen(path));
}

/* Fonts may be scrambled in a book that is free; anything else that is encrypted is text or pictures. */
static cj_err protection_begin(void *user, const xml_element *e, cj_diag *d)
{
    book *b = user;
    char method[256];
    if (!strcmp(e->name, "EncryptionMethod") && xml_attribute(e, "Algorithm", method, sizeof method))
        b->font_only = !strcmp(method, "http://www.idpf.org/2008/embedding") || !strcmp(method, "http://ns.adobe.com/pdf/enc#RC");
    if (!strcmp(e->name, "CipherReference")) b->encrypted |= !b->font_only;
    return CJ_OK;
}

/* ---- the package ---- */

static int item_by_id(const book *b, const char *id)
{
    for (int i = 0; i < b->n_items; i++)
        if (!strcmp(b->items[i].id, id)) return i;
    return -1;
}

static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += n)
        if ((at == list || at[-1] == ' ') && (!at[n] || at[n] == ' ')) return true;
    return false;
}

static cj_err add_item(book *b, const xml_element *e, cj_diag *d)
{
    char id[ID_MAX], href[ARCHIVE_NAME_MAX], type[128], properties[256], path[ARCHIVE_NAME_MAX];
    if (!xml_attribute(e, "id", id, sizeof id) || !xml_attribute(e, "href", href, sizeof href) || !archive_resolve(b->package, href, path)) return CJ_OK;
    if (b->n_items == ITEMS_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", b->zip.path, ITEMS_MAX);
    xml_attribute(e, "media-type", type, sizeof type);
    xml_attribute(e, "properties", properties, sizeof properties);
    item *i = &b->items[b->n_items];
    *i = (item){.id = keep(b, id), .path = keep(b, path), .is_page = !strcmp(type, "application/xhtml+xml") || !strcmp(type, "text/html"),
                .is_contents = has_word(properties, "nav")};
    if (!i->id || !i->path) return diag_nomem(d, sizeof path);
    if (i->is_contents) b->contents = i->path;
    b->n_items++;
    return CJ_OK;
}

static cj_err package_begin(void *user, const xml_element *e, cj_diag *d)
{
    book *b = user;
    char id[ID_MAX];
    if (!strcmp(e->name, "item")) return add_item(b, e, d);
    if (!strcmp(e->name, "spine")) xml_attribute(e, "toc", b->ncx_id, sizeof b->ncx_id);
    if (strcmp(e->name, "itemref") || !xml_attribute(e, "idref", id, sizeof id)) return CJ_OK;
    int i = item_by_id(b, id);
    if (i < 0 || !b->items[i].is_page || b->items[i].is_contents) return CJ_OK;
    if (b->n_spine == ITEMS_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", b->zip.path, ITEMS_MAX);
    b->spine[b->n_spine++] = i;
    return CJ_OK;
}

/* ---- the table of contents ---- */

static const char *label_of(const book *b, const char *path)
{
    for (int i = 0; i < b->n_labels; i++)
        if (!strcmp(b->labels[i].path, path)) return b->labels[i].text;
    return NULL;
}

/* The label that has just been read belongs to the page that `link` leads to, if none did before it. */
static cj_err keep_label(book *b, cj_diag *d)
{
    char path[ARCHIVE_NAME_MAX];
    bool known = !b->link[0] || !archive_resolve(b->contents, b->link, path) || label_of(b, path);
    if (known || b->n_labels == ITEMS_MAX || !b->label_text.len) return CJ_OK;
    label l = {keep(b, path), keep(b, b->label_text.data)};
    if (!l.path || !l.text) return diag_nomem(d, sizeof path);
    b->labels[b->n_labels++] = l;
    return CJ_OK;
}

static cj_err contents_begin(void *user, const xml_element *e, cj_diag *d)
{
    book *b = user;
    if (b->in_label) {
        b->in_label++;
        return CJ_OK;
    }
    if (!strcmp(e->name, "content")) { /* NCX: the label comes before it */
        xml_attribute(e, "src", b->link, sizeof b->link);
        return keep_label(b, d);
    }
    if (strcmp(e->name, "a") && strcmp(e->name, "navLabel")) return CJ_OK;
    b->in_label = 1;
    buf_clear(&b->label_text);
    xml_attribute(e, "href", b->link, sizeof b->link);
    return CJ_OK;
}

static cj_err contents_end(void *user, const xml_element *e, cj_diag *d)
{
    book *b = user;
    if (!b->in_label || --b->in_label) return CJ_OK;
    return strcmp(e->name, "a") ? CJ_OK : keep_label(b, d);
}

static cj_err contents_text(void *user, const char *s, size_t n, cj_diag *d)
{
    book *b = user;
    return b->in_label && b->label_text.len + n < ARCHIVE_NAME_MAX ? buf_append(&b->label_text, s, n, d) : CJ_OK;
}

/* ---- the book ---- */

static cj_err missing(const book *b, const char *part, cj_diag *d) { return diag_fail(d, CJ_E_INPUT, MSG_EPUB_BROKEN, "%s" ARG "%s", b->zip.path, part); }

static cj_err read_structure(book *b, cj_diag *d)
{
    static const char container[] = "META-INF/container.xml", protection[] = "META-INF/encryption.xml";
    if (!archive_has(&b->zip, container)) return missing(b, container, d);
    TRY(archive_read_xml(&b->zip, container, &(xml_reader){.begin = container_begin}, b, d));
    if (!b->package || !archive_has(&b->zip, b->package)) return missing(b, b->package ? b->package : container, d);
    if (archive_has(&b->zip, protection)) TRY(archive_read_xml(&b->zip, protection, &(xml_reader){.begin = protection_begin}, b, d));
    if (b->encrypted) return diag_fail(d, CJ_E_INPUT, MSG_EPUB_DRM, "%s", b->zip.path);
    TRY(archive_read_xml(&b->zip, b->package, &(xml_reader){.begin = package_begin}, b, d));
    if (!b->n_spine) return missing(b, b->package, d);
    int ncx = item_by_id(b, b->ncx_id);
    if (!b->contents && ncx >= 0) b->contents = b->items[ncx].path;
    if (!b->contents || !archive_has(&b->zip, b->contents)) return CJ_OK;
    cj_err e = archive_read_xml(&b->zip, b->contents, &(xml_reader){contents_begin, contents_end, contents_text}, b, d);
    return e == CJ_E_INPUT ? CJ_OK : e; /* a table of contents with mistakes: the book is read without it */
}

/* A page is in UTF-8, or in UTF-16 with a mark. */
static cj_err add_page(book *b, const char *part, draft *out, cj_diag *d)
{
    buf bytes;
    draft page;
    if (!archive_has(&b->zip, part)) return missing(b, part, d);
    draft_init(&page);
    cj_err e = archive_read(&b->zip, part, &bytes, d);
    const char *text = bytes.data, *encoding = "UTF-8";
    size_t n = bytes.len;
    if (!e && n >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3)) text += 3, n -= 3;
    else if (!e && n >= 2 && !memcmp(text, "\xFF\xFE", 2)) encoding = "UTF-16LE", text += 2, n -= 2;
    else if (!e && n >= 2 && !memcmp(text, "\xFE\xFF", 2)) encoding = "UTF-16BE", text += 2, n -= 2;
    bool plain = encoding[4] == '8';
    if (!e && plain && n && (utf8_valid_prefix(text, n) < n || memchr(text, 0, n))) e = diag_fail(d, CJ_E_INPUT, MSG_XML_BROKEN, "%s" ARG "%s", b->zip.path, part);
    if (!e && n) e = html_to_draft(text, n, encoding, &page, NULL, d);
    if (!e) e = draft_append(out, &page, label_of(b, part), d);
    draft_deinit(&page);
    buf_deinit(&bytes);
    return e;
}

static cj_err read_book(book *b, draft *out, cj_diag *d)
{
    b->items = arena_zalloc(&b->mem, ITEMS_MAX * sizeof *b->items);
    b->spine = arena_zalloc(&b->mem, ITEMS_MAX * sizeof *b->spine);
    b->labels = arena_zalloc(&b->mem, ITEMS_MAX * sizeof *b->labels);
    if (!b->items || !b->spine || !b->labels) return diag_nomem(d, ITEMS_MAX * (sizeof *b->items + sizeof *b->spine + sizeof *b->labels));
    TRY(read_structure(b, d));
    for (int i = 0; i < b->n_spine; i++) TRY(add_page(b, b->items[b->spine[i]].path, out, d));
    return CJ_OK;
}

cj_err epub_extract(const document_source *s, draft *out, cj_diag *d)
{
    book b = {.package = NULL};
    TRY(archive_open(&b.zip, s, d));
    arena_init(&b.mem, BOOK_MEMORY);
    buf_init(&b.label_text, 2 * ARCHIVE_NAME_MAX);
    cj_err e = read_book(&b, out, d);
    buf_deinit(&b.label_text);
    arena_deinit(&b.mem);
    archive_close(&b.zip);
    return e;
}
