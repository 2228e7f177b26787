/* Calibrating. Two rounds of questions: in the first all heads are watched, as many at a time as there is room for, and only the place of the right passage is kept;
 * in the second the best of them, whose scores are then added up in many ways (choose). */
#include "reader/calibrate.h"

#include <stdlib.h>
#include <string.h>

typedef struct calibrating {
    engine *e;
    const book *book;
    const calibrate_fact *facts;
    int n_facts;
    const calibrate_options *opt;
    calibration *out;
    finder *finder;
    int64_t *right, *right_end; /* [facts] */
    float *score;               /* [heads watched][passages] of a question */
    bool asking;
    int64_t asked, to_ask;
} calibrating;

static bool on_progress(void *arg, int64_t done, int64_t total)
{
    const calibrating *c = arg;
    if (!c->opt->on_progress) return true;
    return c->asking ? c->opt->on_progress(c->opt->arg, true, c->asked, c->to_ask) : c->opt->on_progress(c->opt->arg, false, done, total);
}

/* The passages that overlap a fact. */
static void place_facts(calibrating *c)
{
    const passage_list *l = &c->book->passages;
    for (int i = 0; i < c->n_facts; i++) {
        int64_t p = 0;
        while (p < l->n && l->item[p].end <= c->facts[i].byte) p++;
        c->right[i] = p;
        while (p < l->n && l->item[p].byte < c->facts[i].end) p++;
        c->right_end[i] = p;
    }
}

/* Asks everything while heads [n] are watched; `take` is given the scores of each question. */
typedef void score_taker(void *arg, int question, const float *score);

static cj_err ask_all(calibrating *c, const finder_head *heads, int n, score_taker *take, void *arg, cj_diag *d)
{
    TRY(finder_watch(c->finder, heads, n, d));
    for (int q = 0; q < c->n_facts * CALIBRATE_WAYS; q++) {
        TRY(finder_score_each(c->finder, c->facts[q / CALIBRATE_WAYS].question[q % CALIBRATE_WAYS], c->score, d));
        take(arg, q, c->score);
        c->asked++;
    }
    return CJ_OK;
}

/* ---- the first round ---- */

typedef struct first_round {
    calibrating *c;
    int first, n; /* heads of the result that are watched */
} first_round;

static void take_place(void *arg, int q, const float *score)
{
    const first_round *r = arg;
    const int64_t n = r->c->book->passages.n;
    const int fact = q / CALIBRATE_WAYS;
    for (int h = 0; h < r->n; h++)
        calibrate_count(&r->c->out->heads[r->first + h].alone, q % CALIBRATE_WAYS, calibrate_place(score + h * n, n, r->c->right[fact], r->c->right_end[fact]));
}

static int by_value(const void *a, const void *b)
{
    const calibrate_head *x = a, *y = b;
    const double vx = calibrate_value(&x->alone), vy = calibrate_value(&y->alone);
    if (vx < vy || vx > vy) return vx > vy ? -1 : 1;
    return x->layer != y->layer ? y->layer - x->layer : x->head - y->head;
}

static cj_err look_at_all(calibrating *c, cj_diag *d)
{
    finder_head heads[FINDER_HEADS_MAX];
    calibration *out = c->out;
    for (int from = 0, n; from < out->n_heads; from += n) {
        n = finder_all_heads(c->e, from, heads);
        for (int i = 0; i < n; i++) out->heads[from + i] = (calibrate_head){.layer = heads[i].layer, .head = heads[i].head};
        TRY(ask_all(c, heads, n, take_place, &(first_round){c, from, n}, d));
    }
    qsort(out->heads, (size_t)out->n_heads, sizeof *out->heads, by_value);
    return CJ_OK;
}

/* ---- the second ---- */

typedef struct second_round {
    float *score; /* [questions][heads][passages] */
    size_t one;   /* heads * passages */
} second_round;

static void take_score(void *arg, int q, const float *score)
{
    const second_round *r = arg;
    memcpy(r->score + (size_t)q * r->one, score, r->one * sizeof *score);
}

/* Each half of the facts is asked with what the other half chose. */
static cj_err check_unseen(const calibrate_scores *s, calibrate_figures *out, cj_diag *d)
{
    for (calibrate_half of = CALIBRATE_EVEN; of <= CALIBRATE_ODD; of++) {
        calibrate_pick picks[CALIBRATE_CHOSEN_MAX];
        int n;
        TRY(calibrate_choose(s, of, picks, &n, d));
        TRY(calibrate_check(s, of == CALIBRATE_EVEN ? CALIBRATE_ODD : CALIBRATE_EVEN, picks, n, out, d));
    }
    return CJ_OK;
}

static cj_err choose_set(const calibrate_scores *s, const calibrate_head *heads, calibrate_set *out, cj_diag *d)
{
    calibrate_pick picks[CALIBRATE_CHOSEN_MAX];
    TRY(calibrate_choose(s, CALIBRATE_WHOLE, picks, &out->n, d));
    TRY(calibrate_check(s, CALIBRATE_WHOLE, picks, out->n, &out->figures, d));
    for (int i = 0; i < out->n; i++) out->item[i] = (finder_head){heads[picks[i].head].layer, heads[picks[i].head].head, picks[i].weight};
    return CJ_OK;
}

static cj_err choose_best(calibrating *c, cj_diag *d)
{
    calibration *out = c->out;
    const int n = out->n_heads < CALIBRATE_CANDIDATES ? out->n_heads : CALIBRATE_CANDIDATES;
    finder_head heads[CALIBRATE_CANDIDATES];
    for (int i = 0; i < n; i++) heads[i] = (finder_head){out->heads[i].layer, out->heads[i].head, 1};
    second_round r = {.one = (size_t)n * (size_t)c->book->passages.n};
    r.score = mem_array((size_t)(c->n_facts * CALIBRATE_WAYS), r.one * sizeof *r.score);
    if (!r.score) return diag_nomem(d, (size_t)(c->n_facts * CALIBRATE_WAYS) * r.one * sizeof *r.score);
    cj_err e = ask_all(c, heads, n, take_score, &r, d);
    const calibrate_scores s = {r.score, c->right, c->right_end, c->n_facts, n, c->book->passages.n};
    if (!e) e = choose_set(&s, out->heads, &out->chosen, d);
    if (!e) e = check_unseen(&s, &out->unseen, d);
    mem_free(r.score);
    return e;
}

/* ---- both ---- */

static int count_heads(const engine *e)
{
    finder_head heads[FINDER_HEADS_MAX];
    int count = 0, n;
    while ((n = finder_all_heads(e, count, heads))) count += n;
    return count;
}

static cj_err run(calibrating *c, cj_diag *d)
{
    const size_t n = (size_t)c->n_facts, watched = (size_t)i64_min(c->out->n_heads, FINDER_HEADS_MAX) * (size_t)c->book->passages.n;
    const finder_options opt = {.how = FIND_READING, .on_progress = on_progress, .arg = c};
    c->out->heads = mem_array((size_t)c->out->n_heads, sizeof *c->out->heads);
    c->right = mem_array(n, sizeof *c->right);
    c->right_end = mem_array(n, sizeof *c->right_end);
    c->score = mem_array(watched, sizeof *c->score);
    if (!c->out->heads || !c->right || !c->right_end || !c->score) return diag_nomem(d, watched * sizeof *c->score);
    place_facts(c);
    TRY(finder_open(&c->finder, c->e, c->book, NULL, &opt, d));
    c->asking = true;
    c->to_ask = (i64_ceil_div(c->out->n_heads, FINDER_HEADS_MAX) + 1) * c->n_facts * CALIBRATE_WAYS;
    TRY(look_at_all(c, d));
    return choose_best(c, d);
}

cj_err calibrate(calibration *out, engine *e, const book *b, const calibrate_fact *facts, int n, const calibrate_options *opt, cj_diag *d)
{
    calibrating c = {.e = e, .book = b, .facts = facts, .n_facts = n, .opt = opt, .out = out};
    *out = (calibration){.n_heads = count_heads(e)};
    if (!out->n_heads) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_CALIBRATE_NO_HEADS, "%s", model_path(engine_model(e)));
    if (n < CALIBRATE_FACTS_MIN) return diag_fail(d, CJ_E_INPUT, MSG_CALIBRATE_FEW, "%d" ARG "%d", n, CALIBRATE_FACTS_MIN);
    cj_err err = run(&c, d);
    finder_close(&c.finder);
    mem_free(c.right);
    mem_free(c.right_end);
    mem_free(c.score);
    return err;
}

void calibration_deinit(calibration *c)
{
    mem_free(c->heads);
    *c = (calibration){0};
}
