/* A model opened by its name, and what is known of its heads.
 *
 * Where a model lies, and which of its heads find, is looked up in one place: what was found by calibrating it on this machine (hub/heads.h) counts, else what the
 * catalogue says.
 */
#ifndef READER_NAMED_H
#define READER_NAMED_H

#include "hub/hub.h"
#include "reader/finder.h"

typedef enum heads_from { HEADS_ALL, HEADS_CATALOGUE, HEADS_CALIBRATED } heads_from;

typedef struct known_heads {
    finder_head item[FINDER_HEADS_MAX];
    int n;            /* 0 with HEADS_ALL: none is known to find */
    heads_from from;
    cj_diag trouble;  /* with a code: what calibrating found is there, cannot be used, and counts as absent */
} known_heads;

typedef struct named_model {
    engine *engine;
    char *name;       /* as it was asked for, or the default's */
    known_heads heads;
} named_model;

/* The file or folder of a model. known: where it was when it was last used, which counts while something is there; may be NULL. mem_free it. */
CJ_NODISCARD cj_err named_path(char **path, const char *name, const char *known, cj_diag *d);
/* Opens it; of opt all but the path counts. */
CJ_NODISCARD cj_err named_engine(engine **out, const char *name, const char *known, const engine_options *opt, cj_diag *d);
/* The same with its heads. name NULL: the default. */
CJ_NODISCARD cj_err named_open(named_model *out, const char *name, const char *known, const engine_options *opt, cj_diag *d);
void named_close(named_model *m);

/* The heads of a model that is open, by any name. */
CJ_NODISCARD cj_err named_heads(known_heads *out, const hub *h, const char *name, const model *m, cj_diag *d);

#endif
