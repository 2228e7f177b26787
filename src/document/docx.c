/* DOCX: paragraphs are lines, headings (by style or outline level) begin chapters, the cells of a table's row follow each other with
 * " | ", the numbers that Word counts itself (第三条) are written out, and a note stands on a line of its own behind the paragraph
 * that refers to it. Deletions and moved text that somebody has still to accept are left out, insertions are in. */
#include <stdio.h>
#include <string.h>

#include "document/docx_parts.h"

enum { DEPTH_MAX = 8, PENDING_MAX = 256 };

/* A paragraph; text boxes put paragraphs into paragraphs. */
typedef struct paragraph {
    bool begun, heading;
    int list, level;
} paragraph;

typedef struct body {
    docx_parts parts;
    draft *out;
    paragraph open[DEPTH_MAX];
    int depth;                    /* paragraphs that are open; the innermost is open[depth - 1] */
    int left_out;                 /* depth of what is left out */
    int tables, cells;
    bool fresh;                   /* a cell has begun and has no text yet */
    bool in_text;
    struct { int kind; int64_t id; int number; } pending[PENDING_MAX]; /* notes that are still to be written */
    int n_pending, n_notes;
    char main[ARCHIVE_NAME_MAX];  /* while the relations are read */
} body;

static paragraph *now(body *b) { return b->depth > 0 && b->depth <= DEPTH_MAX ? &b->open[b->depth - 1] : NULL; }

/* Before the first text of a paragraph: its heading begins, and its number is written. */
static cj_err begin_text(body *b, cj_diag *d)
{
    char number[4 * DOCX_ID];
    paragraph *p = now(b);
    b->fresh = false;
    if (!p || p->begun) return CJ_OK;
    p->begun = true;
    if (p->heading) draft_heading_begin(b->out);
    docx_count(&b->parts, p->list, p->level, number);
    TRY(draft_words(b->out, number, strlen(number), d));
    if (number[0]) draft_break(b->out, DRAFT_SPACE);
    return CJ_OK;
}

static cj_err refer_to_note(body *b, int kind, int64_t id, cj_diag *d)
{
    char mark[24];
    if (!docx_note_of(&b->parts, kind, id) || b->n_pending == PENDING_MAX) return CJ_OK;
    TRY(begin_text(b, d));
    b->pending[b->n_pending].kind = kind;
    b->pending[b->n_pending].id = id;
    b->pending[b->n_pending++].number = ++b->n_notes;
    snprintf(mark, sizeof mark, "[%d]", b->n_notes);
    return draft_words(b->out, mark, strlen(mark), d);
}

static cj_err write_notes(body *b, cj_diag *d)
{
    for (int i = 0; i < b->n_pending; i++) {
        char mark[24];
        const docx_note *n = docx_note_of(&b->parts, b->pending[i].kind, b->pending[i].id);
        snprintf(mark, sizeof mark, "[%d] ", b->pending[i].number);
        draft_break(b->out, DRAFT_LINE);
        TRY(draft_words(b->out, mark, strlen(mark), d));
        TRY(draft_words(b->out, b->parts.note_text.data + n->begin, n->end - n->begin, d));
        draft_break(b->out, DRAFT_LINE);
    }
    b->n_pending = 0;
    return CJ_OK;
}

/* What a paragraph says of itself. */
static void property(body *b, const xml_element *e)
{
    char id[DOCX_ID];
    paragraph *p = now(b);
    if (!p || p->begun) return;
    if (!strcmp(e->name, "pStyle") && xml_attribute(e, "val", id, sizeof id)) {
        docx_style s = docx_style_of(&b->parts, id);
        p->heading |= s.heading;
        p->list = s.list;
        p->level = s.level;
    }
    if (!strcmp(e->name, "outlineLvl")) p->heading = xml_number(e, "val", DOCX_LEVELS) < DOCX_LEVELS;
    if (!strcmp(e->name, "numId")) p->list = (int)xml_number(e, "val", 0);
    if (!strcmp(e->name, "ilvl")) p->level = (int)xml_number(e, "val", 0);
}

static cj_err body_begin(void *user, const xml_element *e, cj_diag *d)
{
    body *b = user;
    if (b->left_out || docx_is_left_out(e)) {
        b->left_out++;
        return CJ_OK;
    }
    if (!docx_is_word(e)) return CJ_OK;
    const char *name = e->name;
    if (!strcmp(name, "p")) {
        if (!b->fresh) draft_break(b->out, DRAFT_LINE);
        if (b->depth < DEPTH_MAX) b->open[b->depth] = (paragraph){.level = 0};
        b->depth++;
    } else if (!strcmp(name, "t")) b->in_text = true;
    else if (!strcmp(name, "tab")) {
        paragraph *p = now(b);
        if (p && p->begun) draft_break(b->out, DRAFT_SPACE); /* before the text it may be a tab stop's definition */
    } else if (!strcmp(name, "br") || !strcmp(name, "cr")) draft_break(b->out, DRAFT_LINE);
    else if (!strcmp(name, "noBreakHyphen")) return draft_words(b->out, "-", 1, d);
    else if (!strcmp(name, "footnoteReference")) return refer_to_note(b, 0, xml_number(e, "id", -1), d);
    else if (!strcmp(name, "endnoteReference")) return refer_to_note(b, 1, xml_number(e, "id", -1), d);
    else if (!strcmp(name, "tbl")) b->tables++;
    else if (!strcmp(name, "tr")) {
        draft_break(b->out, DRAFT_LINE);
        b->cells = 0;
    } else if (!strcmp(name, "tc")) {
        if (b->cells++) draft_break(b->out, DRAFT_CELL);
        b->fresh = true;
    } else property(b, e);
    return CJ_OK;
}

static cj_err body_end(void *user, const xml_element *e, cj_diag *d)
{
    body *b = user;
    if (b->left_out) {
        b->left_out--;
        return CJ_OK;
    }
    if (!docx_is_word(e)) return CJ_OK;
    if (!strcmp(e->name, "t")) b->in_text = false;
    else if (!strcmp(e->name, "p") && b->depth) {
        paragraph *p = now(b);
        if (p && p->begun && p->heading) TRY(draft_heading_end(b->out, d));
        if (!b->fresh) draft_break(b->out, DRAFT_LINE);
        b->depth--;
        if (!b->depth && !b->tables) return write_notes(b, d);
    } else if (!strcmp(e->name, "tc")) b->fresh = false;
    else if (!strcmp(e->name, "tr")) {
        draft_break(b->out, DRAFT_LINE);
        b->cells = 0;
    } else if (!strcmp(e->name, "tbl") && b->tables && !--b->tables) return write_notes(b, d);
    return CJ_OK;
}

static cj_err body_text(void *user, const char *s, size_t n, cj_diag *d)
{
    body *b = user;
    if (!b->in_text || b->left_out) return CJ_OK;
    TRY(begin_text(b, d));
    return draft_words(b->out, s, n, d);
}

/* The package's relations name the part that holds the text. */
static cj_err relation_begin(void *user, const xml_element *e, cj_diag *d)
{
    body *b = user;
    char type[256], target[ARCHIVE_NAME_MAX];
    if (!xml_attribute(e, "Type", type, sizeof type) || !strstr(type, "/officeDocument") || !xml_attribute(e, "Target", target, sizeof target)) return CJ_OK;
    const char *kind = strrchr(type, '/');
    if (!strcmp(kind, "/officeDocument") && !archive_resolve("", target, b->main)) b->main[0] = 0;
    return CJ_OK;
}

static cj_err read_document(body *b, archive *a, cj_diag *d)
{
    snprintf(b->main, sizeof b->main, "word/document.xml");
    if (archive_has(a, "_rels/.rels")) TRY(archive_read_xml(a, "_rels/.rels", &(xml_reader){.begin = relation_begin}, b, d));
    cj_err e = docx_parts_open(&b->parts, a, b->main, d);
    if (!e) e = archive_read_xml(a, b->main, &(xml_reader){body_begin, body_end, body_text}, b, d);
    docx_parts_close(&b->parts);
    return e;
}

cj_err docx_extract(const document_source *s, draft *out, cj_diag *d)
{
    archive a;
    TRY(archive_open(&a, s, d));
    body *b = mem_zalloc(sizeof *b);
    cj_err e = b ? CJ_OK : diag_nomem(d, sizeof *b);
    if (b) b->out = out;
    if (!e) e = read_document(b, &a, d);
    mem_free(b);
    archive_close(&a);
    return e;
}
