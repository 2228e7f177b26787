/* The two long lists of a tokenizer.json, model.vocab and model.merges, read without an object for each of their hundred thousands of
 * members. json-c reads, and judges, the rest. Private to token/. */
#ifndef TOKEN_JSON_LISTS_H
#define TOKEN_JSON_LISTS_H

#include "token/tokenizer.h"

typedef struct json_vocab_entry {
    token_text text;
    int64_t id; /* not negative */
} json_vocab_entry;

/* Texts point into the file, or into `unescaped` where the file has escapes: they live as long as both. */
typedef struct json_lists {
    json_vocab_entry *vocab;
    token_merge *merges;
    size_t vocab_count, merge_count;
    const char *damaged; /* the list that could not be read; NULL: none */
    char *unescaped;
} json_lists;

/* Reads the lists of json[0..n); `rest` gets the file with {} and [] in their place. *read false: the file has a form that this does not
 * know, or is no JSON, and rest is of no use. On a failure, too, json_lists_deinit. */
CJ_NODISCARD cj_err json_lists_read(json_lists *l, const char *json, size_t n, buf *rest, bool *read, cj_diag *d);
void json_lists_deinit(json_lists *l);

#endif
