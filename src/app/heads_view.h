/* Finding heads, shown. */
#ifndef APP_HEADS_VIEW_H
#define APP_HEADS_VIEW_H

#include "app/cli.h"
#include "app/term.h"
#include "reader/finder.h"

enum { HEADS_VIEW_TEXT = 2048 };
/* "(11, 2), (5, 1) × 0.25" */
const char *heads_view_text(char out[HEADS_VIEW_TEXT], const finder_head *heads, int n);
/* [{"layer", "head", "weight"}, ...] */
json_object *heads_view_json(const finder_head *heads, int n);

#endif
