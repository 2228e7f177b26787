/* Answering a question about documents, with evidence quoted from them.
 *
 * The model reads the documents and the question; the attention that the question's own tokens pay to the text, beyond what a
 * question about nothing pays to it, ranks the sentences (on a few heads that are known to find things), over what was read before together
 * with a text index: that is the evidence, and every quote is cut from the document itself. The answer is written from the best sentences, read
 * again close to the question; a model that chats is given a short text whole, or what stands around them. docs/finding.md says how well this works.
 */
#ifndef READER_ASK_H
#define READER_ASK_H

#include "engine/adapter.h"
#include "engine/generate.h"
#include "reader/search.h"

enum { ASK_EVIDENCE_MAX = FINDER_FOUND_MAX, ASK_HEADS_MAX = FINDER_HEADS_MAX, ASK_TOKENS_MAX = 1 << 20 };

typedef struct ask_evidence {
    int source;            /* index into the sources given */
    int document;          /* index into the documents of its book */
    size_t byte, end_byte; /* of the quote in its text */
    int64_t start, end;    /* the same in characters */
    int chapter;           /* -1: none */
    int article;           /* of a law or a contract; -1: none */
    int page;              /* from 1; 0: the document has no pages */
    int64_t paragraph;
    int found_by;          /* FIND_... */
    float score;           /* how much of the question looks or stands here, 0..1: docs/finding.md; -1: none, the text has no other passage */
    bool verified;         /* the quote is document[start:end], letter for letter */
} ask_evidence;

typedef enum ask_phase { ASK_READING, ASK_ANSWERING } ask_phase;

typedef struct ask_options {
    const finder_head *heads;       /* the heads that find; n_heads 0: all heads of layers without a window */
    int n_heads;
    int find;                    /* FIND_..., for books of the shelf; 0: both */
    int evidence;                /* how many quotes at most, of each source; 0: 3 */
    bool all;                    /* every passage that bears on the question, in the order of the text; `evidence` is not looked at */
    bool direct;                 /* the answer is written while all of the text (one source) is attended to, exactly; nothing is read again */
    session *reading;            /* of the engine that finds, exact, with the model's own window: what it holds of a text that is read now is not read again,
                                  * so questions about one text cost its tokens once. NULL: one of its own */
    engine *answerer;            /* reads what was found again and writes the answer; NULL: the engine that finds. Not with `direct` */
    const engine_adapter *finder; /* of finder_options; NULL: none */
    const engine_adapter *adapter; /* of the model that writes the answer, which writes with it; NULL: none. One of the form QA_FORM_NAME quotes first,
                                    * letter for letter, and answers from the quote, which then is the first evidence */
    int64_t max_tokens;          /* of the answer, at most ASK_TOKENS_MAX; 0: 64 */
    const char *snapshots;       /* folder that keeps what every question begins with; NULL: none */
    /* Callbacks; any may be NULL. */
    bool (*on_progress)(void *arg, ask_phase phase, int64_t done, int64_t total); /* false cancels */
    void (*on_evidence)(void *arg, const ask_evidence *evidence, int n);          /* once, before the answer (behind the quote it is taken from) */
    bool (*on_text)(void *arg, const char *text, size_t n);                       /* the answer as it is written; false ends it there */
    void *arg;
} ask_options;

/* Whether what is written is written by an adapter that quotes. */
bool ask_quotes(const ask_options *opt);

/* What was done, in its order. */
typedef enum ask_step_kind {
    ASK_STEP_READ,    /* a text was read now, with a question about nothing after it */
    ASK_STEP_NEUTRAL, /* a question about nothing looked over the text (no tokens: what it looks at had been kept) */
    ASK_STEP_LOOK,    /* the question looked over the text */
    ASK_STEP_INDEX,   /* the text index was asked */
    ASK_STEP_BEGIN,   /* what every prompt begins with was read */
    ASK_STEP_REREAD,  /* passages that were found were read again, with the question */
    ASK_STEP_TEXT,    /* the text and the question were read, for the answer */
    ASK_STEP_WRITE,   /* the answer was written */
    ASK_STEPS,
} ask_step_kind;

typedef struct ask_step {
    ask_step_kind kind;
    int source;             /* which it concerns; -1: no single one */
    int64_t from, tokens;   /* so many tokens were computed after `from` others, all of which they could attend to */
    int64_t pages, chosen;  /* of a book's pages so many were looked at token by token by a row, the others as their means (0: all token by token) */
    int heads;              /* whose attention to every token was added up */
    int64_t passages;       /* read again; of the index: that it holds */
    bool logits;            /* of the last token were computed */
    double seconds;
} ask_step;

enum { ASK_STEPS_MAX = 3 * SEARCH_SOURCES_MAX + 4 };

typedef enum ask_mode {
    ASK_MODE_FIND,   /* the answer was written from passages that were found */
    ASK_MODE_CLOSE,  /* the text is short, and was in view */
    ASK_MODE_DIRECT, /* all of the text was attended to, as was asked for */
} ask_mode;

typedef struct ask_result {
    buf answer;
    ask_evidence evidence[ASK_EVIDENCE_MAX];
    int n_evidence;
    ask_mode mode;
    generate_end end;            /* why the answer ends there; means nothing when no ASK_STEP_WRITE was taken */
    bool refused;                /* the answer is that the text does not say */
    int forgotten;               /* oldest turns of a conversation for which there was no room any more */
    bool unindexed;              /* a text index could neither be read nor made: what was found was found by reading alone */
    ask_step steps[ASK_STEPS_MAX];
    int n_steps;
    int64_t read_tokens, reused_tokens, written_tokens;
    int64_t context_tokens;      /* that the answer was written after */
    double read_seconds, write_seconds, first_token_seconds, total_seconds;
} ask_result;

/* About a book that is read now (one source without an entry), or about what entries of the shelf hold, up to where reading has come: of these
 * nothing is read again. The result must be given to ask_deinit whatever comes back. */
CJ_NODISCARD cj_err ask(engine *e, const search_source *sources, int n_sources, const char *question, const ask_options *opt, ask_result *out, cj_diag *d);
/* The same about documents as they are. */
CJ_NODISCARD cj_err ask_documents(engine *e, document *const *docs, int n_docs, const char *question, const ask_options *opt, ask_result *out,
                                  cj_diag *d);
void ask_deinit(ask_result *r);

#endif
