/* The kinds of questions that are made of one passage. Between questions.c and question_kinds.c. */
#ifndef DATA_QUESTION_KINDS_H
#define DATA_QUESTION_KINDS_H

#include "base/random.h"
#include "data/marks.h"
#include "data/questions.h"

enum { PASSAGE_SENTENCES = 512, PASSAGE_MARKS = 1024 };

typedef struct passage_view {
    char_text text;
    char_range sentence[PASSAGE_SENTENCES];
    int n_sentences;
    text_mark mark[PASSAGE_MARKS];
    int n_marks;
    const name_table *names;
} passage_view;

typedef struct made_question {
    question_kind kind;
    buf question;
    char_range quote, answer; /* characters of the passage; empty for what is absent */
    char_range unit;          /* what it was made of: no two questions of a passage overlap there */
} made_question;

/* Where a question may be begun: a mark, a verb of saying, a sentence. */
typedef struct question_seed {
    question_kind kind;
    int at; /* the mark, the character, the sentence */
} question_seed;

CJ_NODISCARD cj_err view_open(passage_view *v, const name_table *names, const char *text, size_t bytes, cj_diag *d);
void view_close(passage_view *v);
/* All seeds of a passage but absent ones; returns how many. */
int view_seeds(const passage_view *v, question_seed *out, int most);
/* Makes a question of a seed into q, whose buffer is emptied first; *good false: nothing sensible comes of it. */
CJ_NODISCARD cj_err question_from(const passage_view *v, question_seed s, random_state *r, made_question *q, bool *good, cj_diag *d);
/* Makes one that cannot be answered of a mark, by putting a name or number of elsewhere in the passage in another's place. */
CJ_NODISCARD cj_err question_swapped(const passage_view *v, int mark, random_state *r, made_question *q, bool *good, cj_diag *d);

#endif
