/* juan run: one answer, or a conversation at the terminal. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/attach.h"
#include "app/chat.h"
#include "app/commands.h"
#include "base/clock.h"
#include "data/qa_form.h"
#include "hub/hub.h"
#include "reader/adapters.h"

enum { TEXT_MAX = 1 << 28 };

typedef struct run_options {
    const char *prompt, *system, *adapter;
    bool raw;
    int64_t max_tokens, top_k, logprobs;
    double temperature, top_p, min_p, repeat, presence, frequency;
    cli_list stops, biases, files;
    sampler_bias bias[CLI_LIST_MAX];
} run_options;

/* "ID=ADD"; ADD may be -inf. */
static bool parse_bias(const char *text, sampler_bias *out)
{
    char *end;
    long long id = strtoll(text, &end, 10);
    if (end == text || *end != '=' || id < 0 || id > INT32_MAX) return false;
    const char *add = end + 1;
    double v = strtod(add, &end);
    if (end == add || *end || isnan(v) || v == INFINITY) return false;
    *out = (sampler_bias){(int32_t)id, (float)v};
    return true;
}

/* How to write, from the options; *how points into *o. */
static int set_how(const cli *c, run_options *o, generate_options *how)
{
    for (int i = 0; i < o->biases.n; i++)
        if (!parse_bias(o->biases.item[i], &o->bias[i])) return cli_usage(c, MSG_CLI_BAD_VALUE, o->biases.item[i]);
    if (o->max_tokens < 0) return cli_usage(c, MSG_CLI_BAD_VALUE, "-n");
    if (o->top_k < 0 || o->top_k > INT32_MAX) return cli_usage(c, MSG_CLI_BAD_VALUE, "--top-k");
    if (o->logprobs < 0 || o->logprobs > GENERATE_TOP_MAX) return cli_usage(c, MSG_CLI_BAD_VALUE, "--logprobs");
    *how = (generate_options){
        .sampling = {.temperature = (float)o->temperature, .top_k = (int32_t)o->top_k, .top_p = (float)o->top_p, .min_p = (float)o->min_p,
                     .repetition = (float)o->repeat, .presence = (float)o->presence, .frequency = (float)o->frequency,
                     .bias = o->bias, .n_bias = o->biases.n,
                     .seed = c->seed >= 0 ? (uint64_t)c->seed : clock_seed() & INT32_MAX},
        .max_tokens = o->max_tokens, .stops = o->stops.item, .n_stops = o->stops.n, .n_top = (int32_t)o->logprobs};
    return EXIT_DONE;
}

/* Standard input, whose last line break is not meant. */
static cj_err read_prompt(buf *out, cj_diag *d)
{
    buf in;
    TRY(file_read("-", TEXT_MAX, &in, d));
    if (in.len && in.data[in.len - 1] == '\n') in.len--;
    cj_err e = attach_text(out, in.data, in.len, d);
    buf_deinit(&in);
    return e;
}

static int once(chat *ch, const char *prompt, buf *text)
{
    cj_diag d = {0};
    generate_result r;
    cj_err e = strcmp(prompt, "-") ? attach_text(text, prompt, strlen(prompt), &d) : read_prompt(text, &d);
    if (!e) e = chat_turn(ch, text->data ? text->data : "", text->len, &r, &d);
    if (e) return cli_fail(ch->cli, &d);
    chat_report(ch, &r);
    return cli_interrupted() ? EXIT_INTERRUPTED : EXIT_DONE;
}

static int run(const cli *c, const run_options *o, const generate_options *how, engine *e, const engine_adapter *adapter)
{
    chat ch;
    cj_diag d = {0};
    buf text; /* of the files: it goes before the first thing said */
    buf_init(&text, TEXT_MAX);
    cj_err err = chat_open(&ch, c, e, o->raw, how, &d);
    if (!err) err = session_set_adapter(ch.session, adapter, 0, &d);
    for (int i = 0; !err && i < o->files.n; i++) err = attach_file(c, o->files.item[i], &text, &d);
    if (!err) err = chat_reset(&ch, o->system, &d);
    int code = err ? cli_fail(c, &d) : EXIT_DONE;
    if (!code && ch.raw && o->system) {
        cli_say_unable(c, HUB_CHATS, MSG_RUN_SYSTEM_RAW, MSG_RUN_SYSTEM_RAW_BUT, "--system");
        code = EXIT_USAGE;
    }
    if (!code && ch.raw && !o->raw) cli_say_unable(c, HUB_CHATS, MSG_RUN_BASE_MODEL, MSG_RUN_BASE_MODEL_BUT, model_spec_of(engine_model(e))->name);
    if (!code) code = o->prompt ? once(&ch, o->prompt, &text) : chat_interactive(&ch, &text);
    chat_close(&ch);
    buf_deinit(&text);
    return code;
}

int cmd_run(cli *c)
{
    run_options o = {.max_tokens = 1024, .temperature = 0.7, .top_p = 0.95, .top_k = 40, .repeat = 1};
    const cli_option options[] = {
        {"prompt", 'p', CLI_TEXT, &o.prompt, "TEXT", MSG_OPT_PROMPT},
        {"raw", 0, CLI_FLAG, &o.raw, NULL, MSG_OPT_RAW},
        {"system", 0, CLI_TEXT, &o.system, "TEXT", MSG_OPT_SYSTEM},
        {"adapter", 0, CLI_TEXT, &o.adapter, "ADAPTER", MSG_OPT_ADAPTER},
        {"file", 'f', CLI_LIST, &o.files, "FILE", MSG_OPT_FILE},
        {"max-tokens", 'n', CLI_INT, &o.max_tokens, "N", MSG_OPT_MAX_TOKENS},
        {"temp", 0, CLI_FLOAT, &o.temperature, "T", MSG_OPT_TEMP},
        {"top-k", 0, CLI_INT, &o.top_k, "N", MSG_OPT_TOP_K},
        {"top-p", 0, CLI_FLOAT, &o.top_p, "P", MSG_OPT_TOP_P},
        {"min-p", 0, CLI_FLOAT, &o.min_p, "P", MSG_OPT_MIN_P},
        {"repeat-penalty", 0, CLI_FLOAT, &o.repeat, "X", MSG_OPT_REPEAT},
        {"presence-penalty", 0, CLI_FLOAT, &o.presence, "X", MSG_OPT_PRESENCE},
        {"frequency-penalty", 0, CLI_FLOAT, &o.frequency, "X", MSG_OPT_FREQUENCY},
        {"logit-bias", 0, CLI_LIST, &o.biases, "ID=ADD", MSG_OPT_BIAS},
        {"stop", 0, CLI_LIST, &o.stops, "TEXT", MSG_OPT_STOP},
        {"logprobs", 0, CLI_INT, &o.logprobs, "N", MSG_OPT_LOGPROBS},
    };
    const cli_help help = {"MODEL [-p TEXT] [--raw] [-n N] [--temp T]", MSG_CMD_RUN_ABOUT,
                           "run {1}\n"
                           "run {1} -p \"Why is the sky blue?\" --temp 0\n"
                           "run {0} --raw -p \"从前有座山，\" -n 64 --seed 7\n"
                           "run {1} -f chapter1.txt -p \"这一章讲了什么？\"\n"
                           "run {1} -f - -p \"What changed?\" --json < notes.txt", 1, 1};
    int code = cli_parse(c, &help, options, sizeof options / sizeof *options);
    if (code) return code;
    engine *e = NULL;
    generate_options how;
    code = set_how(c, &o, &how);
    if (code) return code;
    if (!o.prompt && !isatty(STDIN_FILENO)) o.prompt = "-";
    if (!o.prompt && c->json) return cli_usage(c, MSG_RUN_JSON_NEEDS_PROMPT, "--json");
    code = cli_engine_open(c, c->argv[0], NULL, &e);
    engine_adapter *adapter = NULL;
    cj_diag d = {0};
    if (!code && adapters_open(&adapter, e, o.adapter ? o.adapter : "none", QA_FORM_NAME, &d)) code = cli_fail(c, &d);
    if (!code) code = run(c, &o, &how, e, adapter);
    engine_adapter_close(&adapter);
    engine_close(&e);
    return code;
}
