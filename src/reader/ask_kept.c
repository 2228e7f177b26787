/* Finding in a book that was read before: only the tokens of the questions are computed, over the pages of the entry. */
#include <string.h>

#include "base/clock.h"
#include "reader/asker.h"

enum {
    QUESTION_ROOM = 4096, /* tokens a question may take */
    BIN = 8,              /* attention is added up over so many tokens: about half a sentence */
};

/* The timeline with a question after the book. */
typedef struct timeline {
    int32_t *ids;
    int64_t book, words, end; /* tokens of the book; the question's own are [words, end) */
} timeline;

static cj_err open_timeline(asker *a, timeline *t, cj_diag *d)
{
    const shelf_info *info = shelf_entry_info(a->entry);
    TRY(session_open(&a->far, a->e, info->tokens + QUESTION_ROOM, d));
    session_set_keep(a->far, ENGINE_KEEP); /* however it was read */
    TRY(session_attach(a->far, a->entry, info->tokens, &t->book, d));
    if (!t->book) return diag_fail(d, CJ_E_INPUT, MSG_ASK_NOTHING_READ, "%s", info->name);
    t->ids = mem_array((size_t)(t->book + QUESTION_ROOM), sizeof *t->ids);
    if (!t->ids) return diag_nomem(d, (size_t)(t->book + QUESTION_ROOM) * sizeof *t->ids);
    memcpy(t->ids, a->book->tokens.ids, (size_t)t->book * sizeof *t->ids);
    return CJ_OK;
}

static cj_err put_question(const asker *a, timeline *t, const char *question, cj_diag *d)
{
    prompt p;
    cj_err e = prompt_question(&p, a->e, question, d);
    int64_t n = (int64_t)p.tokens.count;
    if (!e && p.words_end == p.words) e = diag_fail(d, CJ_E_USAGE, MSG_ASK_EMPTY_QUESTION, "%s", "");
    if (!e && n > QUESTION_ROOM) e = diag_fail(d, CJ_E_LIMIT, MSG_CONTEXT_FULL, "%lld" ARG "%d" ARG "%lld", (long long)n, QUESTION_ROOM, (long long)(n - QUESTION_ROOM));
    if (!e) {
        memcpy(t->ids + t->book, p.tokens.ids, (size_t)p.words_end * sizeof *t->ids);
        t->words = t->book + p.words;
        t->end = t->book + p.words_end;
    }
    prompt_deinit(&p);
    return e;
}

/* What each word of the question looks at: calls add(row) for head h with the shares of the passages. */
typedef void share_taker(asker *a, int head, int64_t words, const float *share, float *usual);

static cj_err look(asker *a, timeline *t, const char *question, share_taker *take, float *usual, cj_diag *d)
{
    TRY(put_question(a, t, question, d));
    const int64_t words = t->end - t->words, bins = i64_ceil_div(t->end, BIN), passages = a->book->passages.n;
    float *mass = mem_array((size_t)(a->n_heads * words * bins), sizeof *mass), *share = mem_array((size_t)passages, sizeof *share);
    cj_err e = mass && share ? CJ_OK : diag_nomem(d, (size_t)(a->n_heads * words * bins) * sizeof *mass);
    session_probe probes[SESSION_PROBES_MAX];
    for (int h = 0; h < a->n_heads; h++)
        probes[h] = (session_probe){.layer = a->heads[h].layer, .head = a->heads[h].head, .from = t->words, .end = t->end, .bin = BIN, .ld = bins,
                                    .mass = mass + h * words * bins};
    session_call call = {.on_progress = ask_progress, .arg = a, .probes = probes, .n_probes = a->n_heads};
    int64_t reused = 0;
    double start = clock_now();
    if (!e) e = session_eval(a->far, t->ids, t->end, &call, &reused, d);
    if (!e) ask_count_read(a, reused, t->end, false, clock_now() - start);
    const find_text text = {a->book->tokens.spans, 1, t->book, a->book->passages.item, passages};
    for (int64_t i = 0; !e && i < a->n_heads * words; i++) {
        find_share_bins(&text, mass + i * bins, BIN, share);
        take(a, (int)(i / words), words, share, usual + i / words * passages);
    }
    mem_free(mass);
    mem_free(share);
    return e;
}

/* usual = the mean over the words. */
static void take_usual(asker *a, int head, int64_t words, const float *share, float *usual)
{
    (void)head;
    for (int64_t i = 0; i < a->book->passages.n; i++) usual[i] += share[i] / (float)words;
}

static void take_score(asker *a, int head, int64_t words, const float *share, float *usual)
{
    (void)head;
    find_add(a->score, share, usual, a->book->passages.n, 1 / (float)(a->n_heads * words), a->heads_known);
}

cj_err ask_kept_and_score(asker *a, cj_diag *d)
{
    size_t n = (size_t)a->n_heads * (size_t)a->book->passages.n;
    timeline t = {0};
    float *usual = mem_array(n, sizeof *usual);
    cj_err e = usual ? open_timeline(a, &t, d) : diag_nomem(d, n * sizeof *usual);
    if (!e) e = look(a, &t, prompt_neutral_question(a->question), take_usual, usual, d);
    if (!e) e = look(a, &t, a->question, take_score, usual, d);
    mem_free(t.ids);
    mem_free(usual);
    return e;
}
