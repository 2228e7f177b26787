/* Planting sentences in a text: at the ends of its sentences, at wanted depths. */
#ifndef EVAL_PLANT_H
#define EVAL_PLANT_H

#include "eval/task.h"

enum { PLANT_MAX = 8192 };

typedef struct plant_item {
    const char *text;   /* one whole sentence */
    double depth;       /* where it is wanted: 0 the beginning, 1 the end */
    eval_range placed;  /* where it is */
} plant_item;

/* Appends to t->text (which is empty) so much of the haystack[0..bytes), from its beginning, that with all items planted it has `chars`
 * characters, and sets t->chars. An item goes to the end of the sentence that is nearest to its depth and not
 * taken yet, inside its line. The same arguments give the same text. Too short a haystack, or one too full of items, is refused. */
CJ_NODISCARD cj_err plant_items(eval_task *t, const char *haystack, size_t bytes, int64_t chars, plant_item *items, int n, cj_diag *d);

#endif
