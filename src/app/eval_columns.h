/* The columns of juan eval: ways to find, and to answer, that share a model and a text.
 *
 * index: the text index, no reading. reading: what the attention of the finding heads points at, over an entry of a shelf of its own.
 * both: the two together. direct: an answer while attending to all of it; nothing is located. All answer with the same model.
 * A text that was read is gone with the columns, unless it has a name of its own on the user's shelf: then an evaluation that was stopped goes on
 * where it was, and the text can be asked afterwards.
 */
#ifndef APP_EVAL_COLUMNS_H
#define APP_EVAL_COLUMNS_H

#include "app/cli.h"
#include "eval/index_reader.h"
#include "reader/named.h"
#include "reader/steps.h"

typedef enum eval_column { COLUMN_DIRECT, COLUMN_READING, COLUMN_INDEX, COLUMN_BOTH, COLUMNS } eval_column;

typedef struct eval_columns {
    const cli *c;
    const char *model_name, *adapter_name;
    const char *name; /* of the entry */
    char *folder, *index_path, *shelf_path, *snapshots; /* folder holds the others and is removed at the end */
    int folder_held;
    named_model model;
    shelf *shelf;
    document *doc;
    book book;
    shelf_entry *entry;
    index_reader index;
    engine_adapter *answering, *finding; /* NULL: none */
    finder_options find;
    finder *finder;
    ask_options ask;
} eval_columns;

bool columns_named(const char *name, eval_column *out);

typedef struct columns_options {
    const char *model_name;
    const char *adapter; /* that answers, or finds; of the other, and where NULL, the one that comes with the program is used; "none": neither */
    bool open_it;       /* the model: the columns wanted, or answers, need it */
    bool users_shelf;   /* what is read stays, under names given to columns_next */
    int64_t keep;       /* of read_options */
    int64_t max_tokens; /* of an answer */
} columns_options;

/* To be given to columns_close whatever comes back. opt's strings must outlive it. */
CJ_NODISCARD cj_err columns_open(eval_columns *k, const cli *c, const columns_options *opt, cj_diag *d);
/* The next text is read under this name, which must stay as long as the text. */
void columns_next(eval_columns *k, const char *name);
eval_reader columns_reader(eval_columns *k, eval_column which, bool answers);
void columns_close(eval_columns *k);

#endif
