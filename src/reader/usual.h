/* What a question about nothing looks at (reader/finder.h), kept in a file beside the entry, so that it is asked once and not with every question.
 *
 * Bytes: "CJUS", u32 version, the key, u64 xxh3 of key and numbers, then the numbers as float32; in the byte order of the machine, for the
 * file does not travel. Whatever differs from what was asked for, or is damaged, counts as absent.
 */
#ifndef READER_USUAL_H
#define READER_USUAL_H

#include "base/err.h"

/* All that the numbers depend on. */
typedef struct usual_key {
    uint64_t model, mode, keep;       /* of the entry; of session_set_keep */
    uint64_t tokens, ids;             /* how many were looked over, and which */
    uint64_t passages, cuts;          /* how many, and where they lie */
    uint64_t heads, question;
} usual_key;

/* Fills usual[n]. False: there is nothing of this key. */
bool usual_load(const char *path, const usual_key *key, float *usual, size_t n);
/* As well as it can be done: what cannot be kept is computed again. */
void usual_save(const char *path, const usual_key *key, const float *usual, size_t n);

#endif
