/* juan tune: a model learns from rows, or from documents. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/tune_data.h"
#include "app/tune_view.h"
#include "base/file.h"
#include "reader/adapters.h"
#include "reader/named.h"

enum { EXAM_USUAL = 40, CEILING_TRIES = 2 };

typedef struct tuner {
    cli *c;
    cli_list data;
    const char *out_given, *kind, *heads, *texts, *matrices, *schedule, *vocabulary, *from;
    int64_t rank, first_layer;
    int64_t exam; /* held-out questions to answer at the end */
    double held; /* percent; < 0: the usual */
    bool whole;
    tune_options opt;
    char *out, *name, *from_path, title[256];
    engine *e;
    training_rows rows;
} tuner;

/* ---- options ---- */

static bool choose(const char *text, const char *const *names, int n, int *out)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(text, names[i])) {
            *out = i;
            return true;
        }
    return false;
}

static bool read_matrices(const char *text, unsigned *out)
{
    char part[32];
    while (*text) {
        if (!cli_next_part(&text, part, sizeof part)) return false;
        adapter_target t = 0;
        while (t < ADAPTER_TARGETS && strcmp(strchr(adapter_target_name(t), '_') + 1, part)) t++;
        if (t == ADAPTER_TARGETS) return false;
        *out |= 1u << t;
    }
    return *out != 0;
}

/* LAYER.HEAD,... */
static bool read_heads(const char *text, tune_options *o)
{
    char part[32];
    for (o->n_heads = 0; *text; o->n_heads++) {
        if (o->n_heads == FINDING_HEADS_MAX || !cli_next_part(&text, part, sizeof part)) return false;
        finding_head *h = &o->heads[o->n_heads];
        int used = 0;
        if (sscanf(part, "%5d.%5d%n", &h->layer, &h->head, &used) != 2 || part[used] || h->layer < 0 || h->head < 0) return false;
        h->weight = 1;
    }
    return o->n_heads > 0;
}

/* The name of an option whose value makes no sense, or NULL. */
static const char *understand(tuner *t)
{
    static const char *const kinds[] = {"auto", "activated", "ordinary", "find"}, *const schedules[] = {"cosine", "wsd"}, *const vocabularies[] = {"data", "all"};
    tune_options *o = &t->opt;
    int kind = 0, falls = 0, words = 0;
    if (t->kind && !choose(t->kind, kinds, 4, &kind)) return "--kind";
    if (t->schedule && !choose(t->schedule, schedules, 2, &falls)) return "--schedule";
    if (t->vocabulary && !choose(t->vocabulary, vocabularies, 2, &words)) return "--vocabulary";
    if (t->matrices && !read_matrices(t->matrices, &o->targets)) return "--matrices";
    if (t->heads && !read_heads(t->heads, o)) return "--heads";
    if (t->texts && !(o->n_texts = cli_counts(t->texts, o->texts, FINDING_LENGTHS_MAX, 16, 1 << 20))) return "--texts";
    if (t->rank < 1 || t->rank > ADAPTER_RANK_MAX) return "--rank";
    if (t->first_layer < 0 || t->first_layer > INT16_MAX) return "--first-layer";
    if (o->alpha < 0) return "--alpha";
    if (o->rate < 0 || o->rate > 1) return "--rate";
    if (!(o->epochs > 0 && o->epochs <= 1e6)) return "--epochs";
    if (o->steps < 0 || o->steps > INT32_MAX) return "--steps";
    if (o->batch < 16 || o->batch > MODEL_ROWS_MAX) return "--batch";
    if (o->accumulate < 1 || o->accumulate > 1 << 16) return "--accumulate";
    if (o->sample_tokens < 16 || o->sample_tokens > MODEL_ROWS_MAX) return "--length";
    if (t->held > 50) return "--held-out";
    if (t->from && t->whole) return "--from";
    if (o->check_every < 0) return "--check-every";
    if (o->patience < 0) return "--patience";
    if (o->save_every < 0) return "--save-every";
    if (t->exam < 0) return "--questions";
    o->kind = t->whole ? TUNE_WHOLE : (tune_kind)kind;
    o->schedule = (schedule_kind)falls;
    o->all_vocabulary = words;
    o->rank = (int)t->rank;
    o->first_layer = (int)t->first_layer;
    o->held = t->held < 0 ? -1 : t->held / 100;
    o->seed = t->c->seed < 0 ? 1 : (uint64_t)t->c->seed;
    o->memory = t->c->ram;
    return NULL;
}

/* ---- where it goes ---- */

static bool ends_in_gguf(const char *s) { return strlen(s) > 5 && !strcmp(s + strlen(s) - 5, ".gguf"); }

/* The last part of a path without its ending. */
static char *stem_of(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    size_t from = n, end = n;
    while (from && path[from - 1] != '/') from--;
    for (size_t i = from + 1; i < n; i++)
        if (path[i] == '.') end = i;
    return mem_strndup(path + from, end - from);
}

/* A name is an adapter of the user's own; a file is a file. */
static cj_err choose_out(tuner *t, cj_diag *d)
{
    const char *given = t->out_given;
    if (t->whole && !given) return diag_fail(d, CJ_E_USAGE, MSG_TUNE_WHOLE_OUT, "%s", "--out");
    t->name = stem_of(given ? given : t->data.item[0]);
    if (!t->name) return diag_nomem(d, 64);
    if (given && (strchr(given, '/') || ends_in_gguf(given))) {
        t->out = mem_strdup(given);
        return t->out ? CJ_OK : diag_nomem(d, strlen(given));
    }
    char *folder = adapters_folder();
    char file[512];
    snprintf(file, sizeof file, "%s.gguf", given ? given : t->name);
    t->out = folder ? file_join(folder, file) : NULL;
    cj_err e = t->out ? file_make_dirs(folder, d) : diag_nomem(d, sizeof file);
    mem_free(folder);
    return e;
}

static tune_picture picture_of(tuner *t)
{
    const cli *c = t->c;
    msg_format(cli_text(c, MSG_TUNE_CURVES), t->name, t->title, sizeof t->title);
    return (tune_picture){t->title, cli_text(c, MSG_TUNE_CURVES_STEPS), cli_text(c, MSG_TUNE_CURVES_LOSS), cli_text(c, MSG_TUNE_CURVES_TRAINING),
                          cli_text(c, MSG_TUNE_CURVES_HELD), c->lang == CJ_LANG_ZH};
}

/* ---- before and after ---- */

typedef struct examined {
    answer_tally before, after;
    bool done;
} examined;

/* What was written is what is examined: an adapter over the model, or a model. */
static cj_err examine_new(tuner *t, const tuning *run, exam_options *how, answer_tally *out, cj_diag *d)
{
    engine_adapter *a = NULL;
    engine *other = NULL;
    engine_options same = *engine_options_of(t->e);
    same.path = t->out;
    cj_err e = t->whole ? engine_open(&other, &same, d) : engine_adapter_open(&a, t->e, t->out, d);
    how->adapter = a;
    if (!e) e = exam_run(run, other ? other : t->e, how, out, d);
    engine_adapter_close(&a);
    engine_close(&other);
    return e;
}

static cj_err examine(tuner *t, const tuning *run, examined *x, cj_diag *d)
{
    cli_progress progress;
    exam_options how = {.most = t->exam, .on_progress = cli_progress_step, .arg = &progress};
    if (t->opt.kind == TUNE_FINDING || !exam_questions(run, t->exam)) return CJ_OK; /* it does not answer */
    cli_progress_begin(&progress, t->c, MSG_TUNE_EXAMINING);
    cj_err e = exam_run(run, t->e, &how, &x->before, d);
    if (!e) e = examine_new(t, run, &how, &x->after, d);
    cli_progress_end(&progress);
    x->done = !e;
    return e;
}

/* ---- the run ---- */

static void show_json(const tuner *t, const tuning *run, const examined *x)
{
    const train_state *s = tune_state_of(run);
    const tune_plan *p = tune_plan_of(run);
    json_object *o = json_object_new_object();
    json_object_object_add(o, "path", json_object_new_string(t->out));
    json_object_object_add(o, "activated", json_object_new_boolean(p->kind == TUNE_ACTIVATED));
    json_object_object_add(o, "rows", json_object_new_int64(p->rows));
    json_object_object_add(o, "samples", json_object_new_int64(p->samples));
    json_object_object_add(o, "held_out", json_object_new_int64(p->held));
    json_object_object_add(o, "parameters", json_object_new_int64(p->parameters));
    json_object_object_add(o, "vocabulary", json_object_new_int64(p->vocabulary));
    json_object_object_add(o, "steps", json_object_new_int64(s->step));
    json_object_object_add(o, "tokens", json_object_new_int64(s->rows));
    json_object_object_add(o, "seconds", cli_json_number(s->seconds));
    json_object_object_add(o, "held_out_loss", s->best_step ? cli_json_number(s->best_loss) : NULL);
    json_object_object_add(o, "best_step", json_object_new_int64(s->best_step));
    json_object_object_add(o, "before", x->done ? tune_view_exam_json(&x->before) : NULL);
    json_object_object_add(o, "after", x->done ? tune_view_exam_json(&x->after) : NULL);
    cli_json(o);
}

static cj_err train(tuner *t, tuning *run, cj_diag *d)
{
    tune_view view;
    const train_watch watch = {&view, tune_view_go_on, tune_view_report};
    tune_view_plan(t->c, tune_plan_of(run), t->out);
    tune_view_begin(&view, t->c, tune_state_of(run));
    cj_err e = tune_run(run, &watch, d);
    tune_view_end(&view);
    if (tune_log_trouble(run)) cli_note(t->c, tune_log_trouble(run));
    if (e == CJ_E_CANCELLED) cli_say(t->c, MSG_TUNE_STOPPED, "%lld", (long long)tune_state_of(run)->step);
    return e;
}

static cj_err run(tuner *t, cj_diag *d)
{
    tuning *run = NULL;
    examined x = {0};
    for (int i = 0; i < CEILING_TRIES; i++) { /* whatever else the machine does can only make it look slower */
        kernel_ceilings c = {0};
        TRY(kernel_ceilings_measure(engine_kernel(t->e), &c, d));
        t->opt.ceiling = fmax(t->opt.ceiling, 1e9 * c.f32_gflops);
    }
    t->opt.picture = picture_of(t);
    TRY(tune_open(&run, t->e, &t->rows, &t->opt, d));
    cj_err e = train(t, run, d);
    if (!e) e = tune_write(run, d);
    if (!e) e = examine(t, run, &x, d);
    if (!e && t->c->json) show_json(t, run, &x);
    else if (!e) {
        if (x.done) tune_view_exam(t->c, &x.before, &x.after);
        cli_print(t->c, t->whole ? MSG_TUNE_DONE_WHOLE : MSG_TUNE_DONE, "%s" ARG "%s", t->out, t->name);
    }
    tune_close(&run);
    return e;
}

/* The head of most weight of those that are known to find. */
static cj_err choose_heads(tuner *t, cj_diag *d)
{
    known_heads known = {0};
    hub *h = NULL;
    TRY(hub_open(&h, NULL, NULL, d));
    cj_err e = named_heads(&known, h, t->c->argv[0], engine_model(t->e), d);
    hub_close(&h);
    TRY(e);
    if (!known.n) return diag_fail(d, CJ_E_USAGE, MSG_TUNE_HEADS, "%s", t->c->argv[0]);
    const finder_head *best = &known.item[0];
    for (int i = 1; i < known.n; i++) best = known.item[i].weight > best->weight ? &known.item[i] : best;
    t->opt.heads[t->opt.n_heads++] = (finding_head){best->layer, best->head, 1};
    return CJ_OK;
}

static int tune(tuner *t)
{
    cj_diag d = {0};
    engine_options how = {0};
    int code = cli_engine_options(t->c, &how);
    if (code) return code;
    if (t->c->kv) t->opt.kv = how.kv;
    how.kv = t->opt.kv; /* questions at the end are asked as they were learnt */
    cli_catch_interrupt();
    rows_init(&t->rows);
    cj_err e = choose_out(t, &d);
    if (!e && t->from) e = adapters_locate(&t->from_path, t->from, &d);
    if (!e) e = tune_data_open(&t->rows, t->c, &t->data, t->opt.seed, &d);
    code = e ? cli_fail(t->c, &d) : cli_engine_open(t->c, t->c->argv[0], &how, &t->e);
    if (!code && t->opt.kind == TUNE_FINDING && !t->opt.n_heads && (e = choose_heads(t, &d))) code = cli_fail(t->c, &d);
    if (!code) {
        t->opt.out = t->out;
        t->opt.name = t->name;
        t->opt.from = t->from_path;
        e = run(t, &d);
        code = e ? cli_fail(t->c, &d) : EXIT_DONE;
    }
    engine_close(&t->e);
    rows_deinit(&t->rows);
    mem_free(t->out);
    mem_free(t->name);
    mem_free(t->from_path);
    return code;
}

int cmd_tune(cli *c)
{
    tuner t = {.c = c, .opt = tune_usual(), .exam = EXAM_USUAL, .held = -1};
    tune_options *o = &t.opt;
    t.rank = o->rank;
    const cli_option options[] = {
        {"data", 'd', CLI_LIST, &t.data, "FILE", MSG_OPT_TUNE_DATA},
        {"out", 'o', CLI_TEXT, &t.out_given, "NAME", MSG_OPT_TUNE_OUT},
        {"kind", 0, CLI_TEXT, &t.kind, "KIND", MSG_OPT_TUNE_KIND},
        {"heads", 0, CLI_TEXT, &t.heads, "LIST", MSG_OPT_TUNE_HEADS},
        {"texts", 0, CLI_TEXT, &t.texts, "LIST", MSG_OPT_TUNE_TEXTS},
        {"from", 0, CLI_TEXT, &t.from, "ADAPTER", MSG_OPT_TUNE_FROM},
        {"rank", 0, CLI_INT, &t.rank, "N", MSG_OPT_TUNE_RANK},
        {"alpha", 0, CLI_FLOAT, &o->alpha, "A", MSG_OPT_TUNE_ALPHA},
        {"matrices", 0, CLI_TEXT, &t.matrices, "LIST", MSG_OPT_TUNE_MATRICES},
        {"first-layer", 0, CLI_INT, &t.first_layer, "N", MSG_OPT_TUNE_FIRST_LAYER},
        {"full", 0, CLI_FLAG, &t.whole, NULL, MSG_OPT_TUNE_FULL},
        {"rate", 0, CLI_FLOAT, &o->rate, "R", MSG_OPT_TUNE_RATE},
        {"schedule", 0, CLI_TEXT, &t.schedule, "NAME", MSG_OPT_TUNE_SCHEDULE},
        {"epochs", 'e', CLI_FLOAT, &o->epochs, "TIMES", MSG_OPT_TUNE_EPOCHS},
        {"steps", 0, CLI_COUNT, &o->steps, "N", MSG_OPT_TUNE_STEPS},
        {"batch", 'b', CLI_INT, &o->batch, "TOKENS", MSG_OPT_TUNE_BATCH},
        {"accumulate", 0, CLI_INT, &o->accumulate, "N", MSG_OPT_TUNE_ACCUMULATE},
        {"length", 'l', CLI_INT, &o->sample_tokens, "TOKENS", MSG_OPT_TUNE_LENGTH},
        {"held-out", 0, CLI_FLOAT, &t.held, "P", MSG_OPT_TUNE_HELD},
        {"check-every", 0, CLI_INT, &o->check_every, "STEPS", MSG_OPT_TUNE_CHECK},
        {"patience", 0, CLI_INT, &o->patience, "N", MSG_OPT_TUNE_PATIENCE},
        {"questions", 0, CLI_INT, &t.exam, "N", MSG_OPT_TUNE_EXAM},
        {"save-every", 0, CLI_INT, &o->save_every, "STEPS", MSG_OPT_TUNE_SAVE},
        {"vocabulary", 0, CLI_TEXT, &t.vocabulary, "WHICH", MSG_OPT_TUNE_VOCABULARY},
        {"fresh", 0, CLI_FLAG, &o->fresh, NULL, MSG_OPT_TUNE_FRESH},
    };
    const cli_help help = {"MODEL --data FILE|FOLDER... [--out NAME]", MSG_CMD_TUNE_ABOUT,
                           "tune {0} --data papers\ntune {0} --data rows.jsonl --out house --epochs 3\ntune {0} rows.jsonl --rank 8 --rate 3e-4 --json", 1, CLI_LIST_MAX};
    int code = cli_parse(c, &help, options, sizeof options / sizeof *options);
    if (code) return code;
    const char *wrong = understand(&t);
    if (wrong) return cli_usage(c, MSG_CLI_BAD_VALUE, wrong);
    for (int i = 1; i < c->argc && t.data.n < CLI_LIST_MAX; i++) t.data.item[t.data.n++] = c->argv[i];
    if (!t.data.n) return cli_usage(c, MSG_CLI_TOO_FEW, "juan tune MODEL --data FILE|FOLDER...");
    return tune(&t);
}
