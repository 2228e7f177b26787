/* Outlines. */
#include "reader/outline.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/utf8.h"
#include "engine/generate.h"
#include "reader/prompt.h"

enum { WINDOW_MOST = 3072, ROUND = 192 /* tokens of instruction and template */, LEAST = 256, BLOB_MOST = 1 << 20, VERSION = 2 };

/* ---- chapters ---- */

/* The first token that ends after a byte. */
static int64_t token_at(const book *b, size_t byte)
{
    int64_t lo = 0, hi = (int64_t)b->tokens.count;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (b->tokens.spans[mid].end <= byte) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

/* The first sentence that begins at a byte or after it. */
static int64_t passage_at(const book *b, size_t byte)
{
    int64_t lo = 0, hi = b->passages.n;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (b->passages.item[mid].byte < byte) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

static cj_err add(outline *o, int *cap, int of, int chapter, size_t from, size_t to, cj_diag *d)
{
    const book *b = o->book;
    const document *doc = b->docs[of];
    const size_t base = b->begin[of];
    if (from >= to) return CJ_OK;
    if (o->n == *cap) {
        int more = *cap ? 2 * *cap : 64;
        void *p = mem_grow(o->chapters, (size_t)*cap * sizeof *o->chapters, (size_t)more * sizeof *o->chapters);
        if (!p) return diag_nomem(d, (size_t)more * sizeof *o->chapters);
        o->chapters = p;
        *cap = more;
    }
    outline_chapter c = {.document = of, .chapter = chapter, .byte = base + from, .end = base + to, .start = document_char_at(doc, from),
                         .stop = document_char_at(doc, to)};
    c.token = token_at(b, c.byte);
    c.tokens = token_at(b, c.end - 1) + (c.token < (int64_t)b->tokens.count) - c.token;
    o->chapters[o->n++] = c;
    return CJ_OK;
}

cj_err outline_make(outline *o, const book *b, cj_diag *d)
{
    int cap = 0;
    *o = (outline){.book = b};
    for (int i = 0; i < b->n_docs; i++) {
        const document *doc = b->docs[i];
        int n = document_chapters(doc);
        TRY(add(o, &cap, i, -1, 0, n ? document_chapter_at(doc, 0)->byte : document_bytes(doc), d));
        for (int k = 0; k < n; k++) TRY(add(o, &cap, i, k, document_chapter_at(doc, k)->byte, document_chapter_at(doc, k)->end, d));
    }
    return CJ_OK;
}

void outline_deinit(outline *o)
{
    for (int i = 0; i < o->n; i++) {
        outline_chapter *c = &o->chapters[i];
        for (int k = 0; k < c->n_parts; k++) mem_free(c->parts[k].summary);
        mem_free(c->parts);
        mem_free(c->summary);
    }
    mem_free(o->chapters);
    *o = (outline){0};
}

/* ---- writing ---- */

typedef struct writing {
    outline *o;
    engine *writer;
    session *session;
    shelf_entry *entry;
    const outline_options *opt;
    int64_t room;        /* tokens of a part */
    int64_t done, total; /* tokens of the book */
    int64_t part;        /* of those in the part that is being written */
    bool stopped, unkept; /* unkept: a summary could not be kept, which was told */
} writing;

static bool on_progress(void *arg, int64_t done, int64_t total)
{
    writing *w = arg;
    const int64_t within = total > 0 ? w->part * done / (2 * total) : 0; /* writing takes about as long as reading */
    w->stopped = w->stopped || (w->opt->on_progress && !w->opt->on_progress(w->opt->arg, w->done + within, w->total));
    return !w->stopped;
}

static bool on_piece(void *arg, const generate_piece *p)
{
    (void)p;
    return on_progress(arg, 1, 1);
}

char *outline_tidy(const char *text, size_t n, bool cut)
{
    if (cut) n -= generate_unfinished(text, n);
    const size_t whole = cut ? passages_whole(text, n) : 0;
    if (whole) n = whole;
    while (n && strchr(" \n\r\t", *text)) text++, n--;
    while (n && strchr(" \n\r\t", text[n - 1])) n--;
    return mem_strndup(text, n);
}

static cj_err write_summary(writing *w, const char *text, size_t n, char **out, cj_diag *d)
{
    prompt asked;
    buf words;
    generate_result r = {0};
    generate_options g = {.sampling = SAMPLER_GREEDY, .max_tokens = OUTLINE_TOKENS, .on_piece = on_piece, .on_progress = on_progress, .arg = w};
    g.sampling.repetition = 1.1f;
    buf_init(&words, BLOB_MOST);
    cj_err e = prompt_summary(&asked, w->writer, text, n, d);
    if (!e) e = generate(w->session, asked.tokens.ids, (int64_t)asked.tokens.count, &g, &words, &r, d);
    if (!e && w->stopped) e = diag_fail(d, CJ_E_CANCELLED, MSG_CANCELLED, "%s", "");
    const bool cut = r.end == END_LENGTH || r.end == END_CONTEXT;
    if (!e && !(*out = outline_tidy(words.data ? words.data : "", words.len, cut))) e = diag_nomem(d, words.len);
    buf_deinit(&words);
    prompt_deinit(&asked);
    return e;
}

/* ---- what is kept ---- */

static void blob_kind(const writing *w, int chapter, int part, char kind[SHELF_KIND_MAX + 1])
{
    snprintf(kind, SHELF_KIND_MAX + 1, "outline.%016llx.%d.%d", (unsigned long long)model_fingerprint(engine_model(w->writer)), chapter, part);
}

/* What a summary depends on besides the writer. */
static void text_key(const char *text, size_t n, char key[32]) { snprintf(key, 32, "%d-%016llx", VERSION, (unsigned long long)hash_xxh3(text, n)); }

/* NULL: nothing is kept for this text, or not as it was written. */
static char *kept_summary(const writing *w, const char *kind, const char *key)
{
    buf blob;
    if (shelf_get(w->entry, kind, &blob, NULL)) return NULL;
    char *out = NULL;
    json_object *o = NULL, *of = NULL, *summary = NULL;
    if (blob.len < BLOB_MOST && !json_parse(blob.data, blob.len, kind, &o, NULL) && json_object_object_get_ex(o, "text", &of)
        && json_object_object_get_ex(o, "summary", &summary) && json_object_is_type(of, json_type_string) && json_object_is_type(summary, json_type_string)
        && !strcmp(json_object_get_string(of), key))
        out = mem_strdup(json_object_get_string(summary));
    json_object_put(o);
    buf_deinit(&blob);
    return out;
}

static cj_err keep_summary(const writing *w, const char *kind, const char *key, const char *summary, cj_diag *d)
{
    json_object *o = json_object_new_object(), *of = json_object_new_string(key), *said = json_object_new_string(summary);
    const bool made = o && of && said && !json_object_object_add(o, "text", json_object_get(of)) && !json_object_object_add(o, "summary", json_object_get(said));
    size_t n = 0;
    const char *bytes = made ? json_object_to_json_string_length(o, JSON_C_TO_STRING_PLAIN, &n) : NULL;
    cj_err e = bytes ? shelf_put(w->entry, kind, bytes, n, d) : diag_nomem(d, strlen(summary));
    json_object_put(o);
    json_object_put(of);
    json_object_put(said);
    return e;
}

/* The summary of a text as it was kept, or a new one. One that cannot be kept, on a disk that is read-only or full, serves now all the same. */
static cj_err summarise(writing *w, int chapter, int part, const char *text, size_t n, char **out, cj_diag *d)
{
    char kind[SHELF_KIND_MAX + 1], key[32];
    cj_diag why = {0};
    blob_kind(w, chapter, part, kind);
    text_key(text, n, key);
    if ((*out = kept_summary(w, kind, key))) return CJ_OK;
    TRY(write_summary(w, text, n, out, d));
    cj_err e = keep_summary(w, kind, key, *out, &why);
    if (e == CJ_E_NOMEM && d) *d = why;
    if (!e || e == CJ_E_NOMEM) return e;
    if (!w->unkept && w->opt->on_unkept) w->opt->on_unkept(w->opt->arg, &why);
    w->unkept = true;
    return CJ_OK;
}

/* ---- what a summary rests on ---- */

/* How much of a's pairs of neighbouring characters are in b. */
static double shared(const char *a, size_t n, const char *b, size_t m)
{
    int pairs = 0, found = 0;
    uint32_t cp;
    for (size_t i = 0; i < n;) {
        size_t one = (size_t)utf8_decode(a + i, n - i, &cp);
        size_t two = i + one < n ? (size_t)utf8_decode(a + i + one, n - i - one, &cp) : 0;
        if (two && !strchr(" \n,.", a[i])) {
            pairs++;
            found += memmem(b, m, a + i, one + two) != NULL;
        }
        i += one;
    }
    return pairs ? (double)found / pairs : 0;
}

/* The sentence of the part that shares most with bytes of its summary, if it shares enough. */
static void add_quote(const outline *o, const outline_chapter *c, outline_part *p, const char *said, size_t n)
{
    const double enough = 0.35;
    const passage_list *l = &o->book->passages;
    const passage *best = NULL;
    double most = enough;
    for (int64_t i = passage_at(o->book, p->byte); i < l->n && l->item[i].end <= p->end; i++) {
        const passage *x = &l->item[i];
        double s = shared(said, n, o->book->text.data + x->byte, x->end - x->byte);
        if (s > most) most = s, best = x;
    }
    for (int i = 0; best && i < p->n_quotes; i++)
        if (p->quotes[i].byte == best->byte) return;
    if (!best) return;
    const size_t base = o->book->begin[c->document];
    const document *doc = o->book->docs[c->document];
    p->quotes[p->n_quotes++] = (outline_quote){best->byte, best->end, document_char_at(doc, best->byte - base), document_char_at(doc, best->end - base)};
}

static cj_err add_quotes(const outline *o, const outline_chapter *c, outline_part *p, cj_diag *d)
{
    passage_list said = {0};
    cj_err e = passages_cut(p->summary, strlen(p->summary), &said, d);
    for (int64_t i = 0; !e && i < said.n && p->n_quotes < OUTLINE_QUOTES; i++)
        add_quote(o, c, p, p->summary + said.item[i].byte, said.item[i].end - said.item[i].byte);
    passages_deinit(&said);
    return e;
}

/* ---- parts ---- */

static cj_err add_part(const outline *o, outline_chapter *c, size_t from, size_t to, cj_diag *d)
{
    void *p = mem_grow(c->parts, (size_t)c->n_parts * sizeof *c->parts, (size_t)(c->n_parts + 1) * sizeof *c->parts);
    if (!p) return diag_nomem(d, sizeof *c->parts);
    c->parts = p;
    const size_t base = o->book->begin[c->document];
    const document *doc = o->book->docs[c->document];
    c->parts[c->n_parts++] = (outline_part){.byte = from, .end = to, .start = document_char_at(doc, from - base), .stop = document_char_at(doc, to - base)};
    return CJ_OK;
}

/* Cuts a chapter between sentences into parts of at most `room` tokens of the writer. */
static cj_err cut_parts(const writing *w, outline_chapter *c, cj_diag *d)
{
    const book *b = w->o->book;
    const tokenizer *t;
    token_list ids;
    TRY(engine_need_tokenizer(w->writer, &t, d));
    token_list_init(&ids);
    cj_err e = tokenizer_encode(t, b->text.data + c->byte, c->end - c->byte, TOKEN_VERBATIM, &ids, d);
    size_t from = c->byte, until = c->byte; /* a part so far */
    int64_t first = 0, token = 0;
    for (int64_t i = passage_at(b, c->byte); !e && i < b->passages.n && b->passages.item[i].end <= c->end; i++) {
        const passage *x = &b->passages.item[i];
        while (token < (int64_t)ids.count && c->byte + ids.spans[token].start < x->end) token++;
        if (token - first > w->room && until > from) {
            e = add_part(w->o, c, from, until, d);
            from = x->byte;
            while (first < (int64_t)ids.count && c->byte + ids.spans[first].end <= from) first++;
        }
        until = x->end;
    }
    if (!e && until > from) e = add_part(w->o, c, from, until, d);
    token_list_deinit(&ids);
    return e;
}

/* Joins texts[0..n), and frees them, into their one summary. */
static cj_err join(writing *w, int chapter, int part, char **texts, int n, char **out, cj_diag *d)
{
    buf all;
    buf_init(&all, BLOB_MOST);
    cj_err e = CJ_OK;
    for (int k = 0; k < n; k++) {
        if (!e) e = buf_printf(&all, d, "%s\n", texts[k]);
        mem_free(texts[k]);
        texts[k] = NULL;
    }
    if (!e) e = summarise(w, chapter, part, all.data, all.len, out, d);
    buf_deinit(&all);
    return e;
}

/* Round by round, as many summaries at once as fit, until one is left. Its blobs are numbered on after those of the parts. */
static cj_err join_rounds(writing *w, int i, char **left, int n, cj_diag *d)
{
    const int fit = (int)i64_max(2, w->room / (OUTLINE_TOKENS + 1));
    for (int part = n; n > 1;) {
        int joined = 0;
        for (int at = 0, count; at < n; at += count) {
            count = (int)i64_min(fit, n - at);
            char *one = count > 1 ? NULL : left[at];
            cj_err e = count > 1 ? join(w, i, part++, left + at, count, &one, d) : CJ_OK;
            left[at] = NULL;
            left[joined++] = one;
            TRY(e);
        }
        n = joined;
    }
    return CJ_OK;
}

static cj_err join_parts(writing *w, int i, cj_diag *d)
{
    outline_chapter *c = &w->o->chapters[i];
    char **left = mem_array((size_t)c->n_parts, sizeof *left);
    cj_err e = left ? CJ_OK : diag_nomem(d, (size_t)c->n_parts * sizeof *left);
    for (int k = 0; !e && k < c->n_parts; k++)
        if (!(left[k] = mem_strdup(c->parts[k].summary))) e = diag_nomem(d, strlen(c->parts[k].summary));
    if (!e) e = join_rounds(w, i, left, c->n_parts, d);
    if (!e) {
        c->summary = left[0];
        left[0] = NULL;
    }
    for (int k = 0; left && k < c->n_parts; k++) mem_free(left[k]);
    mem_free(left);
    return e;
}

static cj_err do_chapter(writing *w, int i, cj_diag *d)
{
    outline_chapter *c = &w->o->chapters[i];
    const char *text = w->o->book->text.data;
    const int64_t before = w->done;
    TRY(cut_parts(w, c, d));
    for (int k = 0; k < c->n_parts; k++) {
        outline_part *p = &c->parts[k];
        w->part = c->tokens / c->n_parts;
        TRY(summarise(w, i, k, text + p->byte, p->end - p->byte, &p->summary, d));
        TRY(add_quotes(w->o, c, p, d));
        w->done = before + c->tokens * (k + 1) / c->n_parts;
        w->part = 0;
        if (!on_progress(w, 0, 0)) return diag_fail(d, CJ_E_CANCELLED, MSG_CANCELLED, "%s", "");
    }
    if (c->n_parts) TRY(join_parts(w, i, d));
    w->done = before + c->tokens;
    if (w->opt->on_chapter) w->opt->on_chapter(w->opt->arg, c);
    return CJ_OK;
}

cj_err outline_summarise(outline *o, engine *writer, shelf_entry *e, const outline_options *opt, cj_diag *d)
{
    writing w = {.o = o, .writer = writer, .entry = e, .opt = opt};
    const int64_t window = i64_min(model_spec_of(engine_model(writer))->context, WINDOW_MOST);
    w.room = window - OUTLINE_TOKENS - ROUND;
    if (w.room < LEAST) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_OUTLINE_WINDOW, "%s", model_path(engine_model(writer)));
    for (int i = 0; i < o->n; i++) w.total += o->chapters[i].tokens;
    cj_err err = session_open(&w.session, writer, 0, d);
    for (int i = 0; !err && i < o->n; i++) err = do_chapter(&w, i, d);
    session_close(&w.session);
    return err;
}
