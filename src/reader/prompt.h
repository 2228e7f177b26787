/* The prompt for an answer.
 *
 * A model with a chat template is told what to do in one message: instruction, text, question. A base model is shown worked
 * examples before the text. Either way the prompt is: a beginning that is the same for every text (worth keeping as a snapshot),
 * the text, the question; so what was read of a text serves the next question about it. The language is the question's.
 */
#ifndef READER_PROMPT_H
#define READER_PROMPT_H

#include "base/json.h"
#include "engine/engine.h"

typedef struct prompt {
    token_list tokens;
    int64_t text, text_end; /* the text's tokens, whose spans are bytes of the text given; the beginning lies before them, the question after */
    int64_t words, words_end; /* the question's own tokens in it */
    int64_t opening;          /* of prompt_turn: tokens before those of the turn itself */
    const char *stop;       /* the answer ends before this; NULL: at an end token. Static */
} prompt;

/* For an answer. The text must be valid UTF-8. */
CJ_NODISCARD cj_err prompt_close(prompt *out, const engine *e, const char *text, size_t bytes, const char *question, cj_diag *d);
/* For an adapter that is asked in the form of data/qa_form.h: the text, then the question, from whose first token on (text_end) it acts. text NULL: only
 * what comes after a text that was read before. */
CJ_NODISCARD cj_err prompt_qa(prompt *out, const engine *e, const char *text, size_t bytes, const char *question, cj_diag *d);
/* For finding: the text, then the question; no examples, which would draw attention. */
CJ_NODISCARD cj_err prompt_find(prompt *out, const engine *e, const char *text, size_t bytes, const char *question, cj_diag *d);
/* Only what comes after the text there: for a text that was read before. text and text_end are 0. */
CJ_NODISCARD cj_err prompt_question(prompt *out, const engine *e, const char *question, cj_diag *d);
/* The question after a text that was read before, as its writer is asked it: a model that chats in a message of its own, a base
 * model after the worked examples, without which it mostly writes nothing. */
CJ_NODISCARD cj_err prompt_after(prompt *out, const engine *e, const char *question, cj_diag *d);
/* What a question in a conversation says to a model that chats: with passages text[0..bytes) read again, or none. Appended to out. */
CJ_NODISCARD cj_err prompt_message(buf *out, const char *text, size_t bytes, const char *question, cj_diag *d);
/* A conversation [{"role", "content"}, ...] with such a model; `within` a timeline that holds a text before it. held: as prompt_chat has it. */
CJ_NODISCARD cj_err prompt_conversation(prompt *out, const engine *e, json_object *messages, bool within, const session *held, cj_diag *d);
/* The same question to a base model, as what comes next: where a conversation begins, after its worked examples, else after an empty line. */
typedef enum prompt_place { PROMPT_BEGINS, PROMPT_AFTER_TEXT, PROMPT_GOES_ON } prompt_place;
CJ_NODISCARD cj_err prompt_turn(prompt *out, const engine *e, prompt_place place, const char *text, size_t bytes, const char *question, cj_diag *d);
/* Asks a model that chats for a summary of a text, in the text's language. */
CJ_NODISCARD cj_err prompt_summary(prompt *out, const engine *e, const char *text, size_t bytes, cj_diag *d);
/* A question in the same language that asks for nothing in particular, in the words that questions are made of. Static. */
const char *prompt_neutral_question(const char *question);
void prompt_deinit(prompt *p);

#endif
