/* Options, language, messages, progress. */
#include "app/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

/* ---- messages ---- */

const char *cli_text(const cli *c, msg_id id) { return msg_text(id, c->lang); }

void cli_say(const cli *c, msg_id id, const char *args, ...)
{
    char arg_text[CJ_DIAG_ARGS_MAX], line[4096];
    va_list ap;
    if (c->quiet) return;
    va_start(ap, args);
    vsnprintf(arg_text, sizeof arg_text, args, ap);
    va_end(ap);
    msg_format(cli_text(c, id), arg_text, line, sizeof line);
    fprintf(stderr, "%s\n", line);
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
    fprintf(stderr, "juan %s: %s\n", c->command, text);
    return exit_code(d->code);
}

int cli_usage(const cli *c, msg_id id, const char *arg)
{
    char text[4096];
    msg_format(cli_text(c, id), arg, text, sizeof text);
    fprintf(stderr, "juan %s: %s\n", c->command, text);
    fprintf(stderr, "%s\n", cli_text(c, MSG_CLI_SEE_HELP));
    return EXIT_USAGE;
}

/* ---- options ---- */

/* Whole numbers; CLI_SIZE also takes K, M, G, T (1024 each). */
static bool parse_int(const char *s, bool size, int64_t *out)
{
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (end == s || errno) return false;
    int shift = 0;
    if (size && *end) {
        const char *at = strchr("KMGT", *end & ~0x20);
        if (!at || !*at) return false;
        shift = 10 * (int)(at - "KMGT" + 1);
        end++;
        if (*end == 'B' || *end == 'b') end++;
    }
    if (*end || v > INT64_MAX >> shift || v < INT64_MIN >> shift) return false;
    *out = (int64_t)((uint64_t)v << shift);
    return true;
}

static bool set_value(const cli_option *o, const char *text)
{
    char *end;
    switch (o->kind) {
    case CLI_FLAG: *(bool *)o->value = true; return true;
    case CLI_INT: case CLI_SIZE: return parse_int(text, o->kind == CLI_SIZE, o->value);
    case CLI_FLOAT: errno = 0; *(double *)o->value = strtod(text, &end); return end != text && !*end && !errno;
    case CLI_TEXT: *(const char **)o->value = text; return true;
    case CLI_LIST: {
        cli_list *l = o->value;
        if (l->n == CLI_LIST_MAX) return false;
        l->item[l->n++] = text;
        return true;
    }
    }
    return false;
}

typedef struct parse {
    cli *c;
    const cli_option *set[2]; /* the command's, the common ones */
    int n[2];
} parse;

static const cli_option *find_option(const parse *p, const char *name, size_t len, char letter)
{
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < p->n[s]; i++) {
            const cli_option *o = &p->set[s][i];
            if (letter ? o->letter == letter : strlen(o->name) == len && !memcmp(o->name, name, len)) return o;
        }
    return NULL;
}

/* One "-x" or "--name" argument at argv[*i]; moves *i past its value. */
static int parse_option(parse *p, char **argv, int argc, int *i)
{
    char *a = argv[*i], *eq = NULL;
    bool is_long = a[1] == '-';
    const cli_option *o;
    if (is_long) {
        eq = strchr(a, '=');
        o = find_option(p, a + 2, eq ? (size_t)(eq - a - 2) : strlen(a + 2), 0);
    } else
        o = find_option(p, NULL, 0, a[1]);
    if (!o) return cli_usage(p->c, MSG_CLI_UNKNOWN_OPTION, a);
    const char *value = is_long ? (eq ? eq + 1 : NULL) : (a[2] ? a + 2 : NULL);
    if (o->kind == CLI_FLAG) {
        if (value) return cli_usage(p->c, MSG_CLI_NO_VALUE, a);
    } else if (!value) {
        if (*i + 1 >= argc) return cli_usage(p->c, MSG_CLI_NEEDS_VALUE, a);
        value = argv[++*i];
    }
    return set_value(o, value) ? EXIT_DONE : cli_usage(p->c, MSG_CLI_BAD_VALUE, a);
}

static void print_options(const cli *c, const cli_option *o, int n)
{
    for (int i = 0; i < n; i++) {
        char left[64], letter[8] = "    ";
        if (o[i].letter) snprintf(letter, sizeof letter, "-%c, ", o[i].letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, o[i].name, o[i].what ? " " : "", o[i].what ? o[i].what : "");
        printf("  %-26s %s\n", left, cli_text(c, o[i].help));
    }
}

static int print_help(const parse *p, const cli_help *h)
{
    const cli *c = p->c;
    printf("%s juan %s %s\n\n%s\n", cli_text(c, MSG_CLI_USAGE), c->command, h->usage, cli_text(c, h->about));
    if (p->n[0]) {
        printf("\n%s\n", cli_text(c, MSG_CLI_OPTIONS));
        print_options(c, p->set[0], p->n[0]);
    }
    printf("\n%s\n", cli_text(c, MSG_CLI_COMMON));
    print_options(c, p->set[1], p->n[1]);
    if (h->examples) {
        printf("\n%s\n", cli_text(c, MSG_CLI_EXAMPLES));
        for (const char *s = h->examples; *s;) {
            size_t n = strcspn(s, "\n");
            printf("  juan %.*s\n", (int)n, s);
            s += n + (s[n] == '\n');
        }
    }
    return -1;
}

int cli_parse(cli *c, const cli_help *help, const cli_option *options, int n)
{
    bool want_help = false;
    const char *lang = NULL;
    const cli_option common[] = {
        {"threads", 't', CLI_INT, &c->threads, "N", MSG_OPT_THREADS}, {"cpu", 0, CLI_TEXT, &c->cpu, "LEVEL", MSG_OPT_CPU},
        {"seed", 0, CLI_INT, &c->seed, "N", MSG_OPT_SEED},            {"kv", 0, CLI_TEXT, &c->kv, "TYPE", MSG_OPT_KV},
        {"exact-math", 0, CLI_FLAG, &c->exact_math, NULL, MSG_OPT_EXACT}, {"json", 0, CLI_FLAG, &c->json, NULL, MSG_OPT_JSON},
        {"quiet", 'q', CLI_FLAG, &c->quiet, NULL, MSG_OPT_QUIET},     {"lang", 0, CLI_TEXT, &lang, "zh|en", MSG_OPT_LANG},
        {"help", 'h', CLI_FLAG, &want_help, NULL, MSG_OPT_HELP},
    };
    parse p = {c, {options, common}, {n, sizeof common / sizeof *common}};
    int kept = 0;
    bool ended = false;
    for (int i = 0; i < c->argc; i++) {
        char *a = c->argv[i];
        if (!ended && !strcmp(a, "--")) ended = true;
        else if (!ended && a[0] == '-' && a[1]) {
            int code = parse_option(&p, c->argv, c->argc, &i);
            if (code) return code;
        } else
            c->argv[kept++] = a;
    }
    c->argc = kept;
    if (lang) c->lang = !strncmp(lang, "zh", 2) ? CJ_LANG_ZH : CJ_LANG_EN;
    if (want_help) return print_help(&p, help);
    if (kept < help->min_args) return cli_usage(c, MSG_CLI_TOO_FEW, help->usage);
    if (help->max_args >= 0 && kept > help->max_args) return cli_usage(c, MSG_CLI_TOO_MANY, c->argv[help->max_args]);
    return EXIT_DONE;
}

int cli_engine_options(const cli *c, engine_options *out)
{
    static const char *const kinds[KV_TYPES] = {"f32", "bf16", "q8"};
    out->level = kernel_level_by_name(c->cpu);
    if (out->level == KERNEL_LEVELS) return cli_usage(c, MSG_CLI_BAD_VALUE, "--cpu");
    if (c->threads < 0 || c->threads > 256) return cli_usage(c, MSG_CLI_BAD_VALUE, "--threads");
    out->threads = (int)c->threads;
    out->exact = c->exact_math;
    out->kv = c->exact_math ? KV_F32 : KV_BF16;
    if (!c->kv) return EXIT_DONE;
    for (int i = 0; i < KV_TYPES; i++)
        if (!strcmp(c->kv, kinds[i])) {
            out->kv = (kv_type)i;
            return EXIT_DONE;
        }
    return cli_usage(c, MSG_CLI_BAD_VALUE, "--kv");
}

/* ---- Ctrl-C ---- */

static volatile sig_atomic_t interrupts;

static void on_interrupt(int sig)
{
    (void)sig;
    if (++interrupts > 1) _exit(EXIT_INTERRUPTED);
}

void cli_catch_interrupt(void)
{
    struct sigaction a = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

bool cli_interrupted(void) { return interrupts > 0; }

/* ---- progress ---- */

void cli_progress_begin(cli_progress *p, const cli *c, msg_id label)
{
    *p = (cli_progress){.cli = c, .label = label, .start = clock_now(), .first = -1};
}

bool cli_progress_step(void *progress, int64_t done, int64_t total)
{
    cli_progress *p = progress;
    double now = clock_now();
    if (p->first < 0) p->first = done;
    bool due = now - p->start > 1 && now - p->drawn > 0.2;
    if (p->cli->terminal && !p->cli->quiet && due && total > 0) {
        double rate = (double)(done - p->first) / (now - p->start);
        fprintf(stderr, "\r\033[K%s %3d%%  %lld/%lld  %.0f/s  ETA %.0f s", cli_text(p->cli, p->label), (int)(100 * done / total),
                (long long)done, (long long)total, rate, rate > 0 ? (double)(total - done) / rate : 0);
        fflush(stderr);
        p->drawn = now;
        p->shown = true;
    }
    return !cli_interrupted();
}

void cli_progress_end(cli_progress *p)
{
    if (p->shown) fprintf(stderr, "\r\033[K");
    p->shown = false;
}

void cli_json(json_object *o)
{
    puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
}
