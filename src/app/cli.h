/* What all subcommands share: options, language, messages, models, exit codes.
 *
 * A subcommand is one file cmd_NAME.c with one function int cmd_NAME(cli *c) that returns an exit code. Results go to standard
 * output, everything else to standard error. The language is that of the locale (zh* is Chinese), or --lang.
 */
#ifndef APP_CLI_H
#define APP_CLI_H

#include "app/progress.h"
#include "base/json.h"
#include "engine/engine.h"
#include "kernel/ceiling.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INPUT = 3, EXIT_RESOURCES = 4, EXIT_INTERRUPTED = 130 };

struct cli {
    const char *command;  /* the subcommand's name */
    int argc;             /* positional arguments left after cli_parse */
    char **argv;
    cj_lang lang;
    bool json, quiet;
    bool terminal;        /* standard error is one, so progress may be drawn */
    /* options that every command takes */
    int64_t threads, seed; /* seed: -1 when none was given */
    int64_t ram;           /* bytes to stay within; 0: no limit */
    const char *cpu, *kv;
    bool exact_math;
};

/* ---- options ---- */

typedef enum cli_kind { CLI_FLAG, CLI_INT, CLI_COUNT, CLI_SIZE, CLI_FLOAT, CLI_TEXT, CLI_LIST } cli_kind;

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
    void *value;      /* bool, int64_t (CLI_COUNT takes 20K, CLI_SIZE 4G), double, const char *, cli_list */
    const char *what; /* name of the value in help, e.g. "N"; NULL for flags */
    msg_id help;
} cli_option;

typedef struct cli_help {
    const char *usage;    /* the line after "juan NAME", e.g. "MODEL --ids FILE" */
    msg_id about;         /* what the command does */
    const char *examples; /* lines without the leading "juan "; {0} is the default model, {1} one that chats. NULL: none */
    int min_args, max_args; /* positional; max -1: any number */
} cli_help;

/* Parses argv; what is no option stays in c->argc, c->argv ("--" ends the options). Common options are understood besides
 * `options` [n]. Returns EXIT_DONE, or the exit code to leave with (negative: help was shown). */
int cli_parse(cli *c, const cli_help *help, const cli_option *options, int n);
/* The same for a command that runs no model: --threads, --cpu and the like are taken but not shown. */
int cli_parse_plain(cli *c, const cli_help *help, const cli_option *options, int n);
/* A whole number; as CLI_COUNT (characters, tokens) also with K, M, G, T, a thousand each, as CLI_SIZE (bytes) with KB ... of 1024 each,
 * B or no B. False when text is none. */
bool cli_number(const char *text, cli_kind kind, int64_t *out);
/* The next part of a list "x,y,...", and *text behind it; false when there is none, or it does not go into `size`. */
bool cli_next_part(const char **text, char *part, size_t size);
/* "20K,100000": as many counts as there are, at most `max`, each between low and high; 0 when it is no such list. */
int cli_counts(const char *text, int64_t *out, int max, int64_t low, int64_t high);

/* How many letters have to be put in, left out, changed or swapped with the next one to make b of a. */
int cli_distance(const char *a, const char *b);

/* ---- messages ---- */

const char *cli_text(const cli *c, msg_id id);
/* A translated text as a line on standard error, with arguments as in diag_fail. Nothing with --quiet. */
void cli_say(const cli *c, msg_id id, const char *args, ...) __attribute__((format(printf, 3, 4)));
/* The same on standard output: results for people. */
void cli_print(const cli *c, msg_id id, const char *args, ...) __attribute__((format(printf, 3, 4)));
/* Reports d on standard error and returns the exit code that goes with it. */
int cli_fail(const cli *c, const cj_diag *d);
/* Tells what went wrong and was got over, on standard error. Nothing with --quiet. */
void cli_note(const cli *c, const cj_diag *d);
/* A usage error about one argument: sentence and exit code. */
int cli_usage(const cli *c, msg_id id, const char *arg);
/* Sends standard output on its way. False once it cannot be written; *why, if not NULL, is then the first errno. */
bool cli_flush(int *why);
/* A number as six digits; null when it is infinite or none. */
json_object *cli_json_number(double v);
/* Tokens a second; 0 when no time went by. */
double cli_rate(int64_t tokens, double seconds);
json_object *cli_json_ceilings(const kernel_ceilings *c);
/* Prints a JSON object and its newline to standard output, and puts it. */
void cli_json(json_object *o);

/* A sentence about a model that lacks an ability (HUB_...): `but` also names one of the catalogue that has it, unless there is none. */
void cli_say_unable(const cli *c, unsigned ability, msg_id alone, msg_id but, const char *about);

/* ---- Ctrl-C ---- */

/* The first asks for an orderly stop (cli_interrupted becomes true), the second ends the process at once. */
void cli_catch_interrupt(void);
bool cli_interrupted(void);
/* For a command that goes on after it: true when there had been a Ctrl-C, which is then forgotten. Never forgets SIGTERM. */
bool cli_interrupt_take(void);
/* A descriptor that can be read after each interrupt or cli_wake, for poll: a signal may come right before a wait begins, or to
 * another thread. Bytes in it mean nothing. */
int cli_wake_fd(void);
void cli_wake(void); /* may be called in a signal handler */

/* ---- models ---- */

/* The file or folder of a MODEL argument: a catalogue name, or a path. mem_free it. A model that is not here is told about. */
int cli_model_path(const cli *c, const char *name, char **path);
/* Engine options from the common options; path is the caller's. */
int cli_engine_options(const cli *c, engine_options *out);
/* The model's vocabulary alone; its file too unless `file` is NULL. */
int cli_vocabulary_open(const cli *c, const char *name, gguf **file, tokenizer **out);
/* Resolves the model and opens it; opt: what cli_engine_options gave, and more; NULL: just that. */
int cli_engine_open(const cli *c, const char *name, const engine_options *opt, engine **out);

#endif
