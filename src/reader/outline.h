/* Outlines: the chapters of a book with where they are and, written by a model that can, what each says.
 *
 * A chapter is summarised in parts that the writer takes at once, and one of several parts once more from the summaries of these, in rounds where
 * they are many. A sentence of a summary is the model's own and may be wrong; beside it stand the sentences of the text that share most with it,
 * letter for letter, where some share enough. Every summary is kept with the entry (blob "outline.WRITER.CHAPTER.PART", JSON) as soon as it is
 * written, and is not written again for the same text and writer; a longer version of the entry takes them over (SHELF_HANDED_ON).
 */
#ifndef READER_OUTLINE_H
#define READER_OUTLINE_H

#include "reader/book.h"
#include "engine/engine.h"

enum { OUTLINE_QUOTES = 3, OUTLINE_TOKENS = 128 /* longest summary */ };

typedef struct outline_quote {
    size_t byte, end;   /* of the joined text */
    int64_t start, stop; /* characters of the document */
} outline_quote;

typedef struct outline_part {
    size_t byte, end;
    int64_t start, stop;
    char *summary;      /* NULL: none yet */
    outline_quote quotes[OUTLINE_QUOTES];
    int n_quotes;
} outline_part;

typedef struct outline_chapter {
    int document, chapter; /* chapter -1: what stands before the first, or all of a document without any */
    size_t byte, end;      /* of the joined text */
    int64_t start, stop;   /* characters of the document */
    int64_t token, tokens; /* the first one, and how many */
    outline_part *parts;   /* [n_parts]; none before outline_summarise */
    int n_parts;
    char *summary;         /* of all; NULL: none */
} outline_chapter;

typedef struct outline {
    const book *book;
    outline_chapter *chapters; /* [n] */
    int n;
} outline;

/* The chapters of a book, which must outlive it. To be given to outline_deinit whatever comes back. */
CJ_NODISCARD cj_err outline_make(outline *o, const book *b, cj_diag *d);
void outline_deinit(outline *o);

typedef struct outline_options {
    bool (*on_progress)(void *arg, int64_t done, int64_t total); /* tokens of the text; false cancels, what was written is kept */
    void (*on_chapter)(void *arg, const outline_chapter *c);     /* its summary is there, if there is anything to summarise */
    void (*on_unkept)(void *arg, const cj_diag *why);            /* summaries cannot be kept: told once. May be NULL */
    void *arg;
} outline_options;
/* Adds summaries, by a model with a chat template, chapter by chapter. e: where they are kept. */
CJ_NODISCARD cj_err outline_summarise(outline *o, engine *writer, shelf_entry *e, const outline_options *opt, cj_diag *d);
/* A summary as it was written, without white space around it; of one that was `cut` short only whole sentences, if it has any. mem_free it; NULL: no
 * memory. */
char *outline_tidy(const char *text, size_t n, bool cut);

#endif
