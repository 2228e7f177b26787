/* Tokenizers from tokenizer.json, the file that models in safetensors folders come with. */
#ifndef TOKEN_TOKENIZER_JSON_H
#define TOKEN_TOKENIZER_JSON_H

#include "token/tokenizer.h"

enum { TOKENIZER_JSON_BYTES_MAX = 1 << 26 };

/* path: a tokenizer.json, or the folder that holds it. A tokenizer_config.json beside it says which tokens begin and end a text. */
CJ_NODISCARD cj_err tokenizer_json_open(tokenizer **out, const char *path, cj_diag *d);
/* Is path one of those two? */
bool tokenizer_json_here(const char *path);
/* The same from memory; config may be NULL. `name` is for messages. */
CJ_NODISCARD cj_err tokenizer_json_parse(tokenizer **out, const char *name, const char *json, size_t size, const char *config,
                                         size_t config_size, cj_diag *d);

#endif
