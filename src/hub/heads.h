/* Heads that were found by calibrating a model on this machine (juan calibrate), kept as a small JSON file: heads.json in the model's folder when it is installed,
 * so that it goes with the model; else HOME/models/.heads/FINGERPRINT.json.
 *
 * They say something about the very weights they were found on and no others: the file names these by their fingerprint. Untrusted input.
 */
#ifndef HUB_HEADS_H
#define HUB_HEADS_H

#include "hub/hub.h"

enum { HUB_HEADS_MAX = 64, HUB_HEADS_BYTES_MAX = 1 << 16 };

typedef struct hub_heads {
    hub_head item[HUB_HEADS_MAX];
    int n;
} hub_heads;

/* Where they are kept; m: the model's entry, NULL for a file that the catalogue does not know. mem_free it; NULL: no memory. */
char *hub_heads_path(const hub *h, const hub_model *m, uint64_t fingerprint);

/* CJ_E_NOT_FOUND: nothing is kept; CJ_E_INPUT: damaged, or of other weights. */
CJ_NODISCARD cj_err hub_heads_load(hub_heads *out, const char *path, uint64_t fingerprint, cj_diag *d);
/* The same over bytes in memory; `what` names them in messages. */
CJ_NODISCARD cj_err hub_heads_parse(hub_heads *out, const char *text, size_t n, const char *what, uint64_t fingerprint, cj_diag *d);
/* Replaces what is kept, in one step. */
CJ_NODISCARD cj_err hub_heads_save(const hub_heads *heads, const char *path, uint64_t fingerprint, cj_diag *d);
/* *was: something was kept. */
CJ_NODISCARD cj_err hub_heads_forget(const char *path, bool *was, cj_diag *d);

#endif
