/* The vocabulary of a GGUF file as a tokenizer. */
#ifndef MODEL_VOCAB_GGUF_H
#define MODEL_VOCAB_GGUF_H

#include "format/gguf.h"
#include "token/tokenizer.h"

/* false: the file has only weights. */
bool vocab_gguf_present(const gguf *g);
/* What the file says of it. Texts of desc point into g, arrays belong to this. */
typedef struct vocab_gguf {
    tokenizer_desc desc;
    token_text *tokens;
    token_merge *merges;
    uint8_t *types;
    float *scores;
    char *pre;
} vocab_gguf;
/* Whether it succeeds or not, vocab_gguf_deinit. */
CJ_NODISCARD cj_err vocab_gguf_read(vocab_gguf *v, const gguf *g, cj_diag *d);
void vocab_gguf_deinit(vocab_gguf *v);

/* The tokenizer keeps nothing of g. A file without a vocabulary is an error. */
CJ_NODISCARD cj_err vocab_gguf_open(tokenizer **out, const gguf *g, cj_diag *d);

#endif
