/* Showing evidence, answers and steps. */
#include "app/ask_view.h"

#include <stdio.h>
#include <string.h>

#include "app/term.h"

static const char *const find_names[] = {"", "reading", "index", "both"};

int ask_view_find(const char *name)
{
    int how = FIND_BOTH;
    while (how && strcmp(name, find_names[how])) how--;
    return how;
}

static const char *entry_name(const ask_view *v, int source)
{
    shelf_entry *e = source >= 0 ? v->sources[source].entry : NULL;
    return e ? shelf_entry_info(e)->name : NULL;
}

static const document *document_of(const ask_view *v, const ask_evidence *e) { return v->sources[e->source].book->docs[e->document]; }

/* ---- evidence ---- */

static void print_place(const ask_view *v, const ask_evidence *e)
{
    const document *doc = document_of(v, e);
    if (v->n > 1) {
        term_write(stdout, entry_name(v, e->source), strlen(entry_name(v, e->source)));
        printf(" · ");
    }
    if (v->n > 1 || v->sources[e->source].book->n_docs > 1) {
        term_write(stdout, document_name(doc), strlen(document_name(doc)));
        printf(" ");
    }
    if (e->chapter >= 0) {
        const document_chapter *ch = document_chapter_at(doc, e->chapter);
        term_write(stdout, document_text(doc) + ch->title_byte, ch->title_end - ch->title_byte);
        printf(" ");
    }
    if (e->article >= 0) {
        const document_article *at = document_article_at(doc, e->article);
        term_write(stdout, document_text(doc) + at->byte, at->label_end - at->byte);
        printf(" ");
    }
    char text[128], args[64];
    if (e->page) {
        snprintf(args, sizeof args, "%d", e->page);
        msg_format(cli_text(v->c, MSG_ASK_PAGE), args, text, sizeof text);
        printf("%s ", text);
    }
    if (e->paragraph) { /* 0: a chapter's title */
        snprintf(args, sizeof args, "%lld", (long long)e->paragraph);
        msg_format(cli_text(v->c, MSG_ASK_PARAGRAPH), args, text, sizeof text);
        printf("%s ", text);
    }
    snprintf(args, sizeof args, "%lld" ARG "%lld", (long long)e->start, (long long)e->end);
    msg_format(cli_text(v->c, MSG_ASK_PLACE), args, text, sizeof text);
    printf("%s", text);
}

void ask_view_evidence(const ask_view *v, const ask_evidence *evidence, int n)
{
    static const msg_id found_by[] = {[FIND_READING] = MSG_FOUND_READING, [FIND_INDEX] = MSG_FOUND_INDEX, [FIND_BOTH] = MSG_FOUND_BOTH};
    if (n) printf("%s\n", cli_text(v->c, MSG_ASK_EVIDENCE));
    for (int i = 0; i < n; i++) {
        const ask_evidence *e = &evidence[i];
        printf(" %d. 「", i + 1);
        term_write(stdout, document_text(document_of(v, e)) + e->byte, e->end_byte - e->byte);
        printf("」\n    —— ");
        print_place(v, e);
        if (entry_name(v, e->source)) printf(" · %s", cli_text(v->c, found_by[e->found_by]));
        if (!e->verified) printf(" · %s", cli_text(v->c, MSG_ASK_UNVERIFIED));
        printf("\n");
    }
}

void ask_view_answer_end(const ask_view *v, const ask_result *r)
{
    printf("%s\n", r->answer.len ? "" : cli_text(v->c, r->n_evidence ? MSG_ASK_NO_ANSWER : MSG_ASK_NOTHING_FOUND));
    if (r->answer.len && !r->n_evidence) printf("%s\n", cli_text(v->c, MSG_ASK_NO_EVIDENCE));
    if (r->context_tokens && r->end == END_LENGTH) cli_say(v->c, MSG_CHAT_LENGTH, "%lld", (long long)r->written_tokens);
    if (r->context_tokens && r->end == END_CONTEXT) cli_say(v->c, MSG_ASK_FULL, "%lld", (long long)r->written_tokens);
}

static json_object *text_json(const document *doc, size_t byte, size_t end)
{
    return json_object_new_string_len(document_text(doc) + byte, (int)(end - byte));
}

static json_object *evidence_json(const ask_view *v, const ask_evidence *e)
{
    const document *doc = document_of(v, e);
    const char *entry = entry_name(v, e->source);
    const document_chapter *ch = e->chapter >= 0 ? document_chapter_at(doc, e->chapter) : NULL;
    const document_article *at = e->article >= 0 ? document_article_at(doc, e->article) : NULL;
    json_object *o = json_object_new_object();
    json_object_object_add(o, "quote", text_json(doc, e->byte, e->end_byte));
    if (entry) json_object_object_add(o, "entry", json_object_new_string(entry));
    json_object_object_add(o, "document", json_object_new_string(document_name(doc)));
    json_object_object_add(o, "chapter", ch ? text_json(doc, ch->title_byte, ch->title_end) : NULL);
    json_object_object_add(o, "paragraph", json_object_new_int64(e->paragraph));
    json_object_object_add(o, "article", at ? text_json(doc, at->byte, at->label_end) : NULL);
    json_object_object_add(o, "page", e->page ? json_object_new_int(e->page) : NULL);
    json_object_object_add(o, "start", json_object_new_int64(e->start));
    json_object_object_add(o, "end", json_object_new_int64(e->end));
    json_object_object_add(o, "verified", json_object_new_boolean(e->verified));
    json_object_object_add(o, "score", e->score < 0 ? NULL : json_object_new_double((double)e->score));
    json_object_object_add(o, "found_by", json_object_new_string(find_names[e->found_by]));
    return o;
}

/* ---- steps ---- */

static const char *const step_names[ASK_STEPS] = {"read", "neutral", "look", "index", "begin", "reread", "text", "write"};

static void print_part(const ask_view *v, msg_id id, const char *args)
{
    char text[512];
    msg_format(cli_text(v->c, id), args, text, sizeof text);
    fputs(text, stdout);
}

static void print_step(const ask_view *v, const ask_step *s)
{
    static const msg_id texts[ASK_STEPS] = {MSG_EXPLAIN_READ, MSG_EXPLAIN_NEUTRAL, MSG_EXPLAIN_LOOK, MSG_EXPLAIN_INDEX, MSG_EXPLAIN_BEGIN, MSG_EXPLAIN_REREAD, MSG_EXPLAIN_TEXT, MSG_EXPLAIN_WRITE};
    const bool kept = s->kind == ASK_STEP_NEUTRAL && !s->tokens;
    char args[160], n[TERM_TEXT], all[TERM_TEXT];
    term_count(n, s->kind == ASK_STEP_INDEX ? s->passages : s->tokens);
    term_count(all, s->from + s->tokens);
    snprintf(args, sizeof args, s->kind == ASK_STEP_WRITE ? "%s" ARG "%s" ARG "%.1f" : "%s" ARG "%s" ARG "%.0f", n, all,
             s->kind != ASK_STEP_WRITE ? (double)s->passages : s->seconds > 0 ? (double)s->tokens / s->seconds : 0);
    printf(" · ");
    if (v->n > 1 && s->source >= 0) {
        term_write(stdout, entry_name(v, s->source), strlen(entry_name(v, s->source)));
        printf(" · ");
    }
    print_part(v, kept ? MSG_EXPLAIN_KEPT : texts[s->kind], args);
    snprintf(args, sizeof args, "%lld" ARG "%lld", (long long)s->chosen, (long long)s->pages);
    if (s->pages && s->tokens) print_part(v, s->chosen ? MSG_EXPLAIN_PAGES : MSG_EXPLAIN_EXACT, args);
    snprintf(args, sizeof args, "%d", s->heads);
    if (s->heads && s->tokens) print_part(v, MSG_EXPLAIN_HEADS, args);
    snprintf(args, sizeof args, "%.2f", s->seconds);
    if (!kept) print_part(v, MSG_EXPLAIN_SECONDS, args);
    printf("\n");
}

void ask_view_steps(const ask_view *v, const ask_result *r)
{
    printf("%s\n", cli_text(v->c, MSG_EXPLAIN));
    for (int i = 0; i < r->n_steps; i++) print_step(v, &r->steps[i]);
    if (!v->adapter) return;
    printf(" · ");
    print_part(v, MSG_EXPLAIN_ADAPTER, v->adapter);
    printf("\n");
}

static json_object *step_json(const ask_view *v, const ask_step *s)
{
    json_object *o = json_object_new_object();
    const char *entry = entry_name(v, s->source);
    json_object_object_add(o, "step", json_object_new_string(step_names[s->kind]));
    if (entry) json_object_object_add(o, "entry", json_object_new_string(entry));
    if (s->kind != ASK_STEP_INDEX) {
        json_object_object_add(o, "tokens", json_object_new_int64(s->tokens));
        json_object_object_add(o, "attended_tokens", json_object_new_int64(s->tokens ? s->from + s->tokens : 0));
    }
    if (s->pages) {
        json_object_object_add(o, "pages", json_object_new_int64(s->pages));
        json_object_object_add(o, "pages_token_by_token", json_object_new_int64(s->chosen ? s->chosen : s->pages));
    }
    if (s->heads) json_object_object_add(o, "heads_over_every_token", json_object_new_int(s->heads));
    if (s->passages) json_object_object_add(o, "passages", json_object_new_int64(s->passages));
    json_object_object_add(o, "seconds", cli_json_number(s->seconds));
    return o;
}

/* ---- all of it ---- */

static json_object *rate_json(int64_t tokens, double seconds) { return seconds > 0 ? cli_json_number(cli_rate(tokens, seconds)) : NULL; }

static json_object *timings_json(const ask_result *r)
{
    json_object *t = json_object_new_object();
    json_object_object_add(t, "first_token_seconds", json_object_new_double(r->first_token_seconds));
    json_object_object_add(t, "read_seconds", json_object_new_double(r->read_seconds));
    json_object_object_add(t, "write_seconds", json_object_new_double(r->write_seconds));
    json_object_object_add(t, "total_seconds", json_object_new_double(r->total_seconds));
    json_object_object_add(t, "read_tokens", json_object_new_int64(r->read_tokens));
    json_object_object_add(t, "reused_tokens", json_object_new_int64(r->reused_tokens));
    json_object_object_add(t, "written_tokens", json_object_new_int64(r->written_tokens));
    json_object_object_add(t, "context_tokens", json_object_new_int64(r->context_tokens));
    json_object_object_add(t, "read_tokens_per_second", rate_json(r->read_tokens, r->read_seconds));
    json_object_object_add(t, "write_tokens_per_second", rate_json(r->written_tokens, r->write_seconds));
    return t;
}

json_object *ask_view_json(const ask_view *v, const ask_result *r, bool explain)
{
    static const char *const modes[] = {[ASK_MODE_FIND] = "find", [ASK_MODE_CLOSE] = "close", [ASK_MODE_DIRECT] = "direct"};
    json_object *o = json_object_new_object(), *list = json_object_new_array(), *steps = json_object_new_array();
    json_object_object_add(o, "answer", json_object_new_string_len(r->answer.data ? r->answer.data : "", (int)r->answer.len));
    json_object_object_add(o, "end", r->context_tokens ? json_object_new_string(generate_end_name(r->end)) : NULL); /* null: none was written */
    for (int i = 0; i < r->n_evidence; i++) json_object_array_add(list, evidence_json(v, &r->evidence[i]));
    for (int i = 0; i < r->n_steps; i++) json_object_array_add(steps, step_json(v, &r->steps[i]));
    json_object_object_add(o, "evidence", list);
    json_object_object_add(o, "mode", json_object_new_string(modes[r->mode]));
    json_object_object_add(o, "adapter", v->adapter ? json_object_new_string(v->adapter) : NULL);
    if (explain) json_object_object_add(o, "steps", steps);
    else json_object_put(steps);
    json_object_object_add(o, "timings", timings_json(r));
    return o;
}
