/* juan ask: a question about files, an answer, and the evidence. */
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/documents.h"
#include "app/term.h"
#include "base/file.h"
#include "eval/bench.h"
#include "hub/hub.h"
#include "reader/ask.h"

typedef struct asking {
    const cli *c;
    document_set docs;  /* files that are read now */
    shelf *shelf;
    shelf_entry *entry; /* or what was read before; NULL: none */
    book book;          /* either way */
    hub *hub;
    engine *engine, *answerer; /* answerer: NULL when one model does both */
    cli_progress progress;
    term_flow answer; /* where it is shown */
    ask_result result;
} asking;

static bool on_progress(void *arg, ask_phase phase, int64_t done, int64_t total)
{
    asking *a = arg;
    return phase == ASK_READING ? cli_progress_step(&a->progress, done, total) : !cli_interrupted();
}

static void print_place(const asking *a, const ask_evidence *e)
{
    const document *doc = a->book.docs[e->document];
    if (a->book.n_docs > 1) printf("%s ", document_name(doc));
    if (e->chapter >= 0) {
        const document_chapter *ch = document_chapter_at(doc, e->chapter);
        term_write(stdout, document_text(doc) + ch->title_byte, ch->title_end - ch->title_byte);
        printf(" ");
    }
    if (e->article >= 0) {
        const document_article *at = document_article_at(doc, e->article);
        term_write(stdout, document_text(doc) + at->byte, at->label_end - at->byte);
        printf(" ");
    }
    char text[128], args[64];
    if (e->page) {
        snprintf(args, sizeof args, "%d", e->page);
        msg_format(cli_text(a->c, MSG_ASK_PAGE), args, text, sizeof text);
        printf("%s ", text);
    }
    snprintf(args, sizeof args, "%lld" ARG "%lld", (long long)e->start, (long long)e->end);
    msg_format(cli_text(a->c, MSG_ASK_PLACE), args, text, sizeof text);
    printf("%s", text);
}

static void on_evidence(void *arg, const ask_evidence *evidence, int n)
{
    asking *a = arg;
    cli_progress_end(&a->progress);
    if (a->c->json) return;
    if (n) printf("%s\n", cli_text(a->c, MSG_ASK_EVIDENCE));
    for (int i = 0; i < n; i++) {
        const ask_evidence *e = &evidence[i];
        printf(" %d. 「", i + 1);
        term_write(stdout, document_text(a->book.docs[e->document]) + e->byte, e->end_byte - e->byte);
        printf("」\n    —— ");
        print_place(a, e);
        if (a->entry) printf(" · %s", cli_text(a->c, e->found_by == FIND_BOTH ? MSG_FOUND_BOTH : e->found_by == FIND_INDEX ? MSG_FOUND_INDEX : MSG_FOUND_READING));
        printf("\n");
    }
    const char *label = cli_text(a->c, MSG_ASK_ANSWER);
    printf("%s", label);
    fflush(stdout);
    term_flow_begin(&a->answer, stdout, term_width(label, strlen(label)));
}

static bool on_text(void *arg, const char *text, size_t n)
{
    asking *a = arg;
    if (!a->c->json) {
        term_flow_write(&a->answer, text, n);
        fflush(stdout);
    }
    return !cli_interrupted();
}

static const char *const find_names[] = {"", "reading", "index", "both"};

static json_object *evidence_json(const asking *a, const ask_evidence *e)
{
    const document *doc = a->book.docs[e->document];
    json_object *o = json_object_new_object();
    json_object_object_add(o, "quote", json_object_new_string_len(document_text(doc) + e->byte, (int)(e->end_byte - e->byte)));
    json_object_object_add(o, "document", json_object_new_string(document_name(doc)));
    json_object *chapter = NULL;
    if (e->chapter >= 0) {
        const document_chapter *ch = document_chapter_at(doc, e->chapter);
        chapter = json_object_new_string_len(document_text(doc) + ch->title_byte, (int)(ch->title_end - ch->title_byte));
    }
    json_object_object_add(o, "chapter", chapter);
    json_object_object_add(o, "paragraph", json_object_new_int64(e->paragraph));
    json_object *article = NULL;
    if (e->article >= 0) {
        const document_article *at = document_article_at(doc, e->article);
        article = json_object_new_string_len(document_text(doc) + at->byte, (int)(at->label_end - at->byte));
    }
    json_object_object_add(o, "article", article);
    json_object_object_add(o, "page", e->page ? json_object_new_int(e->page) : NULL);
    json_object_object_add(o, "start", json_object_new_int64(e->start));
    json_object_object_add(o, "end", json_object_new_int64(e->end));
    json_object_object_add(o, "verified", json_object_new_boolean(e->verified));
    json_object_object_add(o, "score", json_object_new_double((double)e->score));
    json_object_object_add(o, "found_by", json_object_new_string(find_names[e->found_by]));
    return o;
}

static void print_json(const asking *a)
{
    const ask_result *r = &a->result;
    json_object *o = json_object_new_object(), *list = json_object_new_array(), *t = json_object_new_object();
    json_object_object_add(o, "answer", json_object_new_string_len(r->answer.data ? r->answer.data : "", (int)r->answer.len));
    for (int i = 0; i < r->n_evidence; i++) json_object_array_add(list, evidence_json(a, &r->evidence[i]));
    json_object_object_add(o, "evidence", list);
    json_object_object_add(o, "mode", json_object_new_string(r->from_passages ? "find" : "close"));
    json_object_object_add(t, "first_token_seconds", json_object_new_double(r->first_token_seconds));
    json_object_object_add(t, "read_seconds", json_object_new_double(r->read_seconds));
    json_object_object_add(t, "write_seconds", json_object_new_double(r->write_seconds));
    json_object_object_add(t, "total_seconds", json_object_new_double(r->total_seconds));
    json_object_object_add(t, "read_tokens", json_object_new_int64(r->read_tokens));
    json_object_object_add(t, "reused_tokens", json_object_new_int64(r->reused_tokens));
    json_object_object_add(t, "written_tokens", json_object_new_int64(r->written_tokens));
    json_object_object_add(o, "timings", t);
    cli_json(o);
}

/* Speed beside what the machine could do, which is measured now, after the answer. */
static void print_speed(const asking *a)
{
    const ask_result *r = &a->result;
    int64_t memory = cpu_memory_peak();
    kernel_ceilings c;
    double read_floor = 0, write_floor = 0;
    if (a->c->quiet || a->answerer || kernel_ceilings_measure(engine_kernel(a->engine), &c, NULL)) return;
    for (int i = 0; i < r->n_reads; i++) read_floor += bench_read_floor(a->engine, &c, r->reads[i].from, r->reads[i].count, r->reads[i].logits);
    for (int64_t i = 1; i < r->written_tokens; i++) write_floor += bench_write_floor(a->engine, &c, r->context_tokens + i);
    cli_say(a->c, MSG_ASK_SPEED, "%lld" ARG "%.0f" ARG "%.0f" ARG "%lld" ARG "%.0f" ARG "%.0f" ARG "%.1f" ARG "%lld", (long long)r->read_tokens,
            r->read_seconds > 0 ? (double)r->read_tokens / r->read_seconds : 0, r->read_seconds > 0 ? 100 * read_floor / r->read_seconds : 0,
            (long long)r->written_tokens, r->write_seconds > 0 ? (double)r->written_tokens / r->write_seconds : 0,
            r->write_seconds > 0 ? 100 * write_floor / r->write_seconds : 0, r->total_seconds, (long long)(memory >> 20));
}

/* The heads that the catalogue knows for a model. */
static void known_heads(const asking *a, const char *model_name, const char *path, finder_head *heads, ask_options *opt)
{
    const hub_model *m = hub_find_file(a->hub, model_name, path);
    for (size_t i = 0; m && i < m->head_count && i < ASK_HEADS_MAX; i++) heads[opt->n_heads++] = (finder_head){m->heads[i].layer, m->heads[i].head};
    opt->heads = heads;
}

/* One name that is no file is an entry of the shelf. */
static bool asks_entry(const asking *a) { return a->c->argc == 2 && strcmp(a->c->argv[0], "-") && !file_exists(a->c->argv[0]); }

/* The entry, its book, and the model and kind of pages that it was read with. */
static cj_err open_entry(asking *a, const char **model_name, engine_options *opt, cj_diag *d)
{
    TRY(shelf_open(&a->shelf, NULL, d));
    TRY(shelf_read(a->shelf, &a->entry, a->c->argv[0], d));
    TRY(book_load(&a->book, a->entry, d));
    const shelf_info *info = shelf_entry_info(a->entry);
    if (info->tokens < info->tokens_total)
        cli_say(a->c, MSG_ASK_UNFINISHED, "%s" ARG "%d", info->name, (int)(100 * info->tokens / info->tokens_total));
    if (!*model_name) *model_name = info->model_name;
    session_mode_read(info->mode, opt, NULL);
    return CJ_OK;
}

static cj_err open_book(asking *a, const char **model_name, engine_options *opt, cj_diag *d)
{
    if (asks_entry(a)) return open_entry(a, model_name, opt, d);
    TRY(documents_open(&a->docs, a->c, a->c->argc - 1, d));
    return book_join(&a->book, a->docs.docs, a->docs.n, d);
}

static cj_err open_answerer(asking *a, const char *name, cj_diag *d)
{
    engine_options opt = {0};
    char *path = NULL;
    if (cli_engine_options(a->c, &opt)) return CJ_E_USAGE; /* the same options were good before */
    TRY(hub_model_path(a->hub, name, &path, d));
    opt.path = path;
    cj_err e = engine_open(&a->answerer, &opt, d);
    mem_free(path);
    return e;
}

static cj_err run(asking *a, const char *model_name, const char *answerer, engine_options *opt, ask_options *ask_opt, cj_diag *d)
{
    finder_head heads[ASK_HEADS_MAX];
    char *path = NULL;
    TRY(open_book(a, &model_name, opt, d));
    TRY(hub_open(&a->hub, NULL, NULL, d));
    if (!model_name) model_name = hub_default(a->hub);
    TRY(hub_model_path(a->hub, model_name, &path, d));
    known_heads(a, model_name, path, heads, ask_opt);
    opt->path = path;
    cj_err e = engine_open(&a->engine, opt, d);
    mem_free(path);
    if (!e && answerer) e = open_answerer(a, answerer, d);
    TRY(e);
    ask_opt->answerer = a->answerer;
    return ask(a->engine, &a->book, a->entry, a->c->argv[a->c->argc - 1], ask_opt, &a->result, d);
}

int cmd_ask(cli *c)
{
    asking a = {.c = c};
    const char *model_name = NULL;
    const char *find = NULL, *answerer = NULL;
    bool all = false;
    int64_t evidence = 0, tokens = 0;
    cj_diag d = {0};
    const cli_option options[] = {
        {"model", 'm', CLI_TEXT, &model_name, "MODEL", MSG_OPT_MODEL},
        {"evidence", 'e', CLI_INT, &evidence, "N", MSG_OPT_EVIDENCE},
        {"all", 'a', CLI_FLAG, &all, NULL, MSG_OPT_ALL},
        {"answerer", 0, CLI_TEXT, &answerer, "MODEL", MSG_OPT_ANSWERER},
        {"find", 0, CLI_TEXT, &find, "HOW", MSG_OPT_FIND},
        {"tokens", 'n', CLI_INT, &tokens, "N", MSG_OPT_TOKENS},
    };
    const cli_help help = {"NAME|FILE... \"QUESTION\"", MSG_CMD_ASK_ABOUT, "ask contract.txt \"违约金是多少？\"\nask a.txt b.txt \"Who signed?\" --json\nask - \"What changed?\" < notes.txt", 2,
                           DOCUMENT_SET_MAX + 1};
    int code = cli_parse(c, &help, options, sizeof options / sizeof *options);
    if (code) return code;
    if (evidence < 0 || evidence > ASK_EVIDENCE_MAX) return cli_usage(c, MSG_CLI_BAD_VALUE, "--evidence");
    int how = find ? FIND_BOTH : 0;
    while (find && how && strcmp(find, find_names[how])) how--;
    if (find && !how) return cli_usage(c, MSG_CLI_BAD_VALUE, "--find");
    if (tokens < 0) return cli_usage(c, MSG_CLI_BAD_VALUE, "--tokens");
    if (!*c->argv[c->argc - 1]) return cli_usage(c, MSG_ASK_NO_QUESTION, "");
    engine_options opt = {0};
    code = cli_engine_options(c, &opt);
    if (code) return code;
    char *home = file_home(), *snapshots = home ? file_join(home, "snapshots") : NULL;
    ask_options ask_opt = {.find = how, .all = all, .evidence = (int)evidence, .max_tokens = tokens, .snapshots = snapshots, .on_progress = on_progress,
                           .on_evidence = on_evidence, .on_text = on_text, .arg = &a};
    cli_progress_begin(&a.progress, c, MSG_READING);
    cj_err e = run(&a, model_name, answerer, &opt, &ask_opt, &d);
    cli_progress_end(&a.progress);
    if (!e && c->json) print_json(&a);
    term_flow_end(&a.answer);
    if (!e && !c->json) {
        printf("%s\n", a.result.answer.len ? "" : cli_text(c, a.result.n_evidence ? MSG_ASK_NO_ANSWER : MSG_ASK_NOTHING_FOUND));
        fflush(stdout);
        print_speed(&a);
    }
    ask_deinit(&a.result);
    engine_close(&a.answerer);
    engine_close(&a.engine);
    hub_close(&a.hub);
    book_deinit(&a.book);
    shelf_entry_close(&a.entry);
    shelf_close(&a.shelf);
    document_set_close(&a.docs);
    mem_free(home);
    mem_free(snapshots);
    return e ? cli_fail(c, &d) : EXIT_DONE;
}
