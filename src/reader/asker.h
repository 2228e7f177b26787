/* The inside of ask: finding in a text that is read now (ask_find.c), evidence (ask_evidence.c), answering (ask_answer.c), and what joins
 * them (ask.c, talk.c). */
#ifndef READER_ASKER_H
#define READER_ASKER_H

#include "reader/ask.h"
#include "reader/find.h"
#include "reader/prompt.h"

enum { ASK_ANSWER_TOKENS = 64, ASK_QUOTE_TOKENS = 256, ASK_REREAD_MAX = 3 /* passages */ };

/* A stretch of a source: bytes of its book's text. */
typedef struct ask_range {
    int source;
    size_t byte, end;
} ask_range;

typedef struct asker {
    engine *e;
    const search_source *sources;
    int n_sources;
    const char *question;
    const ask_options *opt;
    ask_result *out;
    finder_options find;   /* for a search */
    finder_head heads[ASK_HEADS_MAX]; /* for a text that is read now */
    int n_heads;
    bool heads_known;      /* to find; else all there are, as far as there is room */
    found_passage found[FINDER_FOUND_MAX]; /* best first */
    int n_found;
    engine *writer;        /* of the answer */
    session *session;      /* of the text, when it is read now */
    session *close;        /* of the answer; the same where one model does both */
    prompt prompt;
    bool quotes;           /* the answer is written in the form of data/qa_form.h, by an adapter */
    ask_phase phase;
    struct quoter *quoter; /* while an answer is written that quotes */
    bool begun;            /* something of the answer has been shown */
    size_t unfinished;     /* bytes at its end that were not */
    double start;
} asker;

/* Its result is begun too. */
asker asker_begin(engine *e, const search_source *sources, int n_sources, const char *question, const ask_options *opt, ask_result *out);
/* Whether options can be asked for. */
CJ_NODISCARD cj_err ask_check(const ask_options *opt, int n_sources, cj_diag *d);
/* Whether an adapter lets a text be that was read before, which an entry's is. */
CJ_NODISCARD cj_err ask_check_after(const ask_options *opt, cj_diag *d);
/* Closes what it opened; the result stays. */
void asker_end(asker *a);

/* on_progress of sessions; arg is the asker. */
bool ask_progress(void *asker, int64_t done, int64_t total);
/* Notes a step; where tokens were computed they count as read. */
void ask_note(asker *a, ask_step step);

/* Builds a prompt over all of the text. */
typedef cj_err prompt_maker(prompt *out, const engine *e, const char *text, size_t bytes, const char *question, cj_diag *d);
CJ_NODISCARD cj_err ask_make_prompt(asker *a, prompt_maker *make, const char *question, cj_diag *d);
/* Reads the text, puts both questions after it in turn and fills a->found; docs/finding.md has the figures behind this. */
CJ_NODISCARD cj_err ask_read_and_score(asker *a, prompt_maker *make, model_want want, cj_diag *d);
/* Of so many pages of an entry a row that is computed now looks at so many token by token; 0: at all of them. */
int64_t ask_chosen_pages(const engine *e, int64_t pages);
/* Fills a->found from entries. */
CJ_NODISCARD cj_err ask_search(asker *a, search *s, cj_diag *d);

/* The best passages become evidence, and go to the caller; `quote` (NULL: none) before all others. */
void ask_take_evidence(asker *a, const ask_range *quote);

/* What is worth reading again: the best passages with what stands around them in their documents, in the order of these, for a model that chats or quotes; the
 * passages alone, of which the best comes last; the best one. Ranges do not overlap; returns how many. */
typedef enum ask_portion { ASK_CONTEXT, ASK_SENTENCES, ASK_BEST, ASK_PORTIONS } ask_portion;
int ask_ranges(const asker *a, ask_portion portion, ask_range out[ASK_REREAD_MAX]);
/* The same as text. */
CJ_NODISCARD cj_err ask_gather(const asker *a, const ask_range *ranges, int n, buf *text, cj_diag *d);
/* How many passages these are of. */
static inline int ask_reread(const asker *a, ask_portion portion) { return (int)i64_min(a->n_found, portion == ASK_BEST ? 1 : ASK_REREAD_MAX); }

/* What is read again. */
typedef struct ask_reading {
    ask_range ranges[ASK_REREAD_MAX];
    int n, passages;
} ask_reading;
/* The prompt over it: the first portion from `first` on that leaves room for the answer. */
CJ_NODISCARD cj_err ask_make_short_prompt(asker *a, ask_portion first, prompt_maker *make, ask_reading *r, cj_diag *d);

/* So many tokens an answer may have, its quote included. */
int64_t ask_answer_tokens(const asker *a);
/* So many tokens of `room` must be left for the answer: those it may have, as far as they leave room for a question. */
int64_t ask_answer_room(const asker *a, int64_t room);
/* Reads what every prompt begins with, or takes it from its snapshot. */
CJ_NODISCARD cj_err ask_begin_session(asker *a, cj_diag *d);
/* Text of the answer to the caller, without blanks before the first word; false: no more is wanted. */
bool ask_show(asker *a, const char *text, size_t n);
/* Goes on from ids[0..n) in a->close as `how` says, which has callbacks that take the asker, into out. */
CJ_NODISCARD cj_err ask_generate(asker *a, const int32_t *ids, int64_t n, const generate_options *how, buf *out, ask_step step, cj_diag *d);
/* Goes on from ids[0..n) in a->close, of which an activated adapter leaves the first text_end alone; step: what reading them is called. */
CJ_NODISCARD cj_err ask_write(asker *a, const int32_t *ids, int64_t n, int64_t text_end, ask_step step, cj_diag *d);
/* Reads the best of a->found again and answers from them. */
CJ_NODISCARD cj_err ask_answer_found(asker *a, cj_diag *d);
/* Answers the question, put right after the text's tokens [held], which a->close holds (in so many pages of an entry; 0: none). */
CJ_NODISCARD cj_err ask_write_after(asker *a, const int32_t *text, int64_t held, int64_t pages, cj_diag *d);
/* Answers while all of the entry is attended to. */
CJ_NODISCARD cj_err ask_answer_directly(asker *a, cj_diag *d);

/* Of an answer that quotes; these take the evidence too. After what a->close holds or will hold first, ids[0..held): all of the one source. */
CJ_NODISCARD cj_err ask_quote_whole(asker *a, const int32_t *ids, int64_t held, int64_t pages, cj_diag *d);
/* Reads the best of a->found again and answers from them. */
CJ_NODISCARD cj_err ask_quote_found(asker *a, cj_diag *d);

#endif
