/* read: text to tokens to pages on the shelf. */
#include "reader/read.h"

#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/utf8.h"
#include "model/model.h"
#include "reader/estimate.h"

typedef struct reading {
    engine *e;
    shelf *shelf;
    const read_options *opt;
    read_result *out;
    book book;
    int64_t *cuts;
    shelf_entry *entry;
    session *session;
    int64_t chars_at, at_token; /* characters before that token */
    bool old_wish, was_complete;
    double start, looked; /* looked: for somebody's wish to pause */
} reading;

/* Characters of the text up to a token; asked in ascending order. */
static int64_t characters_at(reading *r, int64_t token)
{
    const book *b = &r->book;
    const token_span *s = b->tokens.spans;
    if (token <= r->at_token) return r->chars_at;
    size_t from = r->at_token ? s[r->at_token - 1].end : 0, to = s[token - 1].end;
    r->chars_at += (int64_t)utf8_count(b->text.data + from, to - from);
    r->at_token = token;
    return r->chars_at;
}

static bool is_paused(reading *r)
{
    const double often = 0.2, now = clock_now();
    if (r->old_wish) return false; /* it is ours to forget, but not before the entry is ours */
    if (now - r->looked < often) return r->out->paused;
    r->looked = now;
    r->out->paused = r->out->paused || shelf_is_paused(r->shelf, r->opt->name);
    return r->out->paused;
}

static bool tell(reading *r, read_phase phase, int64_t tokens)
{
    if (is_paused(r)) return false;
    if (!r->opt->on_progress) return true;
    int64_t disk = r->entry ? shelf_entry_info(r->entry)->bytes : 0;
    read_progress p = {.phase = phase, .tokens = tokens, .tokens_total = (int64_t)r->book.tokens.count, .tokens_before = r->out->tokens_before,
                       .characters = characters_at(r, tokens), .disk_bytes = disk,
                       .seconds = clock_now() - r->start};
    return r->opt->on_progress(r->opt->arg, &p);
}

static bool on_progress(void *arg, int64_t done, int64_t total)
{
    (void)total;
    return tell(arg, READ_TOKENS, done);
}

static cj_err prepare(reading *r, document *const *docs, int n_docs, cj_diag *d)
{
    const tokenizer *t;
    TRY(engine_need_tokenizer(r->e, &t, d));
    TRY(book_join(&r->book, docs, n_docs, d));
    r->cuts = mem_array((size_t)n_docs, sizeof *r->cuts);
    if (!r->cuts) return diag_nomem(d, (size_t)n_docs * sizeof *r->cuts);
    return book_encode(&r->book, t, r->cuts, d);
}

/* ---- exactly or fast ---- */

/* How many tokens of an entry of the name are ours, from the first on: of those that are to be read where it is unfinished. */
static int64_t common_tokens(const reading *r, bool unfinished)
{
    shelf_entry *e = NULL;
    int64_t same = 0;
    const char *name = r->opt->name;
    if (unfinished ? shelf_read_unfinished(r->shelf, &e, name, NULL) : shelf_read(r->shelf, &e, name, NULL)) return 0;
    const shelf_info *i = shelf_entry_info(e);
    const int64_t n = i64_min(unfinished ? i->tokens_total : i->tokens, (int64_t)r->book.tokens.count);
    const int32_t *ids = shelf_entry_ids(e);
    while (same < n && ids[same] == r->book.tokens.ids[same]) same++;
    shelf_entry_close(&e);
    return same;
}

/* Whether an entry of the name would be gone on with, and how it was read. */
static bool goes_on(reading *r, const shelf_info *info, int64_t *keep)
{
    const int64_t total = (int64_t)r->book.tokens.count;
    engine_options how = {0};
    session_mode_read(info->mode, &how, keep);
    session_set_keep(r->session, *keep);
    const shelf_key key = session_shelf_key(r->session);
    if (key.model != info->model || key.mode != info->mode) return false;
    if (info->complete) return common_tokens(r, false) >= i64_min(total, SHELF_SEGMENT_LEAST);
    return info->tokens_total == total && common_tokens(r, true) == total;
}

static bool is_begun(reading *r, int64_t *keep)
{
    shelf_named l;
    if (shelf_find(r->shelf, r->opt->name, &l, NULL)) return false;
    return (l.is_unfinished && goes_on(r, &l.unfinished, keep)) || (l.is_complete && goes_on(r, &l.complete, keep));
}

static bool on_timing(void *arg)
{
    reading *r = arg;
    return tell(r, READ_TEXT, 0);
}

static cj_err choose(reading *r, read_choice *c, cj_diag *d)
{
    const int64_t total = (int64_t)r->book.tokens.count;
    *c = (read_choice){.keep = r->opt->keep, .why = READ_ASKED, .tokens = total, .characters = book_chars(&r->book)};
    if (c->keep != READ_CHOOSE) return CJ_OK;
    c->keep = 0;
    c->why = READ_BEGUN;
    if (is_begun(r, &c->keep)) return CJ_OK;
    c->keep = 0;
    c->why = READ_SAME;
    if (engine_options_of(r->e)->exact || total <= read_estimate_same(ENGINE_KEEP)) return CJ_OK;
    read_estimate about = {0};
    TRY(read_estimate_make(r->e, total, ENGINE_KEEP, on_timing, r, &about, d));
    c->why = READ_ESTIMATED;
    c->exact_seconds = about.exact_seconds;
    c->fast_seconds = about.fast_seconds;
    c->keep = about.exact_seconds <= READ_PATIENCE ? 0 : ENGINE_KEEP;
    return CJ_OK;
}

static cj_err write_entry(reading *r, cj_diag *d)
{
    char *path = file_absolute(model_path(engine_model(r->e))); /* the model is found from any folder */
    const shelf_plan plan = {
        .name = r->opt->name, .key = session_shelf_key(r->session), .model_name = r->opt->model_name, .model_path = path,
        .ids = r->book.tokens.ids, .n = (int64_t)r->book.tokens.count, .cuts = r->cuts, .n_cuts = r->book.n_docs,
        .characters = book_chars(&r->book), .documents = r->book.n_docs,
    };
    cj_err e = path ? shelf_write(r->shelf, &r->entry, &plan, d) : diag_nomem(d, strlen(r->opt->name));
    mem_free(path);
    return e;
}

static cj_err open_entry(reading *r, cj_diag *d)
{
    read_choice choice;
    TRY(session_open(&r->session, r->e, (int64_t)r->book.tokens.count, d));
    TRY(choose(r, &choice, d));
    session_set_keep(r->session, choice.keep);
    session_set_exact_from(r->session, (int64_t)r->book.tokens.count - READ_LAST);
    r->out->keep = choice.keep;
    if (r->opt->on_choice) r->opt->on_choice(r->opt->arg, &choice);
    TRY(write_entry(r, d));
    r->was_complete = shelf_entry_info(r->entry)->complete;
    if (r->old_wish) shelf_unpause(r->shelf, r->opt->name);
    r->old_wish = false;
    return book_save(&r->book, r->entry, d);
}

/* Where the next acknowledgement is due. */
static int64_t next_stop(const reading *r, int64_t at)
{
    int64_t segment = r->opt->segment > 0 ? r->opt->segment : READ_SEGMENT;
    return i64_min((at / segment + 1) * segment, shelf_entry_next(r->entry));
}

static cj_err read_on(reading *r, cj_diag *d)
{
    const int64_t total = (int64_t)r->book.tokens.count;
    int64_t at;
    TRY(session_attach(r->session, r->entry, total, &at, d));
    r->out->tokens_before = at;
    while (at < total) {
        session_call call = {.want = WANT_NONE, .on_progress = on_progress, .arg = r};
        cj_err err = session_eval(r->session, r->book.tokens.ids, next_stop(r, at), &call, NULL, d);
        cj_err kept = session_keep_end(r->session, r->entry, err ? NULL : d);
        if (err == CJ_E_CANCELLED && !kept) kept = session_keep(r->session, r->entry, NULL); /* whole chunks are not read again if that can be helped */
        TRY(err ? err : kept);
        at = session_count(r->session);
        TRY(at < shelf_entry_next(r->entry) ? session_keep_begin(r->session, r->entry, d) : session_keep(r->session, r->entry, d));
        if (shelf_entry_info(r->entry)->tokens > at) TRY(session_attach(r->session, r->entry, total, &at, d)); /* what follows was there */
    }
    return shelf_finish(r->entry, d);
}

static bool on_index(void *arg, int64_t done, int64_t total)
{
    (void)done;
    (void)total;
    reading *r = arg;
    return tell(r, READ_TEXT, session_count(r->session));
}

static cj_err make_index(reading *r, cj_diag *d)
{
    char *path;
    TRY(shelf_entry_file(r->entry, FINDER_INDEX, &path, d));
    const bool there = r->was_complete && file_exists(path); /* what asks makes a damaged one again */
    cj_err e = there ? CJ_OK : finder_index_make(&r->book, path, on_index, r, d);
    mem_free(path);
    return e;
}

static cj_err run(reading *r, document *const *docs, int n_docs, cj_diag *d)
{
    TRY(prepare(r, docs, n_docs, d));
    TRY(open_entry(r, d));
    TRY(read_on(r, d));
    TRY(make_index(r, d));
    const shelf_info *info = shelf_entry_info(r->entry);
    r->out->tokens = info->tokens;
    r->out->characters = info->characters;
    r->out->bytes = info->bytes;
    return CJ_OK;
}

cj_err read_documents(engine *e, shelf *s, document *const *docs, int n_docs, const read_options *opt, read_result *out, cj_diag *d)
{
    reading r = {.e = e, .shelf = s, .opt = opt, .out = out, .start = clock_now()};
    *out = (read_result){0};
    r.old_wish = shelf_is_paused(s, opt->name);
    cj_err err = run(&r, docs, n_docs, d);
    out->seconds = clock_now() - r.start;
    if (!err) shelf_unpause(s, opt->name); /* too late */
    const shelf_info *info = r.entry ? shelf_entry_info(r.entry) : NULL;
    if (err == CJ_E_CANCELLED && out->paused)
        err = diag_fail(d, CJ_E_CANCELLED, MSG_READ_PAUSED, "%s" ARG "%d", opt->name, info ? (int)(100 * info->tokens / info->tokens_total) : 0);
    session_close(&r.session);
    shelf_entry_close(&r.entry);
    book_deinit(&r.book);
    mem_free(r.cuts);
    return err;
}
