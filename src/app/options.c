/* Options and --help. */
#include "app/cli.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/term.h"
#include "hub/hub.h"

/* ---- values ---- */

bool cli_number(const char *s, cli_kind kind, int64_t *out)
{
    static const char letter[] = "KMGT";
    char *end;
    errno = 0;
    int64_t v = strtoll(s, &end, 10);
    if (end == s || errno) return false;
    if (kind != CLI_INT && *end) {
        const char *at = strchr(letter, *end & ~0x20);
        if (!at || !*at) return false;
        for (int64_t times = at - letter; times >= 0; times--)
            if (!i64_mul(v, kind == CLI_SIZE ? 1024 : 1000, &v)) return false;
        end++;
        if (kind == CLI_SIZE && (*end == 'B' || *end == 'b')) end++;
    }
    *out = v;
    return !*end;
}

bool cli_next_part(const char **text, char *part, size_t size)
{
    size_t len = strcspn(*text, ",");
    if (len < 1 || len >= size) return false;
    memcpy(part, *text, len);
    part[len] = 0;
    *text += len + ((*text)[len] == ',');
    return true;
}

int cli_counts(const char *text, int64_t *out, int max, int64_t low, int64_t high)
{
    char part[32];
    int n = 0;
    for (; *text; n++)
        if (n == max || !cli_next_part(&text, part, sizeof part) || !cli_number(part, CLI_COUNT, &out[n]) || out[n] < low || out[n] > high) return 0;
    return n;
}

static bool set_value(const cli_option *o, const char *text)
{
    char *end;
    switch (o->kind) {
    case CLI_FLAG: *(bool *)o->value = true; return true;
    case CLI_INT: case CLI_COUNT: case CLI_SIZE: return cli_number(text, o->kind, o->value);
    case CLI_FLOAT: {
        double v = strtod(text, &end);
        if (end == text || *end || !isfinite(v)) return false;
        *(double *)o->value = v;
        return true;
    }
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

/* ---- help ---- */

typedef struct option_set {
    const cli_option *at;
    int n;
} option_set;

static void print_options(const cli *c, option_set set)
{
    enum { LEFT = 28 };
    for (int i = 0; i < set.n; i++) {
        const cli_option *o = &set.at[i];
        char left[64], letter[8] = "    ";
        if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
        snprintf(left, sizeof left, "  %s--%s%s%s", letter, o->name, o->what ? " " : "", o->what ? o->what : "");
        term_pad(stdout, left, LEFT);
        int at = (int)strlen(left) < LEFT ? LEFT : (int)strlen(left) + 1;
        term_fold(stdout, cli_text(c, o->help), at, LEFT, term_columns(stdout));
        putchar('\n');
    }
}

/* {0} in an example is the model that somebody new would have, {1} one that can chat. */
static void print_examples(const char *examples)
{
    hub *h = NULL;
    bool known = !hub_open(&h, NULL, NULL, NULL);
    const char *name = known ? hub_default(h) : NULL;
    const hub_model *chats = known ? hub_able(h, HUB_CHATS, cpu_memory_available()) : NULL;
    char names[256];
    snprintf(names, sizeof names, "%s" ARG "%s", name ? name : "model.gguf", chats ? chats->name : "model.gguf");
    for (const char *s = examples; *s;) {
        char line[512], shown[512];
        size_t n = strcspn(s, "\n");
        snprintf(line, sizeof line, "%.*s", (int)n, s);
        msg_format(line, names, shown, sizeof shown);
        printf("  juan %s\n", shown);
        s += n + (s[n] == '\n');
    }
    hub_close(&h);
}

static int print_help(const cli *c, const cli_help *h, option_set own, option_set common)
{
    const char *bold = term_style_code(stdout, TERM_BOLD), *plain = term_style_code(stdout, TERM_PLAIN);
    printf("%s%s%s juan %s %s\n\n", bold, cli_text(c, MSG_CLI_USAGE), plain, c->command, h->usage);
    term_fold(stdout, cli_text(c, h->about), 0, 0, term_columns(stdout));
    if (own.n) {
        printf("\n\n%s%s%s\n", bold, cli_text(c, MSG_CLI_OPTIONS), plain);
        print_options(c, own);
    } else
        puts("");
    printf("\n%s%s%s\n", bold, cli_text(c, MSG_CLI_COMMON), plain);
    print_options(c, common);
    if (h->examples) {
        printf("\n%s%s%s\n", bold, cli_text(c, MSG_CLI_EXAMPLES), plain);
        print_examples(h->examples);
    }
    return -1;
}

/* ---- parsing ---- */

static const cli_option *find_option(const option_set sets[2], const char *name, size_t len, char letter)
{
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < sets[s].n; i++) {
            const cli_option *o = &sets[s].at[i];
            if (letter ? o->letter == letter : strlen(o->name) == len && !memcmp(o->name, name, len)) return o;
        }
    return NULL;
}

int cli_distance(const char *a, const char *b)
{
    enum { MAX = 24 };
    int d[MAX + 1][MAX + 1], n = (int)strlen(a), m = (int)strlen(b);
    if (n > MAX || m > MAX) return MAX;
    for (int i = 0; i <= n; i++)
        for (int j = 0; j <= m; j++) {
            if (!i || !j) {
                d[i][j] = i + j;
                continue;
            }
            int least = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < least) least = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < least) least = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < least) least = d[i - 2][j - 2] + 1;
            d[i][j] = least;
        }
    return d[n][m];
}

/* Whether one begins with the other. */
static bool shortened(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    return n > 2 && m > 2 && !strncmp(a, b, n < m ? n : m);
}

/* An option that is not there: the nearest long one is named when little lies between. */
static int unknown_option(const cli *c, const option_set sets[2], const char *a)
{
    char name[64], both[256];
    const char *best = NULL;
    int least = 3;
    snprintf(name, sizeof name, "%s", a[1] == '-' ? a + 2 : "");
    name[strcspn(name, "=")] = 0;
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < sets[s].n; i++) {
            const char *known = sets[s].at[i].name;
            int far = shortened(name, known) ? 1 : cli_distance(name, known);
            if (far < least && (far == 1 || 2 * far < (int)strlen(known))) least = far, best = known;
        }
    snprintf(both, sizeof both, "%.100s" ARG "--%s", a, best ? best : "");
    return cli_usage(c, name[0] && best ? MSG_CLI_UNKNOWN_OPTION_BUT : MSG_CLI_UNKNOWN_OPTION, both);
}

/* One "-x" or "--name" argument at argv[*i]; moves *i past its value. */
static int parse_option(const cli *c, const option_set sets[2], int *i)
{
    char *a = c->argv[*i], *eq = NULL;
    bool is_long = a[1] == '-';
    const cli_option *o;
    if (is_long) {
        eq = strchr(a, '=');
        o = find_option(sets, a + 2, eq ? (size_t)(eq - a - 2) : strlen(a + 2), 0);
    } else
        o = find_option(sets, NULL, 0, a[1]);
    if (!o) return unknown_option(c, sets, a);
    const char *value = is_long ? (eq ? eq + 1 : NULL) : (a[2] ? a + 2 : NULL);
    if (o->kind == CLI_FLAG) {
        if (value) return cli_usage(c, MSG_CLI_NO_VALUE, a);
    } else if (!value) {
        if (*i + 1 >= c->argc) return cli_usage(c, MSG_CLI_NEEDS_VALUE, a);
        value = c->argv[++*i];
    }
    return set_value(o, value) ? EXIT_DONE : cli_usage(c, MSG_CLI_BAD_VALUE, a);
}

/* The language counts wherever it stands: a complaint about an argument before it is made in it. */
static void look_ahead(cli *c)
{
    for (int i = 0; i < c->argc && strcmp(c->argv[i], "--"); i++) {
        const char *a = c->argv[i], *lang = NULL;
        if (!strncmp(a, "--lang=", 7)) lang = a + 7;
        else if (!strcmp(a, "--lang") && i + 1 < c->argc) lang = c->argv[i + 1];
        if (lang) c->lang = !strncmp(lang, "zh", 2) ? CJ_LANG_ZH : CJ_LANG_EN;
    }
}

static int check_arguments(const cli *c, const cli_help *help, const char *lang)
{
    engine_options unused = {0};
    char form[512];
    snprintf(form, sizeof form, "juan %s %s", c->command, help->usage);
    if (lang && strcmp(lang, "zh") && strcmp(lang, "en")) return cli_usage(c, MSG_CLI_BAD_VALUE, "--lang");
    if (c->seed < -1) return cli_usage(c, MSG_CLI_BAD_VALUE, "--seed");
    if (c->argc < help->min_args) return cli_usage(c, MSG_CLI_TOO_FEW, form);
    if (help->max_args >= 0 && c->argc > help->max_args) return cli_usage(c, MSG_CLI_TOO_MANY, c->argv[help->max_args]);
    return cli_engine_options(c, &unused);
}

static int parse(cli *c, const cli_help *help, const cli_option *options, int n, bool plain)
{
    bool want_help = false;
    const char *lang = NULL;
    const cli_option common[] = {
        {"threads", 't', CLI_INT, &c->threads, "N", MSG_OPT_THREADS}, {"cpu", 0, CLI_TEXT, &c->cpu, "LEVEL", MSG_OPT_CPU},
        {"seed", 0, CLI_INT, &c->seed, "N", MSG_OPT_SEED},            {"kv", 0, CLI_TEXT, &c->kv, "TYPE", MSG_OPT_KV},
        {"exact-math", 0, CLI_FLAG, &c->exact_math, NULL, MSG_OPT_EXACT}, {"ram", 0, CLI_SIZE, &c->ram, "SIZE", MSG_OPT_RAM},
        {"json", 0, CLI_FLAG, &c->json, NULL, MSG_OPT_JSON},          {"quiet", 'q', CLI_FLAG, &c->quiet, NULL, MSG_OPT_QUIET},
        {"lang", 0, CLI_TEXT, &lang, "zh|en", MSG_OPT_LANG},          {"help", 'h', CLI_FLAG, &want_help, NULL, MSG_OPT_HELP},
    };
    enum { ALL = sizeof common / sizeof *common, SHOWN = 4 };
    const option_set sets[2] = {{options, n}, {common, ALL}};
    look_ahead(c);
    int kept = 0;
    bool ended = false;
    for (int i = 0; i < c->argc; i++) {
        char *a = c->argv[i];
        if (!ended && !strcmp(a, "--")) ended = true;
        else if (!ended && a[0] == '-' && a[1]) {
            int code = parse_option(c, sets, &i);
            if (code) return code;
            if (want_help) return print_help(c, help, sets[0], plain ? (option_set){common + ALL - SHOWN, SHOWN} : sets[1]);
        } else
            c->argv[kept++] = a;
    }
    c->argc = kept;
    return check_arguments(c, help, lang);
}

int cli_parse(cli *c, const cli_help *help, const cli_option *options, int n) { return parse(c, help, options, n, false); }
int cli_parse_plain(cli *c, const cli_help *help, const cli_option *options, int n) { return parse(c, help, options, n, true); }
