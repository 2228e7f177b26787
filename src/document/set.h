/* Several documents that are read together: files, and folders with all that lies in them. */
#ifndef DOCUMENT_SET_H
#define DOCUMENT_SET_H

#include "document/document.h"

enum { DOCUMENT_SET_MAX = 4096, DOCUMENT_FOLDERS_DEEP = 64 }; /* documents; folders within folders */
#define DOCUMENT_SET_BYTES_MAX DOCUMENT_BYTES_MAX             /* of text, of all together */

typedef struct document_set {
    document **docs; /* [n], in the order of the paths, within a folder in the order of the names (numbers by their value) */
    int *path;       /* [n] which of the paths each came from */
    int n, cap;
    size_t bytes;    /* of text, of all */
    int hidden, ignored, links, empty, unreadable; /* what was left out of folders */
} document_set;

typedef struct document_watch {
    bool (*go_on)(void *user); /* false cancels; NULL: as file_stop_when says */
    /* A file of a folder is left out because it cannot be read; `why` says so in a sentence. May be NULL. */
    void (*unreadable)(void *user, const cj_diag *why);
    void *user;
} document_watch;

/* Opens files and folders; out is initialised here and must be given to document_set_close whatever comes back. Of a folder every file
 * becomes a document, named by its path from the folder on; left out are hidden files (a name that begins with a dot), what a .gitignore
 * in the folder names, links, empty files, and what cannot be read. A file that is named itself and cannot be read is an error. */
CJ_NODISCARD cj_err document_set_open(document_set *out, const char *const *paths, size_t n, const document_watch *watch, cj_diag *d);
void document_set_close(document_set *set);

#endif
