/* What the text of a DOCX refers to: styles (which are headings, which are numbered), numbering, and notes. */
#ifndef DOCUMENT_DOCX_PARTS_H
#define DOCUMENT_DOCX_PARTS_H

#include "document/archive.h"

enum { DOCX_ID = 64, DOCX_LEVELS = 9, DOCX_STYLES_MAX = 4096, DOCX_LISTS_MAX = 4096, DOCX_NOTES_MAX = 1 << 16 };

typedef struct docx_style {
    char id[DOCX_ID], based_on[DOCX_ID];
    bool heading;
    int list, level; /* numbering; list 0: none, -1: as in the style it is based on */
} docx_style;

/* One level of a numbering: "第%1条". */
typedef struct docx_level {
    char text[DOCX_ID], format[32];
    int start;
    bool legal; /* all numbers in it in digits */
} docx_level;

/* An abstract numbering, with how far it has counted. */
typedef struct docx_numbering {
    int64_t id;
    docx_level level[DOCX_LEVELS];
    int64_t count[DOCX_LEVELS]; /* 0: has not begun */
} docx_numbering;

typedef struct docx_list {
    int64_t id, numbering;       /* ids */
    int64_t restart[DOCX_LEVELS]; /* where its first item begins to count anew; 0: it goes on with the numbering */
    bool begun;
} docx_list;

typedef struct docx_note {
    int64_t id;
    size_t begin, end; /* in the notes' text */
} docx_note;

typedef struct docx_parts {
    docx_style *styles;
    docx_numbering *numberings;
    docx_list *lists;
    docx_note *notes[2]; /* footnotes, endnotes */
    buf note_text;
    int n_styles, n_numberings, n_lists, n_notes[2];
} docx_parts;

/* Reads them from beside the part `main`; those that are not there are empty. Must be given to docx_parts_close whatever comes back. */
CJ_NODISCARD cj_err docx_parts_open(docx_parts *p, archive *a, const char *main, cj_diag *d);
void docx_parts_close(docx_parts *p);

/* The style of that id with what it takes from those it is based on; nothing special when there is none. */
docx_style docx_style_of(const docx_parts *p, const char *id);
/* Counts one item of a list on, and writes what stands before it ("第三条"); "" when it has no number. */
void docx_count(docx_parts *p, int64_t list, int level, char out[4 * DOCX_ID]);
const docx_note *docx_note_of(const docx_parts *p, int kind, int64_t id);

/* Whether an element belongs to word processing, and whether its content is none of the text: deleted, moved away, an alternative. */
bool docx_is_word(const xml_element *e);
bool docx_is_left_out(const xml_element *e);

#endif
