/* The patterns of .gitignore files. */
#ifndef DOCUMENT_IGNORE_H
#define DOCUMENT_IGNORE_H

#include "base/err.h"
#include "base/mem.h"

enum { IGNORE_RULES_MAX = 10000, IGNORE_FILE_MAX = 1 << 20 };

typedef struct ignore_rule {
    char *pattern;
    size_t base;      /* length of the folder's path, with its slash, that the pattern counts from */
    bool anchored;    /* it holds for paths from there, else for names anywhere below */
    bool folder_only, again; /* again: what was ignored is not, after all */
} ignore_rule;

typedef struct ignore_list {
    ignore_rule *rules;
    int n, cap;
} ignore_list;

/* Adds the patterns of text[0..n), the .gitignore of the folder whose path has `base` bytes with its slash. */
CJ_NODISCARD cj_err ignore_add(ignore_list *l, size_t base, const char *text, size_t n, cj_diag *d);
/* Forgets all rules from the `keep`-th on. */
void ignore_cut(ignore_list *l, int keep);
/* Whether the path is ignored; the last rule that matches decides. */
bool ignore_has(const ignore_list *l, const char *path, bool is_folder);

#endif
