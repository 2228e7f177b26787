/* Finding in several books. */
#include "reader/search.h"

#include <string.h>

struct search {
    engine *e;
    const search_source *sources;
    int n;
    const finder_options *opt;
    finder *finders[SEARCH_SOURCES_MAX]; /* opened when they are first asked */
};

cj_err search_open(search **out, engine *e, const search_source *sources, int n, const finder_options *opt, cj_diag *d)
{
    if (n < 1 || n > SEARCH_SOURCES_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "entries", SEARCH_SOURCES_MAX);
    search *s = mem_zalloc(sizeof *s);
    if (!s) return diag_nomem(d, sizeof *s);
    *s = (search){.e = e, .sources = sources, .n = n, .opt = opt};
    *out = s;
    return CJ_OK;
}

void search_close(search **ps)
{
    search *s = *ps;
    if (!s) return;
    for (int i = 0; i < s->n; i++) finder_close(&s->finders[i]);
    mem_free(s);
    *ps = NULL;
}

cj_err search_find(search *s, const char *question, found_passage *out, int *n, finder_cost *costs, cj_diag *d)
{
    int found = 0;
    for (int i = 0; i < s->n; i++) {
        const search_source *from = &s->sources[i];
        int more = 0;
        if (!s->finders[i]) TRY(finder_open(&s->finders[i], s->e, from->book, from->entry, s->opt, d));
        TRY(finder_find(s->finders[i], question, out + found, FINDER_FOUND_MAX / s->n, &more, costs ? &costs[i] : NULL, d));
        for (int k = 0; k < more; k++) out[found + k].source = i;
        found += more;
    }
    finder_rank(out, found);
    *n = found;
    return CJ_OK;
}

cj_err search_check(shelf_entry *const *entries, int n, cj_diag *d)
{
    const shelf_info *first = shelf_entry_info(entries[0]);
    engine_options how, other;
    session_mode_read(first->mode, &how, NULL);
    for (int i = 1; i < n; i++) {
        const shelf_info *info = shelf_entry_info(entries[i]);
        session_mode_read(info->mode, &other, NULL);
        if (info->model != first->model)
            return diag_fail(d, CJ_E_INPUT, MSG_SEARCH_MODELS, "%s" ARG "%s" ARG "%s" ARG "%s", first->name, first->model_name, info->name, info->model_name);
        if (other.exact != how.exact || other.kv != how.kv)
            return diag_fail(d, CJ_E_INPUT, MSG_SEARCH_MODES, "%s" ARG "%s" ARG "%s" ARG "%s", first->name, kv_type_name(how.kv), info->name, kv_type_name(other.kv));
    }
    return CJ_OK;
}
