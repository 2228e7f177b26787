/* Training rows from JSON lines. */
#include "data/rows.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/utf8.h"
#include "data/qa_form.h"

void rows_init(training_rows *r)
{
    *r = (training_rows){0};
    arena_init(&r->memory, ROWS_MEMORY_MAX);
}

void rows_deinit(training_rows *r)
{
    arena_deinit(&r->memory);
    mem_free(r->row);
    mem_free(r->passage);
    mem_free(r->slot);
    *r = (training_rows){0};
}

/* ---- passages, each kept once ---- */

/* The slot that holds the passage, or the empty one where it belongs. */
static int64_t *slot_of(training_rows *r, const char *text, size_t n, uint64_t hash)
{
    for (uint64_t i = hash;; i++) {
        int64_t *s = &r->slot[i & (uint64_t)(r->slots - 1)];
        const training_passage *p = *s ? &r->passage[*s - 1] : NULL;
        if (!p || (p->hash == hash && p->bytes == n && !memcmp(p->text, text, n))) return s;
    }
}

static cj_err widen_slots(training_rows *r, cj_diag *d)
{
    int64_t *old = r->slot, slots = r->slots ? 2 * r->slots : 1024;
    r->slot = mem_array((size_t)slots, sizeof *r->slot);
    if (!r->slot) {
        r->slot = old;
        return diag_nomem(d, (size_t)slots * sizeof *r->slot);
    }
    r->slots = slots;
    for (int64_t i = 0; i < r->n_passages; i++) *slot_of(r, r->passage[i].text, r->passage[i].bytes, r->passage[i].hash) = i + 1;
    mem_free(old);
    return CJ_OK;
}

static cj_err keep_passage(training_rows *r, const char *text, size_t n, int64_t *which, cj_diag *d)
{
    uint64_t hash = hash_xxh3(text, n);
    if (2 * (r->n_passages + 1) > r->slots) TRY(widen_slots(r, d));
    int64_t *slot = slot_of(r, text, n, hash);
    if (!*slot) {
        if (r->n_passages == r->passages_cap) {
            int64_t cap = r->passages_cap ? 2 * r->passages_cap : 256;
            training_passage *more = mem_grow(r->passage, (size_t)r->n_passages * sizeof *more, (size_t)cap * sizeof *more);
            if (!more) return diag_nomem(d, (size_t)cap * sizeof *more);
            r->passage = more;
            r->passages_cap = cap;
        }
        const char *copy = arena_strndup(&r->memory, text, n);
        if (!copy) return diag_nomem(d, n);
        r->passage[r->n_passages] = (training_passage){copy, n, hash};
        *slot = ++r->n_passages;
    }
    *which = *slot - 1;
    return CJ_OK;
}

static cj_err push(training_rows *r, const training_row *row, cj_diag *d)
{
    if (r->n == ROWS_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "rows", ROWS_MAX);
    if (r->n == r->cap) {
        int64_t cap = r->cap ? 2 * r->cap : 256;
        training_row *more = mem_grow(r->row, (size_t)r->n * sizeof *more, (size_t)cap * sizeof *more);
        if (!more) return diag_nomem(d, (size_t)cap * sizeof *more);
        r->row = more;
        r->cap = cap;
    }
    r->row[r->n++] = *row;
    return CJ_OK;
}

/* ---- one line ---- */

typedef struct line {
    training_rows *rows;
    const char *file;
    int64_t number;
    json_object *object;
} line;

static cj_err bad(const line *l, msg_id why, const char *what, cj_diag *d)
{
    return diag_fail(d, CJ_E_INPUT, why, "%s" ARG "%lld" ARG "%s", l->file, (long long)l->number, what);
}

static bool blank(const char *s) { return !s[strspn(s, " \t\r\n")]; }

/* A member that is a string: of at most `max` bytes, without zero bytes. *out NULL: it is not there (or null). */
static cj_err get_text(const line *l, json_object *o, const char *key, size_t max, const char **out, cj_diag *d)
{
    json_object *v;
    *out = NULL;
    if (!json_object_object_get_ex(o, key, &v) || !v) return CJ_OK;
    if (!json_object_is_type(v, json_type_string)) return bad(l, MSG_DATA_NOT_TEXT, key, d);
    const char *s = json_object_get_string(v);
    size_t n = (size_t)json_object_get_string_len(v);
    if (strlen(s) != n) return bad(l, MSG_DATA_ZERO, key, d);
    if (n > max) return bad(l, MSG_DATA_FIELD_LONG, key, d);
    *out = s;
    return CJ_OK;
}

static cj_err copy(const line *l, const char *s, const char **out, cj_diag *d)
{
    *out = arena_strndup(&l->rows->memory, s, strlen(s));
    return *out ? CJ_OK : diag_nomem(d, strlen(s));
}

/* The right answers: `answer`, then what "answers" adds. */
static cj_err take_known(const line *l, training_row *row, cj_diag *d)
{
    json_object *list = NULL;
    size_t n = 0;
    if (json_object_object_get_ex(l->object, "answers", &list) && list) {
        if (!json_object_is_type(list, json_type_array)) return bad(l, MSG_DATA_NOT_LIST, "answers", d);
        n = json_object_array_length(list);
        if (n > ROWS_KNOWN_MAX) return bad(l, MSG_DATA_FIELD_LONG, "answers", d);
    }
    if (qa_refuses(row->answer, strlen(row->answer)) && !*row->quote) return CJ_OK;
    const char **known = arena_alloc(&l->rows->memory, (n + 1) * sizeof *known);
    if (!known) return diag_nomem(d, (n + 1) * sizeof *known);
    known[0] = row->answer;
    row->known = known;
    row->n_known = 1;
    for (size_t i = 0; i < n; i++) {
        json_object *v = json_object_array_get_idx(list, i);
        if (!json_object_is_type(v, json_type_string)) return bad(l, MSG_DATA_NOT_LIST, "answers", d);
        if (!strcmp(json_object_get_string(v), row->answer)) continue;
        TRY(copy(l, json_object_get_string(v), &known[row->n_known], d));
        row->n_known++;
    }
    return CJ_OK;
}

/* question, answer, and a passage or context under `key`. */
static cj_err take_question(const line *l, training_row *row, const char *key, cj_diag *d)
{
    const char *passage, *question, *quote, *answer;
    TRY(get_text(l, l->object, key, ROWS_LINE_MAX, &passage, d));
    TRY(get_text(l, l->object, "question", ROWS_FIELD_MAX, &question, d));
    TRY(get_text(l, l->object, "quote", ROWS_FIELD_MAX, &quote, d));
    TRY(get_text(l, l->object, "answer", ROWS_FIELD_MAX, &answer, d));
    if (!question || blank(question)) return bad(l, MSG_DATA_NO_QUESTION, "question", d);
    if (!answer || blank(answer)) return bad(l, MSG_DATA_NO_ANSWER, "answer", d);
    if (row->form == ROW_QUESTION || !quote) quote = "";
    if (*quote && !strstr(passage, quote)) return bad(l, MSG_DATA_QUOTE, "quote", d);
    if (strpbrk(quote, "\r\n")) return bad(l, MSG_DATA_QUOTE_LINES, "quote", d);
    if (passage && !blank(passage)) TRY(keep_passage(l->rows, passage, strlen(passage), &row->passage, d));
    TRY(copy(l, question, &row->question, d));
    TRY(copy(l, quote, &row->quote, d));
    TRY(copy(l, answer, &row->answer, d));
    return take_known(l, row, d);
}

/* Every message has a role and says something; the assistant does at least once. */
static cj_err check_messages(const line *l, json_object *list, cj_diag *d)
{
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool"};
    bool answered = false;
    if (!json_object_is_type(list, json_type_array)) return bad(l, MSG_DATA_NOT_LIST, "messages", d);
    size_t n = json_object_array_length(list);
    if (n > ROWS_MESSAGES_MAX) return bad(l, MSG_DATA_FIELD_LONG, "messages", d);
    for (size_t i = 0; i < n; i++) {
        json_object *m = json_object_array_get_idx(list, i);
        const char *role = NULL, *content = NULL;
        bool known = false;
        if (!json_object_is_type(m, json_type_object)) return bad(l, MSG_DATA_MESSAGE, "messages", d);
        TRY(get_text(l, m, "role", ROWS_FIELD_MAX, &role, d));
        TRY(get_text(l, m, "content", ROWS_LINE_MAX, &content, d));
        for (size_t k = 0; role && k < sizeof roles / sizeof *roles; k++) known |= !strcmp(role, roles[k]);
        if (!known || !content) return bad(l, MSG_DATA_MESSAGE, "messages", d);
        if (!strcmp(role, "assistant") && !blank(content)) answered = true;
    }
    return answered ? CJ_OK : bad(l, MSG_DATA_NO_ANSWER, "assistant", d);
}

static cj_err take_messages(const line *l, training_row *row, cj_diag *d)
{
    json_object *list = json_object_object_get(l->object, "messages");
    TRY(check_messages(l, list, d));
    const char *text = json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    if (!text) return diag_nomem(d, 0);
    return copy(l, text, &row->text, d);
}

static cj_err take_text(const line *l, training_row *row, cj_diag *d)
{
    const char *text;
    TRY(get_text(l, l->object, "text", ROWS_LINE_MAX, &text, d));
    if (!text || blank(text)) return bad(l, MSG_DATA_NO_ANSWER, "text", d);
    return copy(l, text, &row->text, d);
}

static cj_err take_object(const line *l, training_row *row, cj_diag *d)
{
    json_object *o = l->object, *v;
    if (!json_object_is_type(o, json_type_object)) return bad(l, MSG_DATA_NO_FORM, "", d);
    bool passage = json_object_object_get_ex(o, "passage", &v) && json_object_is_type(v, json_type_string);
    row->form = json_object_object_get_ex(o, "messages", NULL) ? ROW_MESSAGES : passage ? ROW_PASSAGE
              : json_object_object_get_ex(o, "question", NULL) ? ROW_QUESTION : ROW_TEXT;
    if (row->form == ROW_MESSAGES) return take_messages(l, row, d);
    if (row->form == ROW_PASSAGE) return take_question(l, row, "passage", d);
    if (row->form == ROW_QUESTION) return take_question(l, row, "context", d);
    if (!json_object_object_get_ex(o, "text", NULL)) return bad(l, MSG_DATA_NO_FORM, "", d);
    return take_text(l, row, d);
}

static cj_err take_line(const line *l, const char *bytes, size_t n, cj_diag *d)
{
    training_row row = {.passage = -1, .question = "", .quote = "", .answer = "", .text = "", .kind = "", .source = ""};
    const char *document, *kind;
    TRY(take_object(l, &row, d));
    TRY(get_text(l, l->object, "document", ROWS_FIELD_MAX, &document, d));
    TRY(get_text(l, l->object, "kind", ROWS_FIELD_MAX, &kind, d));
    if (kind) TRY(copy(l, kind, &row.kind, d));
    if (document) TRY(copy(l, document, &row.source, d));
    row.document = document ? hash_xxh3(document, strlen(document)) : row.passage >= 0 ? l->rows->passage[row.passage].hash : hash_xxh3(bytes, n);
    return push(l->rows, &row, d);
}

static cj_err parse_line(line *l, const char *bytes, size_t n, cj_diag *d)
{
    char place[32];
    if (n > ROWS_LINE_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_DATA_LINE_LONG, "%s" ARG "%lld" ARG "%zu" ARG "%d", l->file, (long long)l->number, n, ROWS_LINE_MAX);
    size_t valid = utf8_valid_prefix(bytes, n);
    snprintf(place, sizeof place, "%zu", valid + 1);
    if (valid != n) return bad(l, MSG_DATA_UTF8, place, d);
    cj_err e = json_parse(bytes, n, l->file, &l->object, NULL);
    if (e == CJ_E_NOMEM) return diag_nomem(d, n);
    if (e) return bad(l, MSG_DATA_JSON, "", d);
    e = take_line(l, bytes, n, d);
    json_object_put(l->object);
    l->object = NULL;
    return e;
}

static bool only_space(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] != ' ' && s[i] != '\t' && s[i] != '\r') return false;
    return true;
}

cj_err rows_parse(training_rows *r, const char *name, const char *bytes, size_t n, cj_diag *d)
{
    line l = {r, name, 0, NULL};
    int64_t before = r->n;
    size_t at = n >= 3 && !memcmp(bytes, "\xEF\xBB\xBF", 3) ? 3 : 0;
    while (at < n) {
        const char *end = memchr(bytes + at, '\n', n - at);
        size_t size = end ? (size_t)(end - bytes) - at : n - at;
        l.number++;
        if (!only_space(bytes + at, size)) TRY(parse_line(&l, bytes + at, size, d));
        at += size + 1;
    }
    return r->n > before ? CJ_OK : diag_fail(d, CJ_E_INPUT, MSG_DATA_EMPTY, "%s", name);
}

cj_err rows_open(training_rows *r, const char *path, cj_diag *d)
{
    file_map m;
    TRY(file_map_open(&m, path, d));
    cj_err e = m.size > ROWS_FILE_MAX
                   ? diag_fail(d, CJ_E_LIMIT, MSG_FILE_TOO_LARGE, "%s" ARG "%zu" ARG "%zu", path, m.size, ROWS_FILE_MAX)
                   : rows_parse(r, path, (const char *)m.data, m.size, d);
    file_map_close(&m);
    return e;
}

/* ---- rows that are made ---- */

cj_err rows_add(training_rows *r, const row_parts *p, cj_diag *d)
{
    const line l = {r, "", 0, NULL};
    training_row row = {.form = ROW_PASSAGE, .passage = -1, .text = ""};
    if (p->passage) TRY(keep_passage(r, p->passage, p->passage_bytes, &row.passage, d));
    TRY(copy(&l, p->question, &row.question, d));
    TRY(copy(&l, p->quote ? p->quote : "", &row.quote, d));
    TRY(copy(&l, p->answer, &row.answer, d));
    TRY(copy(&l, p->kind ? p->kind : "", &row.kind, d));
    TRY(copy(&l, p->document ? p->document : "", &row.source, d));
    TRY(take_known(&l, &row, d));
    row.document = p->document ? hash_xxh3(p->document, strlen(p->document)) : row.passage >= 0 ? r->passage[row.passage].hash : hash_xxh3(p->question, strlen(p->question));
    return push(r, &row, d);
}

static cj_err put_member(json_object *o, const char *key, const char *text, size_t n, cj_diag *d)
{
    json_object *v = json_object_new_string_len(text, (int)n);
    if (v && !json_object_object_add(o, key, v)) return CJ_OK;
    json_object_put(v);
    return diag_nomem(d, n);
}

cj_err rows_write(const training_rows *r, int64_t i, buf *out, cj_diag *d)
{
    const training_row *row = &r->row[i];
    const training_passage *p = row->passage >= 0 ? &r->passage[row->passage] : NULL;
    json_object *o = json_object_new_object();
    cj_err e = o ? CJ_OK : diag_nomem(d, 0);
    if (!e) e = put_member(o, "passage", p ? p->text : "", p ? p->bytes : 0, d);
    if (!e) e = put_member(o, "question", row->question, strlen(row->question), d);
    if (!e) e = put_member(o, "quote", row->quote, strlen(row->quote), d);
    if (!e) e = put_member(o, "answer", row->answer, strlen(row->answer), d);
    if (!e && *row->source) e = put_member(o, "document", row->source, strlen(row->source), d);
    if (!e && *row->kind) e = put_member(o, "kind", row->kind, strlen(row->kind), d);
    const char *text = e ? NULL : json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    if (!e && !text) e = diag_nomem(d, 0);
    if (!e) e = buf_puts(out, text, d);
    if (!e) e = buf_puts(out, "\n", d);
    json_object_put(o);
    return e;
}
