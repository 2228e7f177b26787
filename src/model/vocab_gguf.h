/* The vocabulary of a GGUF file as a tokenizer. */
#ifndef MODEL_VOCAB_GGUF_H
#define MODEL_VOCAB_GGUF_H

#include "format/gguf.h"
#include "token/tokenizer.h"

/* false: the file has only weights. */
bool vocab_gguf_present(const gguf *g);
/* The tokenizer keeps nothing of g. A file without a vocabulary is an error. */
CJ_NODISCARD cj_err vocab_gguf_open(tokenizer **out, const gguf *g, cj_diag *d);

#endif
