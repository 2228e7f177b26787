/* juan eval: what is found, and what is answered, in texts whose answers are known. */
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/eval_columns.h"
#include "base/file.h"
#include "base/share.h"
#include "eval/report_svg.h"
#include "eval/suite.h"

typedef struct evaluation {
    cli *c;
    suite_options opt;
    suite suite;
    report report;
    eval_columns columns;
    eval_column column[COLUMNS]; /* [n_columns] */
    int n_columns;
    bool answers, exact;
    const char *as; /* name on the user's shelf, or NULL */
    const char *adapter; /* of columns_options */
    cli_progress progress;
    bool asking; /* what the progress is of: else of reading */
} evaluation;

static void begin_progress(evaluation *v, bool asking)
{
    cli_progress_end(&v->progress);
    cli_progress_begin(&v->progress, v->c, asking ? MSG_EVAL_ASKING : MSG_READING);
    v->asking = asking;
}

/* Texts are read in minutes or hours, questions asked in seconds: each has a rate and an end of its own. */
static bool on_progress(void *arg, bool asking, int64_t done, int64_t total)
{
    evaluation *v = arg;
    if (asking != v->asking) begin_progress(v, asking);
    return cli_progress_step(&v->progress, done, total);
}

static cj_err run_text(evaluation *v, const eval_task *t, int64_t length, const eval_reader *r, cj_diag *d)
{
    eval_outcome *outcomes = mem_array((size_t)t->n_questions, sizeof *outcomes);
    if (!outcomes) return diag_nomem(d, (size_t)t->n_questions * sizeof *outcomes);
    begin_progress(v, false);
    cj_err e = eval_run(t, r, outcomes, on_progress, v, d);
    if (!e) e = report_add(&v->report, t, r->column, length, outcomes, d);
    mem_free(outcomes);
    return e;
}

/* Every column asks the same text before the next one is made. */
static cj_err run_columns(evaluation *v, const eval_task *t, int64_t length, cj_diag *d)
{
    for (int c = 0; c < v->n_columns; c++) {
        eval_reader r = columns_reader(&v->columns, v->column[c], v->answers);
        TRY(run_text(v, t, length, &r, d));
    }
    return CJ_OK;
}

static bool needs_model(const evaluation *v)
{
    for (int c = 0; c < v->n_columns; c++)
        if (v->column[c] != COLUMN_INDEX) return true;
    return v->answers;
}

/* Of several texts each has a name of its own: --as NAME makes NAME-1, NAME-2, ... */
static cj_err name_text(evaluation *v, int i, char *name, size_t size, cj_diag *d)
{
    if (!v->as) return CJ_OK;
    int n = v->suite.n > 1 ? snprintf(name, size, "%s-%d", v->as, i + 1) : snprintf(name, size, "%s", v->as);
    if (n < 0 || (size_t)n >= size) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%zu", "--as", size);
    columns_next(&v->columns, name);
    return CJ_OK;
}

static cj_err run_all(evaluation *v, cj_diag *d)
{
    enum { SHORT_ANSWER = 64, NUMBER = 6 /* tokens */, NAME_BYTES = 512 };
    int64_t tokens = v->opt.kind == SUITE_STARS ? i64_max(SHORT_ANSWER, NUMBER * v->opt.stars) : SHORT_ANSWER;
    TRY(suite_open(&v->suite, &v->opt, d));
    columns_options opt = {.model_name = v->c->argv[1], .adapter = v->adapter, .open_it = needs_model(v), .users_shelf = v->as, .max_tokens = tokens,
                           .keep = v->exact || v->c->exact_math ? 0 : ENGINE_KEEP};
    TRY(columns_open(&v->columns, v->c, &opt, d));
    for (int i = 0; i < v->suite.n; i++) {
        eval_task t;
        int64_t length;
        char name[NAME_BYTES];
        TRY(suite_make(&v->suite, i, &t, &length, d));
        cj_err e = name_text(v, i, name, sizeof name, d);
        if (!e) e = run_columns(v, &t, length, d);
        task_deinit(&t);
        if (e) return e;
    }
    return CJ_OK;
}

/* ---- results ---- */

static cj_err print_json(const evaluation *v, const char *name, cj_diag *d)
{
    json_object *o = json_object_new_object();
    json_object_object_add(o, "task", json_object_new_string(suite_name(v->opt.kind)));
    json_object_object_add(o, "protocol", json_object_new_string(suite_protocol(v->opt.kind)));
    json_object_object_add(o, "model", json_object_new_string(name));
    json_object_object_add(o, "seed", json_object_new_int64((int64_t)v->opt.seed));
    cj_err e = report_json(&v->report, v->opt.seed, o, d);
    if (e) json_object_put(o);
    else cli_json(o);
    return e;
}

/* What people are told a group of questions is. */
static const char *group_name(void *arg, const char *group)
{
    static const struct {
        const char *group;
        msg_id name;
    } names[] = {
        {"words", MSG_EVAL_WORDS}, {"other", MSG_EVAL_OTHER}, {"pair", MSG_EVAL_PAIR}, {"stars", MSG_EVAL_STARS}, {"recount", MSG_EVAL_RECOUNT},
        {"keys", MSG_EVAL_KEYS}, {"tracking", MSG_EVAL_TRACKING}, {"counting", MSG_EVAL_COUNTING},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i].group, group) == 0) return cli_text(arg, names[i].name);
    return group;
}

static cj_err write_svg(const evaluation *v, const char *path, cj_diag *d)
{
    bool depths = v->opt.kind == SUITE_NEEDLE;
    const cli *c = v->c;
    report_picture p = {.head = {.title = cli_text(c, depths ? MSG_EVAL_MAP_TITLE : MSG_EVAL_LINE_TITLE), .note = cli_text(c, depths ? MSG_EVAL_MAP_NOTE : MSG_EVAL_LINE_NOTE),
                                 .x_name = cli_text(c, MSG_EVAL_CHARACTERS), .y_name = cli_text(c, depths ? MSG_EVAL_DEPTH : MSG_EVAL_LOCATED),
                                 .chinese = c->lang == CJ_LANG_ZH}, .name = group_name, .arg = v->c};
    buf svg;
    buf_init(&svg, SVG_BYTES_MAX);
    cj_err e = (depths ? report_draw_depths : report_draw_lengths)(&v->report, &p, &svg, d);
    if (!e) e = file_write(path, svg.data, svg.len, d);
    buf_deinit(&svg);
    return e;
}

static void print_share(const cli *c, msg_id id, int64_t right, int64_t n)
{
    stats_interval i = stats_share(right, n);
    if (n) cli_print(c, id, "%lld" ARG "%lld" ARG "%.0f" ARG "%.0f" ARG "%.0f", (long long)right, (long long)n, 100.0 * (double)right / (double)n, 100 * i.low, 100 * i.high);
}

static void print_text(const evaluation *v)
{
    const char *column[REPORT_NAMES_MAX], *group[REPORT_NAMES_MAX];
    int64_t length[REPORT_NAMES_MAX];
    int columns = report_columns(&v->report, column, REPORT_NAMES_MAX), groups = report_groups(&v->report, group, REPORT_NAMES_MAX);
    int lengths = report_lengths(&v->report, length, REPORT_NAMES_MAX);
    for (int l = 0; l < lengths; l++)
        for (int g = 0; g < groups; g++)
            for (int c = 0; c < columns; c++) {
                report_sum s = report_count(&v->report, &(report_filter){column[c], group[g], length[l], -1, -1});
                if (!s.questions) continue;
                cli_print(v->c, MSG_EVAL_ROW, "%lld" ARG "%s" ARG "%s" ARG "%lld", (long long)length[l], group_name(v->c, group[g]), column[c],
                          (long long)s.questions);
                print_share(v->c, MSG_EVAL_FIRST, s.first, s.n);
                print_share(v->c, MSG_EVAL_AMONG, s.among, s.n);
                if (s.answered_n) cli_print(v->c, MSG_EVAL_ANSWERED, "%.1f" ARG "%lld", s.answered, (long long)s.answered_n);
            }
}

/* ---- the command line ---- */

typedef struct asked {
    cli_list text;
    const char *lengths, *depths, *find, *svg;
} asked;

/* "reading,index", each once; without it: all of them, direct only when there are answers to compare. */
static bool parse_columns(evaluation *v, const char *text)
{
    char name[16];
    if (!text) text = v->answers ? "direct,reading,index,both" : "reading,index,both";
    for (v->n_columns = 0; *text;) {
        eval_column which;
        if (v->n_columns == COLUMNS || !cli_next_part(&text, name, sizeof name) || !columns_named(name, &which)) return false;
        for (int i = 0; i < v->n_columns; i++)
            if (v->column[i] == which) return false;
        v->column[v->n_columns++] = which;
    }
    return v->n_columns > 0;
}

/* Fills v->opt; the name of an option whose value makes no sense, or NULL. */
static const char *understand(evaluation *v, const asked *a)
{
    enum { CHARS_MAX = 100 * 1000 * 1000 };
    suite_options *o = &v->opt;
    int64_t percent[SUITE_LENGTHS_MAX];
    if (!suite_named(v->c->argv[0], &o->kind)) return v->c->argv[0];
    if (a->lengths && !(o->n_lengths = cli_counts(a->lengths, o->length, SUITE_LENGTHS_MAX, 1, CHARS_MAX))) return "--lengths";
    if (a->depths && !(o->n_depths = cli_counts(a->depths, percent, SUITE_LENGTHS_MAX, 0, 100))) return "--depths";
    for (int i = 0; i < o->n_depths; i++) o->depth[i] = (double)percent[i] / 100;
    if (o->repeat < 1 || o->repeat > SUITE_REPEATS_MAX) return "--repeat";
    if (o->stars < 1 || o->stars > STARS_MAX) return "--stars";
    if (!parse_columns(v, a->find)) return "--find";
    o->text = a->text.item;
    o->n_texts = a->text.n;
    o->seed = v->c->seed < 0 ? 1 : (uint64_t)v->c->seed;
    return NULL;
}

/* The needles that come with the program, unless others were given. mem_free it. */
static char *default_needles(void)
{
    char *share = share_folder(), *path = share ? file_join(share, "needles-zh.tsv") : NULL;
    mem_free(share);
    return path;
}

static int evaluate(evaluation *v, const char *svg)
{
    cj_diag d = {0};
    char *needles = default_needles();
    if (!v->opt.needles) v->opt.needles = needles;
    report_init(&v->report);
    cj_err err = needles ? run_all(v, &d) : diag_nomem(&d, 0);
    cli_progress_end(&v->progress);
    if (!err && v->c->json) err = print_json(v, v->c->argv[1], &d);
    else if (!err) print_text(v);
    if (!err && svg) err = write_svg(v, svg, &d); /* last: what was found out is shown whatever becomes of the picture */
    columns_close(&v->columns);
    suite_close(&v->suite);
    report_deinit(&v->report);
    mem_free(needles);
    return err ? cli_fail(v->c, &d) : EXIT_DONE;
}

int cmd_eval(cli *c)
{
    evaluation v = {.c = c, .opt = {.repeat = 1, .stars = 32}};
    if (c->argc && !strcmp(c->argv[0], "agreement")) return eval_agreement(c);
    if (c->argc && !strcmp(c->argv[0], "qa")) return eval_qa(c);
    suite_options *o = &v.opt;
    asked a = {0};
    const cli_option options[] = {
        {"text", 0, CLI_LIST, &a.text, "FILE", MSG_OPT_EVAL_TEXT},
        {"lengths", 'l', CLI_TEXT, &a.lengths, "N,N,...", MSG_OPT_EVAL_LENGTHS},
        {"depths", 'd', CLI_TEXT, &a.depths, "N,N,...", MSG_OPT_EVAL_DEPTHS},
        {"repeat", 'r', CLI_INT, &o->repeat, "N", MSG_OPT_EVAL_REPEAT},
        {"needles", 0, CLI_TEXT, &o->needles, "FILE", MSG_OPT_EVAL_NEEDLES},
        {"alone", 0, CLI_FLAG, &o->alone, NULL, MSG_OPT_EVAL_ALONE},
        {"stars", 0, CLI_INT, &o->stars, "N", MSG_OPT_EVAL_STARS},
        {"data", 0, CLI_TEXT, &o->data, "FOLDER", MSG_OPT_EVAL_DATA},
        {"svg", 0, CLI_TEXT, &a.svg, "FILE", MSG_OPT_EVAL_SVG},
        {"answer", 'a', CLI_FLAG, &v.answers, NULL, MSG_OPT_EVAL_ANSWER},
        {"as", 0, CLI_TEXT, &v.as, "NAME", MSG_OPT_EVAL_AS},
        {"exact", 0, CLI_FLAG, &v.exact, NULL, MSG_OPT_EVAL_EXACT},
        {"find", 0, CLI_TEXT, &a.find, "HOW", MSG_OPT_EVAL_FIND},
        {"adapter", 0, CLI_TEXT, &v.adapter, "ADAPTER", MSG_OPT_EVAL_ADAPTER},
    };
    const cli_help help = {"needle|stars|ruler|longbench|agreement|qa MODEL [--text FILE]... [--lengths N,N]", MSG_CMD_EVAL_ABOUT,
                           "eval needle {0} --text book.txt --lengths 20K,100K --svg map.svg\neval stars {0} --text book.txt --stars 32 --json\n"
                           "eval ruler {0} --text book.txt --lengths 10K,100K\neval longbench {0} --data LongBench-zh", 2, 2};
    int code = cli_parse(c, &help, options, sizeof options / sizeof *options);
    if (code) return code;
    const char *wrong = understand(&v, &a);
    return wrong ? cli_usage(c, MSG_CLI_BAD_VALUE, wrong) : evaluate(&v, a.svg);
}
