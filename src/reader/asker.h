/* The inside of ask, for ask.c (evidence, answer) and ask_find.c (finding in a text that is read now). */
#ifndef READER_ASKER_H
#define READER_ASKER_H

#include "reader/ask.h"
#include "reader/find.h"
#include "reader/prompt.h"

typedef struct asker {
    engine *e;
    const book *book;
    shelf_entry *entry;    /* that holds the book; NULL: it is read now */
    const char *question;
    const ask_options *opt;
    ask_result *out;
    finder_head heads[ASK_HEADS_MAX];
    int n_heads;
    bool heads_known;      /* to find; else all there are, as far as there is room */
    found_passage found[FINDER_FOUND_MAX]; /* best first */
    int n_found;
    engine *writer;        /* of the answer */
    session *session;      /* of the text, when it is read now */
    session *close;        /* of the answer; the same where one model does both */
    prompt prompt;
    ask_phase phase;
    bool begun;            /* something of the answer has been shown */
    double start;
} asker;

/* on_progress of sessions; arg is the asker. */
bool ask_progress(void *asker, int64_t done, int64_t total);
/* Notes that the tokens [from, to) were read in so many seconds. */
void ask_count_read(asker *a, int64_t from, int64_t to, bool logits, double seconds);

void ask_choose_heads(asker *a);
/* Builds a prompt over all of the text. */
typedef cj_err prompt_maker(prompt *out, const engine *e, const char *text, size_t bytes, const char *question, cj_diag *d);
CJ_NODISCARD cj_err ask_make_prompt(asker *a, prompt_maker *make, const char *question, cj_diag *d);
/* Reads the text, puts both questions after it in turn and fills a->found; docs/finding.md has the figures behind this. */
CJ_NODISCARD cj_err ask_read_and_score(asker *a, prompt_maker *make, model_want want, cj_diag *d);

/* Reads the best of a->found again and answers from them. */
CJ_NODISCARD cj_err ask_answer_found(asker *a, cj_diag *d);

#endif
