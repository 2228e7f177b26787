/* The public functions: each checks its options and calls the room that does the work. */
#include <string.h>

#include "base/file.h"
#include "base/mapped.h"
#include "document/set.h"
#include "reader/ask.h"
#include "reader/named.h"

struct cj_engine {
    named_model model;
    session *session;            /* what cj_write has read */
    char *snapshots;
};

void cj_free(void *block) { mem_free(block); }
void cj_guard_files(void) { mapped_guard(); }

static cj_err check_options(const cj_engine_options *opt, engine_options *out, cj_diag *d)
{
    *out = (engine_options){.threads = opt->threads, .exact = opt->exact, .level = kernel_level_by_name(opt->cpu)};
    if (out->level == KERNEL_LEVELS) return diag_fail(d, CJ_E_USAGE, MSG_OPTION_BAD, "%s" ARG "%s", "cpu", opt->cpu);
    if (opt->threads < 0) return diag_fail(d, CJ_E_USAGE, MSG_OPTION_BAD, "%s" ARG "%d", "threads", opt->threads);
    out->kv = opt->exact ? KV_F32 : KV_BF16;
    if (opt->kv && !kv_type_by_name(opt->kv, &out->kv)) return diag_fail(d, CJ_E_USAGE, MSG_OPTION_BAD, "%s" ARG "%s", "kv", opt->kv);
    return CJ_OK;
}

cj_err cj_engine_open(cj_engine **out, const cj_engine_options *opt, cj_diag *d)
{
    engine_options eo;
    static const cj_engine_options usual;
    if (!opt) opt = &usual;
    TRY(check_options(opt, &eo, d));
    cj_engine *e = mem_zalloc(sizeof *e);
    if (!e) return diag_nomem(d, sizeof *e);
    cj_err err = named_open(&e->model, opt->model, NULL, &eo, d);
    if (!err) err = session_open(&e->session, e->model.engine, 0, d);
    if (err) {
        cj_engine_close(&e);
        return err;
    }
    char *home = file_home();
    e->snapshots = home ? file_join(home, "snapshots") : NULL; /* without it every question reads its examples again */
    mem_free(home);
    *out = e;
    return CJ_OK;
}

void cj_engine_close(cj_engine **pe)
{
    cj_engine *e = *pe;
    if (!e) return;
    session_close(&e->session);
    named_close(&e->model);
    mem_free(e->snapshots);
    mem_free(e);
    *pe = NULL;
}

/* ---- writing ---- */

typedef struct listener {
    cj_text_fn on_text;
    cj_progress_fn on_progress;
    void *user;
} listener;

static bool pass_text(void *arg, const char *text, size_t n)
{
    listener *l = arg;
    return !l->on_text || !n || l->on_text(l->user, text, n);
}

static bool pass_progress(void *arg, int64_t done, int64_t total)
{
    listener *l = arg;
    return !l->on_progress || l->on_progress(l->user, done, total);
}

static bool pass_opening(void *arg) { return pass_progress(arg, 0, 0); }

static bool pass_reading(void *arg, ask_phase phase, int64_t done, int64_t total) { return phase != ASK_READING || pass_progress(arg, done, total); }

static bool pass_piece(void *arg, const generate_piece *p) { return pass_text(arg, p->text, p->n); }

cj_err cj_write(cj_engine *e, const char *prompt, const cj_write_options *opt, char **out, cj_diag *d)
{
    const tokenizer *t;
    token_list tokens;
    generate_result r;
    static const cj_write_options usual;
    if (!opt) opt = &usual;
    if (opt->max_tokens < 0) return diag_fail(d, CJ_E_USAGE, MSG_OPTION_BAD, "%s" ARG "%lld", "max_tokens", (long long)opt->max_tokens);
    if (opt->top_p < 0) return diag_fail(d, CJ_E_USAGE, MSG_OPTION_BAD, "%s" ARG "%g", "top_p", opt->top_p);
    listener l = {opt->on_text, opt->on_progress, opt->user};
    buf text;
    const char *stops[] = {opt->stop};
    generate_options g = {
        .sampling = {.temperature = (float)opt->temperature, .top_k = (int32_t)i64_min(opt->top_k, INT32_MAX),
                     .top_p = opt->top_p > 0 ? (float)opt->top_p : 1, .repetition = 1, .seed = opt->seed},
        .max_tokens = opt->max_tokens, .stops = stops, .n_stops = opt->stop != NULL, .on_piece = pass_piece,
        .on_progress = pass_progress, .arg = &l,
    };
    TRY(engine_need_tokenizer(e->model.engine, &t, d));
    token_list_init(&tokens);
    buf_init(&text, SIZE_MAX / 2);
    cj_err err = tokenizer_encode(t, prompt, strlen(prompt), TOKEN_ADD_SPECIAL, &tokens, d);
    if (!err) err = generate(e->session, tokens.ids, (int64_t)tokens.count, &g, &text, &r, d);
    if (!err && out) {
        err = buf_reserve(&text, 1, d); /* so that an empty text is a string as well */
        if (!err) *out = buf_take(&text);
    }
    buf_deinit(&text);
    token_list_deinit(&tokens);
    return err;
}

/* ---- asking ---- */

/* The public answer, and the memory all of its pointers lie in. */
typedef struct answer_box {
    cj_answer answer; /* first: the caller holds a pointer to it */
    arena mem;
} answer_box;

enum { ANSWER_MEMORY_MAX = 1 << 28 };

static cj_err fill_quote(arena *mem, const document_set *set, const ask_evidence *e, cj_quote *q, cj_diag *d)
{
    const document *doc = set->docs[e->document];
    const char *text = document_text(doc);
    *q = (cj_quote){.document = (size_t)set->path[e->document], .start = e->start, .end = e->end, .score = (double)e->score, .verified = e->verified};
    q->text = arena_strndup(mem, text + e->byte, e->end_byte - e->byte);
    q->name = arena_strndup(mem, document_name(doc), strlen(document_name(doc)));
    if (!q->text || !q->name) return diag_nomem(d, e->end_byte - e->byte);
    q->page = e->page;
    if (e->chapter >= 0) {
        const document_chapter *ch = document_chapter_at(doc, e->chapter);
        q->chapter = arena_strndup(mem, text + ch->title_byte, ch->title_end - ch->title_byte);
        if (!q->chapter) return diag_nomem(d, ch->title_end - ch->title_byte);
    }
    if (e->article >= 0) {
        const document_article *at = document_article_at(doc, e->article);
        q->article = arena_strndup(mem, text + at->byte, at->label_end - at->byte);
        if (!q->article) return diag_nomem(d, at->label_end - at->byte);
    }
    return CJ_OK;
}

static cj_err box_answer(const document_set *set, const ask_result *r, cj_answer **out, cj_diag *d)
{
    answer_box *box = mem_zalloc(sizeof *box);
    if (!box) return diag_nomem(d, sizeof *box);
    arena_init(&box->mem, ANSWER_MEMORY_MAX);
    cj_answer *a = &box->answer;
    cj_quote *quotes = arena_zalloc(&box->mem, ASK_EVIDENCE_MAX * sizeof *quotes);
    a->quotes = quotes;
    a->end = r->context_tokens ? generate_end_name(r->end) : NULL;
    a->text = arena_strndup(&box->mem, r->answer.len ? r->answer.data : "", r->answer.len);
    cj_err e = quotes && a->text ? CJ_OK : diag_nomem(d, r->answer.len + ASK_EVIDENCE_MAX * sizeof *quotes);
    for (int i = 0; !e && i < r->n_evidence; i++, a->n_quotes++)
        e = fill_quote(&box->mem, set, &r->evidence[i], &quotes[i], d);
    if (e) cj_answer_free(&a);
    else *out = a;
    return e;
}

void cj_answer_free(cj_answer **a)
{
    if (!*a) return;
    answer_box *box = (answer_box *)(void *)*a;
    arena_deinit(&box->mem);
    mem_free(box);
    *a = NULL;
}

cj_err cj_ask(cj_engine *e, const char *const *files, size_t n_files, const char *question, const cj_ask_options *opt, cj_answer **out,
              cj_diag *d)
{
    if (n_files < 1 || n_files > DOCUMENT_SET_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "files", DOCUMENT_SET_MAX);
    document_set set;
    static const cj_ask_options usual;
    if (!opt) opt = &usual;
    listener l = {opt->on_text, opt->on_progress, opt->user};
    ask_options ao = {.heads = e->model.heads.item, .n_heads = e->model.heads.n, .evidence = opt->quotes, .max_tokens = opt->max_tokens,
                      .snapshots = e->snapshots, .on_text = pass_text, .on_progress = pass_reading, .arg = &l};
    ask_result r = {0};
    cj_err err = document_set_open(&set, files, n_files, &(document_watch){.go_on = pass_opening, .user = &l}, d);
    if (!err) err = ask_documents(e->model.engine, set.docs, set.n, question, &ao, &r, d);
    if (!err) err = box_answer(&set, &r, out, d);
    ask_deinit(&r);
    document_set_close(&set);
    return err;
}
