/* The prompt for an answer at close range.
 *
 * A base model is asked with worked examples before the text; a model with a chat template is told what to do. Either way the
 * prompt is: a beginning that is the same for every question (worth keeping as a snapshot), the text, the question.
 */
#ifndef READER_PROMPT_H
#define READER_PROMPT_H

#include "engine/engine.h"

typedef struct prompt {
    token_list tokens;
    int64_t fixed;          /* tokens of the beginning */
    int64_t text, text_end; /* where the text's tokens are; their spans are bytes of the text given */
    int64_t question;       /* where the question's tokens begin */
    const char *stop;       /* the answer ends before this; static */
} prompt;

CJ_NODISCARD cj_err prompt_close(prompt *out, const engine *e, const char *text, size_t bytes, const char *question, cj_diag *d);
/* For finding only: the text, then the question. */
CJ_NODISCARD cj_err prompt_find(prompt *out, const engine *e, const char *text, size_t bytes, const char *question, cj_diag *d);
void prompt_deinit(prompt *p);

#endif
