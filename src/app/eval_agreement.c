/* juan eval agreement: sparse attention beside exact. */
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "base/file.h"
#include "eval/agreement.h"

typedef struct agreeing {
    const cli *c;
    engine *engine;
    token_list tokens;
    agreement_options opt;
    int64_t depth[AGREEMENT_DEPTHS_MAX];
    agreement_depth result[AGREEMENT_DEPTHS_MAX];
    cli_progress progress;
} agreeing;

static bool on_progress(void *arg, int64_t done, int64_t total)
{
    agreeing *a = arg;
    return cli_progress_step(&a->progress, done, total);
}

static cj_err read_text(agreeing *a, const char *path, cj_diag *d)
{
    enum { TEXT_MAX = 1 << 30 };
    const tokenizer *t;
    buf text;
    TRY(engine_need_tokenizer(a->engine, &t, d));
    TRY(file_read(path, TEXT_MAX, &text, d));
    cj_err e = tokenizer_encode(t, text.data, text.len, TOKEN_VERBATIM, &a->tokens, d);
    buf_deinit(&text);
    return e;
}

static cj_err run(agreeing *a, const cli_list *texts, cj_diag *d)
{
    const tokenizer *t;
    TRY(engine_need_tokenizer(a->engine, &t, d));
    const token_specials *s = tokenizer_specials(t);
    if (s->add_bos && s->bos >= 0) TRY(token_list_push(&a->tokens, s->bos, 0, 0, d));
    for (int i = 0; i < texts->n; i++) TRY(read_text(a, texts->item[i], d));
    return agreement_run(a->engine, a->tokens.ids, (int64_t)a->tokens.count, &a->opt, a->result, d);
}

/* ---- results ---- */

static const char *const way_names[] = {"exact", "sparse", "control"};

static json_object *sum_json(const agreement_sum *s)
{
    json_object *o = json_object_new_object();
    double n = (double)s->rows;
    json_object_object_add(o, "kl_mean", cli_json_number(s->kl / n));
    json_object_object_add(o, "kl_max", cli_json_number(s->kl_max));
    json_object_object_add(o, "top1_same", cli_json_number((double)s->same / n));
    json_object_object_add(o, "top1_same_where_led", s->led ? cli_json_number((double)s->same_led / (double)s->led) : NULL);
    json_object_object_add(o, "nll", cli_json_number(s->nll / n));
    return o;
}

static void print_json(const agreeing *a, const char *name)
{
    json_object *o = json_object_new_object(), *list = json_object_new_array();
    json_object_object_add(o, "model", json_object_new_string(name));
    json_object_object_add(o, "keep", json_object_new_int64(a->opt.keep));
    for (int i = 0; i < a->opt.n_depths; i++) {
        json_object *at = json_object_new_object();
        json_object_object_add(at, "depth", json_object_new_int64(a->result[i].at));
        json_object_object_add(at, "rows", json_object_new_int64(a->result[i].way[0].rows));
        for (int w = 0; w < AGREEMENT_WAYS; w++) json_object_object_add(at, way_names[w], sum_json(&a->result[i].way[w]));
        json_object_array_add(list, at);
    }
    json_object_object_add(o, "depths", list);
    cli_json(o);
}

static void print_text(const agreeing *a)
{
    cli_print(a->c, MSG_AGREEMENT_HEAD, "%lld", (long long)a->opt.keep);
    for (int i = 0; i < a->opt.n_depths; i++)
        for (int w = 0; w < AGREEMENT_WAYS; w++) {
            const agreement_sum *s = &a->result[i].way[w];
            double n = (double)s->rows;
            printf("%9lld  %-7s  %.5f  %.4f  %5.1f  %5.1f  %.4f\n", (long long)a->result[i].at, way_names[w], s->kl / n, s->kl_max,
                   100 * (double)s->same / n, s->led ? 100 * (double)s->same_led / (double)s->led : 100, s->nll / n);
        }
}

/* ---- the command line ---- */

/* "32K,100000" in tokens, ascending. */
static bool parse_depths(agreeing *a, const char *text)
{
    char part[32];
    for (; *text; text += *text == ',') {
        size_t len = strcspn(text, ",");
        int64_t *to = &a->depth[a->opt.n_depths];
        if (len < 1 || len >= sizeof part || a->opt.n_depths == AGREEMENT_DEPTHS_MAX) return false;
        memcpy(part, text, len);
        part[len] = 0;
        if (!cli_number(part, true, to) || *to < 1 || *to > INT32_MAX || (a->opt.n_depths && *to < to[-1] + a->opt.rows)) return false;
        a->opt.n_depths++;
        text += len;
    }
    return a->opt.n_depths > 0;
}

int eval_agreement(cli *c)
{
    agreeing a = {.c = c, .opt = {.keep = ENGINE_KEEP, .rows = 64, .on_progress = on_progress}};
    cli_list texts = {0};
    const char *lengths = "32K";
    cj_diag d = {0};
    const cli_option options[] = {
        {"text", 0, CLI_LIST, &texts, "FILE", MSG_OPT_EVAL_TEXT},
        {"lengths", 'l', CLI_TEXT, &lengths, "N,N,...", MSG_OPT_AGREEMENT_LENGTHS},
        {"keep", 0, CLI_INT, &a.opt.keep, "N", MSG_OPT_KEEP},
        {"rows", 0, CLI_INT, &a.opt.rows, "N", MSG_OPT_AGREEMENT_ROWS},
    };
    const cli_help help = {"agreement MODEL --text FILE [--lengths N,N]", MSG_AGREEMENT_ABOUT, "eval agreement {0} --text book.txt --lengths 32K,128K", 2, 2};
    int code = cli_parse(c, &help, options, sizeof options / sizeof *options);
    if (code) return code;
    if (a.opt.rows < 1 || a.opt.rows > ENGINE_CHUNK) return cli_usage(c, MSG_CLI_BAD_VALUE, "--rows");
    if (a.opt.keep < 1 || a.opt.keep > INT32_MAX) return cli_usage(c, MSG_CLI_BAD_VALUE, "--keep");
    if (!texts.n) return cli_usage(c, MSG_CLI_BAD_VALUE, "--text");
    if (!parse_depths(&a, lengths)) return cli_usage(c, MSG_CLI_BAD_VALUE, "--lengths");
    a.opt.depths = a.depth;
    a.opt.arg = &a;
    engine_options opt = {0};
    code = cli_engine_options(c, &opt);
    if (!c->kv && !c->exact_math) opt.kv = KV_Q8; /* as juan read keeps them */
    if (!code) code = cli_engine_open(c, c->argv[1], &opt, &a.engine);
    if (code) return code;
    token_list_init(&a.tokens);
    cli_progress_begin(&a.progress, c, MSG_READING);
    cj_err e = run(&a, &texts, &d);
    cli_progress_end(&a.progress);
    if (!e && c->json) print_json(&a, c->argv[1]);
    else if (!e) print_text(&a);
    token_list_deinit(&a.tokens);
    engine_close(&a.engine);
    return e ? cli_fail(c, &d) : EXIT_DONE;
}
