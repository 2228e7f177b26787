/* A document as it is read: its text as UTF-8, where its chapters and paragraphs are, and positions in characters.
 *
 * The text is never cleaned or changed, apart from its encoding: what is quoted is what was written. A position is a number of
 * code points from the beginning, as a person or a program in another language would count them. A byte order mark is no text.
 * A document does not change once open; any number of threads may read it.
 */
#ifndef DOCUMENT_DOCUMENT_H
#define DOCUMENT_DOCUMENT_H

#include "base/err.h"
#include "base/mem.h"

enum { DOCUMENT_CHAPTERS_MAX = 1 << 16, DOCUMENT_TITLE_MAX = 60 };
#define DOCUMENT_BYTES_MAX ((size_t)1 << 30)

typedef struct document_chapter {
    size_t byte, end;              /* of the whole chapter, its heading included */
    size_t title_byte, title_end;  /* of the heading, without spaces around it */
} document_chapter;

typedef struct document document;

/* Reads a file ("-": standard input). Refused with a sentence: directories, empty files, binaries, text in no known encoding. */
CJ_NODISCARD cj_err document_open(document **out, const char *path, cj_diag *d);
/* The same over bytes in memory; `name` is used in messages and citations. */
CJ_NODISCARD cj_err document_from_bytes(document **out, const char *name, const char *bytes, size_t n, cj_diag *d);
void document_close(document **doc);

const char *document_name(const document *doc);     /* the file's name without its folders */
const char *document_text(const document *doc);     /* ends in 0 */
size_t document_bytes(const document *doc);
int64_t document_chars(const document *doc);
/* The encoding that the text was converted from ("GB18030"); NULL when it was UTF-8 already. */
const char *document_converted_from(const document *doc);

/* Position in characters of a byte offset, and back; offsets past the end give the end. */
int64_t document_char_at(const document *doc, size_t byte);
size_t document_byte_at(const document *doc, int64_t ch);

int document_chapters(const document *doc);
const document_chapter *document_chapter_at(const document *doc, int i);
/* The chapter that holds a byte; -1 before the first. */
int document_chapter_of(const document *doc, size_t byte);
/* Which paragraph (line with text), counted from 1 within its chapter, holds a byte. */
int64_t document_paragraph_of(const document *doc, size_t byte);

#endif
