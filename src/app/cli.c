/* Messages, exit codes, Ctrl-C, models by name. */
#include "app/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/term.h"
#include "base/mapped.h"
#include "hub/hub.h"
#include "model/vocab_gguf.h"
#include "reader/named.h"
#include "token/tokenizer_json.h"

/* ---- messages ---- */

const char *cli_text(const cli *c, msg_id id) { return msg_text(id, c->lang); }

/* On a terminal long sentences are folded between words. */
static void print_folded(FILE *to, const char *before, const char *line)
{
    fputs(before, to);
    if (isatty(fileno(to))) term_fold(to, line, (int)strlen(before), 0, term_columns(to));
    else fputs(line, to);
    fputc('\n', to);
}

/* What stands before a complaint: which command makes it. */
static void complain(const cli *c, const char *text)
{
    char before[64];
    snprintf(before, sizeof before, "juan %s: ", c->command);
    print_folded(stderr, before, text);
}

static void put_line(const cli *c, FILE *to, msg_id id, const char *args, va_list ap)
{
    char arg_text[CJ_DIAG_ARGS_MAX], line[4096];
    vsnprintf(arg_text, sizeof arg_text, args, ap);
    msg_format(cli_text(c, id), arg_text, line, sizeof line);
    print_folded(to, "", line);
}

void cli_say(const cli *c, msg_id id, const char *args, ...)
{
    if (c->quiet) return;
    va_list ap;
    va_start(ap, args);
    put_line(c, stderr, id, args, ap);
    va_end(ap);
}

void cli_print(const cli *c, msg_id id, const char *args, ...)
{
    va_list ap;
    va_start(ap, args);
    put_line(c, stdout, id, args, ap);
    va_end(ap);
}

void cli_say_unable(const cli *c, unsigned ability, msg_id alone, msg_id but, const char *about)
{
    hub *h = NULL;
    const hub_model *able = hub_open(&h, NULL, NULL, NULL) ? NULL : hub_able(h, ability, cpu_memory_available());
    cli_say(c, able ? but : alone, "%s" ARG "%s", about, able ? able->name : "");
    hub_close(&h);
}

static int exit_code(cj_err e)
{
    switch (e) {
    case CJ_OK: return EXIT_DONE;
    case CJ_E_USAGE: return EXIT_USAGE;
    case CJ_E_INPUT: case CJ_E_UNSUPPORTED: case CJ_E_NOT_FOUND: case CJ_E_LIMIT: return EXIT_INPUT;
    case CJ_E_NOMEM: case CJ_E_NOSPACE: return EXIT_RESOURCES;
    case CJ_E_CANCELLED: return EXIT_INTERRUPTED;
    default: return EXIT_FAILED;
    }
}

int cli_fail(const cli *c, const cj_diag *d)
{
    char text[4096];
    cj_diag_text(d, c->lang, text, sizeof text);
    complain(c, text);
    return exit_code(d->code);
}

void cli_note(const cli *c, const cj_diag *d)
{
    char text[4096];
    if (c->quiet) return;
    cj_diag_text(d, c->lang, text, sizeof text);
    print_folded(stderr, "", text);
}

int cli_usage(const cli *c, msg_id id, const char *arg)
{
    char text[4096];
    msg_format(cli_text(c, id), arg, text, sizeof text);
    complain(c, text);
    cli_say(c, MSG_CLI_SEE_HELP, "%s", c->command);
    return EXIT_USAGE;
}

bool cli_flush(int *why)
{
    static int first;
    errno = 0;
    bool good = !fflush(stdout) && !ferror(stdout);
    if (!good && !first) first = errno ? errno : EIO;
    if (why) *why = first;
    return good;
}

json_object *cli_json_number(double v)
{
    char text[32];
    if (!isfinite(v)) return NULL;
    snprintf(text, sizeof text, "%.6g", v);
    return json_object_new_double_s(v, text);
}

double cli_rate(int64_t tokens, double seconds) { return seconds > 0 ? (double)tokens / seconds : 0; }

json_object *cli_json_ceilings(const kernel_ceilings *c)
{
    json_object *o = json_object_new_object();
    json_object_object_add(o, "f32_gflops", cli_json_number(c->f32_gflops));
    json_object_object_add(o, "bf16_gflops", cli_json_number(c->bf16_gflops));
    json_object_object_add(o, "int8_gops", cli_json_number(c->int8_gops));
    json_object_object_add(o, "read_gbytes", cli_json_number(c->read_gbytes));
    return o;
}

void cli_json(json_object *o)
{
    puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
}

/* ---- Ctrl-C ---- */

static volatile sig_atomic_t interrupts, ended;
static int wake[2] = {-1, -1};

int cli_wake_fd(void)
{
    if (wake[0] < 0 && pipe2(wake, O_NONBLOCK | O_CLOEXEC)) wake[0] = wake[1] = -1;
    return wake[0];
}

void cli_wake(void)
{
    int kept = errno;
    ssize_t n = wake[1] >= 0 ? write(wake[1], "", 1) : 0; /* a full pipe can be read already */
    (void)n;
    errno = kept;
}

static void on_interrupt(int sig)
{
    if (sig != SIGINT) ended = 1;
    if (++interrupts > 1) {
        file_out_abandon();
        _exit(EXIT_INTERRUPTED);
    }
    cli_wake();
}

void cli_catch_interrupt(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction a = {.sa_handler = on_interrupt};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction before;
        sigaction(signals[i], NULL, &before);
        if (before.sa_handler != SIG_IGN) sigaction(signals[i], &a, NULL); /* nohup stays nohup */
    }
    file_stop_when(cli_interrupted);
    signal(SIGXFSZ, SIG_IGN); /* a write past a limit is an error like a full disk, told in a sentence */
}

bool cli_interrupted(void) { return interrupts > 0; }

bool cli_interrupt_take(void)
{
    if (ended) return false;
    bool was = interrupts > 0;
    interrupts = 0;
    return was;
}

/* ---- models ---- */

int cli_model_path(const cli *c, const char *name, char **path)
{
    cj_diag d = {0};
    return hub_locate(name, path, &d) ? cli_fail(c, &d) : EXIT_DONE;
}

int cli_engine_options(const cli *c, engine_options *out)
{
    out->level = kernel_level_by_name(c->cpu);
    if (out->level == KERNEL_LEVELS) return cli_usage(c, MSG_CLI_BAD_VALUE, "--cpu");
    if (c->threads < 0 || c->threads > 256) return cli_usage(c, MSG_CLI_BAD_VALUE, "--threads");
    if (c->ram < 0) return cli_usage(c, MSG_CLI_BAD_VALUE, "--ram");
    mapped_limit(c->ram);
    out->threads = (int)c->threads;
    out->exact = c->exact_math;
    out->kv = c->exact_math ? KV_F32 : KV_BF16;
    if (!c->kv || kv_type_by_name(c->kv, &out->kv)) return EXIT_DONE;
    return cli_usage(c, MSG_CLI_BAD_VALUE, "--kv");
}

int cli_vocabulary_open(const cli *c, const char *name, gguf **file, tokenizer **out)
{
    char *path;
    gguf *g = NULL;
    cj_diag d = {0};
    int code = cli_model_path(c, name, &path);
    if (code) return code;
    bool json = !file && tokenizer_json_here(path);
    cj_err e = json ? tokenizer_json_open(out, path, &d) : gguf_open(&g, path, &d);
    if (!e && !json) e = vocab_gguf_open(out, g, &d);
    if (!e && file) *file = g;
    else gguf_close(&g);
    mem_free(path);
    return e ? cli_fail(c, &d) : EXIT_DONE;
}

int cli_engine_open(const cli *c, const char *name, const engine_options *opt, engine **out)
{
    engine_options all = opt ? *opt : (engine_options){0};
    cj_diag d = {0};
    int code = opt ? EXIT_DONE : cli_engine_options(c, &all);
    if (code) return code;
    return named_engine(out, name, NULL, &all, &d) ? cli_fail(c, &d) : EXIT_DONE;
}
