/* Files of needles and of LongBench: refused with a sentence, or questions whose places lie in the text. */
#include <assert.h>
#include <string.h>

#include "eval/longbench.h"
#include "eval/needles.h"
#include "eval/score.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_task(eval_task *t)
{
    cj_diag d = {0};
    for (int i = 0; i < t->n_questions; i++) {
        const eval_question *q = &t->question[i];
        double score = -1;
        for (int p = 0; p < q->n_places; p++) assert(q->place[p].byte <= q->place[p].end && q->place[p].end <= t->text.len);
        assert(!score_answer(q, q->text, strlen(q->text), &score, &d) && score >= 0 && score <= 1);
    }
    task_deinit(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char haystack[] = "山中有庙。庙里有井。井边有树。树上有鸟。鸟在唱歌。歌声很好听。听的人很多。多得坐不下。下面还有人。人都不走。";
    needle_set s;
    longbench l = {0};
    eval_task t;
    cj_diag d = {0};
    if (needles_parse(&s, "x", (const char *)data, size, &d)) assert(d.code < 0);
    else {
        needles_options o = {.chars = 50, .seed = size, .distractors = true};
        if (!needles_task(&t, &s, haystack, sizeof haystack - 1, &o, &d)) check_task(&t);
        needles_close(&s);
    }
    if (longbench_parse(&l, "x", (const char *)data, size, &d)) assert(d.code < 0);
    for (int i = 0; i < l.n; i++)
        if (!longbench_task(&t, &l, i, &d)) check_task(&t);
    longbench_close(&l);
    return 0;
}
