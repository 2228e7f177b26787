/* Answers, from what was found and directly. */
#include "reader/steps.h"

#include "reader/asker.h"

/* Ends what was asked; its answer goes to `answer` unless there was an error. */
static cj_err end(asker *a, cj_err e, buf *answer, cj_diag *d)
{
    if (!e && a->out->answer.len) e = buf_append(answer, a->out->answer.data, a->out->answer.len, d);
    asker_end(a);
    ask_deinit(a->out);
    return e;
}

cj_err steps_answer(engine *e, const book *b, const int64_t *best, int n, const char *question, const ask_options *opt, buf *answer, cj_diag *d)
{
    ask_result result;
    const search_source source = {.book = b};
    asker a = asker_begin(e, &source, 1, question, opt, &result);
    a.phase = ASK_ANSWERING;
    for (; a.n_found < n && a.n_found < FINDER_FOUND_MAX; a.n_found++) a.found[a.n_found] = (found_passage){.passage = best[a.n_found]};
    cj_err err = session_open(&a.close, a.writer, 0, d);
    if (!err) err = ask_answer_found(&a, d);
    return end(&a, err, answer, d);
}

cj_err steps_direct(engine *e, const book *b, shelf_entry *entry, const char *question, const ask_options *opt, buf *answer, cj_diag *d)
{
    ask_result result;
    const search_source source = {b, entry};
    asker a = asker_begin(e, &source, 1, question, opt, &result);
    a.phase = ASK_ANSWERING;
    return end(&a, ask_answer_directly(&a, d), answer, d);
}
