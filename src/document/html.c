/* HTML by libxml2's parser, as a stream of beginnings, endings and text. Nothing is loaded from anywhere.
 *
 * Elements make lines, headings, cells; of a row's cells each begins " | " behind the one before. What no reader sees (scripts,
 * styles, hidden elements, the readings above ruby text) is left out, by name: from its beginning to the ending of the same name.
 */
#include "document/html.h"

#include <libxml/HTMLparser.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "document/formats.h"

enum { TITLE_BYTES = 1024 }; /* of a page's title, which may become a heading */

typedef enum role { INLINE, BLOCK, HEADING, LINE_END, ROW, CELL, LEFT_OUT, VERBATIM, TITLE } role;

static const struct { const char *name; role role; } elements[] = {
    {"address", BLOCK}, {"article", BLOCK}, {"aside", BLOCK}, {"blockquote", BLOCK}, {"body", BLOCK}, {"br", LINE_END}, {"caption", BLOCK},
    {"center", BLOCK}, {"dd", BLOCK}, {"details", BLOCK}, {"dialog", BLOCK}, {"dir", BLOCK}, {"div", BLOCK}, {"dl", BLOCK}, {"dt", BLOCK},
    {"fieldset", BLOCK}, {"figcaption", BLOCK}, {"figure", BLOCK}, {"footer", BLOCK}, {"form", BLOCK}, {"h1", HEADING}, {"h2", HEADING},
    {"h3", HEADING}, {"h4", HEADING}, {"h5", HEADING}, {"h6", HEADING}, {"header", BLOCK}, {"hr", BLOCK}, {"iframe", LEFT_OUT}, {"legend", BLOCK},
    {"li", BLOCK}, {"main", BLOCK}, {"menu", BLOCK}, {"nav", BLOCK}, {"noframes", LEFT_OUT}, {"noscript", LEFT_OUT}, {"object", LEFT_OUT},
    {"ol", BLOCK}, {"option", BLOCK}, {"p", BLOCK}, {"pre", VERBATIM}, {"rp", LEFT_OUT}, {"rt", LEFT_OUT}, {"script", LEFT_OUT},
    {"section", BLOCK}, {"select", LEFT_OUT}, {"style", LEFT_OUT}, {"summary", BLOCK}, {"svg", LEFT_OUT}, {"table", ROW}, {"tbody", ROW},
    {"td", CELL}, {"template", LEFT_OUT}, {"textarea", LEFT_OUT}, {"tfoot", ROW}, {"th", CELL}, {"thead", ROW}, {"title", TITLE}, {"tr", ROW},
    {"ul", BLOCK},
};

typedef struct page {
    draft *out;
    buf *title;             /* may be NULL */
    xmlParserCtxt *parser;
    const char *left_out;   /* the element that is being left out; NULL: none. Static */
    int depth;              /* elements of that name that are open */
    int verbatim;           /* elements of that kind that are open */
    bool line_end_first;    /* a verbatim element has just begun: a line end here is not part of it */
    int cells;              /* that this row has had */
    bool fresh;             /* a cell has begun and has no text yet: blocks in it begin no line */
    bool in_title;
    cj_err error;           /* the first one; then nothing more is taken */
    cj_diag *d;
} page;

static role role_of(const char *name, const char **known)
{
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++)
        if (!strcmp(name, elements[i].name)) {
            *known = elements[i].name;
            return elements[i].role;
        }
    return INLINE;
}

static void check(page *p, cj_err e)
{
    if (!e || p->error) return;
    p->error = e;
    xmlStopParser(p->parser);
}

static bool is_hidden(const xmlChar **atts)
{
    for (; atts && atts[0]; atts += 2) {
        const char *name = (const char *)atts[0], *value = (const char *)atts[1];
        if (!strcmp(name, "hidden")) return !value || strcasecmp(value, "until-found");
        if (!strcmp(name, "style") && value && (strstr(value, "display:none") || strstr(value, "display: none"))) return true;
    }
    return false;
}

static void begin(void *arg, const xmlChar *xml_name, const xmlChar **atts)
{
    static const char *const hidden = "";
    page *p = arg;
    const char *name = (const char *)xml_name, *known = hidden;
    role r = role_of(name, &known);
    if (p->error) return;
    if (p->left_out) {
        p->depth += !strcmp(name, p->left_out);
        return;
    }
    if (r == LEFT_OUT || (known != hidden && is_hidden(atts))) {
        p->left_out = known;
        p->depth = 1;
        return;
    }
    if (r == BLOCK || r == VERBATIM) draft_break(p->out, p->fresh ? DRAFT_NONE : DRAFT_LINE);
    if (r == LINE_END) draft_break(p->out, DRAFT_LINE);
    if (r == HEADING) draft_heading_begin(p->out);
    if (r == VERBATIM) {
        p->verbatim++;
        p->line_end_first = true;
    }
    if (r == TITLE) p->in_title = true;
    if (r == ROW) {
        draft_break(p->out, DRAFT_LINE);
        p->cells = 0;
    }
    if (r == CELL) {
        if (p->cells++) draft_break(p->out, DRAFT_CELL);
        p->fresh = true;
    }
}

static void end(void *arg, const xmlChar *xml_name)
{
    page *p = arg;
    const char *name = (const char *)xml_name, *known;
    if (p->error) return;
    if (p->left_out) {
        if (!strcmp(name, p->left_out) && !--p->depth) p->left_out = NULL;
        return;
    }
    switch (role_of(name, &known)) {
    case BLOCK: draft_break(p->out, p->fresh ? DRAFT_NONE : DRAFT_LINE); break;
    case HEADING: check(p, draft_heading_end(p->out, p->d)); break;
    case VERBATIM:
        p->verbatim -= p->verbatim > 0;
        draft_break(p->out, DRAFT_LINE);
        break;
    case ROW:
        draft_break(p->out, DRAFT_LINE);
        p->cells = 0;
        break;
    case CELL: p->fresh = false; break;
    case TITLE: p->in_title = false; break;
    default: break;
    }
}

static bool is_blank(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r\n\f", s[i])) return false;
    return true;
}

/* As much of it as a title may have: what is longer is none, or goes on without an end. */
static cj_err take_title(buf *title, const char *s, size_t n, cj_diag *d)
{
    const size_t room = TITLE_BYTES - title->len;
    if (n > room) n = room - utf8_incomplete_tail(s, room);
    return n ? buf_append(title, s, n, d) : CJ_OK;
}

static void text(void *arg, const xmlChar *s, int len)
{
    page *p = arg;
    const char *chars = (const char *)s;
    size_t n = (size_t)len;
    if (p->error || p->left_out) return;
    if (p->in_title) {
        if (p->title) check(p, take_title(p->title, chars, n, p->d));
        return;
    }
    if (!is_blank(chars, n)) p->fresh = false;
    if (p->line_end_first && n && *chars == '\n') chars++, n--;
    p->line_end_first = false;
    check(p, p->verbatim ? draft_verbatim(p->out, chars, n, p->d) : draft_words(p->out, chars, n, p->d));
}

cj_err html_to_draft(const char *bytes, size_t n, const char *encoding, draft *out, buf *title, cj_diag *d)
{
    htmlParserCtxt *parser = htmlNewParserCtxt();
    if (!parser) return diag_nomem(d, sizeof *parser);
    page p = {.out = out, .title = title, .parser = parser, .d = d};
    *parser->sax = (htmlSAXHandler){.startElement = begin, .endElement = end, .characters = text, .ignorableWhitespace = text};
    parser->userData = &p;
    /* Without a document: what it returns is none, and how well the page is written is not asked. */
    xmlFreeDoc(htmlCtxtReadMemory(parser, bytes, (int)n, NULL, encoding, HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING
                                                                          | HTML_PARSE_NONET | HTML_PARSE_IGNORE_ENC));
    bool no_memory = parser->errNo == XML_ERR_NO_MEMORY;
    htmlFreeParserCtxt(parser);
    if (!p.error && no_memory) return diag_nomem(d, n);
    return p.error;
}

/* A page without headings has one: its title. */
static cj_err title_first(draft *t, const buf *title, cj_diag *d)
{
    draft line;
    draft_init(&line);
    cj_err e = draft_words(&line, title->data ? title->data : "", title->len, d);
    size_t n = line.text.len;
    if (!e && n) e = buf_append(&line.text, "\n", 1, d);
    if (!e && n) e = buf_append(&line.text, t->text.data, t->text.len, d);
    if (!e && n) {
        buf old = t->text;
        t->text = line.text;
        line.text = old;
        e = draft_heading_at(t, 0, n, d);
    }
    draft_deinit(&line);
    return e;
}

cj_err html_extract(const document_source *s, draft *out, cj_diag *d)
{
    buf title;
    buf_init(&title, 2 * TITLE_BYTES);
    cj_err e = html_to_draft(s->bytes, s->n, "UTF-8", out, &title, d);
    if (!e && !out->n_headings && out->text.len) e = title_first(out, &title, d);
    buf_deinit(&title);
    return e;
}

/* ---- the encoding ---- */

enum { CHARSET_WITHIN = 4096 };

/* Takes the word after `key` and "=" in [s, end): charset=gbk, charset="gbk", encoding='gbk'. */
static bool value_after(const char *key, const char *s, const char *end, char *name, size_t size)
{
    size_t k = strlen(key), n = 0;
    for (; s + k < end; s++) {
        if (strncasecmp(s, key, k)) continue;
        const char *at = s + k;
        while (at < end && strchr(" \t\r\n", *at)) at++;
        if (at == end || *at++ != '=') continue;
        while (at < end && strchr(" \t\r\n\"'", *at)) at++;
        while (at < end && n + 1 < size && (strchr("-_:.", *at) || (*at >= '0' && *at <= '9') || ((*at | 32) >= 'a' && (*at | 32) <= 'z'))) name[n++] = *at++;
        name[n] = 0;
        return n > 0;
    }
    return false;
}

void html_charset(const char *bytes, size_t n, char *name, size_t size)
{
    const char *end = bytes + (n < CHARSET_WITHIN ? n : CHARSET_WITHIN);
    name[0] = 0;
    if (end - bytes > 5 && !memcmp(bytes, "<?xml", 5)) {
        const char *close = memchr(bytes, '>', (size_t)(end - bytes));
        if (close && value_after("encoding", bytes, close, name, size)) return;
    }
    for (const char *s = bytes; s + 5 < end; s++) {
        if (strncasecmp(s, "<meta", 5)) continue;
        const char *close = memchr(s, '>', (size_t)(end - s));
        if (value_after("charset", s, close ? close : end, name, size)) return;
    }
}
