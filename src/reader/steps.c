/* Answers, from what was found and directly. */
#include "reader/steps.h"

#include <string.h>

#include "reader/asker.h"

enum { DIRECT_TOKENS = 64, QUESTION_ROOM = 4096 };

static asker begin(engine *e, const book *b, const char *question, const ask_options *opt, ask_result *result)
{
    *result = (ask_result){0};
    buf_init(&result->answer, 1 << 20);
    return (asker){.e = e, .book = b, .question = question,
                   .opt = opt, .writer = opt->answerer ? opt->answerer : e, .out = result, .phase = ASK_ANSWERING};
}

static void end(asker *a)
{
    session_close(&a->close);
    prompt_deinit(&a->prompt);
    ask_deinit(a->out);
}

cj_err steps_answer(engine *e, const book *b, const int64_t *best, int n, const char *question, const ask_options *opt, buf *answer, cj_diag *d)
{
    ask_result result;
    asker a = begin(e, b, question, opt, &result);
    for (; a.n_found < n && a.n_found < FINDER_FOUND_MAX; a.n_found++) a.found[a.n_found] = (found_passage){.passage = best[a.n_found]};
    cj_err err = session_open(&a.close, a.writer, 0, d);
    if (!err) err = ask_answer_found(&a, d);
    if (!err) err = buf_append(answer, result.answer.data ? result.answer.data : "", result.answer.len, d);
    end(&a);
    return err;
}

/* The book's tokens, then the question's. */
static cj_err write_directly(asker *a, int32_t *ids, int64_t held, buf *answer, cj_diag *d)
{
    const char *const stops[] = {"\n"};
    generate_result r;
    generate_options g = {.sampling = SAMPLER_GREEDY, .max_tokens = a->opt->max_tokens ? a->opt->max_tokens : DIRECT_TOKENS, .stops = stops, .n_stops = 1,
                          .on_progress = ask_progress, .arg = a};
    TRY(prompt_question(&a->prompt, a->e, a->question, d));
    size_t n = a->prompt.tokens.count;
    if (n > QUESTION_ROOM)
        return diag_fail(d, CJ_E_LIMIT, MSG_CONTEXT_FULL, "%zu" ARG "%d" ARG "%zu", n, QUESTION_ROOM, n - QUESTION_ROOM);
    memcpy(ids + held, a->prompt.tokens.ids, n * sizeof *ids);
    return generate(a->close, ids, held + (int64_t)n, &g, answer, &r, d);
}

cj_err steps_direct(engine *e, const book *b, shelf_entry *entry, const char *question, const ask_options *opt, buf *answer, cj_diag *d)
{
    ask_result result;
    asker a = begin(e, b, question, opt, &result);
    const int64_t tokens = shelf_entry_info(entry)->tokens;
    const int64_t room = QUESTION_ROOM + (opt->max_tokens ? opt->max_tokens : DIRECT_TOKENS);
    int64_t held = 0;
    int32_t *ids = mem_array((size_t)(tokens + room), sizeof *ids);
    cj_err err = ids ? CJ_OK : diag_nomem(d, (size_t)(tokens + room) * sizeof *ids);
    if (!err) err = session_open(&a.close, e, tokens + room, d);
    if (!err) err = session_attach(a.close, entry, tokens, &held, d);
    if (!err) memcpy(ids, b->tokens.ids, (size_t)held * sizeof *ids);
    if (!err) err = write_directly(&a, ids, held, answer, d);
    end(&a);
    mem_free(ids);
    return err;
}
