/* Writing a vocabulary as tokenizer.json and tokenizer_config.json, so that the tokenizers of other programs (and tokenizer_json_open) cut text as
 * this one does. A vocabulary that has no exact form there is refused with a sentence: a pre-tokenizer without published expressions, pieces of
 * SentencePiece with equal scores, tokens that are no UTF-8. */
#ifndef TOKEN_TOKENIZER_JSON_WRITE_H
#define TOKEN_TOKENIZER_JSON_WRITE_H

#include "token/tokenizer.h"

/* t is what tokenizer_open made of desc. The folder must be there. */
CJ_NODISCARD cj_err tokenizer_json_write(const tokenizer_desc *desc, const tokenizer *t, const char *folder, cj_diag *d);

#endif
