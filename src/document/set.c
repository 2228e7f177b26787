/* Files and folders to documents. A folder's names are gathered, sorted and then taken one after another, so that the order is the same on
 * every machine and only the open folders' names are in memory. */
#include "document/set.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/grow.h"
#include "document/formats.h"
#include "document/ignore.h"

typedef struct walk {
    document_set *set;
    const document_watch *watch;
    ignore_list ignore;
    size_t base;      /* bytes of a path before the name that a document is called by */
    int path, depth;  /* which of the paths; folders that are open */
} walk;

static bool go_on(const walk *w) { return w->watch->go_on ? w->watch->go_on(w->watch->user) : file_go_on(); }

static cj_err add(document_set *s, document *doc, int path, cj_diag *d)
{
    if (s->n == DOCUMENT_SET_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_SET_MANY, "%d", DOCUMENT_SET_MAX);
    if (document_bytes(doc) > DOCUMENT_SET_BYTES_MAX - s->bytes) return diag_fail(d, CJ_E_LIMIT, MSG_SET_LARGE, "%zu", DOCUMENT_SET_BYTES_MAX >> 20);
    if (s->n == s->cap) {
        int cap = s->cap ? 2 * s->cap : 16;
        document **docs = mem_grow(s->docs, (size_t)s->n * sizeof *docs, (size_t)cap * sizeof *docs);
        if (!docs) return diag_nomem(d, (size_t)cap * sizeof *docs);
        s->docs = docs;
        int *paths = mem_grow(s->path, (size_t)s->n * sizeof *paths, (size_t)cap * sizeof *paths);
        if (!paths) return diag_nomem(d, (size_t)cap * sizeof *paths);
        s->path = paths;
        s->cap = cap;
    }
    s->docs[s->n] = doc;
    s->path[s->n++] = path;
    s->bytes += document_bytes(doc);
    return CJ_OK;
}

static cj_err add_file(walk *w, const char *path, const char *name, cj_diag *d)
{
    buf raw;
    document *doc = NULL;
    TRY(file_read(path, DOCUMENT_BYTES_MAX, &raw, d));
    cj_err e = formats_read(&doc, &(document_source){path, name, raw.data, raw.len, w->watch->go_on, w->watch->user}, d);
    buf_deinit(&raw);
    if (!e) e = add(w->set, doc, w->path, d);
    if (e) document_close(&doc);
    return e;
}

/* Whether a file's beginning says that it is no document, so that a film is not read whole to find that out. */
static bool looks_binary(const char *path)
{
    char head[4096];
    size_t n = 0;
    grow_file f;
    if (grow_read_only(&f, path, NULL)) return false;
    cj_err e = grow_read(&f, 0, head, sizeof head, &n, NULL);
    grow_close(&f);
    return !e && formats_is_binary(&(document_source){.path = path, .name = path, .bytes = head, .n = n});
}

/* A file within a folder: what cannot be read is left out, and that is told. */
static cj_err add_found(walk *w, const char *path, cj_diag *d)
{
    cj_diag why = {0};
    cj_err e = CJ_OK;
    if (file_size(path) == 0) w->set->empty++;
    else {
        e = looks_binary(path) ? diag_fail(&why, CJ_E_INPUT, MSG_DOCUMENT_BINARY, "%s", path) : add_file(w, path, path + w->base, &why);
        bool goes_on = e == CJ_E_INPUT || e == CJ_E_UNSUPPORTED || e == CJ_E_NOT_FOUND || e == CJ_E_IO || (e == CJ_E_LIMIT && why.message != MSG_SET_MANY && why.message != MSG_SET_LARGE);
        if (e && !goes_on && d) *d = why;
        if (!goes_on) return e;
        w->set->unreadable++;
        if (w->watch->unreadable) w->watch->unreadable(w->watch->user, &why);
    }
    return CJ_OK;
}

/* ---- folders ---- */

typedef struct names {
    char **item; /* full paths; a folder's ends in a slash */
    int n, cap;
    bool no_memory;
} names;

static bool gather(void *user, const char *path, bool is_dir)
{
    names *l = user;
    if (l->n == l->cap) {
        int cap = l->cap ? 2 * l->cap : 64;
        char **item = mem_grow(l->item, (size_t)l->n * sizeof *item, (size_t)cap * sizeof *item);
        l->no_memory = !item;
        if (!item) return false;
        l->item = item;
        l->cap = cap;
    }
    size_t n = strlen(path);
    char *copy = mem_alloc(n + 2);
    l->no_memory = !copy;
    if (!copy) return false;
    memcpy(copy, path, n);
    strcpy(copy + n, is_dir ? "/" : "");
    l->item[l->n++] = copy;
    return true;
}

/* Chapter 9 before chapter 10. */
static int by_name(const void *a, const void *b) { return strverscmp(*(char *const *)a, *(char *const *)b); }

static cj_err add_folder(walk *w, const char *path, cj_diag *d);

static cj_err add_entry(walk *w, char *path, cj_diag *d)
{
    size_t n = strlen(path);
    bool is_folder = path[n - 1] == '/';
    if (is_folder) path[--n] = 0;
    const char *name = strrchr(path, '/') + 1;
    if (!go_on(w)) return diag_fail(d, CJ_E_CANCELLED, MSG_CANCELLED, "%s", path);
    if (*name == '.') w->set->hidden++;
    else if (ignore_has(&w->ignore, path, is_folder)) w->set->ignored++;
    else if (is_folder) return add_folder(w, path, d);
    else if (!folder_is_file(path)) w->set->links++;
    else return add_found(w, path, d);
    return CJ_OK;
}

static cj_err add_ignored(walk *w, const char *path, cj_diag *d)
{
    char *file = file_join(path, ".gitignore");
    buf text;
    if (!file) return diag_nomem(d, strlen(path));
    cj_err e = CJ_OK;
    if (folder_is_file(file) && !(e = file_read(file, IGNORE_FILE_MAX, &text, d))) {
        e = ignore_add(&w->ignore, strlen(path) + 1, text.data, text.len, d);
        buf_deinit(&text);
    }
    mem_free(file);
    return e;
}

static cj_err add_folder(walk *w, const char *path, cj_diag *d)
{
    names l = {.item = NULL};
    int rules = w->ignore.n;
    if (w->depth == DOCUMENT_FOLDERS_DEEP) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", path, DOCUMENT_FOLDERS_DEEP);
    w->depth++;
    cj_err e = folder_each(path, gather, &l, d);
    if (!e && l.no_memory) e = diag_nomem(d, sizeof *l.item);
    if (!e) e = add_ignored(w, path, d);
    if (!e && l.n) qsort(l.item, (size_t)l.n, sizeof *l.item, by_name);
    for (int i = 0; i < l.n; i++) {
        if (!e) e = add_entry(w, l.item[i], d);
        mem_free(l.item[i]);
    }
    mem_free(l.item);
    ignore_cut(&w->ignore, rules);
    w->depth--;
    return e;
}

/* The names of a folder's documents begin with its own name, when it has one. */
static cj_err add_whole_folder(walk *w, const char *given, cj_diag *d)
{
    size_t n = strlen(given);
    while (n > 1 && given[n - 1] == '/') n--;
    char *path = mem_strndup(given, n);
    if (!path) return diag_nomem(d, n);
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    bool nameless = !*name || !strcmp(name, ".") || !strcmp(name, "..");
    w->base = nameless ? n + (path[n - 1] != '/') : (size_t)(name - path);
    int before = w->set->n;
    cj_err e = add_folder(w, path, d);
    if (!e && w->set->n == before) e = diag_fail(d, CJ_E_INPUT, MSG_SET_EMPTY, "%s", given);
    mem_free(path);
    return e;
}

cj_err document_set_open(document_set *out, const char *const *paths, size_t n, const document_watch *watch, cj_diag *d)
{
    static const document_watch nobody;
    walk w = {.set = out, .watch = watch ? watch : &nobody};
    *out = (document_set){.n = 0};
    cj_err e = CJ_OK;
    for (size_t i = 0; !e && i < n; i++) {
        w.path = (int)i;
        const char *slash = strrchr(paths[i], '/');
        e = file_is_dir(paths[i]) ? add_whole_folder(&w, paths[i], d) : add_file(&w, paths[i], slash ? slash + 1 : paths[i], d);
    }
    ignore_cut(&w.ignore, 0);
    return e;
}

void document_set_close(document_set *set)
{
    for (int i = 0; i < set->n; i++) document_close(&set->docs[i]);
    mem_free(set->docs);
    mem_free(set->path);
    *set = (document_set){.n = 0};
}
