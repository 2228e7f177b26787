/* A document as it is read: its text as UTF-8, where its chapters, articles, pages and paragraphs are, and positions in characters.
 *
 * Plain text is never cleaned or changed, apart from its encoding: what is quoted is what was written. Of other formats
 * (docs/documents.md) the text is what their extractor wrote, one paragraph a line. A position is a number of code points from the
 * beginning, as a person or a program in another language would count them. A byte order mark is no text. A document does not
 * change once open; any number of threads may read it.
 */
#ifndef DOCUMENT_DOCUMENT_H
#define DOCUMENT_DOCUMENT_H

#include "base/err.h"
#include "base/mem.h"

enum { DOCUMENT_CHAPTERS_MAX = 1 << 16, DOCUMENT_ARTICLES_MAX = 1 << 18, DOCUMENT_PAGES_MAX = 1 << 18, DOCUMENT_TITLE_MAX = 60 };
#define DOCUMENT_BYTES_MAX ((size_t)1 << 30)      /* of a file */
#define DOCUMENT_TEXT_MAX (2 * DOCUMENT_BYTES_MAX) /* of text: another encoding may take more bytes */

typedef struct document_chapter {
    size_t byte, end;              /* of the whole chapter, its heading included */
    size_t title_byte, title_end;  /* of the heading, without spaces around it */
} document_chapter;

/* An article of a law or a contract: 第十二条, Article 12. */
typedef struct document_article {
    size_t byte, label_end; /* its label; it goes on to the next article or chapter */
} document_article;

typedef struct document document;

/* Reads a file of any format that is known ("-": standard input). Refused with a sentence: directories, empty files, binaries, text
 * in no known encoding, and what an extractor cannot read. */
CJ_NODISCARD cj_err document_open(document **out, const char *path, cj_diag *d);
/* The same over bytes in memory; `name` is used in messages and citations, and its ending may tell the format. */
CJ_NODISCARD cj_err document_from_bytes(document **out, const char *name, const char *bytes, size_t n, cj_diag *d);
void document_close(document **doc);

/* A document as bytes, appended to out, and back: all but the file it came from. What is loaded may come from anywhere; `what` names
 * it in messages. */
CJ_NODISCARD cj_err document_save(const document *doc, buf *out, cj_diag *d);
CJ_NODISCARD cj_err document_load(document **out, const void *bytes, size_t n, const char *what, cj_diag *d);

const char *document_name(const document *doc);     /* the file's name without its folders; within a folder that was read, with those */
const char *document_text(const document *doc);     /* ends in 0 */
size_t document_bytes(const document *doc);
int64_t document_chars(const document *doc);
/* The encoding that the text was converted from ("GB18030"); NULL when it was UTF-8 already. */
const char *document_converted_from(const document *doc);
/* Characters that were broken in the file, each U+FFFD in the text; known of a file that was just read. */
int64_t document_unread(const document *doc);
/* Of the original file, 64 hexadecimal digits. */
const char *document_sha256(const document *doc);

/* Position in characters of a byte offset, and back; offsets past the end give the end. */
int64_t document_char_at(const document *doc, size_t byte);
size_t document_byte_at(const document *doc, int64_t ch);

int document_chapters(const document *doc);
const document_chapter *document_chapter_at(const document *doc, int i);
/* The chapter that holds a byte; -1 before the first. */
int document_chapter_of(const document *doc, size_t byte);

int document_articles(const document *doc);
const document_article *document_article_at(const document *doc, int i);
/* The article that holds a byte; -1: none. */
int document_article_of(const document *doc, size_t byte);

int document_pages(const document *doc); /* 0: it has none */
int document_pages_without_text(const document *doc);
/* The page that holds a byte, from 1; 0: the document has no pages. */
int document_page_of(const document *doc, size_t byte);

/* Which paragraph (line with text), counted from 1 within its chapter, holds a byte. */
int64_t document_paragraph_of(const document *doc, size_t byte);

#endif
