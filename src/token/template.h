/* Chat templates: the text that turns a conversation into a prompt, in the subset of Jinja that docs/templates.md describes.
 *
 * A template comes with the model and is hostile until proved otherwise: it cannot reach anything but the variables it is
 * given, and steps, depth, memory and output are bounded. A compiled template is immutable: several threads may render it.
 */
#ifndef TOKEN_TEMPLATE_H
#define TOKEN_TEMPLATE_H

#include <time.h>

#include "base/json.h"
#include "base/mem.h"

typedef struct jinja_template jinja_template;

typedef struct jinja_limits {
    int64_t steps;       /* evaluated nodes, items walked, 64 bytes of text handled */
    int depth;           /* nested evaluations, calls of macros among them */
    size_t memory_bytes; /* values made during the render */
    size_t output_bytes;
} jinja_limits;

/* For a two-million-character document in one message with room to spare. */
#define JINJA_LIMITS_DEFAULT ((jinja_limits){.steps = 20000000, .depth = 600, .memory_bytes = 256u << 20, .output_bytes = 64u << 20})
enum { JINJA_SOURCE_MAX = 512 * 1024 };

typedef struct jinja_options {
    jinja_limits limits;  /* members left 0 take the default */
    const struct tm *now; /* what strftime_now shows; NULL: the local time */
} jinja_options;

CJ_NODISCARD cj_err jinja_template_open(jinja_template **out, const char *text, size_t n, cj_diag *d);
void jinja_template_close(jinja_template **t);
/* Appends the rendered text to out. `variables` is an object; its members are the template's variables, untouched.
 * On failure out is as it was. */
CJ_NODISCARD cj_err jinja_template_render(const jinja_template *t, json_object *variables, const jinja_options *o, buf *out,
                                          cj_diag *d);

/* Compiles and renders in one go: a request {"messages": [...], "tools": [...], "add_generation_prompt": true, ...} whose
 * shape is checked first. Nothing is added to it: bos_token and the like are the caller's to set. `o` may be NULL. */
CJ_NODISCARD cj_err template_render_request(const char *text, size_t n, json_object *request, const jinja_options *o, buf *out,
                                            cj_diag *d);

#endif
