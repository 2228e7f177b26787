/* A finder: a book that has been read, ready to be asked where it speaks of something, again and again.
 *
 * Two ways propose passages: what the words of a question look at (attention over every token of the book, on the heads that find), and a text index
 * (shelf/text_index.h). Each passage says which of them found it. Only the tokens of the question are computed, over the pages that are there.
 * An adapter that was trained to find (its prompt is FINDER_FORM) reads the question, in the form of data/qa_form.h: then the heads it was trained for are watched,
 * as a whole, and what they look at counts as it is; what was read of the book is the base's with it or without.
 * Where both are wanted and one cannot be had (no head of the model sees the whole text; the shelf cannot be written) the other one does alone.
 */
#ifndef READER_FINDER_H
#define READER_FINDER_H

#include "engine/adapter.h"
#include "reader/book.h"

#define FINDER_FORM "find-1" /* changjuan.adapter.prompt of an adapter that finds */
#define FINDER_INDEX "text.index" /* kind of an entry's file */
enum { FIND_READING = 1, FIND_INDEX = 2, FIND_BOTH = 3 };
enum { FINDER_HEADS_MAX = SESSION_PROBES_MAX, FINDER_FOUND_MAX = 192, FINDER_QUESTION_MAX = 4096 /* tokens */ };

typedef struct finder_head {
    int layer, head;
    float weight; /* beside the others', above 0 */
} finder_head;

typedef struct finder_options {
    const finder_head *heads; /* that are known to find; n_heads 0: all heads of layers without a window */
    int n_heads;
    const engine_adapter *adapter; /* with which questions are read; NULL: none. Of one that says which heads it was trained for these count */
    int how;                  /* FIND_...; 0: both */
    int64_t keep;             /* of session_set_keep, for what is read now and for questions; 0: exact */
    const char *index;        /* file of the text index; made when it is not there. NULL: the entry's own, without an entry none */
    /* While the book is read, questions included; false cancels. May be NULL. */
    bool (*on_progress)(void *arg, int64_t done, int64_t total);
    void *arg;
} finder_options;

/* A passage and what speaks for it: how much of the question looks there, and how much of the question stands there. */
typedef struct found_passage {
    int64_t passage;      /* of the book */
    int by;               /* FIND_READING, FIND_INDEX, FIND_BOTH */
    float reading, index; /* scores, 0..1, of the ways that found it */
    float merit;          /* by which it is ranked: finder_rank */
    int source;           /* which of several books (reader/search.h) */
} found_passage;

typedef struct finder finder;

/* Over what the entry holds of the book, or, without an entry, over the book read now into memory (its tokens must be there). The book, the
 * entry and the options' pointers must outlive the finder. */
CJ_NODISCARD cj_err finder_open(finder **out, engine *e, const book *b, shelf_entry *entry, const finder_options *opt, cj_diag *d);
void finder_close(finder **f);

/* What a look over the book took: so many tokens were computed after `from` others. */
typedef struct finder_look {
    int64_t from, tokens;
    double seconds;
} finder_look;

/* What a question took. */
typedef struct finder_cost {
    int64_t book;          /* tokens of the book; 0: nothing was looked over */
    int heads;             /* whose attention to all of it was added up */
    finder_look neutral;   /* by a question about nothing; no tokens: what it looks at was known */
    finder_look question;
    int64_t indexed;       /* passages in the text index; 0: it was not asked */
    double index_seconds;
    bool unindexed;        /* the index could neither be read nor made, and reading had to do */
} finder_cost;

/* The `most` best passages, best first; *n of them. Asking may be repeated. cost may be NULL. */
CJ_NODISCARD cj_err finder_find(finder *f, const char *question, found_passage *out, int most, int *n, finder_cost *cost, cj_diag *d);

/* Sorts by merit, best first: how much of the question stands there, and how much of it looks there as a share of where it looks most. The
 * former is small wherever the words differ, and then the latter decides (docs/finding.md). */
void finder_rank(found_passage *list, int n);

/* For choosing heads (reader/calibrate.h): from now on these are watched, as heads that find. */
CJ_NODISCARD cj_err finder_watch(finder *f, const finder_head *heads, int n, cj_diag *d);
/* What each of them by itself says of each passage: score[heads][passages]. */
CJ_NODISCARD cj_err finder_score_each(finder *f, const char *question, float *score, cj_diag *d);

/* All heads of layers without a window, later layers first: those from number `from` on, as far as there is room; returns how many. */
int finder_all_heads(const engine *e, int from, finder_head out[FINDER_HEADS_MAX]);
/* Of the heads of the options' adapter, or else of the options, those that the model has; else (*known false) of all heads those there is room for. Their
 * weights sum to 1. Returns how many. */
int finder_choose_heads(const engine *e, const finder_options *opt, finder_head out[FINDER_HEADS_MAX], bool *known);

/* The text index of an entry is made now rather than when it is first asked. */
CJ_NODISCARD cj_err finder_index_make(const book *b, const char *path, bool (*on_progress)(void *arg, int64_t done, int64_t total), void *arg, cj_diag *d);

#endif
