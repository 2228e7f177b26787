/* Conversations as samples.
 *
 * What the assistant says is found in the rendered conversation by rendering it twice: once as it is and once with a mark of its own
 * (private-use characters) in the place of each message. What stands between the marks is the template's; the rest of the true text is
 * what was said. So a word of the template is never mistaken for an answer, and no template has to be known.
 */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "data/samples_inner.h"
#include "token/template.h"

enum { RENDERED_MAX = 1 << 26, MARK_MAX = 32 };

typedef struct said { /* bytes of the rendered text */
    size_t byte, end;
} said;

typedef struct conversation {
    json_object *messages;
    buf text, marked;
    said *turn;  /* [n] what the assistant said */
    int64_t n;
} conversation;

static void write_mark(char out[MARK_MAX], size_t i) { snprintf(out, MARK_MAX, "\xEE\x80\x80%zu\xEE\x80\x81", i); }

static const char *member(json_object *o, const char *key)
{
    const char *s = json_object_get_string(json_object_object_get(o, key));
    return s ? s : "";
}

/* ---- rendering ---- */

static cj_err add(json_object *o, const char *key, json_object *v, cj_diag *d)
{
    if (v && !json_object_object_add(o, key, v)) return CJ_OK;
    json_object_put(v);
    return diag_nomem(d, 0);
}

static cj_err add_token(json_object *o, const char *key, const tokenizer *t, int32_t id, cj_diag *d)
{
    token_text p = tokenizer_piece(t, id);
    return id < 0 ? CJ_OK : add(o, key, json_object_new_string_len(p.data, (int)p.size), d);
}

static cj_err render(const sample_work *w, json_object *messages, buf *out, cj_diag *d)
{
    const token_specials *s = tokenizer_specials(w->tokenizer);
    json_object *request = json_object_new_object();
    cj_err e = request ? add(request, "messages", json_object_get(messages), d) : diag_nomem(d, 0);
    if (!e) e = add(request, "add_generation_prompt", json_object_new_boolean(false), d);
    if (!e) e = add(request, "enable_thinking", json_object_new_boolean(false), d);
    if (!e) e = add_token(request, "bos_token", w->tokenizer, s->bos, d);
    if (!e) e = add_token(request, "eos_token", w->tokenizer, s->eos, d);
    if (!e) e = template_render_request(w->opt->chat_template, strlen(w->opt->chat_template), request, NULL, out, d);
    json_object_put(request);
    return e;
}

static cj_err render_marked(const sample_work *w, conversation *c, cj_diag *d)
{
    json_object *copy = NULL;
    char mark[MARK_MAX];
    if (json_object_deep_copy(c->messages, &copy, NULL)) return diag_nomem(d, 0);
    cj_err e = CJ_OK;
    for (size_t i = 0; !e && i < json_object_array_length(copy); i++) {
        json_object *m = json_object_array_get_idx(copy, i);
        write_mark(mark, i);
        if (*member(m, "content")) e = add(m, "content", json_object_new_string(mark), d);
    }
    if (!e) e = render(w, copy, &c->marked, d);
    json_object_put(copy);
    return e;
}

/* ---- finding what was said ---- */

/* How much of text[0..n) is the message `content`, whole or without the white space around it; -1: it is not there. */
static int64_t takes(const char *text, size_t n, const char *content)
{
    static const char space[] = " \t\r\n";
    size_t all = strlen(content), skip = strspn(content, space), trimmed = all - skip;
    while (trimmed && strchr(space, content[skip + trimmed - 1])) trimmed--;
    if (all <= n && !memcmp(text, content, all)) return (int64_t)all;
    return trimmed <= n && !memcmp(text, content + skip, trimmed) ? (int64_t)trimmed : -1;
}

/* Walks both texts at once. False: the template does more with the messages than to put them somewhere. */
static bool find_turns(conversation *c)
{
    char mark[MARK_MAX];
    size_t at = 0, m = 0;
    for (size_t i = 0; i < json_object_array_length(c->messages); i++) {
        json_object *message = json_object_array_get_idx(c->messages, i);
        const char *content = member(message, "content");
        bool assistant = !strcmp(member(message, "role"), "assistant");
        write_mark(mark, i);
        const char *p = memmem(c->marked.data + m, c->marked.len - m, mark, strlen(mark));
        if (!p && !assistant) continue; /* a message that the template leaves out */
        if (!p) {
            if (*content) return false;
            continue;
        }
        size_t between = (size_t)(p - c->marked.data) - m;
        if (c->text.len - at < between || memcmp(c->text.data + at, c->marked.data + m, between)) return false;
        at += between;
        int64_t n = takes(c->text.data + at, c->text.len - at, content);
        if (n < 0) return false;
        if (assistant) c->turn[c->n++] = (said){at, at + (size_t)n};
        at += (size_t)n;
        m += between + strlen(mark);
    }
    return c->text.len - at == c->marked.len - m && !memcmp(c->text.data + at, c->marked.data + m, c->text.len - at);
}

/* Whether a message spells a control token, which would become one. */
static cj_err check_control(sample_work *w, const conversation *c, bool *has, cj_diag *d)
{
    *has = false;
    for (size_t i = 0; !*has && i < json_object_array_length(c->messages); i++) {
        const char *content = member(json_object_array_get_idx(c->messages, i), "content");
        w->list.count = 0;
        TRY(tokenizer_encode(w->tokenizer, content, strlen(content), TOKEN_PARSE_SPECIAL, &w->list, d));
        for (size_t k = 0; k < w->list.count; k++)
            *has |= tokenizer_type(w->tokenizer, w->list.ids[k]) == TOKEN_CONTROL && w->list.spans[k].end > w->list.spans[k].start;
    }
    return CJ_OK;
}

/* ---- scoring ---- */

/* Marks each turn's tokens, and what follows up to the token that ends it; returns how many tokens there are up to the last one marked. */
static size_t score_turns(const sample_work *w, const conversation *c, uint8_t *scored)
{
    size_t last = 0, i = 0;
    for (int64_t t = 0; t < c->n; t++) {
        bool open = false;
        for (; i < w->list.count; i++) {
            token_span s = w->list.spans[i];
            if (s.start >= c->turn[t].byte && s.start < c->turn[t].end) {
                scored[i] = open = true;
                last = i + 1;
            } else if (open) {
                bool ends = tokenizer_is_end(w->tokenizer, w->list.ids[i]);
                if (ends) scored[i] = true, last = i + 1;
                if (ends || tokenizer_type(w->tokenizer, w->list.ids[i]) == TOKEN_CONTROL || (t + 1 < c->n && s.start >= c->turn[t + 1].byte)) break;
            }
        }
    }
    return last;
}

static cj_err put_conversation(sample_work *w, const conversation *c, int64_t row, cj_diag *d)
{
    sample s = {.row = row, .first = w->set->n_tokens};
    w->list.count = 0;
    TRY(tokenizer_encode(w->tokenizer, c->text.data, c->text.len, TOKEN_PARSE_SPECIAL, &w->list, d));
    uint8_t *scored = mem_zalloc(w->list.count + 1);
    if (!scored) return diag_nomem(d, w->list.count + 1);
    size_t n = score_turns(w, c, scored);
    bool fits = (int64_t)n <= w->opt->sample_tokens && n > 1;
    cj_err e = fits ? sample_put(w, w->list.ids, n, false, d) : CJ_OK;
    if (!e && fits) {
        memcpy(w->set->scored + s.first, scored, n);
        w->set->scored[s.first] = 0;
        e = sample_end(w, &s, d);
    }
    if (!fits) w->set->too_long++;
    mem_free(scored);
    return e;
}

/* ---- */

/* The messages of a row; of a question and its answer, two. */
static cj_err take_messages(const training_row *row, json_object **out, cj_diag *d)
{
    if (row->form == ROW_MESSAGES) return json_parse(row->text, strlen(row->text), "messages", out, d);
    json_object *list = json_object_new_array();
    cj_err e = list ? CJ_OK : diag_nomem(d, 0);
    for (int i = 0; !e && i < 2; i++) {
        json_object *m = json_object_new_object();
        e = m ? add(m, "role", json_object_new_string(i ? "assistant" : "user"), d) : diag_nomem(d, 0);
        if (!e) e = add(m, "content", json_object_new_string(i ? row->answer : row->question), d);
        if (!e && json_object_array_add(list, m)) e = diag_nomem(d, 0);
        if (e) json_object_put(m);
    }
    if (e) json_object_put(list);
    else *out = list;
    return e;
}

static cj_err convert(sample_work *w, conversation *c, int64_t row, cj_diag *d)
{
    bool control;
    TRY(take_messages(&w->rows->row[row], &c->messages, d));
    size_t n = json_object_array_length(c->messages);
    c->turn = mem_array(n, sizeof *c->turn);
    if (!c->turn) return diag_nomem(d, n * sizeof *c->turn);
    TRY(check_control(w, c, &control, d));
    if (control) return diag_fail(d, CJ_E_INPUT, MSG_DATA_CONTROL, "%lld", (long long)row + 1);
    TRY(render(w, c->messages, &c->text, d));
    TRY(render_marked(w, c, d));
    if (!find_turns(c)) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_DATA_TEMPLATE, "%lld", (long long)row + 1);
    return put_conversation(w, c, row, d);
}

cj_err sample_conversation(sample_work *w, int64_t row, cj_diag *d)
{
    conversation c = {0};
    if (!w->opt->chat_template) {
        w->set->no_template++;
        return CJ_OK;
    }
    buf_init(&c.text, RENDERED_MAX);
    buf_init(&c.marked, RENDERED_MAX);
    cj_err e = convert(w, &c, row, d);
    json_object_put(c.messages);
    buf_deinit(&c.text);
    buf_deinit(&c.marked);
    mem_free(c.turn);
    return e;
}
