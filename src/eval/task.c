/* Tasks own what they ask. */
#include "eval/task.h"

#include <string.h>

enum { MEMORY_MAX = 1 << 26 };
#define TEXT_BYTES_MAX ((size_t)1 << 30)

void task_init(eval_task *t)
{
    *t = (eval_task){0};
    buf_init(&t->text, TEXT_BYTES_MAX);
    arena_init(&t->memory, MEMORY_MAX);
}

void task_deinit(eval_task *t)
{
    buf_deinit(&t->text);
    arena_deinit(&t->memory);
    mem_free(t->question);
    *t = (eval_task){0};
}

static cj_err make_room(eval_task *t, cj_diag *d)
{
    if (t->n_questions == TASK_QUESTIONS_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "questions", TASK_QUESTIONS_MAX);
    if (t->n_questions & (t->n_questions - 1)) return CJ_OK; /* grows at powers of two */
    size_t size = sizeof *t->question, n = (size_t)t->n_questions;
    eval_question *grown = mem_grow(t->question, n * size, (n ? 2 * n : 1) * size);
    if (!grown) return diag_nomem(d, 2 * n * size);
    t->question = grown;
    return CJ_OK;
}

cj_err task_add(eval_task *t, const eval_question *q, cj_diag *d)
{
    eval_question own = *q;
    if (q->n_places > TASK_PLACES_MAX || q->n_answers > TASK_ANSWERS_MAX)
        return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "places or answers of a question", TASK_PLACES_MAX);
    TRY(make_room(t, d));
    const char **answer = arena_alloc(&t->memory, (size_t)q->n_answers * sizeof *answer);
    eval_range *place = arena_alloc(&t->memory, (size_t)q->n_places * sizeof *place);
    own.text = arena_strndup(&t->memory, q->text, strlen(q->text));
    if (!answer || !place || !own.text) return diag_nomem(d, t->memory.used);
    for (int i = 0; i < q->n_answers; i++) {
        answer[i] = arena_strndup(&t->memory, q->answer[i], strlen(q->answer[i]));
        if (!answer[i]) return diag_nomem(d, t->memory.used);
    }
    if (q->n_places) memcpy(place, q->place, (size_t)q->n_places * sizeof *place);
    own.answer = answer;
    own.place = place;
    own.depth = q->n_places && t->text.len ? (float)q->place[0].byte / (float)t->text.len : 0;
    t->question[t->n_questions++] = own;
    return CJ_OK;
}
