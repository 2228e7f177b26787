/* Tasks in the manner of RULER (arXiv 2404.06654), in Chinese, with sentences of our own:
 * "keys", one of many facts of the same form; "tracking", a chain of names for one value; "counting", how often something happened.
 */
#ifndef EVAL_RULER_H
#define EVAL_RULER_H

#include "eval/task.h"

/* All three in one text of `chars` characters (3,500 at least). */
CJ_NODISCARD cj_err ruler_task(eval_task *t, const char *haystack, size_t bytes, int64_t chars, uint64_t seed, cj_diag *d);

#endif
