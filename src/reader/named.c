/* Models by name. */
#include "reader/named.h"

#include <string.h>

#include "base/file.h"
#include "hub/heads.h"

cj_err named_path(char **path, const char *name, const char *known, cj_diag *d)
{
    if (!known || !file_exists(known)) return hub_locate(name, path, d);
    *path = mem_strdup(known);
    return *path ? CJ_OK : diag_nomem(d, strlen(known));
}

/* What the catalogue knows of sparse attention on this model. */
static cj_err keep_more(engine *e, const hub *h, const char *name, cj_diag *d)
{
    const hub_model *entry = hub_find_file(h, name, model_path(engine_model(e)));
    for (size_t i = 0; entry && i < entry->wide_count; i++)
        TRY(engine_keep_more(e, entry->wide[i].layer, entry->wide[i].head, entry->wide[i].times, d));
    return CJ_OK;
}

/* h NULL: there is no catalogue to know anything. */
static cj_err open_engine(engine **out, const hub *h, const char *name, const char *known, const engine_options *opt, cj_diag *d)
{
    engine_options all = *opt;
    char *path = NULL;
    TRY(named_path(&path, name, known, d));
    all.path = path;
    cj_err e = engine_open(out, &all, d);
    mem_free(path);
    if (!e && h && (e = keep_more(*out, h, name, d))) engine_close(out);
    return e;
}

cj_err named_engine(engine **out, const char *name, const char *known, const engine_options *opt, cj_diag *d)
{
    hub *h = NULL;
    if (hub_open(&h, NULL, NULL, NULL) == CJ_E_NOMEM) return diag_nomem(d, 0); /* a file is opened without a catalogue too */
    cj_err e = open_engine(out, h, name, known, opt, d);
    hub_close(&h);
    return e;
}

static void take(known_heads *out, const hub_head *heads, size_t n, heads_from from)
{
    for (out->n = 0; out->n < FINDER_HEADS_MAX && (size_t)out->n < n; out->n++)
        out->item[out->n] = (finder_head){heads[out->n].layer, heads[out->n].head, heads[out->n].weight};
    out->from = n ? from : HEADS_ALL;
}

cj_err named_heads(known_heads *out, const hub *h, const char *name, const model *m, cj_diag *d)
{
    const hub_model *entry = hub_find_file(h, name, model_path(m));
    hub_heads found;
    char *path = hub_heads_path(h, entry, model_fingerprint(m));
    *out = (known_heads){0};
    if (!path) return diag_nomem(d, strlen(name));
    cj_err e = hub_heads_load(&found, path, model_fingerprint(m), &out->trouble);
    mem_free(path);
    if (e == CJ_E_NOT_FOUND) out->trouble = (cj_diag){0};
    if (e == CJ_E_NOMEM) return diag_nomem(d, sizeof found);
    if (!e) take(out, found.item, (size_t)found.n, HEADS_CALIBRATED);
    else if (entry) take(out, entry->heads, entry->head_count, HEADS_CATALOGUE);
    return CJ_OK;
}

static cj_err open_all(named_model *m, hub *h, const char *name, const char *known, const engine_options *opt, cj_diag *d)
{
    m->name = mem_strdup(name);
    if (!m->name) return diag_nomem(d, strlen(name));
    TRY(open_engine(&m->engine, h, name, known, opt, d));
    return named_heads(&m->heads, h, name, engine_model(m->engine), d);
}

cj_err named_open(named_model *out, const char *name, const char *known, const engine_options *opt, cj_diag *d)
{
    hub *h = NULL;
    *out = (named_model){0};
    TRY(hub_open(&h, NULL, NULL, d));
    cj_err e = open_all(out, h, name ? name : hub_default(h), known, opt, d);
    hub_close(&h);
    if (e) named_close(out);
    return e;
}

void named_close(named_model *m)
{
    engine_close(&m->engine);
    mem_free(m->name);
    *m = (named_model){0};
}
