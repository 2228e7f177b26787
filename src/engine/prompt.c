/* Prompts.
 *
 * A control token written out in a message is made harmless before the template sees it: a noncharacter (U+FDD0...) that occurs
 * nowhere in the request is put behind its first character. The rendered text is cut at these marks, the marks are dropped, and
 * each piece is encoded by itself, so no piece holds the whole control token and the text stays what it was.
 */
#include "engine/prompt.h"

#include <string.h>

#include "token/template.h"

enum { MARK_BYTES = 3, RENDERED_MAX = 1 << 28 };

typedef struct chat_work {
    const engine *engine;
    const tokenizer *tokenizer;
    json_object *variables;
    char mark[MARK_BYTES + 1]; /* "" until one is needed */
    buf text;
} chat_work;

bool prompt_can_chat(const engine *e) { return engine_template(e) != NULL; }

cj_err prompt_text(const engine *e, const char *text, size_t n, token_list *out, cj_diag *d)
{
    const tokenizer *t;
    TRY(engine_need_tokenizer(e, &t, d));
    return tokenizer_encode(t, text, n, TOKEN_ADD_SPECIAL, out, d);
}

/* ---- what the template is given ---- */

static cj_err set(json_object *o, const char *key, json_object *value, cj_diag *d)
{
    if (value && !json_object_object_add(o, key, value)) return CJ_OK;
    json_object_put(value);
    return diag_nomem(d, strlen(key));
}

static cj_err add_token(json_object *request, const char *key, const tokenizer *t, int32_t id, cj_diag *d)
{
    if (id < 0 || json_object_object_get_ex(request, key, NULL)) return CJ_OK;
    token_text p = tokenizer_piece(t, id);
    return set(request, key, json_object_new_string_len(p.data, (int)p.size), d);
}

cj_err prompt_add_specials(json_object *request, const tokenizer *t, cj_diag *d)
{
    const token_specials *special = tokenizer_specials(t);
    TRY(add_token(request, "bos_token", t, special->bos, d));
    return add_token(request, "eos_token", t, special->eos, d);
}

/* The first noncharacter that is nowhere in the request. */
static cj_err choose_mark(chat_work *w, cj_diag *d)
{
    const char *all = json_object_to_json_string_ext(w->variables, JSON_C_TO_STRING_PLAIN);
    if (!all) return diag_nomem(d, 0);
    for (int i = 0; i < 32; i++) {
        w->mark[0] = '\xEF', w->mark[1] = '\xB7', w->mark[2] = (char)(0x90 + i);
        if (!strstr(all, w->mark)) return CJ_OK;
    }
    return diag_fail(d, CJ_E_INPUT, MSG_PROMPT_NONCHARACTERS, "%s", "");
}

/* Marks the control tokens written out in *message[key], replacing it. */
static cj_err guard_text(chat_work *w, json_object *holder, const char *key, cj_diag *d)
{
    json_object *value;
    if (!json_object_object_get_ex(holder, key, &value) || !json_object_is_type(value, json_type_string)) return CJ_OK;
    const char *text = json_object_get_string(value);
    size_t n = (size_t)json_object_get_string_len(value), at = 0;
    token_list found;
    buf out;
    token_list_init(&found);
    buf_init(&out, RENDERED_MAX);
    cj_err e = tokenizer_encode(w->tokenizer, text, n, TOKEN_PARSE_SPECIAL, &found, d);
    for (size_t i = 0; !e && i < found.count; i++) {
        token_span s = found.spans[i];
        if (tokenizer_type(w->tokenizer, found.ids[i]) != TOKEN_CONTROL || s.end == s.start) continue;
        if (!w->mark[0]) e = choose_mark(w, d);
        size_t cut = s.start + 1;
        while (cut < s.end && ((unsigned char)text[cut] & 0xC0) == 0x80) cut++;
        if (!e) e = buf_append(&out, text + at, cut - at, d);
        if (!e) e = buf_append(&out, w->mark, MARK_BYTES, d);
        at = cut;
    }
    if (!e && out.len) e = buf_append(&out, text + at, n - at, d);
    if (!e && out.len) e = set(holder, key, json_object_new_string_len(out.data, (int)out.len), d);
    token_list_deinit(&found);
    buf_deinit(&out);
    return e;
}

/* What the assistant said is left alone: templates look into it, and it never holds a control token that was not meant. */
static cj_err guard_message(chat_work *w, json_object *message, cj_diag *d)
{
    json_object *role, *content;
    bool has_role = json_object_object_get_ex(message, "role", &role) && json_object_is_type(role, json_type_string);
    if (has_role && !strcmp(json_object_get_string(role), "assistant")) return CJ_OK;
    TRY(guard_text(w, message, "content", d));
    if (!json_object_object_get_ex(message, "content", &content) || !json_object_is_type(content, json_type_array)) return CJ_OK;
    for (size_t i = 0; i < json_object_array_length(content); i++) {
        json_object *part = json_object_array_get_idx(content, i);
        if (json_object_is_type(part, json_type_object)) TRY(guard_text(w, part, "text", d));
    }
    return CJ_OK;
}

/* A copy of the request whose messages may be changed. */
static cj_err make_variables(chat_work *w, json_object *request, cj_diag *d)
{
    json_object *messages;
    if (!json_object_is_type(request, json_type_object) || !json_object_object_get_ex(request, "messages", &messages) ||
        !json_object_is_type(messages, json_type_array))
        return diag_fail(d, CJ_E_INPUT, MSG_PROMPT_MESSAGES, "%s", "");
    if (json_object_deep_copy(request, &w->variables, NULL)) return diag_nomem(d, 0);
    TRY(prompt_add_specials(w->variables, w->tokenizer, d));
    if (!json_object_object_get_ex(w->variables, "add_generation_prompt", NULL))
        TRY(set(w->variables, "add_generation_prompt", json_object_new_boolean(true), d));
    messages = json_object_object_get(w->variables, "messages");
    for (size_t i = 0; i < json_object_array_length(messages); i++) {
        json_object *m = json_object_array_get_idx(messages, i);
        if (json_object_is_type(m, json_type_object)) TRY(guard_message(w, m, d));
    }
    return CJ_OK;
}

/* ---- from text to tokens ---- */

/* Encodes text[from..), cut at the marks; spans count bytes of the text without marks, of which `from` are without marks. What follows
 * a mark goes on from the text before it: a vocabulary that puts a space first has none to put there. */
static cj_err encode_pieces(chat_work *w, size_t from, token_list *out, cj_diag *d)
{
    size_t dropped = 0;
    for (size_t at = from; at < w->text.len;) {
        const char *text = w->text.data + at;
        const char *mark = w->mark[0] ? memmem(text, w->text.len - at, w->mark, MARK_BYTES) : NULL;
        size_t n = mark ? (size_t)(mark - text) : w->text.len - at, first = out->count;
        TRY(tokenizer_encode(w->tokenizer, text, n, TOKEN_PARSE_SPECIAL | (dropped ? TOKEN_CONTINUES : 0), out, d));
        for (size_t i = first; i < out->count; i++) {
            out->spans[i].start += at - dropped;
            out->spans[i].end += at - dropped;
        }
        at += n + (mark ? MARK_BYTES : 0);
        dropped += mark ? MARK_BYTES : 0;
    }
    return CJ_OK;
}

/* Whether text[0..n), after tokens that end in `last` (-1: none), begins with what token id spells there; *size is how much that is. */
static cj_err spells(const tokenizer *t, int32_t last, int32_t id, const char *text, size_t n, size_t *size, bool *same, cj_diag *d)
{
    token_type type = last < 0 ? TOKEN_CONTROL : tokenizer_type(t, last); /* after these a space may have been put */
    buf piece;
    buf_init(&piece, TOKEN_BYTES_MAX);
    cj_err e = tokenizer_decode(t, &id, 1, TOKEN_SHOW_SPECIAL | (type == TOKEN_CONTROL || type == TOKEN_USER ? 0 : TOKEN_CONTINUES), &piece, d);
    *size = piece.len;
    *same = !e && piece.len <= n && (!piece.len || !memcmp(text, piece.data, piece.len));
    buf_deinit(&piece);
    return e;
}

/* Whether text[0..n) begins with a control token, so that what stands before it can stay whatever it is. */
static cj_err begins_with_control(const tokenizer *t, const char *text, size_t n, bool *does, cj_diag *d)
{
    token_list next;
    token_list_init(&next);
    cj_err e = tokenizer_encode(t, text, n < 256 ? n : 256, TOKEN_PARSE_SPECIAL, &next, d);
    *does = !e && next.count && tokenizer_type(t, next.ids[0]) == TOKEN_CONTROL && next.spans[0].end;
    token_list_deinit(&next);
    return e;
}

/* Appends the tokens of held that spell the beginning of the text and end in a control token, or before one; *bytes is how much they
 * spell. A mark in the text is spelled by nothing, so what is kept ends before the first one. */
static cj_err keep_held(chat_work *w, const session *held, token_list *out, size_t *bytes, cj_diag *d)
{
    const tokenizer *t = w->tokenizer;
    const int32_t *ids = session_ids(held);
    int64_t n = session_count(held), keep = 0;
    size_t at = 0, first = out->count, size;
    bool same, clean;
    *bytes = 0;
    for (int64_t i = 0; i < n; i++) {
        TRY(spells(t, i ? ids[i - 1] : -1, ids[i], w->text.data + at, w->text.len - at, &size, &same, d));
        if (!same) break;
        TRY(token_list_push(out, ids[i], at, at + size, d));
        at += size;
        clean = tokenizer_type(t, ids[i]) == TOKEN_CONTROL;
        if (!clean && i + 1 == n) TRY(begins_with_control(t, w->text.data + at, w->text.len - at, &clean, d));
        if (clean) keep = i + 1, *bytes = at;
    }
    out->count = first + (size_t)keep;
    return CJ_OK;
}

static cj_err render_and_encode(chat_work *w, json_object *request, const session *held, token_list *out, cj_diag *d)
{
    const char *text = engine_template(w->engine);
    size_t kept = 0;
    if (!text) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_PROMPT_NO_TEMPLATE, "%s", model_path(engine_model(w->engine)));
    TRY(make_variables(w, request, d));
    TRY(template_render_request(text, strlen(text), w->variables, NULL, &w->text, d));
    if (held && w->text.len) TRY(keep_held(w, held, out, &kept, d));
    return encode_pieces(w, kept, out, d);
}

cj_err prompt_chat(const engine *e, json_object *request, const session *held, buf *rendered, token_list *out, cj_diag *d)
{
    chat_work w = {.engine = e};
    TRY(engine_need_tokenizer(e, &w.tokenizer, d));
    buf_init(&w.text, RENDERED_MAX);
    cj_err err = render_and_encode(&w, request, held, out, d);
    for (size_t at = 0; !err && rendered && at < w.text.len;) {
        const char *mark = w.mark[0] ? memmem(w.text.data + at, w.text.len - at, w.mark, MARK_BYTES) : NULL;
        size_t n = mark ? (size_t)(mark - w.text.data) - at : w.text.len - at;
        err = buf_append(rendered, w.text.data + at, n, d);
        at += n + (mark ? MARK_BYTES : 0);
    }
    json_object_put(w.variables);
    buf_deinit(&w.text);
    return err;
}
