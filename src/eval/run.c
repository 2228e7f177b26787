/* The loop over questions. */
#include "eval/run.h"

#include "base/clock.h"
#include "eval/score.h"

enum { FOUND_MAX = TASK_PLACES_MAX * RUN_WIDE, ANSWER_BYTES_MAX = 1 << 20 };

static bool overlap(eval_range a, eval_range b) { return a.byte < b.end && b.byte < a.end; }

/* How many of the question's places overlap one of found[0..n). */
static int hits(const eval_question *q, const eval_range *found, int n)
{
    int count = 0;
    for (int p = 0; p < q->n_places; p++) {
        bool hit = false;
        for (int i = 0; i < n && !hit; i++) hit = overlap(found[i], q->place[p]);
        count += hit;
    }
    return count;
}

static int rank_of(const eval_question *q, const eval_range *found, int n)
{
    for (int i = 0; i < n; i++)
        if (hits(q, found + i, 1)) return i + 1;
    return 0;
}

static cj_err locate(const eval_question *q, const eval_reader *r, eval_range *found, int *n, eval_outcome *o, cj_diag *d)
{
    int most = (q->n_places ? q->n_places : 1) * RUN_WIDE;
    TRY(r->locate(r->arg, q->text, most, found, n, d));
    o->first = hits(q, found, *n < q->n_places ? *n : q->n_places);
    o->among = hits(q, found, *n);
    o->rank = rank_of(q, found, *n);
    return CJ_OK;
}

static cj_err ask(const eval_question *q, const eval_reader *r, eval_range *found, eval_outcome *o, cj_diag *d)
{
    buf answer;
    int n = 0;
    double start = clock_now();
    *o = (eval_outcome){.first = -1, .among = -1, .answered = -1};
    if (r->locate) TRY(locate(q, r, found, &n, o, d));
    if (r->answer) {
        buf_init(&answer, ANSWER_BYTES_MAX);
        cj_err e = r->answer(r->arg, q->text, found, n, &answer, d);
        if (!e) e = score_answer(q, answer.data ? answer.data : "", answer.len, &o->answered, d);
        buf_deinit(&answer);
        TRY(e);
    }
    o->seconds = clock_now() - start;
    return CJ_OK;
}

typedef struct steps {
    eval_progress *on_progress;
    void *arg;
    bool asking;
} steps;

static bool step(void *arg, int64_t done, int64_t total)
{
    const steps *s = arg;
    return !s->on_progress || s->on_progress(s->arg, s->asking, done, total);
}

cj_err eval_run(const eval_task *t, const eval_reader *r, eval_outcome *out, eval_progress *on_progress, void *arg, cj_diag *d)
{
    steps s = {on_progress, arg, false};
    eval_range *found = mem_array(FOUND_MAX, sizeof *found);
    cj_err e = found ? r->open(r->arg, t->text.data, t->text.len, step, &s, d) : diag_nomem(d, FOUND_MAX * sizeof *found);
    s.asking = true;
    for (int i = 0; !e && i < t->n_questions; i++) {
        e = ask(&t->question[i], r, found, &out[i], d);
        if (!e && !step(&s, i + 1, t->n_questions)) e = diag_fail(d, CJ_E_CANCELLED, MSG_CANCELLED, "%s", "");
    }
    mem_free(found);
    return e;
}
