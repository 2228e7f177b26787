/* Adapters by name: NAME.gguf or a folder NAME in HOME/adapters, where the user's own lie, or in adapters/ of the folder that comes with the program. */
#ifndef READER_ADAPTERS_H
#define READER_ADAPTERS_H

#include "engine/adapter.h"

enum { ADAPTERS_MAX = 1024 };

typedef struct known_adapter {
    char *name, *path;
    bool own; /* in HOME */
} known_adapter;

typedef struct known_adapters {
    known_adapter *item; /* [n], by name; of two of one name the user's own */
    int n;
} known_adapters;

CJ_NODISCARD cj_err adapters_list(known_adapters *out, cj_diag *d);
void adapters_deinit(known_adapters *l);
/* The folder of the user's own, which need not be there. NULL: no memory. mem_free it. */
char *adapters_folder(void);
/* The file or folder of a name, or of a path. mem_free it. */
CJ_NODISCARD cj_err adapters_locate(char **path, const char *name, cj_diag *d);
/* Opens the adapter `name` for e. NULL: the one that comes with the program, was made for these very weights, and is asked in the form `prompt`; *out stays
 * NULL where there is none. "none": none. */
CJ_NODISCARD cj_err adapters_open(engine_adapter **out, engine *e, const char *name, const char *prompt, cj_diag *d);
/* The adapter that `answerer` answers with and the one that `reader` finds with: `name` is one of the two, of the other comes the one that comes with the
 * program. "none": neither. NULL: those that come with the program; without `answers` only the one that finds. What was opened stays open after an error. */
CJ_NODISCARD cj_err adapters_open_both(engine_adapter **answering, engine_adapter **finding, engine *answerer, engine *reader, const char *name, bool answers,
                                       cj_diag *d);

#endif
