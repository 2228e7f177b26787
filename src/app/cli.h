/* What all subcommands share: options, language, messages, progress, exit codes.
 *
 * A subcommand is one file cmd_NAME.c with one function int cmd_NAME(cli *c) that returns an exit code. Results go to standard
 * output, everything else to standard error. The language is that of the locale (zh* is Chinese), or --lang.
 */
#ifndef APP_CLI_H
#define APP_CLI_H

#include "base/json.h"
#include "engine/engine.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INPUT = 3, EXIT_RESOURCES = 4, EXIT_INTERRUPTED = 130 };

typedef struct cli {
    const char *command;  /* the subcommand's name */
    int argc;             /* positional arguments left after cli_parse */
    char **argv;
    cj_lang lang;
    bool json, quiet, terminal; /* terminal: standard error is one, so progress may be drawn */
    /* options that every command takes */
    int64_t threads, seed; /* seed: -1 when none was given */
    const char *cpu, *kv;
    bool exact_math;
} cli;

typedef enum cli_kind { CLI_FLAG, CLI_INT, CLI_SIZE, CLI_FLOAT, CLI_TEXT, CLI_LIST } cli_kind;

enum { CLI_LIST_MAX = 64 };
typedef struct cli_list {
    const char *item[CLI_LIST_MAX];
    int n;
} cli_list;

/* An option: "--name VALUE", "--name=VALUE" and, with `letter`, "-n VALUE". */
typedef struct cli_option {
    const char *name;
    char letter;
    cli_kind kind;
    void *value;      /* bool, int64_t (CLI_SIZE takes 4G, 512M), double, const char *, cli_list */
    const char *what; /* name of the value in help, e.g. "N"; NULL for flags */
    msg_id help;
} cli_option;

/* Parses argv; what is no option stays in c->argc, c->argv ("--" ends the options). Common options are understood besides
 * `options` [n]. Returns EXIT_DONE, or the exit code to leave with (help was shown, or a usage error was reported).
 * usage is the line after "juan NAME", e.g. "MODEL --ids FILE"; about says what the command does; examples may be NULL. */
typedef struct cli_help {
    const char *usage;
    msg_id about;
    const char *examples; /* lines without the leading "  juan " */
    int min_args, max_args; /* positional; max -1: any number */
} cli_help;
int cli_parse(cli *c, const cli_help *help, const cli_option *options, int n);

/* Reports d on standard error and returns the exit code that goes with it. */
int cli_fail(const cli *c, const cj_diag *d);
/* A usage error about one argument: sentence and exit code. */
int cli_usage(const cli *c, msg_id id, const char *arg);
/* A translated text to standard error, with arguments as in diag_fail. Nothing with --quiet. */
void cli_say(const cli *c, msg_id id, const char *args, ...) __attribute__((format(printf, 3, 4)));
const char *cli_text(const cli *c, msg_id id);

/* Ctrl-C: the first asks for an orderly stop (cli_interrupted becomes true), the second ends the process at once. */
void cli_catch_interrupt(void);
bool cli_interrupted(void);

/* Engine options from the common options; path is the model's file. */
int cli_engine_options(const cli *c, engine_options *out);

/* Progress on standard error: a line that is drawn again, from one second on, with rate and time left. */
typedef struct cli_progress {
    const cli *cli;
    msg_id label;
    double start, drawn;
    int64_t first; /* `done` at the first call, so that a resumed piece does not spoil the rate */
    bool shown;
} cli_progress;
void cli_progress_begin(cli_progress *p, const cli *c, msg_id label);
/* Has the form of session_call.on_progress; false once Ctrl-C was pressed. */
bool cli_progress_step(void *progress, int64_t done, int64_t total);
void cli_progress_end(cli_progress *p);

/* Prints a JSON object and its newline to standard output, and puts it. */
void cli_json(json_object *o);

#endif
