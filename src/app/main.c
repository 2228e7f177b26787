/* juan: the command. Finds the subcommand and hands over. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"

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

static void print_commands(const cli *c, FILE *to)
{
    fprintf(to, "%s\n\n%s juan %s\n\n", cli_text(c, MSG_APP_TITLE), cli_text(c, MSG_CLI_USAGE), cli_text(c, MSG_APP_USAGE));
    for (int i = 0; i < COMMANDS; i++) fprintf(to, "  %-12s %s\n", commands[i].name, cli_text(c, commands[i].about));
    fprintf(to, "\n%s\n", cli_text(c, MSG_CLI_SEE_HELP_EACH));
}

int main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C");
    cli c = {.command = "", .lang = locale_language(), .seed = -1, .terminal = isatty(STDERR_FILENO)};
    const char *name = argc > 1 ? argv[1] : "--help";
    if (!strcmp(name, "--version")) {
        printf("juan %s\n", cj_version());
        return EXIT_DONE;
    }
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        print_commands(&c, stdout);
        return EXIT_DONE;
    }
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name)) continue;
        c.command = commands[i].name;
        c.argc = argc - 2;
        c.argv = argv + 2;
        cli_catch_interrupt();
        int code = commands[i].run(&c);
        if (fflush(stdout) || ferror(stdout)) { /* a full disk or a closed pipe must not look like success */
            if (code == EXIT_DONE) code = EXIT_FAILED;
        }
        return code < 0 ? EXIT_DONE : code;
    }
    fprintf(stderr, "juan: ");
    cli_say(&c, MSG_CLI_UNKNOWN_COMMAND, "%s", name);
    print_commands(&c, stderr);
    return EXIT_USAGE;
}
