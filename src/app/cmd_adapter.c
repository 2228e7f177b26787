/* juan adapter: what was trained to be laid over a model. */
#include <stdio.h>
#include <string.h>

#include "app/answering.h"
#include "app/commands.h"
#include "app/documents.h"
#include "app/term.h"
#include "base/folder.h"
#include "data/qa_form.h"
#include "hub/hub.h"
#include "model/adapter_merge.h"
#include "reader/adapters.h"
#include "reader/named.h"

typedef struct adapting {
    cli *c;
    const char *model, *type;
    cj_diag d;
} adapting;

/* ---- list ---- */

/* A model of the catalogue that is here. */
typedef struct here {
    const char *name;
    model *m;
} here;

enum { MODELS_MAX = 256 };

static int open_models(const hub *h, kernel_ctx *ctx, here out[MODELS_MAX])
{
    int n = 0;
    for (size_t i = 0; i < hub_count(h) && n < MODELS_MAX; i++) {
        const hub_model *m = hub_at(h, i);
        hub_status s;
        char *path = NULL;
        if (!m->ready || hub_status_of(h, m->name, &s, NULL) || s.state != HUB_INSTALLED || hub_model_path(h, m->name, &path, NULL)) continue;
        out[n] = (here){.name = m->name};
        if (!model_open(&out[n].m, ctx, path, NULL)) n++;
        mem_free(path);
    }
    return n;
}

static const char *fits(adapter_file *f, const here *models, int n)
{
    const uint64_t home = adapter_file_facts(f)->base_print;
    for (int pass = 0; pass < 2; pass++) /* the very model first */
        for (int i = 0; i < n; i++)
            if ((pass || model_fingerprint(models[i].m) == home) && !adapter_file_fit(f, models[i].m, NULL)) return models[i].name;
    return NULL;
}

static json_object *text_or_null(const char *s) { return s && *s ? json_object_new_string(s) : NULL; }

static json_object *row_json(const known_adapter *a, const adapter_file *f, const char *fit)
{
    json_object *o = json_object_new_object();
    const adapter_facts *facts = f ? adapter_file_facts(f) : NULL;
    json_object_object_add(o, "name", json_object_new_string(a->name));
    json_object_object_add(o, "path", json_object_new_string(a->path));
    json_object_object_add(o, "own", json_object_new_boolean(a->own));
    json_object_object_add(o, "damaged", json_object_new_boolean(!f));
    if (!f) return o;
    json_object_object_add(o, "base", text_or_null(facts->base));
    json_object_object_add(o, "family", text_or_null(facts->arch));
    json_object_object_add(o, "rank", json_object_new_int(adapter_file_data(f)->rank));
    json_object_object_add(o, "bytes", json_object_new_int64(adapter_file_bytes(f)));
    json_object_object_add(o, "activated", json_object_new_boolean(facts->activated));
    json_object_object_add(o, "prompt", text_or_null(facts->prompt));
    json_object_object_add(o, "heads", text_or_null(facts->heads));
    json_object_object_add(o, "fits", text_or_null(fit));
    return o;
}

static void print_row(const cli *c, const known_adapter *a, const adapter_file *f, const char *fit, const cj_diag *why)
{
    char size[TERM_TEXT];
    fputs(term_style_code(stdout, TERM_BOLD), stdout);
    term_write(stdout, a->name, strlen(a->name));
    printf("%s\n  ", term_style_code(stdout, TERM_PLAIN));
    if (!f) {
        char text[2048];
        cj_diag_text(why, c->lang, text, sizeof text);
        puts(text);
        return;
    }
    const adapter_facts *facts = adapter_file_facts(f);
    const char *base = *facts->base ? facts->base : *facts->arch ? facts->arch : "?";
    cli_print(c, MSG_ADAPTER_ROW, "%s" ARG "%d" ARG "%s" ARG "%s", base, adapter_file_data(f)->rank, term_bytes(size, adapter_file_bytes(f)),
              cli_text(c, facts->activated ? MSG_ADAPTER_ROW_ACTIVATED : MSG_ADAPTER_ROW_WHOLE));
    fputs("  ", stdout);
    if (fit) cli_print(c, MSG_ADAPTER_ROW_FITS, "%s", fit);
    else cli_print(c, MSG_ADAPTER_ROW_FITS_NONE, "%s", base);
}

static void show_all(adapting *t, const known_adapters *l, const here *models, int n)
{
    json_object *array = t->c->json ? json_object_new_array() : NULL;
    for (int i = 0; i < l->n; i++) {
        adapter_file *f = NULL;
        cj_diag why = {0};
        const bool good = !adapter_file_open(&f, l->item[i].path, &why);
        const char *fit = good ? fits(f, models, n) : NULL;
        if (array) json_object_array_add(array, row_json(&l->item[i], f, fit));
        else print_row(t->c, &l->item[i], f, fit, &why);
        adapter_file_close(&f);
    }
    if (array) {
        json_object *o = json_object_new_object();
        json_object_object_add(o, "adapters", array);
        cli_json(o);
    } else if (!l->n)
        cli_print(t->c, MSG_ADAPTER_LIST_EMPTY, "%s", "");
}

static cj_err list(adapting *t)
{
    known_adapters l;
    hub *h = NULL;
    kernel_ctx *ctx = NULL;
    here models[MODELS_MAX];
    TRY(adapters_list(&l, &t->d));
    const bool can = l.n && !hub_open(&h, NULL, NULL, NULL) && !kernel_open(&ctx, &(kernel_options){.threads = 1}, NULL);
    const int n = can ? open_models(h, ctx, models) : 0;
    show_all(t, &l, models, n);
    for (int i = 0; i < n; i++) model_close(&models[i].m);
    kernel_close(&ctx);
    hub_close(&h);
    adapters_deinit(&l);
    return CJ_OK;
}

/* ---- try ---- */

/* One answer, with an adapter or without. */
static cj_err answer(adapting *t, const named_model *m, document_set *docs, const char *question, const engine_adapter *a, ask_result *r)
{
    answering shown;
    const bool finds = a && !strcmp(engine_adapter_facts(a)->prompt, FINDER_FORM);
    const ask_options how = {.heads = m->heads.item, .n_heads = m->heads.n, .finder = finds ? a : NULL, .adapter = finds ? NULL : a, .on_progress = answering_on_progress, .on_text = answering_on_text, .arg = &shown};
    answering_begin(&shown, t->c);
    if (!t->c->json) cli_print(t->c, a ? MSG_ADAPTER_TRY_WITH : MSG_ADAPTER_TRY_WITHOUT, "%s", a ? engine_adapter_facts(a)->name : "");
    cj_err e = ask_documents(m->engine, docs->docs, docs->n, question, &how, r, &t->d);
    answering_end(&shown);
    if (!e && !t->c->json) putchar('\n');
    return e;
}

static cj_err both(adapting *t, const named_model *m, document_set *docs, const engine_adapter *a, const char *question)
{
    ask_result with = {0}, without = {0};
    cj_err e = answer(t, m, docs, question, NULL, &without);
    if (!e) e = answer(t, m, docs, question, a, &with);
    if (!e && t->c->json) {
        json_object *o = json_object_new_object();
        json_object_object_add(o, "question", json_object_new_string(question));
        json_object_object_add(o, "without", json_object_new_string(without.answer.data ? without.answer.data : ""));
        json_object_object_add(o, "with", json_object_new_string(with.answer.data ? with.answer.data : ""));
        cli_json(o);
    }
    ask_deinit(&with);
    ask_deinit(&without);
    return e;
}

static cj_err try(adapting *t)
{
    const char *name = t->c->argv[1], *question = t->c->argv[t->c->argc - 1];
    engine_options opt = {0};
    named_model m = {0};
    engine_adapter *a = NULL;
    document_set docs = {0};
    if (cli_engine_options(t->c, &opt)) return diag_fail(&t->d, CJ_E_USAGE, MSG_OPTION_BAD, "%s" ARG "%s", "--cpu", "");
    cli all = *t->c; /* the files between the adapter and the question */
    all.argc -= 3;
    all.argv += 2;
    cj_err e = documents_open(&docs, &all, all.argc, &t->d);
    if (!e) e = named_open(&m, t->model, NULL, &opt, &t->d);
    if (!e) e = adapters_open(&a, m.engine, name, QA_FORM_NAME, &t->d);
    if (!e) e = both(t, &m, &docs, a, question);
    engine_adapter_close(&a);
    named_close(&m);
    document_set_close(&docs);
    return e;
}

/* ---- merge ---- */

static void tell_merged(const adapting *t, const adapter_file *f, const char *out, const convert_result *r)
{
    char size[TERM_TEXT];
    if (adapter_file_facts(f)->activated) cli_say(t->c, MSG_ADAPTER_MERGED_ACTIVATED, "%s", adapter_file_facts(f)->name);
    if (r->requantised) cli_say(t->c, MSG_ADAPTER_MERGED_COARSE, "%lld", (long long)r->requantised);
    if (t->c->json) {
        json_object *o = json_object_new_object();
        json_object_object_add(o, "path", json_object_new_string(out));
        json_object_object_add(o, "tensors", json_object_new_int64(r->tensors));
        json_object_object_add(o, "bytes", json_object_new_int64(r->bytes_out));
        json_object_object_add(o, "activated", json_object_new_boolean(adapter_file_facts(f)->activated));
        cli_json(o);
    } else
        cli_print(t->c, MSG_ADAPTER_MERGED, "%s" ARG "%s", out, term_bytes(size, r->bytes_out));
}

static cj_err merge_into(adapting *t, const model *m, const char *out, convert_options *o)
{
    adapter_file *f = NULL;
    convert_result r;
    char *path = NULL;
    TRY(adapters_locate(&path, t->c->argv[1], &t->d));
    cj_err e = adapter_file_open(&f, path, &t->d);
    if (!e) e = adapter_file_fit(f, m, &t->d);
    cli_progress progress;
    cli_progress_begin(&progress, t->c, MSG_CONVERTING);
    progress.bytes = true;
    o->progress = cli_progress_step;
    o->arg = &progress;
    if (!e) e = adapter_merge(m, f, out, o, &r, &t->d);
    cli_progress_end(&progress);
    if (!e) tell_merged(t, f, out, &r);
    adapter_file_close(&f);
    mem_free(path);
    return e;
}

/* ---- export ---- */

static cj_err export_as(adapting *t, const model *m, const char *out, convert_options *o)
{
    adapter_file *f = NULL;
    char *path = NULL;
    TRY(adapters_locate(&path, t->c->argv[1], &t->d));
    cj_err e = adapter_file_open(&f, path, &t->d);
    if (!e) e = adapter_file_fit(f, m, &t->d);
    if (!e) e = adapter_export(f, m, out, o->type, &t->d);
    if (!e && adapter_file_facts(f)->activated) cli_say(t->c, MSG_ADAPTER_EXPORTED_ACTIVATED, "%s", adapter_file_facts(f)->name);
    if (!e && t->c->json) {
        json_object *r = json_object_new_object();
        json_object_object_add(r, "path", json_object_new_string(out));
        json_object_object_add(r, "activated", json_object_new_boolean(adapter_file_facts(f)->activated));
        cli_json(r);
    } else if (!e)
        cli_print(t->c, MSG_ADAPTER_EXPORTED, "%s", out);
    adapter_file_close(&f);
    mem_free(path);
    return e;
}

static cj_err default_model(char **path, const char *name, cj_diag *d)
{
    hub *h = NULL;
    if (name) return hub_locate(name, path, d);
    TRY(hub_open(&h, NULL, NULL, d));
    cj_err e = hub_model_path(h, hub_default(h), path, d);
    hub_close(&h);
    return e;
}

/* What needs the model beside the adapter. */
static cj_err with_model(adapting *t, cj_err (*what)(adapting *t, const model *m, const char *out, convert_options *o))
{
    convert_options o = {.type = t->type ? quant_type_by_name(t->type) : CONVERT_KEEP};
    kernel_ctx *ctx = NULL;
    model *m = NULL;
    char *path = NULL;
    if (t->type && o.type < 0) return diag_fail(&t->d, CJ_E_USAGE, MSG_OPTION_BAD, "%s" ARG "%s", "--type", t->type);
    TRY(default_model(&path, t->model, &t->d));
    cj_err e = kernel_open(&ctx, &(kernel_options){.threads = (int)t->c->threads}, &t->d);
    if (!e) e = model_open(&m, ctx, path, &t->d);
    o.pool = e ? NULL : kernel_pool(ctx);
    if (!e) e = what(t, m, t->c->argv[2], &o);
    model_close(&m);
    kernel_close(&ctx);
    mem_free(path);
    return e;
}

static cj_err merge(adapting *t) { return with_model(t, merge_into); }
static cj_err export(adapting *t) { return with_model(t, export_as); }

/* ---- rm ---- */

static cj_err rm(adapting *t)
{
    known_adapters l;
    TRY(adapters_list(&l, &t->d));
    const char *name = t->c->argv[1];
    const known_adapter *a = NULL;
    for (int i = 0; i < l.n; i++)
        if (!strcmp(l.item[i].name, name)) a = &l.item[i];
    cj_err e = CJ_OK;
    if (!a) e = diag_fail(&t->d, CJ_E_NOT_FOUND, MSG_ADAPTER_UNKNOWN, "%s", name);
    else if (!a->own) e = diag_fail(&t->d, CJ_E_USAGE, MSG_ADAPTER_RM_SHIPPED, "%s", name);
    else e = folder_remove(a->path, &t->d);
    if (!e && t->c->json) {
        json_object *o = json_object_new_object();
        json_object_object_add(o, "name", json_object_new_string(name));
        cli_json(o);
    } else if (!e)
        cli_print(t->c, MSG_ADAPTER_RM_DONE, "%s", name);
    adapters_deinit(&l);
    return e;
}

/* ---- */

static const struct {
    const char *name, *form;
    int least, most; /* arguments after the name */
    cj_err (*run)(adapting *t);
} tasks[] = {
    {"list", "juan adapter list", 0, 0, list},
    {"try", "juan adapter try ADAPTER FILE... \"QUESTION\"", 3, DOCUMENT_SET_MAX + 2, try},
    {"merge", "juan adapter merge ADAPTER OUT", 2, 2, merge},
    {"export", "juan adapter export ADAPTER OUT", 2, 2, export},
    {"rm", "juan adapter rm ADAPTER", 1, 1, rm},
};
enum { TASKS = sizeof tasks / sizeof *tasks };

static int choose(const cli *c)
{
    if (!c->argc) return 0;
    for (int i = 0; i < TASKS; i++)
        if (!strcmp(c->argv[0], tasks[i].name)) return i;
    return -1;
}

int cmd_adapter(cli *c)
{
    adapting t = {.c = c};
    const cli_option options[] = {
        {"model", 'm', CLI_TEXT, &t.model, "MODEL", MSG_OPT_MODEL},
        {"type", 0, CLI_TEXT, &t.type, "TYPE", MSG_OPT_ADAPTER_TYPE},
    };
    const cli_help help = {"[list|try ADAPTER FILE... \"QUESTION\"|merge ADAPTER OUT|export ADAPTER OUT|rm ADAPTER]", MSG_CMD_ADAPTER_ABOUT,
                           "adapter\n"
                           "adapter try house.gguf contract.txt \"违约金是多少？\"\n"
                           "adapter merge house merged.gguf --model {0} --type Q8_0\n"
                           "adapter merge house merged --model {0}\n"
                           "adapter export house house-peft --model {0}\n"
                           "adapter rm house", 0, DOCUMENT_SET_MAX + 3};
    int code = cli_parse(c, &help, options, sizeof options / sizeof *options);
    if (code) return code;
    const int task = choose(c), given = c->argc ? c->argc - 1 : 0;
    if (task < 0) return cli_usage(c, MSG_ADAPTER_TASK_UNKNOWN, c->argv[0]);
    if (given < tasks[task].least) return cli_usage(c, MSG_CLI_TOO_FEW, tasks[task].form);
    if (given > tasks[task].most) return cli_usage(c, MSG_CLI_TOO_MANY, c->argv[1 + tasks[task].most]);
    return tasks[task].run(&t) ? cli_fail(c, &t.d) : EXIT_DONE;
}
