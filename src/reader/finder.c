/* Finding in a book that was read. */
#include "reader/finder.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "reader/find.h"
#include "reader/prompt.h"
#include "reader/usual.h"
#include "shelf/text_index.h"

enum {
    BIN = 8,              /* attention is added up over so many tokens: about half a sentence ... */
    SHORT = 4096,         /* ... but in a book of fewer tokens each by itself */
    WORDS_MAX = 128,      /* of a question that are watched one by one ... */
    MASS_MAX = 1 << 26,   /* ... as long as that takes no more numbers than these */
    WIDE = 4,             /* of each way so many times as many passages as wanted are brought together */
};

struct finder {
    engine *e;
    const book *book;
    shelf_entry *entry;
    const finder_options *opt;
    finder_head heads[FINDER_HEADS_MAX];
    int n_heads;
    bool heads_known;
    session *session;
    int32_t *ids;            /* [count + FINDER_QUESTION_MAX] the book, then the question */
    int64_t count;           /* tokens of the book that were read */
    int64_t whole;           /* passages that were read to their end */
    float *usual;            /* [heads][passages] what a question about nothing looks at ... */
    const char *usual_for;   /* ... this one; NULL: none yet */
    float *share, *sum;      /* [passages]; those after `whole` have none */
    float *score;            /* of a question: sum, or [heads][passages] when each head is ... */
    bool each;               /* ... asked for by itself */
    text_index *index;
    bool unindexed;          /* it was wanted, and could not be had */
};

/* ---- heads ---- */

int finder_all_heads(const engine *e, int from, finder_head out[FINDER_HEADS_MAX])
{
    const model_spec *m = model_spec_of(engine_model(e));
    int n = 0;
    for (int l = m->n_layers - 1; l >= 0; l--)
        for (int h = 0; !m->layers[l].gqa.window && h < m->layers[l].gqa.heads && n < FINDER_HEADS_MAX; h++)
            if (--from < 0) out[n++] = (finder_head){l, h, 1};
    return n;
}

/* LAYER.HEAD[*WEIGHT] ... */
static int read_heads(const char *at, finder_head out[FINDER_HEADS_MAX])
{
    int n = 0, used = 0;
    finder_head h;
    for (; n < FINDER_HEADS_MAX && sscanf(at, "%9d.%9d%n", &h.layer, &h.head, &used) == 2; n++) {
        at += used;
        h.weight = 1;
        if (sscanf(at, "*%9f%n", &h.weight, &used) == 1) at += used;
        out[n] = h;
    }
    return n;
}

static int choose_heads(const engine *e, const finder_head *heads, int n_heads, finder_head out[FINDER_HEADS_MAX], bool *known)
{
    const model_spec *m = model_spec_of(engine_model(e));
    float sum = 0;
    int n = 0;
    for (int i = 0; i < n_heads && n < FINDER_HEADS_MAX; i++) {
        finder_head h = heads[i];
        if (h.layer >= 0 && h.layer < m->n_layers && h.head >= 0 && h.head < m->layers[h.layer].gqa.heads && h.weight > 0) out[n++] = h;
    }
    *known = n > 0;
    if (!n) n = finder_all_heads(e, 0, out);
    for (int i = 0; i < n; i++) sum += out[i].weight;
    for (int i = 0; i < n; i++) out[i].weight /= sum;
    return n;
}

int finder_choose_heads(const engine *e, const finder_options *opt, finder_head out[FINDER_HEADS_MAX], bool *known)
{
    finder_head trained[FINDER_HEADS_MAX];
    const int n = opt->adapter ? read_heads(engine_adapter_facts(opt->adapter)->heads, trained) : 0;
    return n ? choose_heads(e, trained, n, out, known) : choose_heads(e, opt->heads, opt->n_heads, out, known);
}

/* ---- opening ---- */

/* The session holds the book: from the entry, or read now. */
static cj_err take_book(finder *f, cj_diag *d)
{
    const token_list *t = &f->book->tokens;
    f->count = f->entry ? shelf_entry_info(f->entry)->tokens : (int64_t)t->count;
    TRY(session_open(&f->session, f->e, f->count + FINDER_QUESTION_MAX, d));
    session_set_keep(f->session, f->opt->keep);
    if (f->entry) {
        TRY(session_attach(f->session, f->entry, f->count, &f->count, d));
        if (!f->count) return diag_fail(d, CJ_E_INPUT, MSG_ASK_NOTHING_READ, "%s", shelf_entry_info(f->entry)->name);
    } else {
        session_call call = {.on_progress = f->opt->on_progress, .arg = f->opt->arg};
        TRY(session_eval(f->session, t->ids, f->count, &call, NULL, d));
    }
    f->ids = mem_array((size_t)(f->count + FINDER_QUESTION_MAX), sizeof *f->ids);
    if (!f->ids) return diag_nomem(d, (size_t)(f->count + FINDER_QUESTION_MAX) * sizeof *f->ids);
    memcpy(f->ids, t->ids, (size_t)f->count * sizeof *f->ids);
    TRY(session_set_adapter(f->session, f->opt->adapter, f->count, d));
    const passage_list *l = &f->book->passages;
    while (f->whole < l->n && l->item[f->whole].end <= t->spans[f->count - 1].end) f->whole++;
    return CJ_OK;
}

cj_err finder_index_make(const book *b, const char *path, bool (*on_progress)(void *arg, int64_t done, int64_t total), void *arg, cj_diag *d)
{
    const passage_list *l = &b->passages;
    text_range *ranges = mem_array((size_t)l->n, sizeof *ranges);
    if (!ranges) return diag_nomem(d, (size_t)l->n * sizeof *ranges);
    for (int64_t i = 0; i < l->n; i++) ranges[i] = (text_range){l->item[i].byte, l->item[i].end};
    cj_err e = text_index_build(path, b->text.data, b->text.len, ranges, l->n, on_progress, arg, d);
    mem_free(ranges);
    return e;
}

/* An index that is not there, or damaged, is made again. */
static cj_err open_index(finder *f, const char *path, cj_diag *d)
{
    const book *b = f->book;
    cj_err e = text_index_open(&f->index, path, b->text.len, NULL);
    if (!e && text_index_passages(f->index) == b->passages.n) return CJ_OK;
    text_index_close(&f->index);
    TRY(finder_index_make(b, path, f->opt->on_progress, f->opt->arg, d));
    return text_index_open(&f->index, path, b->text.len, d);
}

static cj_err open_own_index(finder *f, cj_diag *d)
{
    char *path;
    TRY(shelf_entry_file(f->entry, FINDER_INDEX, &path, d));
    cj_err e = open_index(f, path, d);
    mem_free(path);
    return e;
}

/* Beside reading an index is not needed: a disk that is full or cannot be written costs it, not the answer. */
static cj_err take_index(finder *f, bool reads, cj_diag *d)
{
    if (!f->opt->index && !f->entry) return CJ_OK;
    cj_err e = f->opt->index ? open_index(f, f->opt->index, d) : open_own_index(f, d);
    if (!e || !reads || e == CJ_E_NOMEM || e == CJ_E_CANCELLED) return e;
    f->unindexed = true;
    return CJ_OK;
}

static bool by(const finder *f, int way) { return (f->opt->how ? f->opt->how : FIND_BOTH) & way; }

static cj_err make_usual(finder *f, cj_diag *d)
{
    const size_t n = (size_t)f->n_heads * (size_t)f->book->passages.n;
    mem_free(f->usual);
    f->usual_for = NULL;
    f->usual = mem_array(n, sizeof *f->usual);
    return f->usual ? CJ_OK : diag_nomem(d, n * sizeof *f->usual);
}

cj_err finder_watch(finder *f, const finder_head *heads, int n_heads, cj_diag *d)
{
    f->n_heads = choose_heads(f->e, heads, n_heads, f->heads, &f->heads_known);
    return make_usual(f, d);
}

static cj_err open_finder(finder *f, cj_diag *d)
{
    const size_t n = (size_t)f->book->passages.n;
    f->sum = mem_array(n, sizeof *f->sum);
    f->share = mem_array(n, sizeof *f->share);
    if (!f->sum || !f->share) return diag_nomem(d, 2 * n * sizeof *f->sum);
    f->n_heads = finder_choose_heads(f->e, f->opt, f->heads, &f->heads_known);
    TRY(make_usual(f, d));
    const bool reads = by(f, FIND_READING) && f->n_heads;
    if (by(f, FIND_INDEX)) TRY(take_index(f, reads, d));
    if (by(f, FIND_READING) && !reads && !f->index) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_ASK_NO_HEADS, "%s", model_path(engine_model(f->e)));
    return reads ? take_book(f, d) : CJ_OK;
}

cj_err finder_open(finder **out, engine *e, const book *b, shelf_entry *entry, const finder_options *opt, cj_diag *d)
{
    finder *f = mem_zalloc(sizeof *f);
    if (!f) return diag_nomem(d, sizeof *f);
    *f = (finder){.e = e, .book = b, .entry = entry, .opt = opt};
    cj_err err = open_finder(f, d);
    if (err) finder_close(&f);
    *out = f;
    return err;
}

void finder_close(finder **pf)
{
    finder *f = *pf;
    if (!f) return;
    session_close(&f->session);
    text_index_close(&f->index);
    mem_free(f->ids);
    mem_free(f->usual);
    mem_free(f->sum);
    mem_free(f->share);
    mem_free(f);
    *pf = NULL;
}

/* ---- by reading ---- */

/* Puts the question after the book: its own tokens, or those an adapter acts on, are [*words, *end). */
static cj_err put_question(finder *f, const char *question, int64_t *words, int64_t *end, cj_diag *d)
{
    prompt p;
    cj_err e = f->opt->adapter ? prompt_qa(&p, f->e, NULL, 0, question, d) : prompt_question(&p, f->e, question, d);
    int64_t n = (int64_t)p.tokens.count;
    if (!e && (p.words_end == p.words || !question[strspn(question, " \t\r\n")])) e = diag_fail(d, CJ_E_USAGE, MSG_ASK_EMPTY_QUESTION, "%s", "");
    if (!e && n > FINDER_QUESTION_MAX)
        e = diag_fail(d, CJ_E_LIMIT, MSG_ASK_QUESTION_LONG, "%lld" ARG "%d" ARG "%lld", (long long)n, FINDER_QUESTION_MAX, (long long)(n - FINDER_QUESTION_MAX));
    if (!e) {
        memcpy(f->ids + f->count, p.tokens.ids, (size_t)p.words_end * sizeof *f->ids);
        *words = f->count + p.words;
        *end = f->count + p.words_end;
    }
    prompt_deinit(&p);
    return e;
}

/* What a share does to the scores or to what is usual. */
typedef void share_taker(finder *f, int head, int64_t words);

/* Reads the question and gives f->share of each head and word to `take`. */
static cj_err look(finder *f, const char *question, share_taker *take, finder_look *seen, cj_diag *d)
{
    int64_t from, end, reused = 0;
    TRY(put_question(f, question, &from, &end, d));
    const int64_t bin = f->count < SHORT ? 1 : BIN, bins = i64_ceil_div(end, bin);
    int64_t words = end - from;
    /* of heads that are not known to find, or of a very long question, only what all words look at is taken */
    if (!f->heads_known || words > WORDS_MAX || f->n_heads * words * bins > MASS_MAX) words = 1;
    float *mass = mem_array((size_t)(f->n_heads * words), (size_t)bins * sizeof *mass);
    if (!mass) return diag_nomem(d, (size_t)(f->n_heads * words * bins) * sizeof *mass);
    session_probe probes[SESSION_PROBES_MAX];
    for (int h = 0; h < f->n_heads; h++)
        probes[h] = (session_probe){.layer = f->heads[h].layer, .head = f->heads[h].head, .from = from, .end = end, .bin = bin, .ld = words > 1 ? bins : 0, .mass = mass + h * words * bins};
    session_call call = {.on_progress = f->opt->on_progress, .arg = f->opt->arg, .probes = probes, .n_probes = f->n_heads};
    double start = clock_now();
    cj_err e = session_eval(f->session, f->ids, end, &call, &reused, d);
    const int64_t first = f->book->tokens.spans[0].end ? 0 : 1; /* not the begin token */
    /* a last bin that the book shares with the question is left out: what the question looks at of itself is no attention to the book */
    const find_text text = {f->book->tokens.spans, first, f->count - f->count % bin, f->book->passages.item, f->whole};
    for (int64_t i = 0; !e && i < f->n_heads * words; i++) {
        find_share_bins(&text, mass + i * bins, bin, f->share);
        take(f, (int)(i / words), words);
    }
    mem_free(mass);
    *seen = (finder_look){.from = reused, .tokens = end - reused, .seconds = clock_now() - start};
    return e;
}

/* The mean over the words. */
static void take_usual(finder *f, int head, int64_t words)
{
    float *usual = f->usual + head * f->book->passages.n;
    for (int64_t i = 0; i < f->book->passages.n; i++) usual[i] += f->share[i] / (float)words;
}

static void take_score(finder *f, int head, int64_t words)
{
    const int64_t n = f->book->passages.n;
    const float weight = f->each ? 1 : f->heads[head].weight;
    find_add(f->score + (f->each ? head * n : 0), f->share, f->usual + head * n, n, weight / (float)words, f->heads_known);
}

/* What makes a kept usual look ours. */
static usual_key key_of(const finder *f, const char *neutral)
{
    const shelf_info *info = shelf_entry_info(f->entry);
    const passage_list *l = &f->book->passages;
    return (usual_key){.model = info->model, .mode = info->mode, .keep = (uint64_t)f->opt->keep, .tokens = (uint64_t)f->count, .passages = (uint64_t)l->n,
                       .ids = hash_xxh3(f->ids, (size_t)f->count * sizeof *f->ids), .cuts = hash_xxh3(l->item, (size_t)l->n * sizeof *l->item),
                       .heads = hash_xxh3(f->heads, (size_t)f->n_heads * sizeof *f->heads), .question = hash_xxh3(neutral, strlen(neutral))};
}

/* mem_free it; NULL: nowhere to keep anything. */
static char *usual_path(const finder *f, const usual_key *key)
{
    char kind[32], *path = NULL;
    snprintf(kind, sizeof kind, "usual.%016llx", (unsigned long long)(key->question ^ key->heads));
    return shelf_entry_file(f->entry, kind, &path, NULL) ? NULL : path;
}

/* Fills f->usual: from what the entry keeps, else by asking about nothing. A file that cannot be kept costs time, not the answer. */
static cj_err find_usual(finder *f, const char *neutral, finder_look *seen, cj_diag *d)
{
    const size_t n = (size_t)f->n_heads * (size_t)f->book->passages.n;
    const usual_key key = f->entry ? key_of(f, neutral) : (usual_key){0};
    char *path = f->entry ? usual_path(f, &key) : NULL;
    f->usual_for = NULL;
    cj_err e = CJ_OK;
    if (!path || !usual_load(path, &key, f->usual, n)) {
        memset(f->usual, 0, n * sizeof *f->usual);
        e = look(f, neutral, take_usual, seen, d);
        if (!e && path) usual_save(path, &key, f->usual, n);
    }
    if (!e) f->usual_for = neutral;
    mem_free(path);
    return e;
}

/* Fills score, of all heads together or of each. What is usual is found once for each language; heads that were trained do not look there, so nothing is. */
static cj_err score_by_reading(finder *f, const char *question, float *score, bool each, finder_cost *cost, cj_diag *d)
{
    const char *neutral = prompt_neutral_question(question);
    if (!f->opt->adapter && f->usual_for != neutral) TRY(find_usual(f, neutral, &cost->neutral, d));
    memset(score, 0, (size_t)(f->book->passages.n * (each ? f->n_heads : 1)) * sizeof *score);
    f->score = score;
    f->each = each;
    return look(f, question, take_score, &cost->question, d);
}

cj_err finder_score_each(finder *f, const char *question, float *score, cj_diag *d)
{
    finder_cost cost = {0};
    return score_by_reading(f, question, score, true, &cost, d);
}

/* ---- both ---- */

static void propose(found_passage *list, int *n, int64_t which, int way, float score)
{
    int i = 0;
    while (i < *n && list[i].passage != which) i++;
    if (i == *n) list[(*n)++] = (found_passage){.passage = which};
    list[i].by |= way;
    *(way == FIND_READING ? &list[i].reading : &list[i].index) = score;
}

void finder_rank(found_passage *list, int n)
{
    float most = 0;
    for (int i = 0; i < n; i++) most = list[i].reading > most ? list[i].reading : most;
    for (int i = 0; i < n; i++) list[i].merit = list[i].index + (most > 0 ? list[i].reading / most : 0);
    for (int i = 1; i < n; i++) { /* insertion: equals stay in their order */
        found_passage p = list[i];
        int at = i;
        for (; at > 0 && p.merit > list[at - 1].merit; at--) list[at] = list[at - 1];
        list[at] = p;
    }
}

cj_err finder_find(finder *f, const char *question, found_passage *out, int most, int *n, finder_cost *cost, cj_diag *d)
{
    enum { EACH_MAX = FINDER_FOUND_MAX * WIDE };
    found_passage list[2 * EACH_MAX];
    finder_cost spent = {.book = f->count, .heads = f->session ? f->n_heads : 0, .unindexed = f->unindexed};
    const int each = (int)i64_min(most, FINDER_FOUND_MAX) * WIDE;
    int count = 0, hits = 0;
    if (f->session) {
        int64_t best[EACH_MAX];
        TRY(score_by_reading(f, question, f->sum, false, &spent, d));
        int found = find_best(f->sum, f->book->passages.n, best, each);
        for (int i = 0; i < found; i++)
            if (f->sum[best[i]] > 0) propose(list, &count, best[i], FIND_READING, f->sum[best[i]]);
    }
    if (f->index) {
        text_hit hit[EACH_MAX];
        double start = clock_now();
        TRY(text_index_find(f->index, question, hit, each, &hits, d));
        for (int i = 0; i < hits; i++)
            if (hit[i].passage < f->book->passages.n) propose(list, &count, hit[i].passage, FIND_INDEX, hit[i].score);
        spent.indexed = text_index_passages(f->index);
        spent.index_seconds = clock_now() - start;
    }
    finder_rank(list, count);
    *n = (int)i64_min(count, i64_min(most, FINDER_FOUND_MAX));
    memcpy(out, list, (size_t)*n * sizeof *out);
    if (cost) *cost = spent;
    return CJ_OK;
}
