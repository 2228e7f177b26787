/* Opening and rendering templates: checks what comes in, sets the budgets, puts the request's variables where names find them. */
#include "token/template.h"

#include "token/jinja_run.h"

struct jinja_template {
    jinja_work work; /* holds the source and the syntax tree */
    jinja_program program;
};

enum { PROGRAM_BYTES_MAX = 128 << 20 };

/* A copy with every line break as \n and without the last one, as Jinja reads it. */
static cj_err copy_source(jinja_work *w, const char *text, size_t n, jinja_value *out)
{
    char *copy;
    size_t k = 0;
    TRY(jinja_take_text(w, n + 1, &copy));
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\r' && i + 1 < n && text[i + 1] == '\n') continue;
        copy[k++] = text[i] == '\r' ? '\n' : text[i];
    }
    k -= k && copy[k - 1] == '\n';
    copy[k] = 0;
    *out = jinja_text(copy, k);
    return CJ_OK;
}

cj_err jinja_template_open(jinja_template **out, const char *text, size_t n, cj_diag *d)
{
    if (n > JINJA_SOURCE_MAX)
        return diag_fail(d, CJ_E_LIMIT, MSG_TEMPLATE_SIZE, "%zu" ARG "%d", n, JINJA_SOURCE_MAX);
    if (utf8_valid_prefix(text, n) != n) return diag_fail(d, CJ_E_INPUT, MSG_TEMPLATE_UTF8, "%s", "chat template");
    jinja_template *t = mem_zalloc(sizeof *t);
    if (!t) return diag_nomem(d, sizeof *t);
    jinja_work_init(&t->work, PROGRAM_BYTES_MAX, d);
    jinja_value source;
    cj_err e = copy_source(&t->work, text, n, &source);
    if (!e) e = jinja_parse(&t->work, source.text, source.size, &t->program);
    t->work.diag = NULL; /* the caller's: it may go now */
    if (e) jinja_template_close(&t);
    else *out = t;
    return e;
}

void jinja_template_close(jinja_template **t)
{
    if (*t) jinja_work_deinit(&(*t)->work);
    mem_free(*t);
    *t = NULL;
}

/* What each name of the template means before it runs: a variable of the request, a global function, or nothing. */
static cj_err fill_context(jinja_run *r, json_object *variables)
{
    void *memory;
    TRY(jinja_take(&r->work, r->program->name_count * sizeof(jinja_value), &memory));
    r->context = memory;
    for (const jinja_name *n = r->program->names; n; n = n->next) {
        char key[256];
        json_object *o;
        jinja_value *v = &r->context[n->index], name = jinja_text(n->text, n->size);
        *v = (jinja_value){0};
        if (n->size >= sizeof key) continue;
        memcpy(key, n->text, n->size);
        key[n->size] = 0;
        const jinja_builtin *b = jinja_global_find(name);
        if (json_object_object_get_ex(variables, key, &o)) TRY(jinja_from_json(r, o, v));
        else if (b) TRY(jinja_bind(r, b, jinja_none(), v));
    }
    return CJ_OK;
}

static jinja_limits effective_limits(const jinja_options *o)
{
    jinja_limits limits = JINJA_LIMITS_DEFAULT;
    if (!o) return limits;
    if (o->limits.steps > 0) limits.steps = o->limits.steps;
    if (o->limits.depth > 0) limits.depth = o->limits.depth;
    if (o->limits.memory_bytes) limits.memory_bytes = o->limits.memory_bytes;
    if (o->limits.output_bytes) limits.output_bytes = o->limits.output_bytes;
    return limits;
}

cj_err jinja_template_render(const jinja_template *t, json_object *variables, const jinja_options *o, buf *out, cj_diag *d)
{
    if (!json_object_is_type(variables, json_type_object)) return diag_fail(d, CJ_E_INPUT, MSG_TEMPLATE_REQUEST, "%s", "");
    jinja_run r = {.program = &t->program, .limits = effective_limits(o), .now = o ? o->now : NULL, .out = out, .out_start = out->len};
    r.fuel = r.limits.steps;
    jinja_work_init(&r.work, r.limits.memory_bytes, d);
    cj_err e = fill_context(&r, variables);
    if (!e) e = jinja_scope_new(&r, NULL, &r.scope);
    if (!e) e = jinja_execute(&r, t->program.body);
    if (e) out->len = r.out_start;
    if (out->data) out->data[out->len] = 0;
    jinja_work_deinit(&r.work);
    return e;
}

/* messages: a list of objects with a role. */
static bool is_request(json_object *request)
{
    json_object *messages, *role;
    if (!json_object_is_type(request, json_type_object) || !json_object_object_get_ex(request, "messages", &messages)) return false;
    if (!json_object_is_type(messages, json_type_array)) return false;
    for (size_t i = 0; i < json_object_array_length(messages); i++) {
        json_object *m = json_object_array_get_idx(messages, i);
        if (!json_object_is_type(m, json_type_object) || !json_object_object_get_ex(m, "role", &role)) return false;
    }
    return true;
}

cj_err template_render_request(const char *text, size_t n, json_object *request, const jinja_options *o, buf *out, cj_diag *d)
{
    if (!is_request(request)) return diag_fail(d, CJ_E_INPUT, MSG_TEMPLATE_REQUEST, "%s", "");
    jinja_template *t;
    TRY(jinja_template_open(&t, text, n, d));
    cj_err e = jinja_template_render(t, request, o, out, d);
    jinja_template_close(&t);
    return e;
}
