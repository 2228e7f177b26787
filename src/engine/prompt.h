/* From text, or from a conversation, to the tokens that a model is asked to go on from. */
#ifndef ENGINE_PROMPT_H
#define ENGINE_PROMPT_H

#include "base/json.h"
#include "engine/engine.h"

/* Plain text: begins as the model wants it; control tokens written out in the text are only text. Appends to out. */
CJ_NODISCARD cj_err prompt_text(const engine *e, const char *text, size_t n, token_list *out, cj_diag *d);

/* A conversation {"messages": [...], "tools": [...], ...} through the model's chat template. bos_token, eos_token and
 * add_generation_prompt are set where the request leaves them out.
 *  - What users, tools and the system prompt say cannot forge a control token: written out in a message, it stays text.
 *  - What the session `held` (NULL: none) holds is kept up to a control token, so that a conversation that goes on is not read again even where the
 *    model wrote a word in other tokens than the tokenizer would.
 * Appends to out; the text before it was cut into tokens goes to *rendered unless that is NULL. */
CJ_NODISCARD cj_err prompt_chat(const engine *e, json_object *request, const session *held, buf *rendered, token_list *out, cj_diag *d);

/* Sets the variables bos_token and eos_token that templates use, where the request has none. */
CJ_NODISCARD cj_err prompt_add_specials(json_object *request, const tokenizer *t, cj_diag *d);

/* Whether a conversation is possible: the model has a template. */
bool prompt_can_chat(const engine *e);

#endif
