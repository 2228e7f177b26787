/* Answering a question about documents, with evidence quoted from them.
 *
 * The model reads the documents and the question; the attention that the question's own tokens pay to the text, beyond what a
 * question about nothing pays to it, ranks the sentences (on a few heads that are known to find things): that is the evidence, and
 * every quote is cut from the document itself. The answer is written from the best sentences, read again close to the question;
 * a model that chats is given a short text whole. docs/finding.md says how well this works.
 */
#ifndef READER_ASK_H
#define READER_ASK_H

#include "engine/generate.h"
#include "reader/finder.h"

enum { ASK_EVIDENCE_MAX = FINDER_FOUND_MAX, ASK_HEADS_MAX = FINDER_HEADS_MAX };

typedef struct ask_evidence {
    int document;          /* index into the documents given */
    size_t byte, end_byte; /* of the quote in its text */
    int64_t start, end;    /* the same in characters */
    int chapter;           /* -1: none */
    int article;           /* of a law or a contract; -1: none */
    int page;              /* from 1; 0: the document has no pages */
    int64_t paragraph;
    int found_by;          /* FIND_... */
    float score;           /* how much of the question looks here, 0..1: docs/finding.md */
    bool verified;         /* the quote is document[start:end], letter for letter */
} ask_evidence;

typedef enum ask_phase { ASK_READING, ASK_ANSWERING } ask_phase;

typedef struct ask_options {
    const finder_head *heads;       /* the heads that find; n_heads 0: all heads of layers without a window */
    int n_heads;
    int find;                    /* FIND_..., for a book of the shelf; 0: both */
    int evidence;                /* how many quotes at most; 0: 3 */
    bool all;                    /* every passage that bears on the question, in the order of the text; `evidence` is not looked at */
    engine *answerer;            /* reads what was found again and writes the answer; NULL: the engine that finds */
    int64_t max_tokens;          /* of the answer; 0: 64 */
    const char *snapshots;       /* folder that keeps what every question begins with; NULL: none */
    /* Callbacks; any may be NULL. */
    bool (*on_progress)(void *arg, ask_phase phase, int64_t done, int64_t total); /* false cancels */
    void (*on_evidence)(void *arg, const ask_evidence *evidence, int n);          /* once, before the answer */
    bool (*on_text)(void *arg, const char *text, size_t n);                       /* the answer as it is written */
    void *arg;
} ask_options;

/* Tokens [from, from + count) of a timeline that were read; with the logits of the last or without. */
typedef struct ask_read {
    int64_t from, count;
    bool logits;
} ask_read;

enum { ASK_READS_MAX = 4 };

typedef struct ask_result {
    buf answer;
    ask_evidence evidence[ASK_EVIDENCE_MAX];
    int n_evidence;
    bool from_passages;          /* the answer was written from what was found, not with all of the text in view */
    ask_read reads[ASK_READS_MAX];
    int n_reads;
    int64_t read_tokens, reused_tokens, written_tokens;
    int64_t context_tokens;      /* that the answer was written after */
    double read_seconds, write_seconds, first_token_seconds, total_seconds;
} ask_result;

/* About a book: one that is read now (entry NULL), or one that an entry of the shelf holds, up to where reading has come: of this nothing is
 * read again. The result must be given to ask_deinit whatever comes back. */
CJ_NODISCARD cj_err ask(engine *e, const book *b, shelf_entry *entry, const char *question, const ask_options *opt, ask_result *out, cj_diag *d);
/* The same about documents as they are. */
CJ_NODISCARD cj_err ask_documents(engine *e, document *const *docs, int n_docs, const char *question, const ask_options *opt, ask_result *out,
                                  cj_diag *d);
void ask_deinit(ask_result *r);

#endif
