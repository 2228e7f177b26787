/* juan calibrate: which heads of a model find. */
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/heads_view.h"
#include "base/file.h"
#include "base/share.h"
#include "base/utf8.h"
#include "eval/needles.h"
#include "eval/suite.h"
#include "hub/heads.h"
#include "reader/calibrate.h"
#include "reader/named.h"

typedef struct calibrator {
    const cli *c;
    const char *name;        /* of the model */
    cli_list text;
    const char *needles;
    int64_t length;          /* in tokens; 0: the usual */
    char *shipped_text, *shipped_needles;
    suite suite;             /* the haystack and the facts */
    eval_task task;
    document *doc;
    book book;
    calibrate_fact *facts;
    int n_facts;
    engine *engine;
    hub *hub;
    char *path;              /* where the result is kept */
    calibration result;
    cli_progress progress;
    bool asking;
} calibrator;

/* ---- the text ---- */

static char *shipped(const char *name)
{
    char *share = share_folder(), *path = share ? file_join(share, name) : NULL;
    mem_free(share);
    return path;
}

/* The facts and the text they are to be hidden in: what was given, or what comes with the program. */
static cj_err open_suite(calibrator *k, cj_diag *d)
{
    k->shipped_text = shipped("calibrate-zh.txt");
    k->shipped_needles = shipped("needles-zh.tsv");
    if (!k->shipped_text || !k->shipped_needles) return diag_nomem(d, 64);
    const char *text = k->shipped_text;
    const suite_options opt = {.kind = SUITE_NEEDLE, .text = k->text.n ? k->text.item : &text, .n_texts = k->text.n ? k->text.n : 1, .repeat = 1,
                               .seed = k->c->seed < 0 ? 1 : (uint64_t)k->c->seed, .needles = k->needles ? k->needles : k->shipped_needles};
    return suite_open(&k->suite, &opt, d);
}

/* So many characters of the haystack are so many tokens. */
static cj_err characters_for(const calibrator *k, int64_t tokens, int64_t *out, cj_diag *d)
{
    const tokenizer *t;
    token_list ids;
    TRY(engine_need_tokenizer(k->engine, &t, d));
    token_list_init(&ids);
    cj_err e = tokenizer_encode(t, k->suite.haystack.data, k->suite.haystack.len, TOKEN_VERBATIM, &ids, d);
    *out = (int64_t)((double)tokens * (double)k->suite.haystack_chars / (double)i64_max(1, (int64_t)ids.count));
    token_list_deinit(&ids);
    return e;
}

/* As long as wanted, else as is usual and the model and the text allow; a question has to go in too. */
static cj_err choose_length(const calibrator *k, int64_t *chars, cj_diag *d)
{
    enum { USUAL = 16384, QUESTION = 256 };
    const int64_t seen = model_spec_of(engine_model(k->engine))->context - QUESTION;
    TRY(characters_for(k, k->length ? k->length : i64_max(1, i64_min(USUAL, seen)), chars, d));
    if (!k->length) *chars = i64_min(*chars, k->suite.haystack_chars);
    if (*chars <= k->suite.haystack_chars) return CJ_OK;
    return diag_fail(d, CJ_E_INPUT, MSG_CALIBRATE_TEXT, "%lld" ARG "%lld", (long long)k->suite.haystack_chars, (long long)*chars);
}

/* Questions come in pairs: of one fact, in its words and in other words. */
static cj_err take_facts(calibrator *k, cj_diag *d)
{
    const eval_task *t = &k->task;
    k->facts = mem_array((size_t)t->n_questions, sizeof *k->facts);
    if (!k->facts) return diag_nomem(d, (size_t)t->n_questions * sizeof *k->facts);
    for (int i = 0; i + 1 < t->n_questions; i++) {
        const eval_question *q = &t->question[i];
        if (strcmp(q->group, "words") || strcmp(q[1].group, "other")) continue;
        k->facts[k->n_facts++] = (calibrate_fact){{q->text, q[1].text}, q->place[0].byte, q->place[0].end};
    }
    return CJ_OK;
}

static cj_err make_text(calibrator *k, cj_diag *d)
{
    const tokenizer *t;
    int64_t cut, length;
    TRY(open_suite(k, d));
    TRY(choose_length(k, &k->suite.opt.length[0], d));
    cj_err e = suite_make(&k->suite, 0, &k->task, &length, d);
    if (e && d->message == MSG_EVAL_CROWDED) return diag_fail(d, CJ_E_INPUT, MSG_CALIBRATE_SHORT, "%lld", (long long)k->suite.opt.length[0]);
    TRY(e);
    TRY(take_facts(k, d));
    TRY(document_from_bytes(&k->doc, "calibrate.txt", k->task.text.data, k->task.text.len, d));
    TRY(book_join(&k->book, &k->doc, 1, d));
    TRY(engine_need_tokenizer(k->engine, &t, d));
    return book_encode(&k->book, t, &cut, d);
}

/* ---- */

static bool on_progress(void *arg, bool asking, int64_t done, int64_t total)
{
    calibrator *k = arg;
    if (asking && !k->asking) {
        cli_progress_end(&k->progress);
        cli_progress_begin(&k->progress, k->c, MSG_CALIBRATE_ASKING);
        k->asking = true;
    }
    return cli_progress_step(&k->progress, done, total);
}

static cj_err open_model(calibrator *k, cj_diag *d)
{
    engine_options opt = {0};
    if (cli_engine_options(k->c, &opt)) return CJ_E_USAGE; /* the same options were good before */
    if (!k->c->kv && !k->c->exact_math) opt.kv = KV_Q8; /* as the shelf keeps them */
    TRY(hub_open(&k->hub, NULL, NULL, d));
    TRY(named_engine(&k->engine, k->name, NULL, &opt, d));
    const model *m = engine_model(k->engine);
    k->path = hub_heads_path(k->hub, hub_find_file(k->hub, k->name, model_path(m)), model_fingerprint(m));
    return k->path ? CJ_OK : diag_nomem(d, strlen(k->name));
}

static cj_err keep(const calibrator *k, cj_diag *d)
{
    const calibrate_set *set = &k->result.chosen;
    hub_heads heads = {.n = set->n};
    for (int i = 0; i < set->n; i++) heads.item[i] = (hub_head){set->item[i].layer, set->item[i].head, set->item[i].weight};
    return hub_heads_save(&heads, k->path, model_fingerprint(engine_model(k->engine)), d);
}

/* ---- results ---- */

static json_object *figures_json(const calibrate_figures *f)
{
    static const char *const ways[CALIBRATE_WAYS] = {"words", "other"};
    json_object *o = json_object_new_object();
    for (int w = 0; w < CALIBRATE_WAYS; w++) {
        json_object *x = json_object_new_object();
        json_object_object_add(x, "first", json_object_new_int(f->first[w]));
        json_object_object_add(x, "among_three", json_object_new_int(f->among[w]));
        json_object_object_add(x, "reciprocal_mean", cli_json_number(f->facts ? f->reciprocal[w] / f->facts : 0));
        json_object_object_add(o, ways[w], x);
    }
    return o;
}

static void print_json(const calibrator *k)
{
    const calibration *r = &k->result;
    json_object *o = json_object_new_object(), *list = json_object_new_array();
    json_object_object_add(o, "model", json_object_new_string(k->name));
    json_object_object_add(o, "tokens", json_object_new_int64((int64_t)k->book.tokens.count));
    json_object_object_add(o, "facts", json_object_new_int(k->n_facts));
    json_object_object_add(o, "seed", json_object_new_int64((int64_t)k->suite.opt.seed));
    for (int i = 0; i < r->n_heads; i++) {
        json_object *h = figures_json(&r->heads[i].alone);
        json_object_object_add(h, "layer", json_object_new_int(r->heads[i].layer));
        json_object_object_add(h, "head", json_object_new_int(r->heads[i].head));
        json_object_array_add(list, h);
    }
    json_object_object_add(o, "heads", list);
    json_object_object_add(o, "chosen", heads_view_json(r->chosen.item, r->chosen.n));
    json_object_object_add(o, "together", figures_json(&r->chosen.figures));
    json_object_object_add(o, "unseen", figures_json(&r->unseen));
    json_object_object_add(o, "kept", json_object_new_string(k->path));
    cli_json(o);
}

static void print_text(const calibrator *k)
{
    enum { ROWS = 10 };
    const calibration *r = &k->result;
    char count[TERM_TEXT], heads[HEADS_VIEW_TEXT];
    cli_print(k->c, MSG_CALIBRATE_ASKED, "%d" ARG "%s", k->n_facts, term_count(count, (int64_t)k->book.tokens.count));
    for (int i = 0; i < r->n_heads && i < ROWS; i++) {
        const calibrate_head *h = &r->heads[i];
        cli_print(k->c, MSG_CALIBRATE_ROW, "%d" ARG "%d" ARG "%d" ARG "%d" ARG "%d" ARG "%d", h->layer, h->head, h->alone.first[0], h->alone.among[0],
                  h->alone.first[1], h->alone.among[1]);
    }
    cli_print(k->c, MSG_CALIBRATE_CHOSEN, "%s", heads_view_text(heads, r->chosen.item, r->chosen.n));
    const calibrate_figures *all = &r->chosen.figures, *unseen = &r->unseen;
    cli_print(k->c, MSG_CALIBRATE_TOGETHER, "%d" ARG "%d" ARG "%d" ARG "%d", all->first[0], all->among[0], all->first[1], all->among[1]);
    cli_print(k->c, MSG_CALIBRATE_UNSEEN, "%d" ARG "%d" ARG "%d" ARG "%d", unseen->first[0], unseen->among[0], unseen->first[1], unseen->among[1]);
}

/* What was found out is shown whatever becomes of the file. */
static cj_err calibrate_it(calibrator *k, cj_diag *d)
{
    const calibrate_options opt = {on_progress, k};
    TRY(make_text(k, d));
    cli_progress_begin(&k->progress, k->c, MSG_READING);
    cj_err e = calibrate(&k->result, k->engine, &k->book, k->facts, k->n_facts, &opt, d);
    cli_progress_end(&k->progress);
    TRY(e);
    if (k->c->json) print_json(k);
    else print_text(k);
    TRY(keep(k, d));
    cli_say(k->c, MSG_CALIBRATE_KEPT, "%s" ARG "%s", k->path, k->name);
    return CJ_OK;
}

static cj_err forget(const calibrator *k, cj_diag *d)
{
    bool was = false;
    TRY(hub_heads_forget(k->path, &was, d));
    if (k->c->json) {
        json_object *o = json_object_new_object();
        json_object_object_add(o, "model", json_object_new_string(k->name));
        json_object_object_add(o, "forgotten", json_object_new_boolean(was));
        cli_json(o);
    } else cli_print(k->c, was ? MSG_CALIBRATE_FORGOTTEN : MSG_CALIBRATE_NOTHING, "%s", k->name);
    return CJ_OK;
}

static void let_go(calibrator *k)
{
    calibration_deinit(&k->result);
    book_deinit(&k->book);
    document_close(&k->doc);
    mem_free(k->facts);
    task_deinit(&k->task);
    suite_close(&k->suite);
    engine_close(&k->engine);
    hub_close(&k->hub);
    mem_free(k->path);
    mem_free(k->shipped_text);
    mem_free(k->shipped_needles);
}

int cmd_calibrate(cli *c)
{
    enum { LENGTH_MAX = 1 << 24 };
    calibrator k = {.c = c};
    bool forgets = false;
    cj_diag d = {0};
    const cli_option options[] = {
        {"length", 'l', CLI_COUNT, &k.length, "N", MSG_OPT_CALIBRATE_LENGTH},
        {"text", 0, CLI_LIST, &k.text, "FILE", MSG_OPT_CALIBRATE_TEXT},
        {"needles", 0, CLI_TEXT, &k.needles, "FILE", MSG_OPT_EVAL_NEEDLES},
        {"forget", 0, CLI_FLAG, &forgets, NULL, MSG_OPT_CALIBRATE_FORGET},
    };
    const cli_help help = {"MODEL [--length N] [--forget]", MSG_CMD_CALIBRATE_ABOUT, "calibrate {0}\ncalibrate model.gguf --length 8K --json\ncalibrate {0} --forget", 1, 1};
    int code = cli_parse(c, &help, options, sizeof options / sizeof *options);
    if (code) return code;
    if (k.length < 0 || k.length > LENGTH_MAX) return cli_usage(c, MSG_CLI_BAD_VALUE, "--length");
    engine_options checked = {0};
    code = cli_engine_options(c, &checked);
    if (code) return code;
    k.name = c->argv[0];
    cj_err e = open_model(&k, &d);
    if (!e) e = forgets ? forget(&k, &d) : calibrate_it(&k, &d);
    let_go(&k);
    return e ? cli_fail(c, &d) : EXIT_DONE;
}
