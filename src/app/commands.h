/* The subcommands: each is a function that returns an exit code (negative: help was shown, leave with 0). */
#ifndef APP_COMMANDS_H
#define APP_COMMANDS_H

#include "app/cli.h"

#define COMMAND(name, about) int cmd_##name(cli *c);
#include "app/commands.def"
#undef COMMAND

/* juan eval agreement, juan eval qa, called by cmd_eval. */
int eval_agreement(cli *c);
int eval_qa(cli *c);

#endif
