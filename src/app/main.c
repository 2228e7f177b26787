/* juan: the command. Finds the subcommand and hands over. */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/term.h"
#include "base/mapped.h"

static const struct {
    const char *name;
    int (*run)(cli *c);
    msg_id about;
} commands[] = {
#define COMMAND(name, about) {#name, cmd_##name, about},
#include "app/commands.def"
#undef COMMAND
};
enum { COMMANDS = sizeof commands / sizeof *commands };

/* The first of LC_ALL, LC_MESSAGES, LANG that is set decides. */
static cj_lang locale_language(void)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *v = getenv(names[i]);
        if (v && *v) return strncmp(v, "zh", 2) ? CJ_LANG_EN : CJ_LANG_ZH;
    }
    return CJ_LANG_EN;
}

/* Text is UTF-8 whatever the locale says; numbers have a point. */
static void set_locale(void)
{
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C");
    if (strcmp(nl_langinfo(CODESET), "UTF-8")) setlocale(LC_CTYPE, "C.UTF-8");
}

static void print_commands(const cli *c, FILE *to)
{
    const char *bold = term_style_code(to, TERM_BOLD), *plain = term_style_code(to, TERM_PLAIN);
    fprintf(to, "%s\n\n%s%s%s juan %s\n\n", cli_text(c, MSG_APP_TITLE), bold, cli_text(c, MSG_CLI_USAGE), plain, cli_text(c, MSG_APP_USAGE));
    for (int i = 0; i < COMMANDS; i++) {
        fprintf(to, "  %s%-12s%s ", bold, commands[i].name, plain);
        term_fold(to, cli_text(c, commands[i].about), 15, 15, term_columns(to));
        fputc('\n', to);
    }
    fputc('\n', to);
    term_fold(to, cli_text(c, MSG_CLI_BEGIN), 0, 0, term_columns(to));
    fprintf(to, "\n%s\n", cli_text(c, MSG_CLI_SEE_HELP_EACH));
}

static int unknown_command(const cli *c, const char *name)
{
    int best = 0, least = 99;
    for (int i = 0; i < COMMANDS; i++) {
        int d = cli_distance(name, commands[i].name);
        if (d < least) least = d, best = i;
    }
    fprintf(stderr, "juan: ");
    if (least <= 2) cli_say(c, MSG_CLI_UNKNOWN_COMMAND_BUT, "%s" ARG "%s", name, commands[best].name);
    else {
        cli_say(c, MSG_CLI_UNKNOWN_COMMAND, "%s", name);
        print_commands(c, stderr);
    }
    return EXIT_USAGE;
}

/* A full disk or a closed pipe must not look like success. */
static int flush_output(const cli *c, int code)
{
    int why;
    if (cli_flush(&why) || code > EXIT_DONE) return code;
    fprintf(stderr, "juan: ");
    cli_say(c, MSG_OUTPUT_LOST, "%s", strerror(why));
    return why == ENOSPC || why == EDQUOT || why == EFBIG ? EXIT_RESOURCES : EXIT_FAILED;
}

static int run_command(cli *c, const char *name, int argc, char **argv)
{
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name)) continue;
        c->command = commands[i].name;
        c->argc = argc;
        c->argv = argv;
        cli_catch_interrupt();
        mapped_guard();
        int code = commands[i].run(c);
        return flush_output(c, code < 0 ? EXIT_DONE : code);
    }
    return unknown_command(c, name);
}

int main(int argc, char **argv)
{
    set_locale();
    cli c = {.command = "", .lang = locale_language(), .seed = -1, .terminal = isatty(STDERR_FILENO)};
    bool help = argc < 2;
    int at = 1;
    for (; at < argc; at++) { /* what may stand before a command */
        const char *a = argv[at];
        if (!strcmp(a, "--help") || !strcmp(a, "-h") || !strcmp(a, "help")) help = true;
        else if (!strcmp(a, "--lang") && at + 1 < argc) c.lang = strncmp(argv[++at], "zh", 2) ? CJ_LANG_EN : CJ_LANG_ZH;
        else if (!strcmp(a, "--version")) {
            printf("juan %s\n", cj_version());
            return flush_output(&c, EXIT_DONE);
        } else
            break;
    }
    if (at < argc && !help) return run_command(&c, argv[at], argc - at - 1, argv + at + 1);
    if (at < argc) {
        char wanted[] = "--help", *one[] = {wanted};
        return run_command(&c, argv[at], 1, one);
    }
    print_commands(&c, stdout);
    return flush_output(&c, EXIT_DONE);
}
