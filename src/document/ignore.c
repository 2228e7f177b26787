/* Patterns of .gitignore: one a line; # comments, ! takes back, a slash at the end means folders, one elsewhere ties the pattern to the
 * folder of its file; * and ? stop at slashes, ** does not. */
#include "document/ignore.h"

#include <fnmatch.h>
#include <string.h>

static cj_err add(ignore_list *l, size_t base, const char *s, size_t n, cj_diag *d)
{
    ignore_rule r = {.base = base};
    if (n && *s == '!') r.again = true, s++, n--;
    if (n && s[n - 1] == '/') r.folder_only = true, n--;
    r.anchored = n && memchr(s, '/', n);
    if (n && *s == '/') s++, n--;
    if (n > 3 && !memcmp(s, "**/", 3) && !memchr(s + 3, '/', n - 3)) r.anchored = false, s += 3, n -= 3;
    if (!n) return CJ_OK;
    if (l->n == IGNORE_RULES_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", ".gitignore", IGNORE_RULES_MAX);
    if (l->n == l->cap) {
        int cap = l->cap ? 2 * l->cap : 32;
        ignore_rule *rules = mem_grow(l->rules, (size_t)l->n * sizeof *rules, (size_t)cap * sizeof *rules);
        if (!rules) return diag_nomem(d, (size_t)cap * sizeof *rules);
        l->rules = rules;
        l->cap = cap;
    }
    r.pattern = mem_strndup(s, n);
    if (!r.pattern) return diag_nomem(d, n);
    l->rules[l->n++] = r;
    return CJ_OK;
}

cj_err ignore_add(ignore_list *l, size_t base, const char *text, size_t n, cj_diag *d)
{
    for (const char *s = text, *stop = text + n; s < stop;) {
        const char *nl = memchr(s, '\n', (size_t)(stop - s)), *end = nl ? nl : stop, *next = nl ? nl + 1 : stop;
        while (end > s && (end[-1] == '\r' || end[-1] == ' ')) end--;
        if (s < end && *s != '#') TRY(add(l, base, s, (size_t)(end - s), d));
        s = next;
    }
    return CJ_OK;
}

void ignore_cut(ignore_list *l, int keep)
{
    while (l->n > keep) mem_free(l->rules[--l->n].pattern);
    if (!keep) {
        mem_free(l->rules);
        *l = (ignore_list){.rules = NULL};
    }
}

bool ignore_has(const ignore_list *l, const char *path, bool is_folder)
{
    bool ignored = false;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (int i = 0; i < l->n; i++) {
        const ignore_rule *r = &l->rules[i];
        if (r->folder_only && !is_folder) continue;
        const char *what = r->anchored ? path + r->base : name;
        bool any_depth = strstr(r->pattern, "**") != NULL;
        if (!fnmatch(r->pattern, what, any_depth ? 0 : FNM_PATHNAME)) ignored = !r->again;
    }
    return ignored;
}
