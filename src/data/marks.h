/* What in a text can be asked for: names, numbers, dates, places, titles, offices, found by form alone, without a dictionary.
 *
 * A passage is looked at as characters with their bytes. Names are the words that stand before "said" again and again in a document,
 * so they are counted over all of it first; in Latin letters, words with a capital inside a sentence.
 */
#ifndef DATA_MARKS_H
#define DATA_MARKS_H

#include "base/mem.h"

enum { MARKS_PASSAGE_CHARS_MAX = 8192, MARKS_NAME_CHARS = 4, MARKS_NAMES_MAX = 1 << 16 };

typedef struct char_text {
    const char *bytes;
    uint32_t *c;  /* [n] */
    uint32_t *at; /* [n + 1] where each begins */
    int n;
    bool chinese; /* most of it */
} char_text;

CJ_NODISCARD cj_err chars_open(char_text *t, const char *bytes, size_t n, cj_diag *d);
void chars_close(char_text *t);

typedef struct char_range { /* characters [begin, end) */
    int begin, end;
} char_range;

bool char_is_one_of(uint32_t c, const char *set);
bool char_ends_sentence(uint32_t c);
bool char_is_break(uint32_t c); /* a comma or its like, or the end of a sentence */
bool char_closes(uint32_t c);   /* a closing quotation mark or bracket */
bool char_opens(uint32_t c);    /* an opening quotation mark */
bool char_is_chinese(uint32_t c);

/* The sentences of a text, each within one line, without white space around it, with the marks that close after it. Returns how many;
 * at most `most` are written. */
int chars_sentences(const char_text *t, char_range *out, int most);
/* The part of a sentence between breaks that holds a character, and the break after it. */
char_range chars_clause(const char_text *t, char_range sentence, int at);

/* ---- names ---- */

typedef struct name_count {
    uint64_t key; /* up to four characters, 16 bits each; 0: free */
    int32_t n;
} name_count;

typedef struct name_table {
    name_count *slot; /* [slots] */
    int slots, used;
    int needed; /* so many times before "said" make a name */
} name_table;

/* Counts the names in one more piece of the document. */
CJ_NODISCARD cj_err names_count(name_table *names, const char_text *t, cj_diag *d);
void names_close(name_table *names);
/* The characters of a name that begin at `at`; 0: none does. */
int names_at(const name_table *names, const char_text *t, int at);

/* A speech: who says it, and the first sentence of what is said. */
typedef struct speech {
    char_range name, clause, said; /* clause: from the beginning of the clause with the name to the end of said, closing marks included */
} speech;
/* Looks at the character at `at`; false: no speech of somebody with a name is introduced there. */
bool speech_at(const name_table *names, const char_text *t, int at, speech *out);

/* ---- marks ---- */

typedef enum mark_kind { MARK_NAME, MARK_NUMBER, MARK_DATE, MARK_PLACE, MARK_TITLE, MARK_OFFICE, MARK_KINDS } mark_kind;

typedef struct text_mark {
    mark_kind kind;
    char_range at;
    int unit; /* of a number: where its unit of measure begins; else at.end */
} text_mark;

/* The marks of a text in order, not overlapping; returns how many, at most `most`. */
int marks_find(const name_table *names, const char_text *t, text_mark *out, int most);

#endif
