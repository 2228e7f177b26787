/* juan outline: the chapters of what was read, and what each says. */
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/term.h"
#include "base/cpu.h"
#include "engine/prompt.h"
#include "reader/named.h"
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

/* Folded on a terminal only. */
static void print_flowing(const char *text)
{
    term_flow f;
    fputs("  ", stdout);
    term_flow_begin(&f, stdout, 2);
    f.indent = 2;
    term_flow_write(&f, text, strlen(text));
    term_flow_end(&f);
    putchar('\n');
}

static void print_quote(const outlining *a, const outline_quote *q)
{
    char place[128], args[64];
    snprintf(args, sizeof args, "%lld" ARG "%lld", (long long)q->start, (long long)q->stop);
    msg_format(cli_text(a->c, MSG_OUTLINE_SOURCE), args, place, sizeof place);
    printf("    %s", place);
    term_write(stdout, a->book.text.data + q->byte, q->end - q->byte);
    putchar('\n');
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
    print_flowing(c->summary);
    for (int i = 0; i < c->n_parts; i++)
        for (int k = 0; k < c->parts[i].n_quotes; k++) print_quote(a, &c->parts[i].quotes[k]);
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

/* "juan outline: why", once. */
static void on_unkept(void *arg, const cj_diag *why)
{
    outlining *a = arg;
    cli_progress_end(&a->progress);
    (void)cli_fail(a->c, why);
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

/* The chapters alone where nobody was asked to write; else a refusal. Both name a model that can, if there is one. */
static cj_err cannot_write(const outlining *a, const char *name, bool asked, cj_diag *d)
{
    const hub_model *able = hub_able(a->hub, HUB_SUMMARISES, cpu_memory_available());
    const msg_id id = able ? MSG_OUTLINE_CANNOT_PULL : MSG_OUTLINE_CANNOT;
    const char *other = able ? able->name : "";
    if (asked) return diag_fail(d, CJ_E_UNSUPPORTED, id, "%s" ARG "%s", name, other);
    cli_say(a->c, id, "%s" ARG "%s", name, other);
    return CJ_OK;
}

/* The writer: the answerer that was asked for, else the model that read, if it can write summaries. */
static cj_err open_writer(outlining *a, const char *answerer, cj_diag *d)
{
    const shelf_info *info = shelf_entry_info(a->entry);
    const char *name = answerer ? answerer : info->model_name;
    engine_options opt = {0};
    char *path = NULL;
    if (cli_engine_options(a->c, &opt)) return CJ_E_USAGE; /* the same options were good before */
    TRY(named_path(&path, name, answerer ? NULL : info->model_path, d));
    const hub_model *m = hub_find_file(a->hub, name, path);
    bool can = !m || (m->can & (HUB_SUMMARISES | HUB_CHATS));
    cj_err e = can ? named_engine(&a->writer, name, path, &opt, d) : CJ_OK;
    mem_free(path);
    if (e) return e;
    if (can && prompt_can_chat(a->writer)) return CJ_OK;
    engine_close(&a->writer);
    return cannot_write(a, name, answerer != NULL, d);
}

static cj_err run(outlining *a, const char *answerer, bool plain, cj_diag *d)
{
    TRY(shelf_open(&a->shelf, NULL, d));
    TRY(shelf_read(a->shelf, &a->entry, a->c->argv[0], d));
    TRY(book_load(&a->book, a->entry, d));
    TRY(outline_make(&a->outline, &a->book, d));
    if (!plain) {
        TRY(hub_open(&a->hub, NULL, NULL, d));
        TRY(open_writer(a, answerer, d));
    }
    if (a->writer) {
        const outline_options opt = {on_progress, on_chapter, on_unkept, a};
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
