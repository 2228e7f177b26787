/* How a question is put to an adapter that acts from the question on, and what such an adapter writes.
 *
 * Training and asking both build their pieces here. A timeline is
 *     the passage as it is            read by the base model, without the adapter
 *     "\n\n问：" question "\n答："     from here on the adapter acts
 *     "「" quote "」\n" short answer    written, then an end token; 文中未提及 where the passage does not tell
 * and the same in English words for a question without Chinese characters. The three pieces are cut into tokens one by one, so
 * a passage that was read serves every question.
 */
#ifndef DATA_QA_FORM_H
#define DATA_QA_FORM_H

#include "base/mem.h"
#include "token/tokenizer.h"

#define QA_FORM_NAME "qa-1" /* changjuan.adapter.prompt of an adapter that is asked so */

typedef struct qa_words {
    const char *question, *answer; /* before the question, and between it and the answer */
    const char *open, *close;      /* around the quote */
    const char *refusal;           /* written instead of quote and answer */
} qa_words;

/* The words that go with a question: Chinese as soon as one Chinese character is in it. Static. */
const qa_words *qa_words_for(const char *question);

/* Appends what comes between passage and answer. White space around the question is left out, a line end inside is a space. */
CJ_NODISCARD cj_err qa_put_question(buf *out, const char *question, cj_diag *d);
/* Appends what is to be written; quote NULL or "": the answer alone. */
CJ_NODISCARD cj_err qa_put_answer(buf *out, const char *question, const char *quote, const char *answer, cj_diag *d);
/* Whether an answer says in our words, or in some that mean the same, that the passage does not tell. */
bool qa_refuses(const char *answer, size_t n);
/* The tokens of one piece. first: of the passage, which begins as the model wants a text to begin. */
CJ_NODISCARD cj_err qa_encode(const tokenizer *t, bool first, const char *text, size_t n, token_list *out, cj_diag *d);
/* The token that ends an answer: the end of a turn, else of a text; -1: the vocabulary has none, and an empty line ends it. */
int32_t qa_end_token(const tokenizer *t);

typedef struct qa_piece { /* bytes of what was written; equal: none */
    size_t byte, end;
} qa_piece;

typedef struct qa_written {
    bool refused, ended; /* ended: the quote's closing mark, or the refusal, is there */
    qa_piece quote, answer;
} qa_written;

/* Takes apart what a model wrote, be it cut short, in other quotation marks, in one line, or without a quote. Where nothing
 * follows the quote the answer is empty. What goes on after an empty line or with another question is not looked at. */
void qa_read(const char *text, size_t n, qa_written *out);

#endif
