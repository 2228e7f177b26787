/* juan logits: the numbers under the text, for checks from outside. */
#include <string.h>

#include "app/commands.h"

typedef struct logits_job {
    const cli *c;
    engine *engine;
    session *session;
    file_out out;
    cli_progress progress;
    buf ids;          /* int32 little-endian */
    int64_t n, decode;
} logits_job;

static cj_err write_rows(void *arg, int64_t position, int64_t rows, const float *logits, cj_diag *d)
{
    logits_job *j = arg;
    (void)position;
    size_t row = (size_t)model_spec_of(engine_model(j->engine))->vocab * sizeof *logits;
    return file_out_write(&j->out, logits, (size_t)rows * row, d);
}

static bool step(void *arg, int64_t done, int64_t total)
{
    logits_job *j = arg;
    return cli_progress_step(&j->progress, done, total);
}

/* The first n - decode tokens in chunks, the rest one at a time. */
static cj_err run(logits_job *j, cj_diag *d)
{
    const int32_t *ids = (const int32_t *)(const void *)j->ids.data;
    session_call call = {.want = WANT_ALL, .on_logits = write_rows, .on_progress = step, .arg = j};
    int64_t whole = j->n - j->decode;
    if (whole) TRY(session_eval(j->session, ids, whole, &call, NULL, d));
    for (int64_t i = whole; i < j->n; i++) TRY(session_eval(j->session, ids, i + 1, &call, NULL, d));
    return CJ_OK;
}

static cj_err open_and_run(logits_job *j, const engine_options *opt, const char *out, cj_diag *d)
{
    TRY(engine_open(&j->engine, opt, d));
    TRY(session_open(&j->session, j->engine, 0, d));
    TRY(file_out_open(&j->out, out, d));
    cj_err e = run(j, d);
    if (!e) return file_out_commit(&j->out, d);
    file_out_abort(&j->out);
    return e;
}

int cmd_logits(cli *c)
{
    enum { IDS_MAX = 1 << 28 };
    const char *ids = NULL, *out = NULL;
    logits_job j = {.c = c};
    int64_t chunk = 0;
    cj_diag d = {0};
    const cli_option options[] = {
        {"ids", 0, CLI_TEXT, &ids, "FILE", MSG_OPT_IDS},
        {"out", 0, CLI_TEXT, &out, "FILE", MSG_OPT_OUT},
        {"chunk", 0, CLI_INT, &chunk, "N", MSG_OPT_CHUNK},
        {"decode", 0, CLI_INT, &j.decode, "N", MSG_OPT_DECODE},
    };
    const cli_help help = {"MODEL --ids FILE --out FILE [--chunk N] [--decode N]", MSG_CMD_LOGITS_ABOUT,
                           "logits model.gguf --ids tokens.i32 --out logits.f32 --exact-math", 1, 1};
    int code = cli_parse(c, &help, options, sizeof options / sizeof *options);
    if (code) return code;
    if (!ids || !out) return cli_usage(c, MSG_CLI_TOO_FEW, help.usage);
    engine_options opt = {.path = c->argv[0], .chunk = chunk};
    code = cli_engine_options(c, &opt);
    if (code) return code;
    if (chunk < 0 || chunk > MODEL_ROWS_MAX) return cli_usage(c, MSG_CLI_BAD_VALUE, "--chunk");
    cli_progress_begin(&j.progress, c, MSG_READING);
    cj_err e = file_read(ids, IDS_MAX, &j.ids, &d);
    if (!e) {
        j.n = (int64_t)(j.ids.len / sizeof(int32_t));
        if (j.ids.len % sizeof(int32_t) || !j.n) e = diag_fail(&d, CJ_E_INPUT, MSG_IDS_BAD, "%s", ids);
        else if (j.decode < 0 || j.decode > j.n) code = cli_usage(c, MSG_CLI_BAD_VALUE, "--decode");
        else e = open_and_run(&j, &opt, out, &d);
    }
    cli_progress_end(&j.progress);
    session_close(&j.session);
    engine_close(&j.engine);
    buf_deinit(&j.ids);
    return code ? code : e ? cli_fail(c, &d) : EXIT_DONE;
}
