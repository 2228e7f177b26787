/* A book: one or several documents as one text and one timeline of tokens, which is what a shelf entry holds.
 *
 * The timeline is the begin token, then each document's text, cut into tokens by itself, with an empty line between two: so what was read
 * of the first documents serves every longer book that begins with them. A token's span is bytes of the joined text.
 */
#ifndef READER_BOOK_H
#define READER_BOOK_H

#include "document/document.h"
#include "reader/passages.h"
#include "shelf/shelf.h"
#include "token/tokenizer.h"

enum { BOOK_DOCUMENTS_MAX = 4096 };
#define BOOK_BYTES_MAX ((size_t)1 << 30)

typedef struct book {
    document *const *docs; /* [n_docs] */
    int n_docs;
    document **own;        /* the same, when the book opened them */
    buf text;              /* all documents joined */
    size_t *begin;         /* [n_docs + 1] where each begins in it */
    passage_list passages;
    token_list tokens;     /* empty until book_encode or book_load */
} book;

/* Joins documents, which must outlive the book, and cuts the passages. To be given to book_deinit whatever comes back. */
CJ_NODISCARD cj_err book_join(book *b, document *const *docs, int n_docs, cj_diag *d);
void book_deinit(book *b);

/* Fills the tokens. cuts[n_docs]: where each document ends in the timeline. */
CJ_NODISCARD cj_err book_encode(book *b, const tokenizer *t, int64_t *cuts, cj_diag *d);

/* Which document a byte of the text lies in. */
int book_document_of(const book *b, size_t byte);
int64_t book_chars(const book *b);

/* Keeps documents and spans with an entry whose ids are the book's; and has them back, ids included. */
CJ_NODISCARD cj_err book_save(const book *b, shelf_entry *e, cj_diag *d);
CJ_NODISCARD cj_err book_load(book *b, const shelf_entry *e, cj_diag *d);

#endif
