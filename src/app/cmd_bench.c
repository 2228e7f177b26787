/* juan bench: how fast a model reads and writes here, and what the machine could do at most. */
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "eval/bench.h"

enum { DEPTHS_MAX = 16 };

/* "0,8192" into depths; false when it is no such list. */
static bool parse_depths(const char *text, int64_t *depths, int *n)
{
    char part[32];
    for (*n = 0; *text; text += *text == ',') {
        size_t len = strcspn(text, ",");
        if (len == 0 || len >= sizeof part || *n == DEPTHS_MAX) return false;
        memcpy(part, text, len);
        part[len] = 0;
        if (!cli_number(part, true, &depths[*n]) || depths[*n] < 0 || depths[(*n)++] > (int64_t)1 << 24) return false;
        text += len;
    }
    return *n > 0;
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
    json_object_object_add(o, "tokens_per_second", rate);
    json_object_object_add(o, "share_of_ceiling", cli_json_number(r->share));
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
    for (int i = 0; i < n; i++)
        cli_print(c, r[i].decode ? MSG_BENCH_DECODE : MSG_BENCH_PREFILL, "%5lld" ARG "%6lld" ARG "%8.1f" ARG "%.1f" ARG "%.1f" ARG "%.0f",
                  (long long)r[i].tokens, (long long)r[i].depth, r[i].median, r[i].min, r[i].max, 100 * r[i].share);
}

int cmd_bench(cli *c)
{
    int64_t prefill = 512, decode = 64, repeats = 3, depths[DEPTHS_MAX] = {0};
    int n_depths = 1, n = 0;
    const char *depth_text = NULL;
    engine_options opt = {0};
    cj_diag d = {0};
    const cli_option options[] = {
        {"prefill", 'p', CLI_INT, &prefill, "N", MSG_OPT_BENCH_PREFILL}, {"decode", 'n', CLI_INT, &decode, "N", MSG_OPT_BENCH_DECODE},
        {"depth", 'd', CLI_TEXT, &depth_text, "N,N,...", MSG_OPT_BENCH_DEPTH}, {"repeat", 'r', CLI_INT, &repeats, "N", MSG_OPT_BENCH_REPEAT},
        {"chunk", 0, CLI_INT, &opt.chunk, "N", MSG_OPT_CHUNK},
    };
    const cli_help help = {"MODEL [-p N] [-n N] [-d N,N]", MSG_CMD_BENCH_ABOUT, "bench {0}\nbench {0} -p 512 -n 64 -d 0,8192 --json", 1, 1};
    int code = cli_parse(c, &help, options, sizeof options / sizeof *options);
    if (code) return code;
    if (depth_text && !parse_depths(depth_text, depths, &n_depths)) return cli_usage(c, MSG_CLI_BAD_VALUE, "--depth");
    if (prefill < 0 || prefill > 1 << 20) return cli_usage(c, MSG_CLI_BAD_VALUE, "--prefill");
    if (decode < 0 || decode > 1 << 20) return cli_usage(c, MSG_CLI_BAD_VALUE, "--decode");
    if (repeats < 1 || repeats > BENCH_REPEATS_MAX) return cli_usage(c, MSG_CLI_BAD_VALUE, "--repeat");
    if (opt.chunk < 0 || opt.chunk > MODEL_ROWS_MAX) return cli_usage(c, MSG_CLI_BAD_VALUE, "--chunk");
    engine *e = NULL;
    code = cli_engine_open(c, c->argv[0], &opt, &e);
    if (code) return code;
    kernel_ceilings ceilings = {0};
    bench_result results[BENCH_RESULTS_MAX];
    cli_progress progress;
    cli_progress_begin(&progress, c, MSG_BENCH_RUNNING);
    bench_options bo = {.prefill = prefill, .decode = decode, .depths = depths, .n_depths = n_depths, .repeats = (int)repeats,
                        .seed = c->seed < 0 ? 1 : (uint64_t)c->seed, .on_progress = cli_progress_step, .arg = &progress};
    cj_err err = kernel_ceilings_measure(engine_kernel(e), &ceilings, &d);
    if (!err) err = bench_run(e, &bo, &ceilings, results, &n, &d);
    cli_progress_end(&progress);
    if (!err && c->json) print_json(e, &ceilings, results, n);
    if (!err && !c->json) print_table(c, e, &ceilings, results, n);
    engine_close(&e);
    return err ? cli_fail(c, &d) : EXIT_DONE;
}
