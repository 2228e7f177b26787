/* Training rows: what a model is to learn from, one JSON object a line, in one of four forms.
 *
 *   {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}, ...]}   a conversation
 *   {"question": "...", "answer": "..."[, "context": "..."]}      a question, about a text or about none
 *   {"passage": "...", "question": "...", "quote": "...", "answer": "..."}   as the default adapter answers: the quote stands in
 *                                                                 the passage; left out, or "", where there is none
 *   {"text": "..."}                                               plain text
 *
 * Any of them may have "document" (where it is from: rows of one document are never split between training and testing), "kind" (a
 * label, for counting) and the two with a question "answers" (what counts as right besides "answer"). Other members are passed
 * over. Untrusted input: what is wrong is told with file and line. Equal passages are kept once.
 */
#ifndef DATA_ROWS_H
#define DATA_ROWS_H

#include "base/mem.h"

#define ROWS_FILE_MAX ((size_t)4 << 30) /* bytes of a file */
#define ROWS_MEMORY_MAX ((size_t)8 << 30)
enum { ROWS_MAX = 1 << 22, ROWS_LINE_MAX = 8 << 20, ROWS_FIELD_MAX = 1 << 16, ROWS_KNOWN_MAX = 64, ROWS_MESSAGES_MAX = 1024 };
/* lines and passages up to ROWS_LINE_MAX bytes, questions, quotes and answers up to ROWS_FIELD_MAX */

typedef enum row_form { ROW_MESSAGES, ROW_QUESTION, ROW_PASSAGE, ROW_TEXT } row_form;

typedef struct training_row {
    row_form form;
    int64_t passage;             /* which of the passages; -1: none. A question's context is one too */
    const char *question, *quote, *answer; /* quote "": none */
    const char *const *known;    /* [n_known] right answers, `answer` the first; none for a question that is refused */
    int n_known;
    const char *text;            /* ROW_TEXT; ROW_MESSAGES: the messages as JSON */
    const char *kind, *source;   /* the labels "kind" and "document"; "" when it has none */
    uint64_t document;           /* stands for the document, or else for the passage or the row */
} training_row;

typedef struct training_passage {
    const char *text;
    size_t bytes;
    uint64_t hash;
} training_passage;

typedef struct training_rows {
    arena memory;
    training_row *row; /* [n] */
    int64_t n, cap;
    training_passage *passage; /* [n_passages] */
    int64_t n_passages, passages_cap;
    int64_t *slot;             /* [slots] of a hash table: passage + 1 */
    int64_t slots;
} training_rows;

void rows_init(training_rows *r);
void rows_deinit(training_rows *r);

/* Appends the rows of a file, of which there must be one at least. After a failure the rows that were read stay. */
CJ_NODISCARD cj_err rows_open(training_rows *r, const char *path, cj_diag *d);
CJ_NODISCARD cj_err rows_parse(training_rows *r, const char *name, const char *bytes, size_t n, cj_diag *d);

/* What rows_add copies. */
typedef struct row_parts {
    const char *passage; /* NULL: none */
    size_t passage_bytes;
    const char *question, *quote, *answer, *kind, *document; /* quote, kind, document: NULL when there is none */
} row_parts;
/* Appends a row of the form ROW_PASSAGE. */
CJ_NODISCARD cj_err rows_add(training_rows *r, const row_parts *p, cj_diag *d);

/* Appends the row as a line of JSON, line end included. ROW_PASSAGE only. */
CJ_NODISCARD cj_err rows_write(const training_rows *r, int64_t i, buf *out, cj_diag *d);

#endif
