/* XML by libxml2, as a stream of events. */
#include "document/xml.h"

#include <libxml/parser.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

typedef struct reading {
    const xml_reader *reader;
    void *user;
    xmlParserCtxt *parser;
    bool entities; /* it declares some */
    cj_err error;
    cj_diag *d;
} reading;

enum { ATTRIBUTE_WORDS = 5 }; /* as libxml2 has them: name, prefix, namespace, begin, end */

bool xml_attribute(const xml_element *e, const char *name, char *out, size_t size)
{
    const xmlChar *const *a = e->attributes;
    out[0] = 0;
    for (int i = 0; i < e->n_attributes; i++, a += ATTRIBUTE_WORDS) {
        if (strcmp((const char *)a[0], name)) continue;
        size_t n = (size_t)(a[4] - a[3]);
        if (n >= size) return false;
        memcpy(out, a[3], n);
        out[n] = 0;
        return true;
    }
    return false;
}

int64_t xml_number(const xml_element *e, const char *name, int64_t otherwise)
{
    char text[24], *end;
    if (!xml_attribute(e, name, text, sizeof text) || !text[0]) return otherwise;
    long long v = strtoll(text, &end, 10);
    return *end ? otherwise : v;
}

static void check(reading *r, cj_err e)
{
    if (!e || r->error) return;
    r->error = e;
    xmlStopParser(r->parser);
}

static void begin(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int n_spaces, const xmlChar **spaces, int n_attributes,
                  int n_defaulted, const xmlChar **attributes)
{
    reading *r = arg;
    xml_element e = {uri ? (const char *)uri : "", (const char *)name, attributes, n_attributes};
    if (!r->error && r->reader->begin) check(r, r->reader->begin(r->user, &e, r->d));
}

static void end(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    reading *r = arg;
    xml_element e = {uri ? (const char *)uri : "", (const char *)name, NULL, 0};
    if (!r->error && r->reader->end) check(r, r->reader->end(r->user, &e, r->d));
}

static void text(void *arg, const xmlChar *s, int n)
{
    reading *r = arg;
    if (!r->error && r->reader->text) check(r, r->reader->text(r->user, (const char *)s, (size_t)n, r->d));
}

static void declares_entity(void *arg, const xmlChar *name, int type, const xmlChar *public_id, const xmlChar *system_id, xmlChar *content)
{
    reading *r = arg;
    r->entities = true;
    xmlStopParser(r->parser);
}

cj_err xml_read(const char *bytes, size_t n, const char *path, const char *part, const xml_reader *reader, void *user, cj_diag *d)
{
    xmlParserCtxt *parser = n > INT_MAX ? NULL : xmlNewParserCtxt();
    if (!parser) return diag_nomem(d, sizeof *parser);
    reading r = {.reader = reader, .user = user, .parser = parser, .d = d};
    *parser->sax = (xmlSAXHandler){.initialized = XML_SAX2_MAGIC, .startElementNs = begin, .endElementNs = end, .characters = text,
                                   .ignorableWhitespace = text, .cdataBlock = text, .entityDecl = declares_entity};
    parser->userData = &r;
    xmlFreeDoc(xmlCtxtReadMemory(parser, bytes, (int)n, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING));
    bool well = parser->wellFormed, no_memory = parser->errNo == XML_ERR_NO_MEMORY;
    xmlFreeParserCtxt(parser);
    if (r.error) return r.error;
    if (r.entities) return diag_fail(d, CJ_E_INPUT, MSG_XML_ENTITIES, "%s" ARG "%s", path, part);
    if (no_memory) return diag_nomem(d, n);
    return well ? CJ_OK : diag_fail(d, CJ_E_INPUT, MSG_XML_BROKEN, "%s" ARG "%s", path, part);
}
