/* Finding by reading: which sentences do the words of the question look at? */
#include "base/clock.h"
#include "base/utf8.h"
#include "reader/asker.h"

cj_err ask_make_prompt(asker *a, prompt_maker *make, const char *question, cj_diag *d)
{
    prompt_deinit(&a->prompt);
    return make(&a->prompt, a->e, a->sources->book->text.data, a->sources->book->text.len, question, d);
}

/* A text that is too long is refused, never cut: says by how much, and how much of it would go in. */
static cj_err check_length(const asker *a, cj_diag *d)
{
    const prompt *p = &a->prompt;
    int64_t n = (int64_t)p->tokens.count, context = session_context(a->session), over = n - context;
    if (over <= 0) return CJ_OK;
    int64_t fits = p->text_end - over;
    size_t bytes = fits > p->text ? p->tokens.spans[fits - 1].end : 0;
    int64_t chars = (int64_t)utf8_count(a->sources->book->text.data, bytes);
    chars -= chars / 50 + 1; /* cut there, its last words may be other tokens */
    if (chars < 1) return diag_fail(d, CJ_E_LIMIT, MSG_ASK_NO_ROOM, "%lld" ARG "%lld" ARG "%lld", (long long)n, (long long)context, (long long)over);
    return diag_fail(d, CJ_E_LIMIT, MSG_ASK_TOO_LONG, "%lld" ARG "%lld" ARG "%lld" ARG "%lld" ARG "%lld", (long long)n, (long long)over,
                     (long long)context, (long long)utf8_count(a->sources->book->text.data, a->sources->book->text.len),
                     (long long)chars);
}

/* What is looked at: mass[head * parts + part], the attention of a part of the tokens [from, end) to every token. */
typedef struct gaze {
    float *mass[SESSION_PROBES_MAX];
    int parts;
} gaze;

static void gaze_deinit(gaze *g)
{
    for (int i = 0; i < SESSION_PROBES_MAX; i++) mem_free(g->mass[i]);
}

/* Reads a->prompt into the session while the finding heads are watched, tokens [from, end) in g->parts parts. */
static cj_err look(asker *a, ask_step_kind kind, model_want want, int64_t from, int64_t end, gaze *g, cj_diag *d)
{
    session_probe probes[SESSION_PROBES_MAX];
    int64_t n = (int64_t)a->prompt.tokens.count, reused = 0;
    int n_probes = a->n_heads * g->parts;
    TRY(check_length(a, d));
    for (int i = 0; i < n_probes; i++) {
        finder_head h = a->heads[i / g->parts];
        int part = i % g->parts;
        g->mass[i] = mem_array((size_t)n, sizeof *g->mass[i]);
        if (!g->mass[i]) return diag_nomem(d, (size_t)n * sizeof *g->mass[i]);
        probes[i] = (session_probe){.layer = h.layer, .head = h.head, .from = from + (end - from) * part / g->parts,
                                    .end = from + (end - from) * (part + 1) / g->parts, .mass = g->mass[i]};
    }
    session_call call = {.want = want, .on_progress = ask_progress, .arg = a, .probes = probes, .n_probes = n_probes};
    double start = clock_now();
    TRY(session_eval(a->session, a->prompt.tokens.ids, n, &call, &reused, d));
    ask_note(a, (ask_step){.kind = kind, .from = reused, .tokens = n - reused, .heads = a->n_heads, .logits = want != WANT_NONE, .seconds = clock_now() - start});
    return CJ_OK;
}

static find_text text_of(const asker *a)
{
    const prompt *p = &a->prompt;
    return (find_text){p->tokens.spans, p->text, p->text_end, a->sources->book->passages.item, a->sources->book->passages.n};
}

/* usual[head][passage]: what a question about nothing looks at: openings, headings, names that are everywhere. */
static cj_err look_idly(asker *a, prompt_maker *make, float *usual, cj_diag *d)
{
    gaze g = {.parts = 1};
    cj_err e = ask_make_prompt(a, make, prompt_neutral_question(a->question), d);
    if (!e) e = look(a, ASK_STEP_READ, WANT_NONE, a->prompt.text_end, (int64_t)a->prompt.tokens.count, &g, d);
    find_text t = text_of(a);
    for (int h = 0; !e && h < a->n_heads; h++) find_share(&t, g.mass[h], usual + h * t.n_passages);
    gaze_deinit(&g);
    return e;
}

/* score[passage]: what the question looks at beyond that. Heads that are known to find are watched word by word; of others, most of which
 * find nothing, only what the whole question looks at is above their noise. */
static cj_err look_asking(asker *a, model_want want, const float *usual, float *share, float *score, cj_diag *d)
{
    int64_t words = a->prompt.words_end - a->prompt.words, most = SESSION_PROBES_MAX / a->n_heads;
    if (words < 1) return diag_fail(d, CJ_E_USAGE, MSG_ASK_EMPTY_QUESTION, "%s", "");
    gaze g = {.parts = a->heads_known ? (int)i64_min(words, most) : 1};
    cj_err e = look(a, ASK_STEP_LOOK, want, a->prompt.words, a->prompt.words_end, &g, d);
    find_text t = text_of(a);
    for (int i = 0; !e && i < a->n_heads * g.parts; i++) {
        find_share(&t, g.mass[i], share);
        find_add(score, share, usual + i / g.parts * t.n_passages, t.n_passages, a->heads[i / g.parts].weight / (float)g.parts, a->heads_known);
    }
    gaze_deinit(&g);
    return e;
}

/* score[passage]: what the question looks at with an adapter that finds. The session and the prompt are then as if it had not been. */
static cj_err look_trained(asker *a, prompt_maker *make, const float *usual, float *share, float *score, cj_diag *d)
{
    if (!a->question[strspn(a->question, " \t\r\n")]) return diag_fail(d, CJ_E_USAGE, MSG_ASK_EMPTY_QUESTION, "%s", "");
    cj_err e = ask_make_prompt(a, prompt_qa, a->question, d);
    if (!e) e = session_set_adapter(a->session, a->opt->finder, a->prompt.text_end, d);
    if (!e) e = look_asking(a, WANT_NONE, usual, share, score, d);
    if (!e) e = session_set_adapter(a->session, NULL, 0, d);
    return e ? e : ask_make_prompt(a, make, a->question, d);
}

static void take_best(asker *a, const float *score)
{
    int64_t best[FINDER_FOUND_MAX];
    a->n_found = find_best(score, a->sources->book->passages.n, best, FINDER_FOUND_MAX);
    for (int i = 0; i < a->n_found; i++) a->found[i] = (found_passage){.passage = best[i], .by = FIND_READING, .reading = score[best[i]]};
}

cj_err ask_read_and_score(asker *a, prompt_maker *make, model_want want, cj_diag *d)
{
    size_t n = (size_t)a->sources->book->passages.n;
    float *shares = mem_array((size_t)a->n_heads + 2, n * sizeof *shares); /* of each head, usually; of a word; the scores */
    if (!shares) return diag_nomem(d, ((size_t)a->n_heads + 2) * n * sizeof *shares);
    float *share = shares + (size_t)a->n_heads * n, *score = share + n;
    cj_err e = CJ_OK;
    if (a->opt->finder) e = look_trained(a, make, shares, share, score, d);
    else {
        e = look_idly(a, make, shares, d);
        if (!e) e = ask_make_prompt(a, make, a->question, d);
        if (!e) e = look_asking(a, want, shares, share, score, d);
    }
    if (!e) take_best(a, score);
    mem_free(shares);
    return e;
}
