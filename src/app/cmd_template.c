/* juan template: a conversation as the model is shown it, byte for byte. */
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "engine/prompt.h"
#include "token/template.h"

enum { REQUEST_MAX = 1 << 28, OUTPUT_MAX = 1 << 28 };

/* A model is a GGUF file; any other file is taken for the template itself. */
static bool is_model(const char *path)
{
    char magic[4] = "";
    FILE *f = fopen(path, "rbe");
    if (!f) return true; /* the sentence about it is better when it is opened as one */
    bool is = fread(magic, 1, sizeof magic, f) == sizeof magic && !memcmp(magic, "GGUF", 4);
    fclose(f);
    return is;
}

/* The template of a model into out, and the model's begin and end tokens into the request where it names none. */
static int of_model(const cli *c, const char *path, json_object *request, buf *out)
{
    gguf *g = NULL;
    tokenizer *t = NULL;
    gguf_str text = {0};
    cj_diag d = {0};
    int code = cli_vocabulary_open(c, path, &g, &t);
    if (code) return code;
    cj_err e = gguf_string(g, "tokenizer.chat_template", GGUF_OPTIONAL, &text, &d);
    if (!e && !text.len) e = diag_fail(&d, CJ_E_UNSUPPORTED, MSG_PROMPT_NO_TEMPLATE, "%s", path);
    if (!e) e = buf_append(out, text.data, text.len, &d);
    if (!e) e = prompt_add_specials(request, t, &d);
    tokenizer_close(&t);
    gguf_close(&g);
    return e ? cli_fail(c, &d) : EXIT_DONE;
}

static int render(const cli *c, const char *name, json_object *request)
{
    buf text, out;
    cj_diag d = {0};
    char *path = NULL;
    int code = cli_model_path(c, name, &path);
    if (code) return code;
    buf_init(&text, JINJA_SOURCE_MAX);
    buf_init(&out, OUTPUT_MAX);
    if (is_model(path)) code = of_model(c, path, request, &text);
    else if (file_read(path, JINJA_SOURCE_MAX, &text, &d)) code = cli_fail(c, &d);
    if (!code && template_render_request(text.data, text.len, request, NULL, &out, &d)) code = cli_fail(c, &d);
    if (!code && out.len) fwrite(out.data, 1, out.len, stdout);
    buf_deinit(&out);
    buf_deinit(&text);
    mem_free(path);
    return code;
}

int cmd_template(cli *c)
{
    const cli_help help = {"MODEL|FILE.jinja REQUEST.json", MSG_CMD_TEMPLATE_ABOUT,
                           "template {0} request.json\n"
                           "template chatml.jinja - < request.json", 2, 2};
    int code = cli_parse_plain(c, &help, NULL, 0);
    if (code) return code;
    buf text;
    json_object *request = NULL;
    cj_diag d = {0};
    cj_err e = file_read(c->argv[1], REQUEST_MAX, &text, &d);
    if (!e) {
        e = json_parse(text.data ? text.data : "", text.len, c->argv[1], &request, &d);
        buf_deinit(&text);
    }
    if (!e && !json_object_is_type(request, json_type_object)) e = diag_fail(&d, CJ_E_INPUT, MSG_PROMPT_MESSAGES, "%s", "");
    code = e ? cli_fail(c, &d) : render(c, c->argv[0], request);
    json_object_put(request);
    return code;
}
