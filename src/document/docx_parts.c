/* Styles, numbering and notes of a DOCX. */
#include "document/docx_parts.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"

typedef struct parts_reader {
    docx_parts *parts;
    bool in_style;
    int level;            /* of the numbering that is being read; -1: none */
    int64_t list;         /* whose element is open; -1: none */
    int override;         /* the level of the list whose start is given anew */
    int kind;             /* of notes */
    int left_out;         /* depth of what is left out */
    bool in_note, in_text;
} parts_reader;

bool docx_is_word(const xml_element *e) { return strstr(e->space, "wordprocessingml") != NULL; }

bool docx_is_left_out(const xml_element *e)
{
    static const char *const names[] = {"del", "moveFrom", "rt", "pPrChange", "rPrChange", "tblPrChange", "trPrChange", "tcPrChange", "sectPrChange", "Fallback"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(e->name, names[i])) return true;
    return false;
}

/* Room for `most` things of `size` bytes, taken when the first one comes. */
static cj_err ready(void **list, int n, int most, size_t size, const char *what, cj_diag *d)
{
    if (n >= most) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", what, most);
    if (!*list) *list = mem_array((size_t)most, size);
    return *list ? CJ_OK : diag_nomem(d, (size_t)most * size);
}

/* ---- styles ---- */

static bool is_heading_name(const char *name) { return !strncasecmp(name, "heading ", 8) || !strcasecmp(name, "title"); }

static cj_err style_begin(void *user, const xml_element *e, cj_diag *d)
{
    parts_reader *r = user;
    docx_parts *p = r->parts;
    char value[DOCX_ID];
    if (!docx_is_word(e)) return CJ_OK;
    if (!strcmp(e->name, "style")) {
        void *list = p->styles;
        TRY(ready(&list, p->n_styles, DOCX_STYLES_MAX, sizeof *p->styles, "styles.xml", d));
        p->styles = list;
        docx_style *s = &p->styles[p->n_styles++];
        *s = (docx_style){.list = -1};
        xml_attribute(e, "styleId", s->id, sizeof s->id);
        r->in_style = true;
    }
    if (!r->in_style) return CJ_OK;
    docx_style *s = &p->styles[p->n_styles - 1];
    if (!strcmp(e->name, "name") && xml_attribute(e, "val", value, sizeof value)) s->heading |= is_heading_name(value);
    if (!strcmp(e->name, "outlineLvl")) s->heading |= xml_number(e, "val", DOCX_LEVELS) < DOCX_LEVELS;
    if (!strcmp(e->name, "basedOn")) xml_attribute(e, "val", s->based_on, sizeof s->based_on);
    if (!strcmp(e->name, "numId")) s->list = (int)xml_number(e, "val", 0);
    if (!strcmp(e->name, "ilvl")) s->level = (int)xml_number(e, "val", 0);
    return CJ_OK;
}

static cj_err style_end(void *user, const xml_element *e, cj_diag *d)
{
    parts_reader *r = user;
    if (!strcmp(e->name, "style")) r->in_style = false;
    return CJ_OK;
}

docx_style docx_style_of(const docx_parts *p, const char *id)
{
    enum { DEPTH = 12 }; /* a circle of styles ends there */
    docx_style all = {.list = -1};
    char at[DOCX_ID];
    snprintf(at, sizeof at, "%s", id);
    for (int depth = 0; at[0] && depth < DEPTH; depth++) {
        const docx_style *s = NULL;
        for (int i = 0; i < p->n_styles && !s; i++)
            if (!strcmp(p->styles[i].id, at)) s = &p->styles[i];
        if (!s) break;
        all.heading |= s->heading;
        if (all.list < 0 && s->list >= 0) {
            all.list = s->list;
            all.level = s->level;
        }
        memcpy(at, s->based_on, sizeof at);
    }
    if (all.list < 0) all.list = 0;
    return all;
}

/* ---- numbering ---- */

static cj_err numbering_begin(void *user, const xml_element *e, cj_diag *d)
{
    parts_reader *r = user;
    docx_parts *p = r->parts;
    if (!docx_is_word(e)) return CJ_OK;
    if (!strcmp(e->name, "abstractNum")) {
        void *list = p->numberings;
        TRY(ready(&list, p->n_numberings, DOCX_LISTS_MAX, sizeof *p->numberings, "numbering.xml", d));
        p->numberings = list;
        p->numberings[p->n_numberings++].id = xml_number(e, "abstractNumId", -1);
        r->list = -1;
    } else if (!strcmp(e->name, "num")) {
        void *list = p->lists;
        TRY(ready(&list, p->n_lists, DOCX_LISTS_MAX, sizeof *p->lists, "numbering.xml", d));
        p->lists = list;
        r->list = xml_number(e, "numId", -1);
        p->lists[p->n_lists++] = (docx_list){.id = r->list, .numbering = -1};
    } else if (!strcmp(e->name, "abstractNumId") && r->list >= 0) p->lists[p->n_lists - 1].numbering = xml_number(e, "val", -1);
    else if (!strcmp(e->name, "lvlOverride")) r->override = (int)xml_number(e, "ilvl", -1);
    else if (!strcmp(e->name, "startOverride") && r->list >= 0 && r->override >= 0 && r->override < DOCX_LEVELS)
        p->lists[p->n_lists - 1].restart[r->override] = xml_number(e, "val", 1);
    else if (!strcmp(e->name, "lvl")) r->level = r->list < 0 ? (int)xml_number(e, "ilvl", -1) : -1;
    if (r->level < 0 || r->level >= DOCX_LEVELS || !p->n_numberings) return CJ_OK;
    docx_level *l = &p->numberings[p->n_numberings - 1].level[r->level];
    if (!strcmp(e->name, "start")) l->start = (int)xml_number(e, "val", 1);
    if (!strcmp(e->name, "isLgl")) l->legal = true;
    if (!strcmp(e->name, "numFmt")) xml_attribute(e, "val", l->format, sizeof l->format);
    if (!strcmp(e->name, "lvlText")) xml_attribute(e, "val", l->text, sizeof l->text);
    return CJ_OK;
}

static void put(char *out, size_t size, const char *s)
{
    size_t n = strlen(out);
    snprintf(out + n, size - n, "%s", s);
}

/* 1 to 9999 as they are spoken: 十二, 一百零三. */
static void put_chinese(char *out, size_t size, int64_t n)
{
    static const char *const digits[] = {"零", "一", "二", "三", "四", "五", "六", "七", "八", "九"}, *const units[] = {"千", "百", "十", ""};
    static const int64_t powers[] = {1000, 100, 10, 1};
    bool begun = false, zero = false;
    for (int i = 0; i < 4; i++) {
        int digit = (int)(n / powers[i] % 10);
        if (!digit) {
            zero |= begun;
            continue;
        }
        if (zero) put(out, size, digits[0]);
        if (digit != 1 || begun || i != 2) put(out, size, digits[digit]); /* 十二, not 一十二 */
        put(out, size, units[i]);
        begun = true;
        zero = false;
    }
}

static void put_roman(char *out, size_t size, int64_t n, bool upper)
{
    static const struct { int64_t value; const char *upper, *lower; } parts[] = {
        {1000, "M", "m"}, {900, "CM", "cm"}, {500, "D", "d"}, {400, "CD", "cd"}, {100, "C", "c"}, {90, "XC", "xc"}, {50, "L", "l"},
        {40, "XL", "xl"}, {10, "X", "x"}, {9, "IX", "ix"}, {5, "V", "v"}, {4, "IV", "iv"}, {1, "I", "i"},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        for (; n >= parts[i].value; n -= parts[i].value) put(out, size, upper ? parts[i].upper : parts[i].lower);
}

static void put_number(char *out, size_t size, int64_t n, const char *format)
{
    char text[24];
    bool small = n >= 1 && n <= 9999;
    if (small && (strstr(format, "hinese") || !strcmp(format, "japaneseCounting"))) put_chinese(out, size, n);
    else if (small && strstr(format, "Roman")) put_roman(out, size, n, format[0] == 'u');
    else if (n >= 1 && n <= 26 && strstr(format, "Letter")) {
        snprintf(text, sizeof text, "%c", (int)(n - 1) + (format[0] == 'u' ? 'A' : 'a'));
        put(out, size, text);
    } else {
        snprintf(text, sizeof text, "%lld", (long long)n);
        put(out, size, text);
    }
}

/* The numbering of a list; what it counts anew is set back when the list is first used. */
static docx_numbering *numbering_of(const docx_parts *p, int64_t id)
{
    docx_list *l = NULL;
    docx_numbering *n = NULL;
    for (int i = 0; i < p->n_lists && !l; i++)
        if (p->lists[i].id == id) l = &p->lists[i];
    for (int k = 0; l && k < p->n_numberings && !n; k++)
        if (p->numberings[k].id == l->numbering) n = &p->numberings[k];
    for (int i = 0; n && !l->begun && i < DOCX_LEVELS; i++)
        if (l->restart[i] > 0) {
            n->count[i] = 0;
            n->level[i].start = (int)l->restart[i];
        }
    if (l) l->begun = true;
    return n;
}

void docx_count(docx_parts *p, int64_t list, int level, char out[4 * DOCX_ID])
{
    enum { SIZE = 4 * DOCX_ID };
    docx_numbering *n = list > 0 && level >= 0 && level < DOCX_LEVELS ? numbering_of(p, list) : NULL;
    out[0] = 0;
    if (!n) return;
    for (int i = 0; i <= level; i++)
        if (!n->count[i] || i == level) n->count[i] = n->count[i] ? n->count[i] + 1 : n->level[i].start ? n->level[i].start : 1;
    for (int i = level + 1; i < DOCX_LEVELS; i++) n->count[i] = 0;
    const docx_level *l = &n->level[level];
    if (!strcmp(l->format, "bullet") || !strcmp(l->format, "none")) return;
    for (const char *s = l->text; *s; s++) {
        int of = s[0] == '%' && s[1] >= '1' && s[1] <= '9' ? s[1] - '1' : -1;
        if (of >= 0) {
            put_number(out, SIZE, n->count[of], l->legal ? "decimal" : n->level[of].format);
            s++;
        } else put(out, SIZE, (const char[]){*s, 0});
    }
    const size_t written = strlen(out);
    out[written - utf8_incomplete_tail(out, written)] = 0; /* what did not fit may have ended within a character */
}

/* ---- notes ---- */

static cj_err note_begin(void *user, const xml_element *e, cj_diag *d)
{
    parts_reader *r = user;
    docx_parts *p = r->parts;
    if (r->left_out || docx_is_left_out(e)) {
        r->left_out++;
        return CJ_OK;
    }
    if (!docx_is_word(e)) return CJ_OK;
    if (!strcmp(e->name, "footnote") || !strcmp(e->name, "endnote")) {
        void *list = p->notes[r->kind];
        TRY(ready(&list, p->n_notes[r->kind], DOCX_NOTES_MAX, sizeof *p->notes[0], "footnotes.xml", d));
        p->notes[r->kind] = list;
        p->notes[r->kind][p->n_notes[r->kind]++] = (docx_note){xml_number(e, "id", -1), p->note_text.len, p->note_text.len};
        r->in_note = true;
    }
    r->in_text = r->in_note && !strcmp(e->name, "t");
    return CJ_OK;
}

static cj_err note_end(void *user, const xml_element *e, cj_diag *d)
{
    parts_reader *r = user;
    docx_parts *p = r->parts;
    if (r->left_out) {
        r->left_out--;
        return CJ_OK;
    }
    r->in_text = false;
    if (!docx_is_word(e) || !r->in_note) return CJ_OK;
    if (!strcmp(e->name, "p")) return buf_puts(&p->note_text, " ", d);
    if (strcmp(e->name, "footnote") && strcmp(e->name, "endnote")) return CJ_OK;
    p->notes[r->kind][p->n_notes[r->kind] - 1].end = p->note_text.len;
    r->in_note = false;
    return CJ_OK;
}

static cj_err note_text(void *user, const char *s, size_t n, cj_diag *d)
{
    parts_reader *r = user;
    return r->in_text && !r->left_out ? buf_append(&r->parts->note_text, s, n, d) : CJ_OK;
}

const docx_note *docx_note_of(const docx_parts *p, int kind, int64_t id)
{
    for (int i = 0; i < p->n_notes[kind]; i++)
        if (p->notes[kind][i].id == id) return &p->notes[kind][i];
    return NULL;
}

/* ---- all ---- */

static cj_err read_part(docx_parts *p, archive *a, const char *main, const char *name, int kind, const xml_reader *x, cj_diag *d)
{
    char part[ARCHIVE_NAME_MAX];
    parts_reader r = {.parts = p, .level = -1, .list = -1, .kind = kind};
    return archive_resolve(main, name, part) && archive_has(a, part) ? archive_read_xml(a, part, x, &r, d) : CJ_OK;
}

cj_err docx_parts_open(docx_parts *p, archive *a, const char *main, cj_diag *d)
{
    static const xml_reader styles = {style_begin, style_end, NULL}, numbering = {numbering_begin, NULL, NULL}, notes = {note_begin, note_end, note_text};
    *p = (docx_parts){.styles = NULL};
    buf_init(&p->note_text, ARCHIVE_PART_MAX);
    TRY(read_part(p, a, main, "styles.xml", 0, &styles, d));
    TRY(read_part(p, a, main, "numbering.xml", 0, &numbering, d));
    TRY(read_part(p, a, main, "footnotes.xml", 0, &notes, d));
    return read_part(p, a, main, "endnotes.xml", 1, &notes, d);
}

void docx_parts_close(docx_parts *p)
{
    mem_free(p->styles);
    mem_free(p->numberings);
    mem_free(p->lists);
    mem_free(p->notes[0]);
    mem_free(p->notes[1]);
    buf_deinit(&p->note_text);
}
