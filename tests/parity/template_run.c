/* Renders templates for the scripts beside it: reads lines {"template", "variables", "now"?} from standard input, writes for each
 * a line {"output"} or {"error"}. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "token/template.h"

/* "now": seconds since 1970, shown as UTC. */
static void answer(json_object *request)
{
    json_object *text = NULL, *variables = NULL, *now = NULL, *reply = json_object_new_object();
    json_object_object_get_ex(request, "template", &text);
    json_object_object_get_ex(request, "variables", &variables);
    struct tm tm;
    jinja_options options = {0};
    if (json_object_object_get_ex(request, "now", &now)) {
        time_t seconds = (time_t)json_object_get_int64(now);
        options.now = gmtime_r(&seconds, &tm);
    }
    cj_diag d = {0};
    buf out;
    buf_init(&out, SIZE_MAX / 2);
    jinja_template *t = NULL;
    cj_err e = jinja_template_open(&t, json_object_get_string(text), (size_t)json_object_get_string_len(text), &d);
    if (!e) e = jinja_template_render(t, variables, &options, &out, &d);
    jinja_template_close(&t);
    char message[2048];
    cj_diag_text(&d, CJ_LANG_EN, message, sizeof message);
    json_object_object_add(reply, e ? "error" : "output",
                           json_object_new_string_len(e ? message : out.data ? out.data : "", (int)(e ? strlen(message) : out.len)));
    puts(json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN));
    fflush(stdout);
    json_object_put(reply);
    buf_deinit(&out);
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    while ((n = getline(&line, &size, stdin)) > 0) {
        json_object *request = NULL;
        cj_diag d = {0};
        if (json_parse(line, (size_t)n, "standard input", &request, &d)) {
            puts("{\"error\":\"not JSON\"}");
            fflush(stdout);
        } else
            answer(request);
        json_object_put(request);
    }
    free(line);
    return 0;
}
