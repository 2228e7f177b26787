/* The columns of juan eval: ways to find, and to answer, that share a model and a text.
 *
 * index: the text index, no reading. reading: what the attention of the finding heads points at, over an entry of a shelf of its own.
 * both: the two together. direct: an answer while attending to all of it; nothing is located. All answer with the same model.
 */
#ifndef APP_EVAL_COLUMNS_H
#define APP_EVAL_COLUMNS_H

#include "app/cli.h"
#include "eval/index_reader.h"
#include "hub/hub.h"
#include "reader/finder.h"
#include "reader/steps.h"

typedef enum eval_column { COLUMN_DIRECT, COLUMN_READING, COLUMN_INDEX, COLUMN_BOTH, COLUMNS } eval_column;

typedef struct eval_columns {
    const cli *c;
    const char *model_name;
    char *folder, *index_path, *shelf_path, *snapshots; /* folder holds the others and is removed at the end */
    hub *hub;
    engine *engine;
    shelf *shelf;
    document *doc;
    book book;
    shelf_entry *entry;
    index_reader index;
    finder_head heads[FINDER_HEADS_MAX];
    finder_options find;
    finder *finder;
    ask_options ask;
} eval_columns;

bool columns_named(const char *name, eval_column *out);

/* open_it: the model; the columns wanted, or answers, need it. keep: of read_options. max_tokens: of an answer. To be given to columns_close whatever comes back. */
CJ_NODISCARD cj_err columns_open(eval_columns *k, const cli *c, const char *model_name, bool open_it, int64_t keep, int64_t max_tokens, cj_diag *d);
eval_reader columns_reader(eval_columns *k, eval_column which, bool answers);
void columns_close(eval_columns *k);

#endif
