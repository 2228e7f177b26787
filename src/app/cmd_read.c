/* juan read: documents onto the shelf. */
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/documents.h"
#include "app/term.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "eval/bench.h"
#include "hub/hub.h"
#include "reader/read.h"

typedef struct reader {
    const cli *c;
    document_set docs;
    hub *hub;
    engine *engine;
    shelf *shelf;
    cli_progress progress;
    double told; /* when the last JSON line was written */
    read_result result;
} reader;

static json_object *progress_json(const read_progress *p)
{
    json_object *o = json_object_new_object();
    double rate = p->seconds > 0 ? (double)(p->tokens - p->tokens_before) / p->seconds : 0;
    json_object_object_add(o, "phase", json_object_new_string(p->phase == READ_TEXT ? "text" : "tokens"));
    json_object_object_add(o, "characters", json_object_new_int64(p->characters));
    json_object_object_add(o, "tokens", json_object_new_int64(p->tokens));
    json_object_object_add(o, "tokens_total", json_object_new_int64(p->tokens_total));
    json_object_object_add(o, "tokens_per_second", cli_json_number(rate));
    json_object_object_add(o, "eta_seconds", rate > 0 ? cli_json_number((double)(p->tokens_total - p->tokens) / rate) : NULL);
    json_object_object_add(o, "ram_bytes", json_object_new_int64(cpu_memory_peak()));
    json_object_object_add(o, "disk_bytes", json_object_new_int64(p->disk_bytes));
    return o;
}

static bool on_progress(void *arg, const read_progress *p)
{
    reader *r = arg;
    double now = clock_now();
    if (!r->c->json) return p->phase == READ_TEXT ? !cli_interrupted() : cli_progress_step(&r->progress, p->tokens, p->tokens_total);
    if (now - r->told >= 1) {
        cli_json(progress_json(p));
        fflush(stdout);
        r->told = now;
    }
    return !cli_interrupted();
}

static const char *mode_name(int64_t keep) { return keep ? "fast" : "exact"; }

static void on_choice(void *arg, const read_choice *x)
{
    reader *r = arg;
    char exact[TERM_TEXT], fast[TERM_TEXT];
    cli_progress_end(&r->progress);
    if (r->c->json) {
        static const char *const whys[] = {"asked", "begun", "same", "estimated"};
        const bool known = x->why == READ_ESTIMATED;
        json_object *o = json_object_new_object();
        json_object_object_add(o, "phase", json_object_new_string("estimate"));
        json_object_object_add(o, "mode", json_object_new_string(mode_name(x->keep)));
        json_object_object_add(o, "why", json_object_new_string(whys[x->why]));
        json_object_object_add(o, "exact_seconds", known ? cli_json_number(x->exact_seconds) : NULL);
        json_object_object_add(o, "fast_seconds", known ? cli_json_number(x->fast_seconds) : NULL);
        json_object_object_add(o, "characters_total", json_object_new_int64(x->characters));
        json_object_object_add(o, "tokens_total", json_object_new_int64(x->tokens));
        cli_json(o);
    } else if (x->why == READ_ESTIMATED)
        cli_say(r->c, x->keep ? MSG_READ_CHOSE_FAST : MSG_READ_CHOSE_EXACT, "%s" ARG "%s", term_seconds(exact, x->exact_seconds), term_seconds(fast, x->fast_seconds));
    else if (x->why == READ_BEGUN)
        cli_say(r->c, x->keep ? MSG_READ_BEGUN_FAST : MSG_READ_BEGUN_EXACT, "%s", "");
    else if (x->why == READ_SAME)
        cli_say(r->c, MSG_READ_CHOSE_SAME, "%s", "");
}

static void print_result(const reader *r, const char *name)
{
    const read_result *x = &r->result;
    int64_t read = x->tokens - x->tokens_before;
    double rate = x->seconds > 0 ? (double)read / x->seconds : 0;
    if (r->c->json) {
        json_object *o = json_object_new_object();
        json_object_object_add(o, "done", json_object_new_boolean(true));
        json_object_object_add(o, "name", json_object_new_string(name));
        json_object_object_add(o, "mode", json_object_new_string(mode_name(x->keep)));
        json_object_object_add(o, "characters", json_object_new_int64(x->characters));
        json_object_object_add(o, "tokens", json_object_new_int64(x->tokens));
        json_object_object_add(o, "tokens_before", json_object_new_int64(x->tokens_before));
        json_object_object_add(o, "seconds", cli_json_number(x->seconds));
        json_object_object_add(o, "tokens_per_second", cli_json_number(rate));
        json_object_object_add(o, "ram_bytes", json_object_new_int64(cpu_memory_peak()));
        json_object_object_add(o, "disk_bytes", json_object_new_int64(x->bytes));
        cli_json(o);
        return;
    }
    char chars[TERM_TEXT], tokens[TERM_TEXT], speed[TERM_TEXT], disk[TERM_TEXT], time[TERM_TEXT];
    cli_print(r->c, MSG_READ_DONE, "%s" ARG "%s" ARG "%s" ARG "%s" ARG "%s" ARG "%s" ARG "%lld", name, term_count(chars, x->characters),
              term_count(tokens, x->tokens), term_seconds(time, x->seconds), term_count(speed, (int64_t)rate), term_bytes(disk, x->bytes),
              (long long)(cpu_memory_peak() >> 20));
}

/* The name of the folder, or of the file without its ending; of several, the first one's. */
static void default_name(const document *doc, char *out, size_t size)
{
    const char *name = document_name(doc), *folder_end = strchr(name, '/'), *dot = strrchr(name, '.');
    const char *end = folder_end ? folder_end : dot && dot != name ? dot : name + strlen(name);
    int n = (int)(end - name);
    snprintf(out, size, "%.*s", n, name);
}

static cj_err run(reader *r, const char *model_name, engine_options *opt, read_options *read_opt, char *name, size_t name_size, cj_diag *d)
{
    char *path = NULL;
    TRY(documents_open(&r->docs, r->c, r->c->argc, d));
    if (!read_opt->name) {
        default_name(r->docs.docs[0], name, name_size);
        read_opt->name = name;
    }
    TRY(hub_open(&r->hub, NULL, NULL, d));
    if (!model_name) model_name = hub_default(r->hub);
    TRY(hub_model_path(r->hub, model_name, &path, d));
    opt->path = path;
    cj_err e = engine_open(&r->engine, opt, d);
    mem_free(path);
    if (!e) e = shelf_open(&r->shelf, NULL, d);
    read_opt->model_name = model_name;
    return e ? e : read_documents(r->engine, r->shelf, r->docs.docs, r->docs.n, read_opt, &r->result, d);
}

int cmd_read(cli *c)
{
    reader r = {.c = c};
    const char *model_name = NULL;
    bool exact = false, fast = false;
    char name[SHELF_NAME_MAX + 1];
    cj_diag d = {0};
    read_options opt = {.on_progress = on_progress, .on_choice = on_choice, .arg = &r};
    const cli_option options[] = {
        {"as", 0, CLI_TEXT, &opt.name, "NAME", MSG_OPT_AS},
        {"exact", 0, CLI_FLAG, &exact, NULL, MSG_OPT_READ_EXACT},
        {"fast", 0, CLI_FLAG, &fast, NULL, MSG_OPT_READ_FAST},
        {"keep", 0, CLI_INT, &opt.keep, "N", MSG_OPT_KEEP},
        {"model", 'm', CLI_TEXT, &model_name, "MODEL", MSG_OPT_MODEL},
    };
    const cli_help help = {"FILE...", MSG_CMD_READ_ABOUT, "read book.txt\nread contract.pdf annex.docx --as contract\nread papers/ --as papers --json", 1, BOOK_DOCUMENTS_MAX};
    int code = cli_parse(c, &help, options, sizeof options / sizeof *options);
    if (code) return code;
    if ((exact && (fast || opt.keep)) || opt.keep < 0 || opt.keep > INT32_MAX) return cli_usage(c, MSG_CLI_BAD_VALUE, exact ? "--exact" : "--keep");
    if (!exact && !opt.keep) opt.keep = fast ? ENGINE_KEEP : READ_CHOOSE;
    engine_options engine_opt = {0};
    code = cli_engine_options(c, &engine_opt);
    if (code) return code;
    if (!c->kv && !c->exact_math) engine_opt.kv = KV_Q8;
    cli_progress_begin(&r.progress, c, MSG_READING);
    cj_err e = run(&r, model_name, &engine_opt, &opt, name, sizeof name, &d);
    cli_progress_end(&r.progress);
    if (!e) print_result(&r, opt.name);
    shelf_close(&r.shelf);
    engine_close(&r.engine);
    hub_close(&r.hub);
    document_set_close(&r.docs);
    return e ? cli_fail(c, &d) : EXIT_DONE;
}
