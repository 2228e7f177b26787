/* The column `index`: a text index over the passages of the text, no model. */
#ifndef EVAL_INDEX_READER_H
#define EVAL_INDEX_READER_H

#include "eval/run.h"
#include "shelf/text_index.h"

/* Cuts a text into passages, in order: *out [*n], mem_free it. */
typedef cj_err index_reader_cut(const char *text, size_t bytes, text_range **out, int64_t *n, cj_diag *d);

typedef struct index_reader {
    index_reader_cut *cut;
    const char *path; /* of the index file; replaced for each text, removed at the end */
    text_index *index;
} index_reader;

/* The reader's arg is ir, which stays where it is and is closed here if it is open. */
eval_reader index_reader_of(index_reader *ir, index_reader_cut *cut, const char *path);
/* The reader's locate; ir is its arg. */
CJ_NODISCARD cj_err index_reader_locate(void *ir, const char *question, int most, eval_range *found, int *n, cj_diag *d);
void index_reader_close(index_reader *ir);

#endif
