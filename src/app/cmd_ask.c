/* juan ask: a question about files or entries of the shelf, an answer, and the evidence. */
#include <stdio.h>
#include <string.h>

#include "app/answering.h"
#include "app/asked.h"
#include "app/commands.h"
#include "app/term.h"
#include "base/file.h"
#include "eval/bench.h"

typedef struct asking {
    answering answer; /* first: callbacks are handed all of it */
    const cli *c;
    asked about;
    bool explain;
    ask_result result;
} asking;

static void on_evidence(void *arg, const ask_evidence *evidence, int n)
{
    asking *a = arg;
    const ask_view view = asked_view(&a->about);
    cli_progress_end(&a->answer.progress);
    if (a->c->json) return;
    ask_view_evidence(&view, evidence, n);
    answering_label(&a->answer, cli_text(a->c, MSG_ASK_ANSWER));
}

/* Speed beside what the machine could do, which is measured now, after the answer. */
static void print_speed(const asking *a)
{
    const ask_result *r = &a->result;
    const engine *e = a->about.reader.engine;
    int64_t memory = cpu_memory_peak();
    kernel_ceilings c;
    double read_floor = 0, write_floor = 0;
    if (a->c->quiet) return;
    if (r->mode == ASK_MODE_DIRECT && r->written_tokens) {
        char all[TERM_TEXT];
        cli_say(a->c, MSG_ASK_DIRECT_SPEED, "%.1f" ARG "%s", cli_rate(r->written_tokens, r->write_seconds), term_count(all, r->context_tokens));
    }
    if (a->about.answerer.engine || kernel_ceilings_measure(engine_kernel(e), &c, NULL)) return;
    for (int i = 0; i < r->n_steps; i++) {
        const ask_step *s = &r->steps[i];
        if (s->tokens && s->kind != ASK_STEP_WRITE) read_floor += bench_read_floor(e, &c, s->from, s->tokens, s->logits);
    }
    for (int64_t i = 1; i < r->written_tokens; i++) write_floor += bench_write_floor(e, &c, r->context_tokens + i);
    cli_say(a->c, MSG_ASK_SPEED, "%lld" ARG "%.0f" ARG "%.0f" ARG "%lld" ARG "%.0f" ARG "%.0f" ARG "%.1f" ARG "%lld", (long long)r->read_tokens,
            cli_rate(r->read_tokens, r->read_seconds), r->read_seconds > 0 ? 100 * read_floor / r->read_seconds : 0, (long long)r->written_tokens,
            cli_rate(r->written_tokens, r->write_seconds), r->write_seconds > 0 ? 100 * write_floor / r->write_seconds : 0, r->total_seconds,
            (long long)(memory >> 20));
}

/* Ctrl-C while the answer was written. */
static bool was_stopped(const ask_result *r) { return r->context_tokens && r->end == END_CALLER; }

static void print_end(asking *a)
{
    const ask_result *r = &a->result;
    const ask_view view = asked_view(&a->about);
    const bool stopped = was_stopped(r);
    if (stopped) putchar('\n');
    else ask_view_answer_end(&view, r);
    if (a->explain) ask_view_steps(&view, r);
    fflush(stdout);
    if (stopped) cli_say(a->c, MSG_CHAT_STOPPED, "%s", "");
    else print_speed(a);
}

static int finish(asking *a, cj_err e, const cj_diag *d)
{
    if (!e && a->result.unindexed) cli_say(a->c, MSG_ASK_UNINDEXED, "%s", "");
    if (!e && a->c->json) {
        const ask_view view = asked_view(&a->about);
        cli_json(ask_view_json(&view, &a->result, a->explain));
    } else if (!e)
        print_end(a);
    else if (a->answer.shown && !a->c->json) {
        putchar('\n');
        fflush(stdout);
    }
    if (e) return cli_fail(a->c, d);
    return was_stopped(&a->result) ? EXIT_INTERRUPTED : EXIT_DONE;
}

static cj_err run(asking *a, const char *model_name, const char *answerer, const char *adapter, engine_options *opt, ask_options *how, cj_diag *d)
{
    asked *about = &a->about;
    const int names = a->c->argc - 1;
    if (how->direct && answerer) return diag_fail(d, CJ_E_USAGE, MSG_ASK_DIRECT_ANSWERER, "%s", "");
    if (how->direct && names > 1 && !asked_files(a->c->argv, names)) return diag_fail(d, CJ_E_USAGE, MSG_ASK_DIRECT_ONE, "%d", names);
    TRY(asked_open(about, a->c, names, false, model_name, answerer, adapter, true, opt, d));
    how->heads = about->reader.heads.item;
    how->n_heads = about->reader.heads.n;
    how->answerer = about->answerer.engine;
    how->finder = about->finder;
    how->adapter = about->adapter;
    return ask(about->reader.engine, about->sources, about->n, a->c->argv[names], how, &a->result, d);
}

int cmd_ask(cli *c)
{
    asking a = {.c = c};
    const char *model_name = NULL;
    const char *find = NULL, *answerer = NULL, *adapter = NULL;
    bool all = false, direct = false;
    int64_t evidence = 0, tokens = 0;
    cj_diag d = {0};
    const cli_option options[] = {
        {"model", 'm', CLI_TEXT, &model_name, "MODEL", MSG_OPT_MODEL},
        {"evidence", 'e', CLI_INT, &evidence, "N", MSG_OPT_EVIDENCE},
        {"all", 'a', CLI_FLAG, &all, NULL, MSG_OPT_ALL},
        {"answerer", 0, CLI_TEXT, &answerer, "MODEL", MSG_OPT_ANSWERER},
        {"adapter", 0, CLI_TEXT, &adapter, "ADAPTER", MSG_OPT_ADAPTER_ASK},
        {"find", 0, CLI_TEXT, &find, "HOW", MSG_OPT_FIND},
        {"direct", 0, CLI_FLAG, &direct, NULL, MSG_OPT_DIRECT},
        {"explain", 0, CLI_FLAG, &a.explain, NULL, MSG_OPT_EXPLAIN},
        {"tokens", 'n', CLI_INT, &tokens, "N", MSG_OPT_TOKENS},
    };
    const cli_help help = {"NAME...|FILE... \"QUESTION\"", MSG_CMD_ASK_ABOUT,
                           "ask contract.txt \"违约金是多少？\"\nask a.txt b.txt \"Who signed?\" --json\nask - \"What changed?\" < notes.txt\n"
                           "ask hongloumeng sanguo \"谁在雪里折梅？\" --explain", 2, DOCUMENT_SET_MAX + 1};
    int code = cli_parse(c, &help, options, sizeof options / sizeof *options);
    if (code) return code;
    if (evidence < 0 || evidence > ASK_EVIDENCE_MAX) return cli_usage(c, MSG_CLI_BAD_VALUE, "--evidence");
    const int how = find ? ask_view_find(find) : 0;
    if (find && !how) return cli_usage(c, MSG_CLI_BAD_VALUE, "--find");
    if (tokens < 0 || tokens > ASK_TOKENS_MAX) return cli_usage(c, MSG_CLI_BAD_VALUE, "--tokens");
    if (!*c->argv[c->argc - 1]) return cli_usage(c, MSG_ASK_NO_QUESTION, "");
    engine_options opt = {0};
    code = cli_engine_options(c, &opt);
    if (code) return code;
    char *home = file_home(), *snapshots = home ? file_join(home, "snapshots") : NULL;
    ask_options ask_opt = {.find = how, .all = all, .direct = direct, .evidence = (int)evidence, .max_tokens = tokens, .snapshots = snapshots,
                           .on_progress = answering_on_progress, .on_evidence = on_evidence, .on_text = answering_on_text, .arg = &a};
    answering_begin(&a.answer, c);
    cj_err e = run(&a, model_name, answerer, adapter, &opt, &ask_opt, &d);
    answering_end(&a.answer);
    code = finish(&a, e, &d);
    ask_deinit(&a.result);
    asked_close(&a.about);
    mem_free(home);
    mem_free(snapshots);
    return code;
}
