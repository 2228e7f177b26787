/* Turns of a conversation, and how they are shown. */
#include "app/chat.h"

#include <string.h>
#include <unistd.h>

#include "app/term.h"
#include "base/utf8.h"
#include "engine/prompt.h"

enum { TEXT_MAX = 1 << 28 };

cj_err chat_open(chat *c, const cli *owner, engine *e, bool raw, const generate_options *how, cj_diag *d)
{
    *c = (chat){.cli = owner, .engine = e, .raw = raw || !prompt_can_chat(e), .how = *how, .messages = json_object_new_array()};
    buf_init(&c->text, TEXT_MAX);
    if (!c->messages) return diag_nomem(d, 0);
    return session_open(&c->session, e, 0, d);
}

void chat_close(chat *c)
{
    session_close(&c->session);
    json_object_put(c->messages);
    buf_deinit(&c->text);
    *c = (chat){0};
}

/* ---- messages ---- */

static size_t count(const chat *c) { return json_object_array_length(c->messages); }

static const char *role_at(const chat *c, size_t i)
{
    json_object *role;
    return json_object_object_get_ex(json_object_array_get_idx(c->messages, i), "role", &role) ? json_object_get_string(role) : "";
}

static cj_err add_message(chat *c, const char *role, const char *text, size_t n, cj_diag *d)
{
    json_object *m = json_object_new_object(), *content = json_object_new_string_len(text, (int)n);
    if (!m || !content || json_object_object_add(m, "role", json_object_new_string(role)) ||
        json_object_object_add(m, "content", content)) {
        json_object_put(m);
        json_object_put(content);
        return diag_nomem(d, n);
    }
    if (json_object_array_add(c->messages, m)) {
        json_object_put(m);
        return diag_nomem(d, n);
    }
    return CJ_OK;
}

static void drop_from(chat *c, size_t first)
{
    if (first < count(c)) json_object_array_del_idx(c->messages, first, count(c) - first);
}

cj_err chat_reset(chat *c, const char *system, cj_diag *d)
{
    bool has_system = count(c) && !strcmp(role_at(c, 0), "system");
    drop_from(c, has_system && !system ? 1 : 0);
    buf_clear(&c->text);
    return system && *system ? add_message(c, "system", system, strlen(system), d) : CJ_OK;
}

/* ---- showing ---- */

static bool on_progress(void *arg, int64_t done, int64_t total)
{
    chat *c = arg;
    return cli_progress_step(&c->progress, done, total);
}

static json_object *token_json(const chat *c, int32_t id, float logprob)
{
    token_text piece = tokenizer_piece(engine_tokenizer(c->engine), id);
    json_object *o = json_object_new_object();
    size_t valid = utf8_valid_prefix(piece.data, piece.size);
    json_object_object_add(o, "token", json_object_new_int(id));
    json_object_object_add(o, "text", valid == piece.size ? json_object_new_string_len(piece.data, (int)piece.size) : NULL);
    json_object_object_add(o, "logprob", cli_json_number(logprob));
    return o;
}

static void show_json(const chat *c, const generate_piece *p)
{
    json_object *line = json_object_new_object();
    json_object_object_add(line, "text", json_object_new_string_len(p->text, (int)p->n));
    if (p->id >= 0) {
        json_object_object_add(line, "token", json_object_new_int(p->id));
        json_object_object_add(line, "logprob", cli_json_number(p->logprob));
    }
    if (p->n_top) {
        json_object *top = json_object_new_array();
        for (int i = 0; i < p->n_top; i++) json_object_array_add(top, token_json(c, p->top[i].id, p->top[i].logprob));
        json_object_object_add(line, "top", top);
    }
    cli_json(line);
}

static bool on_piece(void *arg, const generate_piece *p)
{
    chat *c = arg;
    if (c->reading) cli_progress_end(&c->progress);
    c->reading = false;
    if (c->cli->json) show_json(c, p);
    else term_flow_write(&c->flow, p->text, p->n);
    if (p->n) c->line_open = p->text[p->n - 1] != '\n';
    return cli_flush(NULL) && !cli_interrupted();
}

static json_object *usage_json(const generate_result *r)
{
    json_object *o = json_object_new_object();
    json_object_object_add(o, "prompt_tokens", json_object_new_int64(r->prompt_tokens));
    json_object_object_add(o, "cached_tokens", json_object_new_int64(r->reused_tokens));
    json_object_object_add(o, "completion_tokens", json_object_new_int64(r->written_tokens));
    return o;
}

static json_object *timings_json(const generate_result *r)
{
    json_object *o = json_object_new_object();
    json_object_object_add(o, "prompt_seconds", cli_json_number(r->prompt_seconds));
    json_object_object_add(o, "first_token_seconds", cli_json_number(r->first_token_seconds));
    json_object_object_add(o, "write_seconds", cli_json_number(r->write_seconds));
    json_object_object_add(o, "prompt_tokens_per_second",
                           cli_json_number(cli_rate(r->prompt_tokens - r->reused_tokens, r->prompt_seconds)));
    json_object_object_add(o, "write_tokens_per_second", cli_json_number(cli_rate(r->written_tokens, r->write_seconds)));
    return o;
}

void chat_report(const chat *c, const generate_result *r)
{
    if (c->cli->json) {
        json_object *o = json_object_new_object();
        json_object_object_add(o, "usage", usage_json(r));
        json_object_object_add(o, "timings", timings_json(r));
        json_object_object_add(o, "stop", json_object_new_string(generate_end_name(r->end)));
        json_object_object_add(o, "seed", json_object_new_int64((int64_t)c->how.sampling.seed));
        cli_json(o);
        return;
    }
    if (!c->cli->terminal || c->cli->quiet) return;
    char held[TERM_TEXT], most[TERM_TEXT];
    fputs(term_style_code(stderr, TERM_DIM), stderr);
    cli_say(c->cli, MSG_CHAT_SPEED, "%lld" ARG "%.1f" ARG "%lld" ARG "%.1f" ARG "%s" ARG "%s",
            (long long)(r->prompt_tokens - r->reused_tokens), cli_rate(r->prompt_tokens - r->reused_tokens, r->prompt_seconds),
            (long long)r->written_tokens, cli_rate(r->written_tokens, r->write_seconds),
            term_count(held, r->prompt_tokens + r->written_tokens), term_count(most, session_context(c->session)));
    if (r->end == END_LENGTH) cli_say(c->cli, MSG_CHAT_LENGTH, "%lld", (long long)c->how.max_tokens);
    if (r->end == END_CONTEXT) cli_say(c->cli, MSG_CHAT_CONTEXT, "%s", most);
    fputs(term_style_code(stderr, TERM_PLAIN), stderr);
}

/* ---- turns ---- */

/* Answers what is there; the answer goes to `answer`. */
static cj_err answer(chat *c, buf *out, generate_result *r, cj_diag *d)
{
    token_list ids;
    token_list_init(&ids);
    cli_progress_begin(&c->progress, c->cli, MSG_READING);
    term_flow_begin(&c->flow, stdout, 0);
    c->reading = true;
    c->line_open = false;
    c->how.on_piece = on_piece;
    c->how.on_progress = on_progress;
    c->how.arg = c;
    cj_err e;
    if (c->raw) e = prompt_text(c->engine, c->text.data ? c->text.data : "", c->text.len, &ids, d);
    else {
        json_object *request = json_object_new_object();
        e = request ? CJ_OK : diag_nomem(d, 0);
        if (!e) json_object_object_add(request, "messages", json_object_get(c->messages));
        if (!e) e = prompt_chat(c->engine, request, c->session, NULL, &ids, d);
        json_object_put(request);
    }
    if (!e) e = generate(c->session, ids.ids, (int64_t)ids.count, &c->how, out, r, d);
    cli_progress_end(&c->progress);
    term_flow_end(&c->flow);
    if (c->line_open && !c->cli->json) putchar('\n');
    cli_flush(NULL);
    token_list_deinit(&ids);
    return e;
}

static cj_err turn_raw(chat *c, const char *text, size_t n, generate_result *r, cj_diag *d)
{
    size_t before = c->text.len;
    buf out;
    buf_init(&out, TEXT_MAX);
    bool glued = before && c->text.data[before - 1] != '\n';
    cj_err e = glued ? buf_append(&c->text, "\n", 1, d) : CJ_OK;
    if (!e) e = buf_append(&c->text, text, n, d);
    if (!e) e = answer(c, &out, r, d);
    if (!e) e = buf_append(&c->text, out.data ? out.data : "", out.len, d);
    if (e && c->text.data) c->text.data[c->text.len = before] = 0;
    buf_deinit(&out);
    return e;
}

/* Answers the messages as they are and adds the answer to them. */
static cj_err answer_messages(chat *c, generate_result *r, cj_diag *d)
{
    buf out;
    buf_init(&out, TEXT_MAX);
    cj_err e = answer(c, &out, r, d);
    if (!e) e = add_message(c, "assistant", out.data ? out.data : "", out.len, d);
    buf_deinit(&out);
    return e;
}

cj_err chat_turn(chat *c, const char *text, size_t n, generate_result *r, cj_diag *d)
{
    if (c->raw) return turn_raw(c, text, n, r, d);
    size_t before = count(c);
    cj_err e = add_message(c, "user", text, n, d);
    if (!e) e = answer_messages(c, r, d);
    if (e) drop_from(c, before);
    return e;
}

cj_err chat_again(chat *c, bool *done, generate_result *r, cj_diag *d)
{
    size_t n = count(c);
    *done = !c->raw && n && !strcmp(role_at(c, n - 1), "assistant");
    if (!*done) return CJ_OK;
    json_object *old = json_object_get(json_object_array_get_idx(c->messages, n - 1));
    drop_from(c, n - 1);
    c->how.sampling.seed++; /* another answer, but the same one for the same --seed */
    cj_err e = answer_messages(c, r, d);
    if (e && !json_object_array_add(c->messages, old)) old = NULL;
    json_object_put(old);
    return e;
}

/* ---- files ---- */

cj_err chat_save(const chat *c, const char *path, cj_diag *d)
{
    json_object *o = json_object_new_object();
    file_out f;
    if (!o) return diag_nomem(d, 0);
    if (c->raw) json_object_object_add(o, "text", json_object_new_string_len(c->text.data ? c->text.data : "", (int)c->text.len));
    else json_object_object_add(o, "messages", json_object_get(c->messages));
    const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
    cj_err e = text ? file_out_open(&f, path, d) : diag_nomem(d, 0);
    if (!e) {
        e = file_out_write(&f, text, strlen(text), d);
        if (!e) e = file_out_write(&f, "\n", 1, d);
        if (!e) e = file_out_commit(&f, d);
        else file_out_abort(&f);
    }
    json_object_put(o);
    return e;
}

static bool is_conversation(json_object *messages)
{
    if (!json_object_is_type(messages, json_type_array)) return false;
    for (size_t i = 0; i < json_object_array_length(messages); i++) {
        json_object *m = json_object_array_get_idx(messages, i), *role, *content;
        if (!json_object_object_get_ex(m, "role", &role) || !json_object_is_type(role, json_type_string)) return false;
        if (!json_object_object_get_ex(m, "content", &content) || !json_object_is_type(content, json_type_string)) return false;
    }
    return true;
}

cj_err chat_load(chat *c, const char *path, cj_diag *d)
{
    buf file;
    json_object *o = NULL, *part;
    TRY(file_read(path, TEXT_MAX, &file, d));
    cj_err e = json_parse(file.data ? file.data : "", file.len, path, &o, d);
    buf_deinit(&file);
    TRY(e);
    if (!c->raw && json_object_object_get_ex(o, "messages", &part) && is_conversation(part)) {
        json_object_put(c->messages);
        c->messages = json_object_get(part);
    } else if (c->raw && json_object_object_get_ex(o, "text", &part) && json_object_is_type(part, json_type_string)) {
        buf_clear(&c->text);
        e = buf_append(&c->text, json_object_get_string(part), (size_t)json_object_get_string_len(part), d);
    } else
        e = diag_fail(d, CJ_E_INPUT, MSG_CHAT_NO_CONVERSATION, "%s", path);
    json_object_put(o);
    return e;
}
