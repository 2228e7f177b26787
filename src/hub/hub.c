/* The catalogue as a whole, what of it is here, and which of it to advise. */
#include "hub/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/share.h"
#include "hub/inside.h"

static const struct { const char *name; unsigned bit; } abilities[] = {
    {"finds", HUB_FINDS}, {"answers", HUB_ANSWERS}, {"chats", HUB_CHATS},
    {"summarises", HUB_SUMMARISES}, {"translates", HUB_TRANSLATES}, {"tools", HUB_TOOLS},
};
enum { ABILITIES = sizeof abilities / sizeof *abilities };

unsigned hub_ability(const char *s, size_t n)
{
    for (size_t i = 0; i < ABILITIES; i++)
        if (strlen(abilities[i].name) == n && !memcmp(abilities[i].name, s, n)) return abilities[i].bit;
    return 0;
}

const char *hub_ability_name(unsigned bit)
{
    for (size_t i = 0; i < ABILITIES; i++)
        if (abilities[i].bit == bit) return abilities[i].name;
    return "";
}

/* Adds folder/models.ini to the catalogue. */
static cj_err read_catalogue(catalogue *c, const char *folder, bool needed, cj_diag *d)
{
    char *path = file_join(folder, "models.ini");
    if (!path) return diag_nomem(d, strlen(folder));
    cj_err e = CJ_OK;
    if (file_exists(path)) {
        buf text;
        e = file_read(path, CATALOGUE_BYTES_MAX, &text, d);
        if (!e) {
            e = catalogue_read(c, text.data, text.len, path, d);
            buf_deinit(&text);
        }
    } else if (needed)
        e = diag_fail(d, CJ_E_NOT_FOUND, MSG_HUB_NO_CATALOGUE, "%s", path);
    mem_free(path);
    return e;
}

cj_err hub_open(hub **out, const char *home, const char *share, cj_diag *d)
{
    hub *h = mem_zalloc(sizeof *h);
    if (!h) return diag_nomem(d, sizeof *h);
    h->home = home ? mem_strdup(home) : file_home();
    char *folder = share ? mem_strdup(share) : share_folder();
    cj_err e = !h->home || !folder ? diag_nomem(d, sizeof *h) : catalogue_init(&h->catalogue, d);
    if (!e) e = read_catalogue(&h->catalogue, folder, true, d);
    if (!e) e = read_catalogue(&h->catalogue, h->home, false, d);
    mem_free(folder);
    if (e) hub_close(&h);
    else *out = h;
    return e;
}

void hub_close(hub **h)
{
    if (!*h) return;
    catalogue_deinit(&(*h)->catalogue);
    mem_free((*h)->home);
    mem_free(*h);
    *h = NULL;
}

size_t hub_count(const hub *h) { return h->catalogue.count; }
const hub_model *hub_at(const hub *h, size_t i) { return &h->catalogue.entries[i].model; }

const hub_model *hub_find(const hub *h, const char *name)
{
    for (size_t i = 0; i < hub_count(h); i++)
        if (!strcmp(hub_at(h, i)->name, name)) return hub_at(h, i);
    return NULL;
}

const hub_model *hub_find_file(const hub *h, const char *model, const char *path)
{
    const hub_model *m = hub_find(h, model);
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    for (size_t i = 0; !m && i < hub_count(h); i++) {
        const hub_model *candidate = hub_at(h, i);
        if (!candidate->file_count || strcmp(candidate->files[0].name, base)) continue;
        if (candidate->files[0].size >= 0 && candidate->files[0].size == file_size(path)) m = candidate;
    }
    return m;
}

const char *hub_default(const hub *h)
{
    if (h->catalogue.default_name) return h->catalogue.default_name;
    return hub_count(h) ? hub_at(h, 0)->name : "";
}

int64_t hub_model_size(const hub_model *m)
{
    int64_t sum = m->file_count ? 0 : -1;
    for (size_t i = 0; i < m->file_count; i++)
        if (m->files[i].size < 0 || !i64_add(sum, m->files[i].size, &sum)) return -1;
    return sum;
}

bool hub_model_verifiable(const hub_model *m)
{
    for (size_t i = 0; i < m->file_count; i++)
        if (!m->files[i].sha256) return false;
    return m->file_count > 0;
}

/* ---- advice ---- */

static bool speaks_chinese(const hub_model *m) { return strstr(m->languages, "zh") != NULL; }

/* Less than 0: a before b. */
static int by_advice(const void *a, const void *b)
{
    const hub_model *x = *(const hub_model *const *)a, *y = *(const hub_model *const *)b;
    const unsigned talk = HUB_CHATS | HUB_ANSWERS;
    if (x->chinese != y->chinese) return x->chinese ? -1 : 1;
    if (speaks_chinese(x) != speaks_chinese(y)) return speaks_chinese(x) ? -1 : 1;
    if (((x->can & talk) == talk) != ((y->can & talk) == talk)) return (x->can & talk) == talk ? -1 : 1;
    if (x->memory != y->memory) return x->memory > y->memory ? -1 : 1;
    return strcmp(x->name, y->name);
}

size_t hub_recommend(const hub *h, int64_t memory, const hub_model **out, size_t max)
{
    const hub_model *fit[CATALOGUE_MODELS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < hub_count(h); i++)
        if (hub_at(h, i)->ready && hub_at(h, i)->memory <= memory) fit[n++] = hub_at(h, i);
    qsort(fit, n, sizeof *fit, by_advice);
    if (n > max) n = max;
    memcpy(out, fit, n * sizeof *fit);
    return n;
}

/* ---- what is here ---- */

/* What there is of a model without a marker. */
static void status_without_record(const hub *h, const char *folder, const char *partial, hub_status *out)
{
    int64_t begun = folder_size(partial), placed = folder_size(folder);
    out->bytes = begun + placed;
    /* Files without a marker: put there by hand, or the marker is damaged. */
    out->state = placed > 0 ? HUB_CHANGED : begun > 0 ? HUB_PARTIAL : HUB_ABSENT;
}

cj_err hub_status_of(const hub *h, const char *name, hub_status *out, cj_diag *d)
{
    hub_status found = {0};
    store_record r = {0};
    cj_err e = CJ_OK;
    if (catalogue_name_ok(name)) {
        char *folder = store_folder(h->home, name), *partial = store_partial(h->home, name, NULL);
        bool intact = false;
        e = folder && partial ? store_read(h->home, name, &r, d) : diag_nomem(d, strlen(h->home));
        if (!e) e = store_intact(h->home, name, &r, &intact, d);
        if (!e) found.state = intact ? HUB_INSTALLED : HUB_CHANGED;
        found.verified = intact && r.verified;
        for (size_t i = 0; i < r.count; i++) found.bytes += r.files[i].stamp.size;
        if (e == CJ_E_NOT_FOUND) {
            status_without_record(h, folder, partial, &found);
            e = CJ_OK;
        }
        store_record_deinit(&r);
        mem_free(folder);
        mem_free(partial);
    }
    if (!e) *out = found;
    return e;
}

const hub_model *hub_able(const hub *h, unsigned wanted, int64_t memory)
{
    const hub_model *all[CATALOGUE_MODELS_MAX], *best = NULL;
    const size_t n = hub_recommend(h, memory, all, CATALOGUE_MODELS_MAX);
    for (size_t i = 0; i < n; i++) {
        hub_status s;
        if ((all[i]->can & wanted) != wanted) continue;
        if (!hub_status_of(h, all[i]->name, &s, NULL) && s.state == HUB_INSTALLED) return all[i];
        if (!best) best = all[i];
    }
    return best;
}

/* The file, or the folder when the model is several files of which the first cannot stand for all. */
static char *opened_path(const hub *h, const char *name, const store_record *r)
{
    const char *first = r->files[0].name;
    size_t n = strlen(first);
    bool gguf = n > 5 && !strcmp(first + n - 5, ".gguf");
    return r->count == 1 || gguf ? store_path(h->home, name, first) : store_folder(h->home, name);
}

/* The path of an installed model, CJ_E_NOT_FOUND without a sentence when `name` is not one. */
static cj_err installed_path(const hub *h, const char *name, char **path, cj_diag *d)
{
    if (!catalogue_name_ok(name)) return CJ_E_NOT_FOUND;
    store_record r;
    TRY(store_read(h->home, name, &r, d));
    bool intact = false;
    char *found = NULL;
    cj_err e = store_intact(h->home, name, &r, &intact, d);
    if (!e && !intact) e = diag_fail(d, CJ_E_INPUT, MSG_HUB_CHANGED, "%s", name);
    if (!e && !(found = opened_path(h, name, &r))) e = diag_nomem(d, strlen(name));
    store_record_deinit(&r);
    if (!e) *path = found;
    return e;
}

cj_err hub_model_path(const hub *h, const char *model, char **path, cj_diag *d)
{
    cj_err e = installed_path(h, model, path, d);
    if (e != CJ_E_NOT_FOUND) return e;
    if (!file_exists(model)) return diag_fail(d, CJ_E_NOT_FOUND, hub_find(h, model) ? MSG_HUB_NOT_HERE : MSG_HUB_UNKNOWN, "%s", model);
    char *copy = mem_strdup(model);
    if (!copy) return diag_nomem(d, strlen(model));
    *path = copy;
    return CJ_OK;
}

cj_err hub_locate(const char *model, char **path, cj_diag *d)
{
    size_t n = strlen(model);
    if (strchr(model, '/') || (n > 5 && !strcmp(model + n - 5, ".gguf"))) {
        if (!file_exists(model)) return diag_fail(d, CJ_E_NOT_FOUND, MSG_FILE_NOT_FOUND, "%s", model);
        char *copy = mem_strdup(model);
        if (!copy) return diag_nomem(d, n);
        *path = copy;
        return CJ_OK;
    }
    hub *h = NULL;
    TRY(hub_open(&h, NULL, NULL, d));
    cj_err e = hub_model_path(h, model, path, d);
    hub_close(&h);
    return e;
}

cj_err hub_remove(hub *h, const char *name, cj_diag *d)
{
    hub_status status;
    TRY(hub_status_of(h, name, &status, d));
    if (status.state == HUB_ABSENT)
        return diag_fail(d, CJ_E_NOT_FOUND, hub_find(h, name) ? MSG_HUB_NOT_HERE : MSG_HUB_UNKNOWN, "%s", name);
    int lock;
    TRY(hub_lock(h, name, &lock, d));
    char *marker = store_path(h->home, name, ".installed"), *folder = store_folder(h->home, name);
    char *partial = store_partial(h->home, name, NULL);
    cj_err e = marker && folder && partial ? CJ_OK : diag_nomem(d, strlen(name));
    /* The marker goes first: whatever happens next, half a model is not taken for one. */
    if (!e) e = folder_remove(marker, d);
    if (!e) e = folder_remove(folder, d);
    if (!e) e = folder_remove(partial, d);
    folder_unlock(lock);
    mem_free(marker);
    mem_free(folder);
    mem_free(partial);
    return e;
}

cj_err hub_lock(const hub *h, const char *name, int *fd, cj_diag *d)
{
    char file[CATALOGUE_NAME_MAX + 8];
    snprintf(file, sizeof file, ".%s.lock", name); /* no model is called so: names do not start with a dot */
    char *folder = store_partial(h->home, "", NULL), *path = store_partial(h->home, file, NULL);
    cj_err e = folder && path ? file_make_dirs(folder, d) : diag_nomem(d, strlen(name));
    if (!e) e = folder_lock(path, fd, d);
    if (!e && *fd < 0) e = diag_fail(d, CJ_E_IO, MSG_HUB_BUSY, "%s", name);
    mem_free(folder);
    mem_free(path);
    return e;
}
