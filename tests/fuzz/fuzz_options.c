/* The command line: arguments, one a line of the input, are taken or refused with a sentence and the exit code for it. What is left
 * are the positional arguments, as many as the command wants. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "app/cli.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARGUMENTS_MAX = 100 };

static int parse(cli *c, bool plain)
{
    const char *text = NULL;
    int64_t number = 1, bytes = 0;
    double real = 0.5;
    bool flag = false;
    cli_list list = {0};
    const cli_option options[] = {
        {"text", 'p', CLI_TEXT, &text, "TEXT", MSG_OPT_PROMPT}, {"number", 'n', CLI_INT, &number, "N", MSG_OPT_CTX},
        {"ram", 0, CLI_SIZE, &bytes, "BYTES", MSG_OPT_CTX},     {"temp", 0, CLI_FLOAT, &real, "T", MSG_OPT_TEMP},
        {"raw", 0, CLI_FLAG, &flag, NULL, MSG_OPT_RAW},         {"file", 'f', CLI_LIST, &list, "FILE", MSG_OPT_FILE},
    };
    const cli_help help = {"MODEL [FILE]", MSG_CMD_RUN_ABOUT, "run {0} -p x", 1, 2};
    int code = (plain ? cli_parse_plain : cli_parse)(c, &help, options, sizeof options / sizeof *options);
    assert(code == EXIT_DONE || code == EXIT_USAGE || code < 0);
    if (code == EXIT_DONE) {
        assert(c->argc >= 1 && c->argc <= 2 && list.n >= 0 && list.n <= CLI_LIST_MAX && real - real == 0);
        for (int i = 0; i < c->argc; i++) assert(c->argv[i]);
    }
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    static char copy[1 << 16];
    char *argv[ARGUMENTS_MAX + 1];
    if (!nowhere) nowhere = fopen("/dev/null", "w");
    if (!nowhere || size >= sizeof copy) return 0;
    FILE *out = stdout, *err = stderr; /* what is said to the user is not for the tests' output */
    stdout = stderr = nowhere;
    for (int plain = 0; plain < 2; plain++) {
        int n = 0;
        memcpy(copy, data, size);
        copy[size] = 0;
        for (char *at = copy; n < ARGUMENTS_MAX && *at; n++) {
            argv[n] = at;
            at += strcspn(at, "\n");
            if (*at) *at++ = 0;
        }
        argv[n] = NULL;
        cli c = {.command = "run", .argc = n, .argv = argv, .seed = -1};
        parse(&c, plain);
    }
    stdout = out;
    stderr = err;
    return 0;
}
