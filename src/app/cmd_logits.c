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

static cj_err write_logits(logits_job *j, const char *out, cj_diag *d)
{
    TRY(session_open(&j->session, j->engine, 0, d));
    TRY(file_out_open(&j->out, out, d));
    cj_err e = run(j, d);
    if (!e) return file_out_commit(&j->out, d);
    file_out_abort(&j->out);
    return e;
}

static int read_ids(logits_job *j, const char *path)
{
    enum { IDS_MAX = 1 << 28 };
    cj_diag d = {0};
    cj_err e = file_read(path, IDS_MAX, &j->ids, &d);
    if (e) return cli_fail(j->c, &d);
    j->n = (int64_t)(j->ids.len / sizeof(int32_t));
    if (j->ids.len % sizeof(int32_t) || !j->n) e = diag_fail(&d, CJ_E_INPUT, MSG_IDS_BAD, "%s", path);
    if (e) return cli_fail(j->c, &d);
    return j->decode < 0 || j->decode > j->n ? cli_usage(j->c, MSG_CLI_BAD_VALUE, "--decode") : EXIT_DONE;
}

int cmd_logits(cli *c)
{
    const char *ids = NULL, *out = NULL;
    logits_job j = {.c = c};
    engine_options opt = {0};
    cj_diag d = {0};
    const cli_option options[] = {
        {"ids", 0, CLI_TEXT, &ids, "FILE", MSG_OPT_IDS},
        {"out", 0, CLI_TEXT, &out, "FILE", MSG_OPT_OUT},
        {"chunk", 0, CLI_INT, &opt.chunk, "N", MSG_OPT_CHUNK},
        {"decode", 0, CLI_INT, &j.decode, "N", MSG_OPT_DECODE},
    };
    const cli_help help = {"MODEL --ids FILE --out FILE [--chunk N] [--decode N]", MSG_CMD_LOGITS_ABOUT,
                           "logits {0} --ids tokens.i32 --out logits.f32 --exact-math", 1, 1};
    int code = cli_parse(c, &help, options, sizeof options / sizeof *options);
    if (code) return code;
    if (!ids || !out) return cli_usage(c, MSG_CLI_NEEDS_OPTION, ids ? "--out" : "--ids");
    if (opt.chunk < 0 || opt.chunk > MODEL_ROWS_MAX) return cli_usage(c, MSG_CLI_BAD_VALUE, "--chunk");
    cli_progress_begin(&j.progress, c, MSG_READING);
    code = read_ids(&j, ids);
    if (!code) code = cli_engine_options(c, &opt);
    if (!code) code = cli_engine_open(c, c->argv[0], &opt, &j.engine);
    if (!code && write_logits(&j, out, &d)) {
        cli_progress_end(&j.progress);
        code = cli_fail(c, &d);
    }
    cli_progress_end(&j.progress);
    session_close(&j.session);
    engine_close(&j.engine);
    buf_deinit(&j.ids);
    return code;
}
