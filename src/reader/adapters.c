/* Adapters by name. */
#include "reader/adapters.h"

#include <stdlib.h>
#include <string.h>

#include "base/folder.h"
#include "base/share.h"
#include "data/qa_form.h"
#include "reader/finder.h"

#define FOLDER "adapters"

/* ---- which there are ---- */

typedef struct gathering {
    known_adapters *to;
    bool own;
    cj_err err;
    cj_diag *d;
} gathering;

static known_adapter *find(const known_adapters *l, const char *name)
{
    for (int i = 0; i < l->n; i++)
        if (!strcmp(l->item[i].name, name)) return &l->item[i];
    return NULL;
}

/* The last part of a path, without ".gguf". NULL: no memory. */
static char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const size_t n = strlen(name), end = strlen(".gguf");
    return mem_strndup(name, n > end && !strcmp(name + n - end, ".gguf") ? n - end : n);
}

static bool take(void *user, const char *path, bool is_dir)
{
    (void)is_dir;
    gathering *g = user;
    if (!adapter_file_here(path) || g->to->n == ADAPTERS_MAX) return true;
    known_adapter a = {.name = name_of(path), .path = mem_strdup(path), .own = g->own};
    if (a.name && a.path && !find(g->to, a.name)) {
        g->to->item[g->to->n++] = a;
        return true;
    }
    if (!a.name || !a.path) g->err = diag_nomem(g->d, strlen(path));
    mem_free(a.name);
    mem_free(a.path);
    return !g->err;
}

/* folder is freed; NULL: no memory. */
static cj_err gather(known_adapters *l, char *folder, bool own, cj_diag *d)
{
    gathering g = {.to = l, .own = own, .d = d};
    if (!folder) return diag_nomem(d, sizeof FOLDER);
    cj_err e = file_is_dir(folder) ? folder_each(folder, take, &g, d) : CJ_OK;
    mem_free(folder);
    return e ? e : g.err;
}

static char *joined(char *base)
{
    char *folder = base ? file_join(base, FOLDER) : NULL;
    mem_free(base);
    return folder;
}

char *adapters_folder(void) { return joined(file_home()); }

static int by_name(const void *a, const void *b) { return strcmp(((const known_adapter *)a)->name, ((const known_adapter *)b)->name); }

cj_err adapters_list(known_adapters *out, cj_diag *d)
{
    *out = (known_adapters){.item = mem_array(ADAPTERS_MAX, sizeof *out->item)};
    if (!out->item) return diag_nomem(d, ADAPTERS_MAX * sizeof *out->item);
    cj_err e = gather(out, adapters_folder(), true, d);
    if (!e) e = gather(out, joined(share_folder()), false, d);
    if (e) adapters_deinit(out);
    else qsort(out->item, (size_t)out->n, sizeof *out->item, by_name);
    return e;
}

void adapters_deinit(known_adapters *l)
{
    for (int i = 0; i < l->n; i++) {
        mem_free(l->item[i].name);
        mem_free(l->item[i].path);
    }
    mem_free(l->item);
    *l = (known_adapters){0};
}

/* ---- one of them ---- */

static bool is_path(const char *name)
{
    const size_t n = strlen(name);
    return strchr(name, '/') || (n > 5 && !strcmp(name + n - 5, ".gguf"));
}

cj_err adapters_locate(char **path, const char *name, cj_diag *d)
{
    known_adapters l;
    *path = NULL;
    if (is_path(name)) {
        if (!file_exists(name)) return diag_fail(d, CJ_E_NOT_FOUND, MSG_ADAPTER_NO_FILE, "%s", name);
    } else {
        TRY(adapters_list(&l, d));
        const known_adapter *a = find(&l, name);
        if (a) *path = mem_strdup(a->path);
        const bool there = a || adapter_file_here(name);
        adapters_deinit(&l);
        if (a) return *path ? CJ_OK : diag_nomem(d, strlen(name));
        if (!there) return diag_fail(d, CJ_E_NOT_FOUND, MSG_ADAPTER_UNKNOWN, "%s", name);
    }
    *path = mem_strdup(name);
    return *path ? CJ_OK : diag_nomem(d, strlen(name));
}

/* What came with the program is for the model that it was made with; an adapter that cannot be read is passed over here. */
static cj_err open_default(engine_adapter **out, engine *e, const char *prompt, cj_diag *d)
{
    known_adapters l;
    TRY(adapters_list(&l, d));
    for (int i = 0; i < l.n && !*out; i++) {
        engine_adapter *a = NULL;
        if (l.item[i].own || engine_adapter_open(&a, e, l.item[i].path, NULL)) continue;
        const adapter_facts *f = engine_adapter_facts(a);
        if (engine_adapter_is_at_home(a) && f->activated && !strcmp(f->prompt, prompt)) *out = a;
        else engine_adapter_close(&a);
    }
    adapters_deinit(&l);
    return CJ_OK;
}

cj_err adapters_open(engine_adapter **out, engine *e, const char *name, const char *prompt, cj_diag *d)
{
    char *path = NULL;
    *out = NULL;
    if (!name) return open_default(out, e, prompt, d);
    if (!strcmp(name, "none")) return CJ_OK;
    TRY(adapters_locate(&path, name, d));
    cj_err err = engine_adapter_open(out, e, path, d);
    mem_free(path);
    return err;
}

cj_err adapters_open_both(engine_adapter **answering, engine_adapter **finding, engine *answerer, engine *reader, const char *name, bool answers, cj_diag *d)
{
    const bool none = name && !strcmp(name, "none");
    TRY(adapters_open(answering, answerer, name || answers ? name : "none", QA_FORM_NAME, d));
    if (*answering && answerer == reader && !strcmp(engine_adapter_facts(*answering)->prompt, FINDER_FORM)) {
        *finding = *answering;
        return adapters_open(answering, answerer, answers ? NULL : "none", QA_FORM_NAME, d);
    }
    return adapters_open(finding, reader, none ? name : NULL, FINDER_FORM, d);
}
