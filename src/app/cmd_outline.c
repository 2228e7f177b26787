/* juan outline: the chapters of what was read, and what each says. */
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/term.h"
#include "base/cpu.h"
#include "engine/prompt.h"
#include "hub/hub.h"
#include "reader/outline.h"

typedef struct outlining {
    const cli *c;
    shelf *shelf;
    shelf_entry *entry;
    book book;
    outline outline;
    hub *hub;
    engine *writer; /* NULL: chapters only */
    cli_progress progress;
} outlining;

/* ---- showing ---- */

static void title_of(const outlining *a, const outline_chapter *c, char *out, size_t size)
{
    const document *doc = a->book.docs[c->document];
    if (c->chapter < 0) {
        snprintf(out, size, "%s %s", document_name(doc), document_chapters(doc) ? cli_text(a->c, MSG_OUTLINE_BEGINNING) : "");
        return;
    }
    const document_chapter *x = document_chapter_at(doc, c->chapter);
    snprintf(out, size, "%.*s", (int)(x->title_end - x->title_byte), document_text(doc) + x->title_byte);
}

static void print_chapter(const outlining *a, const outline_chapter *c)
{
    char title[4 * DOCUMENT_TITLE_MAX + 256], tokens[TERM_TEXT];
    title_of(a, c, title, sizeof title);
    fputs(term_style_code(stdout, TERM_BOLD), stdout);
    term_write(stdout, title, strlen(title));
    printf("%s\n  ", term_style_code(stdout, TERM_PLAIN));
    cli_print(a->c, MSG_OUTLINE_PLACE, "%lld" ARG "%lld" ARG "%s", (long long)c->start, (long long)c->stop, term_count(tokens, c->tokens));
    if (!c->summary) return;
    fputs("  ", stdout);
    term_fold(stdout, c->summary, 2, 2, term_columns(stdout));
    putchar('\n');
    for (int i = 0; i < c->n_parts; i++)
        for (int k = 0; k < c->parts[i].n_quotes; k++) {
            const outline_quote *q = &c->parts[i].quotes[k];
            fputs("    ", stdout);
            cli_print(a->c, MSG_OUTLINE_SOURCE, "%lld" ARG "%lld" ARG "%.*s", (long long)q->start, (long long)q->stop, (int)(q->end - q->byte),
                      a->book.text.data + q->byte);
        }
    fflush(stdout);
}

static bool on_progress(void *arg, int64_t done, int64_t total)
{
    outlining *a = arg;
    return cli_progress_step(&a->progress, done, total);
}

static void on_chapter(void *arg, const outline_chapter *c)
{
    outlining *a = arg;
    cli_progress_end(&a->progress);
    if (!a->c->json) print_chapter(a, c);
}

static json_object *part_json(const outlining *a, const outline_part *p)
{
    json_object *o = json_object_new_object(), *quotes = json_object_new_array();
    json_object_object_add(o, "start", json_object_new_int64(p->start));
    json_object_object_add(o, "end", json_object_new_int64(p->stop));
    json_object_object_add(o, "summary", json_object_new_string(p->summary));
    for (int i = 0; i < p->n_quotes; i++) {
        const outline_quote *q = &p->quotes[i];
        json_object *x = json_object_new_object();
        json_object_object_add(x, "quote", json_object_new_string_len(a->book.text.data + q->byte, (int)(q->end - q->byte)));
        json_object_object_add(x, "start", json_object_new_int64(q->start));
        json_object_object_add(x, "end", json_object_new_int64(q->stop));
        json_object_array_add(quotes, x);
    }
    json_object_object_add(o, "quotes", quotes);
    return o;
}

static json_object *chapter_json(const outlining *a, const outline_chapter *c)
{
    char title[4 * DOCUMENT_TITLE_MAX + 256];
    json_object *o = json_object_new_object(), *parts = json_object_new_array();
    title_of(a, c, title, sizeof title);
    json_object_object_add(o, "document", json_object_new_string(document_name(a->book.docs[c->document])));
    json_object_object_add(o, "chapter", c->chapter < 0 ? NULL : json_object_new_string(title));
    json_object_object_add(o, "start", json_object_new_int64(c->start));
    json_object_object_add(o, "end", json_object_new_int64(c->stop));
    json_object_object_add(o, "characters", json_object_new_int64(c->stop - c->start));
    json_object_object_add(o, "token", json_object_new_int64(c->token));
    json_object_object_add(o, "tokens", json_object_new_int64(c->tokens));
    json_object_object_add(o, "summary", c->summary ? json_object_new_string(c->summary) : NULL);
    for (int i = 0; i < c->n_parts; i++) json_object_array_add(parts, part_json(a, &c->parts[i]));
    json_object_object_add(o, "parts", parts);
    return o;
}

static void print_json(const outlining *a)
{
    json_object *o = json_object_new_object(), *list = json_object_new_array();
    json_object_object_add(o, "name", json_object_new_string(shelf_entry_info(a->entry)->name));
    json_object_object_add(o, "answerer", a->writer ? json_object_new_string(model_path(engine_model(a->writer))) : NULL);
    for (int i = 0; i < a->outline.n; i++) json_object_array_add(list, chapter_json(a, &a->outline.chapters[i]));
    json_object_object_add(o, "chapters", list);
    cli_json(o);
}

/* ---- who writes ---- */

/* A model of the catalogue that can summarise, or at least chat: one that is here before one that fits into memory. */
static const hub_model *advisable(const hub *h, bool *here)
{
    const hub_model *fits = NULL, *chats = NULL;
    for (size_t i = 0; i < hub_count(h); i++) {
        const hub_model *m = hub_at(h, i);
        hub_status s;
        if (!m->ready || !(m->can & (HUB_SUMMARISES | HUB_CHATS)) || hub_status_of(h, m->name, &s, NULL) || s.state != HUB_INSTALLED) continue;
        if (!chats || (m->can & ~chats->can & HUB_SUMMARISES)) chats = m;
    }
    *here = chats != NULL;
    if (chats) return chats;
    const hub_model *list[16];
    size_t n = hub_recommend(h, cpu_memory_available(), list, sizeof list / sizeof *list);
    for (size_t i = 0; i < n && !fits; i++)
        if (list[i]->can & HUB_SUMMARISES) fits = list[i];
    return fits;
}

static void name_another(const outlining *a, const char *model_name)
{
    bool here = false;
    const hub_model *m = advisable(a->hub, &here);
    if (m) cli_say(a->c, here ? MSG_OUTLINE_CANNOT : MSG_OUTLINE_CANNOT_PULL, "%s" ARG "%s", model_name, m->name);
}

/* The writer, unless the model cannot write summaries: the sentence then names one that can. */
static cj_err open_writer(outlining *a, const char *name, const char *path_if_here, cj_diag *d)
{
    engine_options opt = {0};
    char *path = NULL;
    if (cli_engine_options(a->c, &opt)) return CJ_E_USAGE; /* the same options were good before */
    if (file_exists(path_if_here)) path = mem_strdup(path_if_here);
    else TRY(hub_model_path(a->hub, name, &path, d));
    if (!path) return diag_nomem(d, 1);
    const hub_model *m = hub_find_file(a->hub, name, path);
    opt.path = path;
    bool can = !m || (m->can & (HUB_SUMMARISES | HUB_CHATS));
    cj_err e = can ? engine_open(&a->writer, &opt, d) : CJ_OK;
    mem_free(path);
    if (!e && can) can = prompt_can_chat(a->writer);
    if (!e && !can) {
        engine_close(&a->writer);
        name_another(a, name);
    }
    return e;
}

static cj_err run(outlining *a, const char *answerer, bool plain, cj_diag *d)
{
    TRY(shelf_open(&a->shelf, NULL, d));
    TRY(shelf_read(a->shelf, &a->entry, a->c->argv[0], d));
    TRY(book_load(&a->book, a->entry, d));
    TRY(outline_make(&a->outline, &a->book, d));
    const shelf_info *info = shelf_entry_info(a->entry);
    if (!plain) {
        TRY(hub_open(&a->hub, NULL, NULL, d));
        TRY(open_writer(a, answerer ? answerer : info->model_name, answerer ? "" : info->model_path, d));
    }
    if (a->writer) {
        const outline_options opt = {on_progress, on_chapter, a};
        TRY(outline_summarise(&a->outline, a->writer, a->entry, &opt, d));
    }
    if (a->c->json) print_json(a);
    for (int i = 0; !a->c->json && !a->writer && i < a->outline.n; i++) print_chapter(a, &a->outline.chapters[i]);
    return CJ_OK;
}

int cmd_outline(cli *c)
{
    outlining a = {.c = c};
    const char *answerer = NULL;
    bool plain = false;
    cj_diag d = {0};
    const cli_option options[] = {
        {"answerer", 0, CLI_TEXT, &answerer, "MODEL", MSG_OPT_OUTLINE_ANSWERER},
        {"chapters", 0, CLI_FLAG, &plain, NULL, MSG_OPT_OUTLINE_PLAIN},
    };
    const cli_help help = {"NAME", MSG_CMD_OUTLINE_ABOUT, "outline book\noutline book --answerer {1}\noutline book --chapters --json", 1, 1};
    int code = cli_parse(c, &help, options, sizeof options / sizeof *options);
    if (code) return code;
    cli_progress_begin(&a.progress, c, MSG_OUTLINING);
    cj_err e = run(&a, answerer, plain, &d);
    cli_progress_end(&a.progress);
    outline_deinit(&a.outline);
    engine_close(&a.writer);
    hub_close(&a.hub);
    book_deinit(&a.book);
    shelf_entry_close(&a.entry);
    shelf_close(&a.shelf);
    return e ? cli_fail(c, &d) : EXIT_DONE;
}
