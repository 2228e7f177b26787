/* juan eval agreement: sparse attention beside exact. */
#include <limits.h>
#include <string.h>

#include "app/agreement_view.h"
#include "app/commands.h"
#include "base/file.h"
#include "reader/named.h"

typedef struct agreeing {
    cli *c;
    named_model model;
    shelf *shelf;
    const char *entry, *svg; /* names; NULL: none */
    int64_t entry_keep;
    token_list tokens;       /* of the texts */
    agreement_options opt;
    int64_t depth[AGREEMENT_DEPTHS_MAX];
    agreement_head head[AGREEMENT_HEADS_MAX];
    agreement_depth result[AGREEMENT_DEPTHS_MAX];
    cli_progress progress;
} agreeing;

static bool on_progress(void *arg, int64_t done, int64_t total)
{
    agreeing *a = arg;
    return cli_progress_step(&a->progress, done, total);
}

/* ---- model, heads, entry ---- */

/* A head of a layer that sees the whole text. */
static bool is_far_head(const model_spec *m, const agreement_head *h)
{
    if (h->layer < 0 || h->layer >= m->n_layers || m->layers[h->layer].mixer != MIXER_GQA || m->layers[h->layer].gqa.window) return false;
    return h->head >= 0 && h->head < m->layers[h->layer].gqa.heads;
}

/* Those that were named, or those that are known to find. */
static cj_err take_heads(agreeing *a, cj_diag *d)
{
    const model_spec *m = model_spec_of(engine_model(a->model.engine));
    const known_heads *known = &a->model.heads;
    for (int i = 0; i < a->opt.n_heads; i++)
        if (!is_far_head(m, &a->head[i])) return diag_fail(d, CJ_E_USAGE, MSG_AGREEMENT_HEAD_BAD, "%d.%d", a->head[i].layer, a->head[i].head);
    if (a->opt.n_heads) return CJ_OK;
    for (int i = 0; i < known->n && a->opt.n_heads < AGREEMENT_HEADS_MAX; i++) {
        const agreement_head h = {known->item[i].layer, known->item[i].head};
        if (is_far_head(m, &h)) a->head[a->opt.n_heads++] = h;
    }
    if (!a->opt.n_heads) cli_say(a->c, MSG_AGREEMENT_NO_HEADS, "%s", "");
    return CJ_OK;
}

static cj_err open_entry(agreeing *a, engine_options *how, cj_diag *d)
{
    TRY(shelf_open(&a->shelf, NULL, d));
    TRY(shelf_read(a->shelf, &a->opt.entry, a->entry, d));
    session_mode_read(shelf_entry_info(a->opt.entry)->mode, how, &a->entry_keep);
    return CJ_OK;
}

static cj_err open_all(agreeing *a, engine_options *how, cj_diag *d)
{
    if (a->entry) TRY(open_entry(a, how, d));
    TRY(named_open(&a->model, a->c->argv[1], NULL, how, d));
    return take_heads(a, d);
}

/* ---- the text ---- */

static cj_err read_text(agreeing *a, const tokenizer *t, const char *path, cj_diag *d)
{
    enum { TEXT_MAX = 1 << 30 };
    buf text;
    TRY(file_read(path, TEXT_MAX, &text, d));
    cj_err e = tokenizer_encode(t, text.data, text.len, TOKEN_VERBATIM, &a->tokens, d);
    buf_deinit(&text);
    return e;
}

static cj_err read_texts(agreeing *a, const cli_list *texts, cj_diag *d)
{
    const tokenizer *t;
    TRY(engine_need_tokenizer(a->model.engine, &t, d));
    const token_specials *s = tokenizer_specials(t);
    if (s->add_bos && s->bos >= 0) TRY(token_list_push(&a->tokens, s->bos, 0, 0, d));
    for (int i = 0; i < texts->n; i++) TRY(read_text(a, t, texts->item[i], d));
    return CJ_OK;
}

static cj_err run(agreeing *a, engine_options *how, const cli_list *texts, cj_diag *d)
{
    TRY(open_all(a, how, d));
    if (a->opt.entry) {
        shelf_entry *e = a->opt.entry;
        return agreement_run(a->model.engine, shelf_entry_ids(e), shelf_entry_info(e)->tokens, &a->opt, a->result, d);
    }
    TRY(read_texts(a, texts, d));
    return agreement_run(a->model.engine, a->tokens.ids, (int64_t)a->tokens.count, &a->opt, a->result, d);
}

static int measure(agreeing *a, engine_options *how, const cli_list *texts)
{
    cj_diag d = {0};
    token_list_init(&a->tokens);
    cli_progress_begin(&a->progress, a->c, MSG_READING);
    cj_err e = run(a, how, texts, &d);
    cli_progress_end(&a->progress);
    const agreement_view v = {a->c, a->c->argv[1], &a->opt, a->result, a->entry_keep};
    if (!e && a->c->json) agreement_print_json(&v);
    else if (!e) agreement_print(&v);
    if (!e && a->svg) e = agreement_write_svg(&v, a->svg, &d); /* last: what was found out is shown whatever becomes of the picture */
    token_list_deinit(&a->tokens);
    named_close(&a->model);
    shelf_entry_close(&a->opt.entry);
    shelf_close(&a->shelf);
    return e ? cli_fail(a->c, &d) : EXIT_DONE;
}

/* ---- the command line ---- */

/* In tokens, ascending, with room for the rows between them. */
static bool take_depths(agreeing *a, const char *text)
{
    const int n = a->opt.n_depths = cli_counts(text, a->depth, AGREEMENT_DEPTHS_MAX, 1, INT32_MAX);
    for (int i = 1; i < n; i++)
        if (a->depth[i] < a->depth[i - 1] + a->opt.rows) return false;
    return n > 0;
}

/* "11.2,5.1": layer and head. */
static bool parse_heads(agreeing *a, const char *text)
{
    char part[32];
    while (*text) {
        int64_t layer, head;
        if (a->opt.n_heads == AGREEMENT_HEADS_MAX || !cli_next_part(&text, part, sizeof part)) return false;
        char *point = strchr(part, '.');
        if (!point) return false;
        *point = 0;
        if (!cli_number(part, CLI_INT, &layer) || !cli_number(point + 1, CLI_INT, &head)) return false;
        if (layer < 0 || layer > INT_MAX || head < 0 || head > INT_MAX) return false;
        a->head[a->opt.n_heads++] = (agreement_head){(int)layer, (int)head};
    }
    return a->opt.n_heads > 0;
}

/* The name of an option whose value makes no sense, or NULL. */
static const char *understand(agreeing *a, const cli_list *texts, const char *lengths, const char *heads, int64_t copies)
{
    agreement_options *o = &a->opt;
    if (o->rows < 1 || o->rows > ENGINE_CHUNK) return "--rows";
    if (o->keep < 1 || o->keep > INT32_MAX) return "--keep";
    if (copies < 0 || copies > AGREEMENT_COPIES_MAX) return "--copies";
    if ((a->entry != NULL) == (texts->n > 0)) return a->entry ? "--entry" : "--text"; /* one of them */
    if (!take_depths(a, lengths)) return "--lengths";
    if (heads && !parse_heads(a, heads)) return "--heads";
    o->copies = (int)copies;
    o->seed = a->c->seed < 0 ? 1 : (uint64_t)a->c->seed;
    o->depths = a->depth;
    o->heads = a->head;
    o->on_progress = on_progress;
    o->arg = a;
    return NULL;
}

int eval_agreement(cli *c)
{
    agreeing a = {.c = c, .opt = {.keep = ENGINE_KEEP, .rows = 64}};
    cli_list texts = {0};
    const char *lengths = "32768", *heads = NULL;
    int64_t copies = 4;
    const cli_option options[] = {
        {"text", 0, CLI_LIST, &texts, "FILE", MSG_OPT_AGREEMENT_TEXT},
        {"entry", 0, CLI_TEXT, &a.entry, "NAME", MSG_OPT_AGREEMENT_ENTRY},
        {"lengths", 'l', CLI_TEXT, &lengths, "N,N,...", MSG_OPT_AGREEMENT_LENGTHS},
        {"keep", 0, CLI_INT, &a.opt.keep, "N", MSG_OPT_KEEP},
        {"rows", 0, CLI_INT, &a.opt.rows, "N", MSG_OPT_AGREEMENT_ROWS},
        {"copies", 0, CLI_INT, &copies, "N", MSG_OPT_AGREEMENT_COPIES},
        {"heads", 0, CLI_TEXT, &heads, "L.H,...", MSG_OPT_AGREEMENT_HEADS},
        {"svg", 0, CLI_TEXT, &a.svg, "FILE", MSG_OPT_EVAL_SVG},
    };
    const cli_help help = {"agreement MODEL --text FILE|--entry NAME [--lengths N,N]", MSG_AGREEMENT_ABOUT,
                           "eval agreement {0} --text book.txt --lengths 32K,128K --svg agreement.svg\neval agreement {0} --entry book --lengths 1M", 2, 2};
    int code = cli_parse(c, &help, options, sizeof options / sizeof *options);
    if (code) return code;
    const char *wrong = understand(&a, &texts, lengths, heads, copies);
    if (wrong) return cli_usage(c, MSG_CLI_BAD_VALUE, wrong);
    engine_options how = {0};
    code = cli_engine_options(c, &how);
    if (code) return code;
    if (!c->kv && !c->exact_math) how.kv = KV_Q8; /* as juan read keeps them */
    return measure(&a, &how, &texts);
}
