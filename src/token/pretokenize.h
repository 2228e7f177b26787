/* Pre-tokenizers of byte-level BPE: where a text is cut before anything is merged.
 *
 * The published ones are regular expressions, one or several applied in turn. Here each is a rule: a hand-written matcher and
 * its settings. A pass cuts every piece of the pass before it into matches and what lies between them; a matcher sees nothing
 * outside its piece. Every matcher is linear in what it consumes. */
#ifndef TOKEN_PRETOKENIZE_H
#define TOKEN_PRETOKENIZE_H

#include "base/err.h"
#include "token/unicode_class.h"

typedef struct pre_tokenizer pre_tokenizer;
enum { PRE_PASSES_MAX = 6 };

/* By the name in GGUF files ("qwen2", "deepseek-v3", ...); NULL: not known. */
const pre_tokenizer *pre_tokenizer_find(const char *name);
/* By the regular expressions of a tokenizer.json, in order, each as it stands there; gives the GGUF name, NULL: not known. */
const char *pre_tokenizer_recognise(const char *const *patterns, size_t count);
/* Those expressions, PRE_PASSES_MAX at most and NULL behind the last of fewer; NULL: none are known that cut as p does. */
const char *const *pre_tokenizer_patterns(const pre_tokenizer *p);
bool pre_tokenizer_ignores_merges(const pre_tokenizer *p); /* a piece that is a token is that token */
bool pre_tokenizer_adds_bos(const pre_tokenizer *p);       /* models with this one usually want a begin token */

/* Called for one piece text[start..end) after the other; the pieces cover the text. */
typedef cj_err pre_emit(void *self, size_t start, size_t end, cj_diag *d);
CJ_NODISCARD cj_err pre_tokenizer_split(const pre_tokenizer *p, const unicode_table *u, const char *text, size_t n,
                                        pre_emit *emit, void *self, cj_diag *d);

#endif
