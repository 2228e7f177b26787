/* Where in what may be quoted an answer is likely to stand, by the words of the question alone: the sentence that has most of them.
 *
 * A sentence's score is the sum, over the letters of the question that stand in it and the pairs of neighbours that do, of log(1 + sentences / sentences
 * that have it). A quote's lean is what its sentence's score lacks of the best one, as a share of that: 0 .. -1.
 */
#ifndef READER_LEANING_H
#define READER_LEANING_H

#include "reader/quoting.h"

#define LEANING_WEIGHT 8.0f /* of leans, beside a model's logits */

/* One stretch for each sentence of the pieces, in their order; mem_free it. A question without letters leans nowhere. */
CJ_NODISCARD cj_err leaning_make(const quoting_piece *pieces, int n_pieces, const char *question, quoting_lean **out, int64_t *n, cj_diag *d);

#endif
