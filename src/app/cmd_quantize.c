/* juan quantize: a model file with its weights stored as another type, or the model as a folder. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/term.h"
#include "format/convert.h"
#include "model/publish.h"

/* The types that can be written, for messages: "F32, F16, ...". */
static void type_names(char *out, size_t size)
{
    size_t at = 0;
    out[0] = 0;
    for (int t = 0; t < QUANT_TYPE_END; t++) {
        const quant_info *q = quant_info_get(t);
        if (q && q->encode && at < size) at += (size_t)snprintf(out + at, size - at, "%s%s", at ? ", " : "", q->name);
    }
}

static bool same_file(const char *a, const char *b)
{
    char x[PATH_MAX], y[PATH_MAX];
    return realpath(a, x) && realpath(b, y) && !strcmp(x, y);
}

static void report(const cli *c, const char *out, const convert_result *r)
{
    char before[TERM_TEXT], after[TERM_TEXT];
    if (c->json) {
        json_object *o = json_object_new_object();
        json_object_object_add(o, "path", json_object_new_string(out));
        json_object_object_add(o, "tensors", json_object_new_int64(r->tensors));
        json_object_object_add(o, "bytes_before", json_object_new_int64(r->bytes_in));
        json_object_object_add(o, "bytes_after", json_object_new_int64(r->bytes_out));
        json_object_object_add(o, "finer", json_object_new_int64(r->finer));
        json_object_object_add(o, "requantised", json_object_new_int64(r->requantised));
        cli_json(o);
        return;
    }
    cli_print(c, MSG_QUANTIZE_DONE, "%s" ARG "%s" ARG "%s" ARG "%.0f", out, term_bytes(before, r->bytes_in), term_bytes(after, r->bytes_out),
              r->bytes_in ? 100.0 * (double)r->bytes_out / (double)r->bytes_in : 0);
    if (r->finer) cli_say(c, MSG_QUANTIZE_FINER, "%lld", (long long)r->finer);
    if (r->requantised) cli_say(c, MSG_QUANTIZE_AGAIN, "%lld", (long long)r->requantised);
}

static cj_err publish(const char *in, const char *out, const convert_options *o, convert_result *r, cj_diag *d)
{
    kernel_ctx *ctx = NULL;
    model *m = NULL;
    TRY(kernel_open(&ctx, &(kernel_options){.threads = 1}, d));
    cj_err e = model_open(&m, ctx, in, d);
    if (!e) e = model_publish(m, out, o, r, d);
    model_close(&m);
    kernel_close(&ctx);
    return e;
}

/* A name alone has always been a file's. */
static bool is_folder(const char *out) { return *out && out[strlen(out) - 1] == '/'; }

int cmd_quantize(cli *c)
{
    const char *type = NULL;
    const cli_option options[] = {{"type", 0, CLI_TEXT, &type, "TYPE", MSG_OPT_TYPE}};
    const cli_help help = {"IN OUT --type TYPE", MSG_CMD_QUANTIZE_ABOUT,
                           "quantize model-bf16.gguf model-q8_0.gguf --type Q8_0\n"
                           "quantize {0} small.gguf --type Q4_K\n"
                           "quantize {0} folder/ --type BF16", 2, 2};
    int code = cli_parse_plain(c, &help, options, 1);
    if (code) return code;
    char names[256], *in = NULL;
    type_names(names, sizeof names);
    convert_options opt = {.type = type ? quant_type_by_name(type) : -1, .progress = cli_progress_step};
    if (!type) return cli_usage(c, MSG_QUANTIZE_NO_TYPE, names);
    const quant_info *q = quant_info_get(opt.type);
    if (!q || !q->encode) return cli_usage(c, MSG_QUANTIZE_TYPE, names);
    code = cli_model_path(c, c->argv[0], &in);
    if (code) return code;
    cli_progress progress;
    convert_result r;
    cj_diag d = {0};
    cj_err e = CJ_OK;
    if (same_file(in, c->argv[1])) e = diag_fail(&d, CJ_E_USAGE, MSG_QUANTIZE_SAME, "%s", c->argv[1]);
    if (!e) e = pool_open(&opt.pool, (int)c->threads, &d);
    cli_progress_begin(&progress, c, MSG_CONVERTING);
    progress.bytes = true;
    opt.arg = &progress;
    if (!e) e = is_folder(c->argv[1]) ? publish(in, c->argv[1], &opt, &r, &d) : convert_gguf(in, c->argv[1], &opt, &r, &d);
    cli_progress_end(&progress);
    pool_close(&opt.pool);
    mem_free(in);
    if (e) return cli_fail(c, &d);
    report(c, c->argv[1], &r);
    return EXIT_DONE;
}
