/* Answering alone, for measurements, which score what is located (reader/finder.h) apart from what is answered.
 *
 * Of opt max_tokens, snapshots and on_progress count.
 */
#ifndef READER_STEPS_H
#define READER_STEPS_H

#include "reader/ask.h"

/* An answer from given passages, best first, read again at close range. */
CJ_NODISCARD cj_err steps_answer(engine *e, const book *b, const int64_t *best, int n, const char *question, const ask_options *opt, buf *answer, cj_diag *d);
/* An answer while everything that the entry holds is attended to. */
CJ_NODISCARD cj_err steps_direct(engine *e, const book *b, shelf_entry *entry, const char *question, const ask_options *opt, buf *answer, cj_diag *d);

#endif
