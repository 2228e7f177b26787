/* juan tokenize: text to token ids. */
#include <stdio.h>
#include <string.h>

#include "app/commands.h"

/* One line of JSON, written as it goes: a book has hundreds of thousands of tokens. */
static void print_tokens(const token_list *l, bool spans)
{
    putchar('[');
    for (size_t i = 0; i < l->count; i++) {
        const char *comma = i ? "," : "";
        if (spans) printf("%s[%d,%zu,%zu]", comma, l->ids[i], l->spans[i].start, l->spans[i].end);
        else printf("%s%d", comma, l->ids[i]);
    }
    puts("]");
}

int cmd_tokenize(cli *c)
{
    bool special = false, spans = false;
    const cli_option options[] = {
        {"special", 0, CLI_FLAG, &special, NULL, MSG_OPT_TOKENIZE_SPECIAL},
        {"spans", 0, CLI_FLAG, &spans, NULL, MSG_OPT_SPANS},
    };
    const cli_help help = {"MODEL [FILE|-] [--special] [--spans]", MSG_CMD_TOKENIZE_ABOUT,
                           "tokenize {0} book.txt\n"
                           "tokenize {0} - --spans < note.txt", 1, 2};
    int code = cli_parse_plain(c, &help, options, sizeof options / sizeof *options);
    if (code) return code;
    tokenizer *t = NULL;
    token_list list;
    buf text;
    cj_diag d = {0};
    code = cli_vocabulary_open(c, c->argv[0], NULL, &t);
    if (code) return code;
    const char *path = c->argc > 1 ? c->argv[1] : "-";
    unsigned flags = special ? TOKEN_ADD_SPECIAL | TOKEN_PARSE_SPECIAL : 0;
    token_list_init(&list);
    cj_err e = file_read(path, TOKEN_TEXT_MAX, &text, &d);
    if (!e) {
        e = tokenizer_encode(t, text.data ? text.data : "", text.len, flags, &list, &d);
        buf_deinit(&text);
    }
    if (e) code = cli_fail(c, &d);
    else print_tokens(&list, spans);
    token_list_deinit(&list);
    tokenizer_close(&t);
    return code;
}
