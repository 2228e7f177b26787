/* juan bench: how fast a model reads and writes here, and what the machine could do at most. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "data/qa_form.h"
#include "eval/bench.h"
#include "reader/adapters.h"

enum { DEPTHS_MAX = 16 };

/* How much slower than the base alone, which stands before it. */
static double cost_of(const bench_result *r)
{
    const bench_result *base = r;
    while (base->adapter) base--;
    return 1 - r->median / base->median;
}

static json_object *result_json(const bench_result *r)
{
    json_object *o = json_object_new_object(), *rate = json_object_new_object();
    json_object_object_add(rate, "median", cli_json_number(r->median));
    json_object_object_add(rate, "min", cli_json_number(r->min));
    json_object_object_add(rate, "max", cli_json_number(r->max));
    json_object_object_add(o, "test", json_object_new_string(r->decode ? "decode" : "prefill"));
    json_object_object_add(o, "tokens", json_object_new_int64(r->tokens));
    json_object_object_add(o, "depth", json_object_new_int64(r->depth));
    if (r->adapter) {
        json_object_object_add(o, "adapter", json_object_new_string(engine_adapter_facts(r->adapter)->name));
        json_object_object_add(o, "cost", cli_json_number(cost_of(r)));
    }
    json_object_object_add(o, "tokens_per_second", rate);
    json_object_object_add(o, "share_of_ceiling", isnan(r->share) ? NULL : cli_json_number(r->share));
    return o;
}

static void print_json(const engine *e, const kernel_ceilings *c, const bench_result *r, int n)
{
    json_object *o = json_object_new_object(), *list = json_object_new_array();
    for (int i = 0; i < n; i++) json_object_array_add(list, result_json(&r[i]));
    json_object_object_add(o, "results", list);
    json_object_object_add(o, "ceilings", cli_json_ceilings(c));
    json_object_object_add(o, "cpu", json_object_new_string(cpu_get()->name));
    json_object_object_add(o, "level", json_object_new_string(kernel_level_name(kernel_table_of(engine_kernel(e))->level)));
    json_object_object_add(o, "threads", json_object_new_int(kernel_threads(engine_kernel(e))));
    cli_json(o);
}

static void print_table(const cli *c, const engine *e, const kernel_ceilings *ce, const bench_result *r, int n)
{
    cli_print(c, MSG_BENCH_MACHINE, "%s" ARG "%s" ARG "%d", cpu_get()->name, kernel_level_name(kernel_table_of(engine_kernel(e))->level),
              kernel_threads(engine_kernel(e)));
    cli_print(c, MSG_BENCH_CEILINGS, "%.0f" ARG "%.0f" ARG "%.0f" ARG "%.1f", ce->f32_gflops, ce->bf16_gflops, ce->int8_gops, ce->read_gbytes);
    for (int i = 0; i < n; i++) {
        char share[32] = "-";
        if (!isnan(r[i].share)) snprintf(share, sizeof share, "%.0f%%", 100 * r[i].share);
        cli_print(c, r[i].decode ? MSG_BENCH_DECODE : MSG_BENCH_PREFILL, "%5lld" ARG "%6lld" ARG "%8.1f" ARG "%.1f" ARG "%.1f" ARG "%s",
                  (long long)r[i].tokens, (long long)r[i].depth, r[i].median, r[i].min, r[i].max, share);
        if (r[i].adapter) cli_print(c, MSG_BENCH_COST, "%s" ARG "%.1f%%", engine_adapter_facts(r[i].adapter)->name, 100 * cost_of(&r[i]));
    }
}

/* Opens the entry and takes over how its pages are kept. */
static int open_entry(cli *c, const char *name, shelf **s, shelf_entry **entry, engine_options *opt)
{
    cj_diag d = {0};
    cj_err e = shelf_open(s, NULL, &d);
    if (!e) e = shelf_read(*s, entry, name, &d);
    if (e) return cli_fail(c, &d);
    session_mode_read(shelf_entry_info(*entry)->mode, opt, NULL);
    return EXIT_DONE;
}

typedef struct wanted {
    bench_options bench;
    int64_t depths[DEPTHS_MAX], repeats;
    const char *entry; /* name on the shelf, or NULL */
    char *names;       /* of adapters, separated by commas, or NULL */
    engine_adapter *adapters[BENCH_ADAPTERS_MAX];
    engine_options engine;
} wanted;

/* The name of an option whose value makes no sense, or NULL. */
static const char *understand(wanted *w, const char *depths)
{
    bench_options *b = &w->bench;
    if (depths && !(b->n_depths = cli_counts(depths, w->depths, DEPTHS_MAX, 0, 1 << 24))) return "--depth";
    if (b->prefill < 0 || b->prefill > 1 << 20) return "--prefill";
    if (b->decode < 0 || b->decode > 1 << 20) return "--decode";
    if (w->repeats < 1 || w->repeats > BENCH_REPEATS_MAX) return "--repeat";
    if (w->engine.chunk < 0 || w->engine.chunk > MODEL_ROWS_MAX) return "--chunk";
    if (b->keep < 0 || b->keep > INT32_MAX) return "--keep";
    b->depths = w->depths;
    b->repeats = (int)w->repeats;
    return NULL;
}

static int measure(cli *c, wanted *w, engine *e)
{
    int n = 0;
    cj_diag d = {0};
    kernel_ceilings ceilings = {0};
    bench_result results[BENCH_RESULTS_MAX];
    cli_progress progress;
    cli_progress_begin(&progress, c, MSG_BENCH_RUNNING);
    w->bench.seed = c->seed < 0 ? 1 : (uint64_t)c->seed;
    w->bench.on_progress = cli_progress_step;
    w->bench.arg = &progress;
    cj_err err = kernel_ceilings_measure(engine_kernel(e), &ceilings, &d);
    if (!err) err = bench_run(e, &w->bench, &ceilings, results, &n, &d);
    cli_progress_end(&progress);
    if (!err && c->json) print_json(e, &ceilings, results, n);
    if (!err && !c->json) print_table(c, e, &ceilings, results, n);
    return err ? cli_fail(c, &d) : EXIT_DONE;
}

/* Every one is open while any is measured. */
static int open_adapters(cli *c, wanted *w, engine *e)
{
    cj_diag d = {0};
    char *rest = NULL;
    for (char *name = strtok_r(w->names, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        if (w->bench.n_adapters == BENCH_ADAPTERS_MAX) return cli_usage(c, MSG_CLI_BAD_VALUE, "--adapter");
        if (adapters_open(&w->adapters[w->bench.n_adapters], e, name, QA_FORM_NAME, &d)) return cli_fail(c, &d);
        if (w->adapters[w->bench.n_adapters]) w->bench.n_adapters++;
    }
    w->bench.adapters = w->adapters;
    return EXIT_DONE;
}

int cmd_bench(cli *c)
{
    wanted w = {.bench = {.prefill = 512, .decode = 64, .n_depths = 1}, .repeats = 3};
    const char *depths = NULL, *adapters = NULL;
    const cli_option options[] = {
        {"prefill", 'p', CLI_INT, &w.bench.prefill, "N", MSG_OPT_BENCH_PREFILL}, {"decode", 'n', CLI_INT, &w.bench.decode, "N", MSG_OPT_BENCH_DECODE},
        {"depth", 'd', CLI_TEXT, &depths, "N,N,...", MSG_OPT_BENCH_DEPTH}, {"repeat", 'r', CLI_INT, &w.repeats, "N", MSG_OPT_BENCH_REPEAT},
        {"chunk", 0, CLI_INT, &w.engine.chunk, "N", MSG_OPT_CHUNK}, {"entry", 0, CLI_TEXT, &w.entry, "NAME", MSG_OPT_BENCH_ENTRY},
        {"keep", 0, CLI_INT, &w.bench.keep, "N", MSG_OPT_BENCH_KEEP}, {"adapter", 0, CLI_TEXT, &adapters, "A,A,...", MSG_OPT_BENCH_ADAPTER},
    };
    const cli_help help = {"MODEL [-p N] [-n N] [-d N,N]", MSG_CMD_BENCH_ABOUT,
                           "bench {0}\nbench {0} -p 512 -n 64 -d 0,8192 --json\nbench {0} --entry book --keep 128 -d 0,262144\n"
                           "bench {0} --adapter house.gguf -p 0 -r 9", 1, 1};
    int code = cli_parse(c, &help, options, sizeof options / sizeof *options);
    if (code) return code;
    const char *wrong = understand(&w, depths);
    if (wrong) return cli_usage(c, MSG_CLI_BAD_VALUE, wrong);
    shelf *s = NULL;
    engine *e = NULL;
    code = cli_engine_options(c, &w.engine);
    if (!code && w.entry) code = open_entry(c, w.entry, &s, &w.bench.entry, &w.engine);
    if (!code) code = cli_engine_open(c, c->argv[0], &w.engine, &e);
    if (!code && adapters && !(w.names = mem_strdup(adapters))) code = EXIT_RESOURCES;
    if (!code && w.names) code = open_adapters(c, &w, e);
    if (!code) code = measure(c, &w, e);
    for (int i = 0; i < w.bench.n_adapters; i++) engine_adapter_close(&w.adapters[i]);
    mem_free(w.names);
    engine_close(&e);
    shelf_entry_close(&w.bench.entry);
    shelf_close(&s);
    return code;
}
