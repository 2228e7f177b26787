/* juan perplexity: how well a model predicts a text, and how far the fast path is from the exact one. */
#include <stdio.h>

#include "app/commands.h"
#include "base/file.h"
#include "eval/perplexity.h"

static void print_json(const perplexity_result *r, bool compared)
{
    json_object *o = json_object_new_object();
    json_object_object_add(o, "tokens_scored", json_object_new_int64(r->tokens_scored));
    json_object_object_add(o, "windows", json_object_new_int64(r->windows));
    json_object_object_add(o, "nll_mean", json_object_new_double(r->nll_mean));
    json_object_object_add(o, "nll_stderr", json_object_new_double(r->nll_stderr));
    json_object_object_add(o, "ppl", json_object_new_double(r->ppl));
    json_object_object_add(o, "bits_per_char", json_object_new_double(r->bits_per_char));
    json_object_object_add(o, "seconds", json_object_new_double(r->seconds));
    if (compared) {
        json_object_object_add(o, "exact_nll_mean", json_object_new_double(r->reference_nll_mean));
        json_object_object_add(o, "kl_mean", json_object_new_double(r->kl_mean));
        json_object_object_add(o, "kl_max", json_object_new_double(r->kl_max));
        json_object_object_add(o, "top1_same", json_object_new_double(r->top1_same));
    }
    cli_json(o);
}

static void print_text(const cli *c, const perplexity_result *r, bool compared)
{
    char text[512], args[256];
    snprintf(args, sizeof args, "%.3f" ARG "%.4f" ARG "%.4f" ARG "%.3f" ARG "%lld", r->ppl, r->nll_mean, r->nll_stderr, r->bits_per_char,
             (long long)r->tokens_scored);
    msg_format(cli_text(c, MSG_PPL_RESULT), args, text, sizeof text);
    puts(text);
    if (!compared) return;
    snprintf(args, sizeof args, "%.3e" ARG "%.3e" ARG "%.2f", r->kl_mean, r->kl_max, 100 * r->top1_same);
    msg_format(cli_text(c, MSG_PPL_KL), args, text, sizeof text);
    puts(text);
}

/* Bytes of the first `chars` characters (all when 0). */
static size_t first_chars(const buf *text, int64_t chars)
{
    if (!chars) return text->len;
    size_t i = 0;
    for (; i < text->len; i++)
        if (((unsigned char)text->data[i] & 0xC0) != 0x80 && chars-- == 0) break;
    return i;
}

int cmd_perplexity(cli *c)
{
    enum { TEXT_MAX = 1 << 30, COMPARE_CHUNK = 256 };
    int64_t ctx = 512, chars = 0, windows = 0;
    bool compare = false;
    cj_diag d = {0};
    const cli_option options[] = {
        {"ctx", 0, CLI_INT, &ctx, "N", MSG_OPT_CTX},
        {"chars", 0, CLI_INT, &chars, "N", MSG_OPT_CHARS},
        {"windows", 0, CLI_INT, &windows, "N", MSG_OPT_WINDOWS},
        {"against-exact", 0, CLI_FLAG, &compare, NULL, MSG_OPT_AGAINST_EXACT},
    };
    const cli_help help = {"MODEL FILE [--ctx N] [--chars N]", MSG_CMD_PERPLEXITY_ABOUT, "perplexity {0} book.txt --chars 100000 --json", 2, 2};
    int code = cli_parse(c, &help, options, sizeof options / sizeof *options);
    if (code) return code;
    if (chars < 0) return cli_usage(c, MSG_CLI_BAD_VALUE, "--chars");
    if (windows < 0) return cli_usage(c, MSG_CLI_BAD_VALUE, "--windows");
    engine_options opt = {.chunk = compare ? COMPARE_CHUNK : 0}; /* when comparing, two sets of logits are in memory */
    engine *e = NULL, *reference = NULL;
    buf text = {0};
    cli_progress progress;
    perplexity_result r;
    if (file_read(c->argv[1], TEXT_MAX, &text, &d)) return cli_fail(c, &d); /* before models are opened for it */
    code = cli_engine_options(c, &opt);
    if (!code) code = cli_engine_open(c, c->argv[0], &opt, &e);
    if (!code && compare) {
        opt.exact = true;
        opt.kv = KV_F32;
        code = cli_engine_open(c, c->argv[0], &opt, &reference);
    }
    cli_progress_begin(&progress, c, MSG_READING);
    cj_err err = CJ_OK;
    if (!code) {
        perplexity_options po = {.ctx = ctx, .max_windows = windows, .reference = reference, .on_progress = cli_progress_step, .arg = &progress};
        err = perplexity_run(e, text.data, first_chars(&text, chars), &po, &r, &d);
    }
    cli_progress_end(&progress);
    if (!code && !err && c->json) print_json(&r, compare);
    if (!code && !err && !c->json) print_text(c, &r, compare);
    engine_close(&e);
    engine_close(&reference);
    buf_deinit(&text);
    return err ? cli_fail(c, &d) : code;
}
