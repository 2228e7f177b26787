/* What is on this machine: HOME/models/NAME/FILE..., the marker HOME/models/NAME/.installed that says what was checked, and
 * HOME/models/.partial/NAME/ for what is on its way. */
#ifndef HUB_STORE_H
#define HUB_STORE_H

#include "base/folder.h"
#include "base/mem.h"
#include "hub/hub.h"

typedef struct store_file {
    char name[65], sha256[65];
    folder_stamp stamp; /* when it was checked */
} store_file;

/* The marker. One line a file, "file NAME SIZE MODIFIED SHA256", then "verified yes|no". */
typedef struct store_record {
    store_file *files; /* [count] */
    size_t count;
    bool verified;
} store_record;

/* HOME/models/NAME, HOME/models/NAME/FILE, HOME/models/.partial/NAME[/FILE]. NULL: no memory. mem_free it. */
char *store_folder(const char *home, const char *name);
char *store_path(const char *home, const char *name, const char *file);
char *store_partial(const char *home, const char *name, const char *file);

/* Reads the marker; a marker that is absent or damaged gives CJ_E_NOT_FOUND and an empty record. */
CJ_NODISCARD cj_err store_read(const char *home, const char *name, store_record *out, cj_diag *d);
CJ_NODISCARD cj_err store_write(const char *home, const char *name, const store_record *r, cj_diag *d);
void store_record_deinit(store_record *r);

/* Whether every file of the record is as it was when it was checked. */
CJ_NODISCARD cj_err store_intact(const char *home, const char *name, const store_record *r, bool *intact, cj_diag *d);

#endif
