/* Opening what is asked. */
#include "app/asked.h"

#include <string.h>

#include "app/documents.h"
#include "base/file.h"

static bool is_file(const char *name) { return !strcmp(name, "-") || file_exists(name); }

bool asked_files(char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (is_file(names[i])) return true;
    return false;
}

/* ---- files ---- */

/* A shelf that is not there is not made to look. */
static bool open_shelf_if_any(asked *a)
{
    char *home = file_home(), *folder = home ? file_join(home, "shelf") : NULL;
    const bool any = folder && file_is_dir(folder) && !shelf_open(&a->shelf, NULL, NULL);
    mem_free(folder);
    mem_free(home);
    return any;
}

/* An entry among files would be called a file that is not there; of an entry with a file's name it is said which is asked. */
static cj_err look_for_entries(asked *a, int n, cj_diag *d)
{
    if (!open_shelf_if_any(a)) return CJ_OK;
    for (int i = 0; i < n; i++) {
        const char *name = a->c->argv[i];
        const bool entry = !shelf_read(a->shelf, &a->entries[0], name, NULL);
        shelf_entry_close(&a->entries[0]);
        if (entry && !is_file(name)) return diag_fail(d, CJ_E_USAGE, MSG_ASK_MIXED, "%s", name);
        if (entry) cli_say(a->c, MSG_ASKED_BOTH, "%s", name);
    }
    return CJ_OK;
}

static cj_err open_files(asked *a, int n, cj_diag *d)
{
    TRY(look_for_entries(a, n, d));
    TRY(documents_open(&a->docs, a->c, n, d));
    a->n = 1;
    a->sources[0].book = &a->books[0];
    return book_join(&a->books[0], a->docs.docs, a->docs.n, d);
}

/* ---- entries ---- */

static cj_err open_entry(asked *a, const char *name, cj_diag *d)
{
    const int i = a->n;
    cj_err e = shelf_read(a->shelf, &a->entries[i], name, d);
    if (e == CJ_E_NOT_FOUND && file_exists(name)) return diag_fail(d, CJ_E_NOT_FOUND, MSG_ASKED_FILE, "%s", name);
    TRY(e);
    a->n++; /* from here on there is a book to be closed */
    TRY(book_load(&a->books[i], a->entries[i], d));
    a->sources[i] = (search_source){&a->books[i], a->entries[i]};
    const shelf_info *info = shelf_entry_info(a->entries[i]);
    if (info->tokens < info->tokens_total) cli_say(a->c, MSG_ASK_UNFINISHED, "%s" ARG "%d", info->name, (int)(100 * info->tokens / info->tokens_total));
    return CJ_OK;
}

static cj_err open_entries(asked *a, int n, engine_options *opt, cj_diag *d)
{
    if (n > SEARCH_SOURCES_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_ASK_MANY_ENTRIES, "%d" ARG "%d", n, SEARCH_SOURCES_MAX);
    TRY(shelf_open(&a->shelf, NULL, d));
    for (int i = 0; i < n; i++) TRY(open_entry(a, a->c->argv[i], d));
    TRY(search_check(a->entries, n, d));
    if (n > 1) cli_say(a->c, MSG_ASK_EACH, "%d", n);
    session_mode_read(shelf_entry_info(a->entries[0])->mode, opt, NULL);
    return CJ_OK;
}

/* ---- models ---- */

cj_err asked_open(asked *a, const cli *c, int n, bool entries, const char *model_name, const char *answerer, const char *adapter, bool answers,
                  engine_options *opt, cj_diag *d)
{
    *a = (asked){.c = c};
    engine_options other = *opt; /* an answerer does not depend on how an entry was read */
    TRY(!entries && asked_files(c->argv, n) ? open_files(a, n, d) : open_entries(a, n, opt, d));
    const shelf_info *info = !model_name && a->sources[0].entry ? shelf_entry_info(a->sources[0].entry) : NULL;
    TRY(named_open(&a->reader, info ? info->model_name : model_name, info ? info->model_path : NULL, opt, d));
    if (a->reader.heads.trouble.code) cli_note(c, &a->reader.heads.trouble);
    if (answerer) TRY(named_open(&a->answerer, answerer, NULL, &other, d));
    return adapters_open_both(&a->adapter, &a->finder, a->answerer.engine ? a->answerer.engine : a->reader.engine, a->reader.engine, adapter, answers, d);
}

void asked_close(asked *a)
{
    engine_adapter_close(&a->adapter);
    engine_adapter_close(&a->finder);
    named_close(&a->answerer);
    named_close(&a->reader);
    for (int i = 0; i < a->n; i++) book_deinit(&a->books[i]);
    for (int i = 0; i < SEARCH_SOURCES_MAX; i++) shelf_entry_close(&a->entries[i]);
    shelf_close(&a->shelf);
    document_set_close(&a->docs);
}

ask_view asked_view(const asked *a) { return (ask_view){a->c, a->sources, a->n, a->adapter ? engine_adapter_facts(a->adapter)->name : NULL}; }
