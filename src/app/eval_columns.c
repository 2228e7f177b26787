/* Columns. */
#include "app/eval_columns.h"

#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "reader/adapters.h"
#include "reader/read.h"

static const char *const names[COLUMNS] = {[COLUMN_DIRECT] = "direct", [COLUMN_READING] = "reading", [COLUMN_INDEX] = "index", [COLUMN_BOTH] = "both"};

bool columns_named(const char *name, eval_column *out)
{
    for (int i = 0; i < COLUMNS; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (eval_column)i;
            return true;
        }
    return false;
}

static bool go_on(void *arg, ask_phase phase, int64_t done, int64_t total)
{
    (void)arg, (void)phase, (void)done, (void)total;
    return !cli_interrupted();
}

static bool still_wanted(void *arg, int64_t done, int64_t total)
{
    (void)arg, (void)done, (void)total;
    return !cli_interrupted();
}

/* ---- a model ---- */

static cj_err open_model(eval_columns *k, cj_diag *d)
{
    engine_options opt = {0};
    if (cli_engine_options(k->c, &opt)) return diag_fail(d, CJ_E_USAGE, MSG_OPTION_BAD, "%s" ARG "%s", "--cpu", k->c->cpu ? k->c->cpu : "");
    if (!k->c->kv && !k->c->exact_math) opt.kv = KV_Q8;
    TRY(named_open(&k->model, k->model_name, NULL, &opt, d));
    if (k->model.heads.trouble.code) cli_note(k->c, &k->model.heads.trouble);
    k->find.n_heads = k->model.heads.n;
    TRY(adapters_open_both(&k->answering, &k->finding, k->model.engine, k->model.engine, k->adapter_name, true, d));
    k->ask.adapter = k->answering;
    k->find.adapter = k->finding;
    return shelf_open(&k->shelf, k->shelf_path, d);
}

static cj_err make_folder(eval_columns *k, bool users_shelf, cj_diag *d)
{
    char *home = file_home();
    cj_err e = home ? folder_own(home, "eval-", &k->folder, &k->folder_held, d) : diag_nomem(d, 64);
    mem_free(home);
    TRY(e);
    k->index_path = file_join(k->folder, "text.index");
    k->shelf_path = users_shelf ? NULL : file_join(k->folder, "shelf");
    k->snapshots = file_join(k->folder, "snapshots");
    return k->index_path && (k->shelf_path || users_shelf) && k->snapshots ? CJ_OK : diag_nomem(d, strlen(k->folder));
}

cj_err columns_open(eval_columns *k, const cli *c, const columns_options *opt, cj_diag *d)
{
    *k = (eval_columns){.c = c, .model_name = opt->model_name, .adapter_name = opt->adapter, .name = "eval", .folder_held = -1};
    TRY(make_folder(k, opt->users_shelf, d));
    k->find = (finder_options){.heads = k->model.heads.item, .keep = opt->keep, .on_progress = still_wanted};
    k->ask = (ask_options){.max_tokens = opt->max_tokens, .snapshots = k->snapshots, .on_progress = go_on};
    return opt->open_it ? open_model(k, d) : CJ_OK;
}

void columns_next(eval_columns *k, const char *name) { k->name = name; }

static void close_text(eval_columns *k)
{
    finder_close(&k->finder);
    shelf_entry_close(&k->entry);
    book_deinit(&k->book);
    document_close(&k->doc);
}

void columns_close(eval_columns *k)
{
    close_text(k);
    index_reader_close(&k->index);
    shelf_close(&k->shelf);
    engine_adapter_close(&k->answering);
    engine_adapter_close(&k->finding);
    named_close(&k->model);
    folder_disown(&k->folder, &k->folder_held);
    mem_free(k->index_path);
    mem_free(k->shelf_path);
    mem_free(k->snapshots);
}

/* ---- the text ---- */

static cj_err cut_passages(const char *text, size_t bytes, text_range **out, int64_t *n, cj_diag *d)
{
    passage_list l = {0};
    cj_err e = passages_cut(text, bytes, &l, d);
    text_range *ranges = e ? NULL : mem_array((size_t)l.n, sizeof *ranges);
    if (!e && !ranges) e = diag_nomem(d, (size_t)l.n * sizeof *ranges);
    for (int64_t i = 0; !e && i < l.n; i++) ranges[i] = (text_range){l.item[i].byte, l.item[i].end};
    if (!e) *out = ranges, *n = l.n;
    passages_deinit(&l);
    return e;
}

static cj_err join_text(eval_columns *k, const char *text, size_t bytes, cj_diag *d)
{
    close_text(k);
    TRY(document_from_bytes(&k->doc, "eval.txt", text, bytes, d));
    return book_join(&k->book, &k->doc, 1, d);
}

typedef struct watcher {
    bool (*on_progress)(void *of, int64_t done, int64_t total);
    void *of;
} watcher;

static bool on_read(void *arg, const read_progress *p)
{
    const watcher *w = arg;
    return w->on_progress(w->of, p->tokens, p->tokens_total);
}

/* Onto the shelf, under one name: the text before is taken off it. A text that is there already is not read again. */
static cj_err read_text(void *arg, const char *text, size_t bytes, bool (*on_progress)(void *of, int64_t done, int64_t total), void *of, cj_diag *d)
{
    eval_columns *k = arg;
    watcher w = {on_progress, of};
    read_options opt = {.name = k->name, .model_name = k->model_name, .keep = k->find.keep, .on_progress = on_read, .arg = &w};
    read_result r;
    document *doc = NULL;
    close_text(k);
    TRY(document_from_bytes(&doc, "eval.txt", text, bytes, d));
    cj_err e = read_documents(k->model.engine, k->shelf, &doc, 1, &opt, &r, d);
    document_close(&doc);
    if (!e) e = shelf_read(k->shelf, &k->entry, k->name, d);
    return e ? e : book_load(&k->book, k->entry, d);
}

static cj_err index_text(void *arg, const char *text, size_t bytes, bool (*on_progress)(void *of, int64_t done, int64_t total), void *of, cj_diag *d)
{
    eval_columns *k = arg;
    eval_reader r = index_reader_of(&k->index, cut_passages, k->index_path);
    TRY(join_text(k, text, bytes, d));
    return r.open(&k->index, text, bytes, on_progress, of, d);
}

static cj_err read_to_find(eval_columns *k, int how, const char *text, size_t bytes, watcher w, cj_diag *d)
{
    TRY(read_text(k, text, bytes, w.on_progress, w.of, d));
    k->find.how = how;
    return finder_open(&k->finder, k->model.engine, &k->book, k->entry, &k->find, d);
}

static cj_err open_reading(void *arg, const char *text, size_t bytes, bool (*on_progress)(void *of, int64_t done, int64_t total), void *of, cj_diag *d)
{
    return read_to_find(arg, FIND_READING, text, bytes, (watcher){on_progress, of}, d);
}

static cj_err open_both(void *arg, const char *text, size_t bytes, bool (*on_progress)(void *of, int64_t done, int64_t total), void *of, cj_diag *d)
{
    return read_to_find(arg, FIND_BOTH, text, bytes, (watcher){on_progress, of}, d);
}

/* ---- finding and answering ---- */

static cj_err locate_by_index(void *arg, const char *question, int most, eval_range *found, int *n, cj_diag *d)
{
    eval_columns *k = arg;
    return index_reader_locate(&k->index, question, most, found, n, d);
}

/* At most FINDER_FOUND_MAX. */
static cj_err locate_by_finder(void *arg, const char *question, int most, eval_range *found, int *n, cj_diag *d)
{
    eval_columns *k = arg;
    found_passage list[FINDER_FOUND_MAX];
    TRY(finder_find(k->finder, question, list, most < FINDER_FOUND_MAX ? most : FINDER_FOUND_MAX, n, NULL, d));
    for (int i = 0; i < *n; i++) found[i] = (eval_range){k->book.passages.item[list[i].passage].byte, k->book.passages.item[list[i].passage].end};
    return CJ_OK;
}

/* The passage that begins at a byte, or the one before it. */
static int64_t passage_at(const book *b, size_t byte)
{
    int64_t low = 0, high = b->passages.n;
    while (high - low > 1) {
        int64_t mid = (low + high) / 2;
        if (b->passages.item[mid].byte <= byte) low = mid;
        else high = mid;
    }
    return low;
}

static cj_err answer_from(void *arg, const char *question, const eval_range *found, int n, buf *out, cj_diag *d)
{
    eval_columns *k = arg;
    if (!n) return CJ_OK; /* nothing was found: nothing is said */
    int64_t *best = mem_array((size_t)n, sizeof *best);
    if (!best) return diag_nomem(d, (size_t)n * sizeof *best);
    for (int i = 0; i < n; i++) best[i] = passage_at(&k->book, found[i].byte);
    cj_err e = steps_answer(k->model.engine, &k->book, best, n, question, &k->ask, out, d);
    mem_free(best);
    return e;
}

static cj_err answer_directly(void *arg, const char *question, const eval_range *found, int n, buf *out, cj_diag *d)
{
    eval_columns *k = arg;
    (void)found, (void)n;
    return steps_direct(k->model.engine, &k->book, k->entry, question, &k->ask, out, d);
}

eval_reader columns_reader(eval_columns *k, eval_column which, bool answers)
{
    eval_reader r = {.column = names[which], .arg = k};
    switch (which) {
    case COLUMN_DIRECT: r.open = read_text, r.answer = answer_directly; break;
    case COLUMN_READING: r.open = open_reading, r.locate = locate_by_finder, r.answer = answers ? answer_from : NULL; break;
    case COLUMN_BOTH: r.open = open_both, r.locate = locate_by_finder, r.answer = answers ? answer_from : NULL; break;
    default: r.open = index_text, r.locate = locate_by_index, r.answer = answers ? answer_from : NULL;
    }
    return r;
}
