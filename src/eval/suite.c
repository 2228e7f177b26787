/* What an evaluation asks about. */
#include "eval/suite.h"

#include <string.h>

#include "base/utf8.h"
#include "document/document.h"
#include "eval/ruler.h"

#define INTERVALS " Intervals: Wilson, 95%; of answers by drawing questions again."
#define EACH "Every place counts by itself: located first are those among as many passages as there are places, best first; located, among three times as many."

static const struct {
    const char *name, *protocol;
} kinds[SUITE_KINDS] = {
    [SUITE_NEEDLE] = {"needle",
                      "Facts planted at the ends of sentences, spread over the text's depth, each asked for in its own words (words), in other words "
                      "(other) and two at once (pair). Located first: as many passages as the question has facts, best first, hold them all; "
                      "located: three times as many do." INTERVALS},
    [SUITE_STARS] = {"stars",
                     "Stars planted at even depths, all asked for in one question, in order of the text; recount: each after a wrong number. " EACH
                     " Answered: the longest run of numbers in the right order, as a share of all." INTERVALS},
    [SUITE_RULER] = {"ruler",
                     "One of 32 facts of the same form (keys), chains of five names for a value (tracking), how often something happened (counting), in one "
                     "text. Of tracking and counting: " EACH INTERVALS},
    [SUITE_LONGBENCH] = {"longbench",
                         "LongBench's Chinese tasks, the text of each taken from its prompt. Located where the answer is a numbered paragraph or stands in "
                         "the text letter for letter: by the first passage, and by one of three. Answered: F1 (multifieldqa_zh) and ROUGE-L (dureader, vcsum) "
                         "of letters, not words; the right number or class. Length: the mean of a task's texts." INTERVALS},
};

const char *suite_name(suite_kind k) { return kinds[k].name; }
const char *suite_protocol(suite_kind k) { return kinds[k].protocol; }

bool suite_named(const char *name, suite_kind *k)
{
    for (int i = 0; i < SUITE_KINDS; i++)
        if (strcmp(name, kinds[i].name) == 0) {
            *k = (suite_kind)i;
            return true;
        }
    return false;
}

static cj_err add_file(suite *s, const char *path, cj_diag *d)
{
    document *doc = NULL;
    TRY(document_open(&doc, path, d));
    cj_err e = s->haystack.len ? buf_puts(&s->haystack, "\n\n", d) : CJ_OK;
    if (!e) e = buf_append(&s->haystack, document_text(doc), document_bytes(doc), d);
    document_close(&doc);
    return e;
}

/* Texts of all lengths once, then again with the next seed. */
static cj_err count_texts(suite *s, cj_diag *d)
{
    suite_options *o = &s->opt;
    if (!o->n_texts) return diag_fail(d, CJ_E_USAGE, MSG_EVAL_NO_TEXT, "%s", suite_name(o->kind));
    for (int i = 0; i < o->n_texts; i++) TRY(add_file(s, o->text[i], d));
    s->haystack_chars = (int64_t)utf8_count(s->haystack.data, s->haystack.len);
    if (!o->n_lengths) o->length[o->n_lengths++] = s->haystack_chars;
    s->n = (int)o->repeat * o->n_lengths;
    return CJ_OK;
}

static cj_err count_longbench(suite *s, cj_diag *d)
{
    if (!s->opt.data) return diag_fail(d, CJ_E_USAGE, MSG_EVAL_NO_DATA, "%s", suite_name(s->opt.kind));
    TRY(longbench_open(&s->longbench, s->opt.data, d));
    s->n = s->longbench.n;
    return CJ_OK;
}

cj_err suite_open(suite *s, const suite_options *opt, cj_diag *d)
{
    *s = (suite){.opt = *opt};
    buf_init(&s->haystack, DOCUMENT_BYTES_MAX);
    if (opt->kind == SUITE_LONGBENCH) return count_longbench(s, d);
    TRY(count_texts(s, d));
    if (opt->kind == SUITE_NEEDLE) return needles_open(&s->needles, opt->needles, d);
    if (opt->kind != SUITE_STARS) return CJ_OK;
    s->n *= 2; /* with and without a wrong number before */
    return opt->data ? stars_read(&s->counts, (int)opt->stars, opt->data, d) : CJ_OK;
}

void suite_close(suite *s)
{
    buf_deinit(&s->haystack);
    needles_close(&s->needles);
    longbench_close(&s->longbench);
    *s = (suite){0};
}

static cj_err make_stars(const suite *s, bool recount, uint64_t seed, eval_task *t, int64_t chars, cj_diag *d)
{
    star_counts drawn;
    const star_counts *counts = &s->counts;
    if (!s->opt.data) {
        stars_draw(&drawn, (int)s->opt.stars, seed);
        counts = &drawn;
    }
    return stars_task(t, counts, recount, s->haystack.data, s->haystack.len, chars, d);
}

cj_err suite_make(const suite *s, int i, eval_task *t, int64_t *length, cj_diag *d)
{
    const suite_options *o = &s->opt;
    if (o->kind == SUITE_LONGBENCH) {
        *length = longbench_length(&s->longbench, i);
        return longbench_task(t, &s->longbench, i, d);
    }
    int half = s->n / 2;
    bool recount = o->kind == SUITE_STARS && i >= half;
    i -= recount ? half : 0;
    uint64_t seed = o->seed + (uint64_t)(i / o->n_lengths);
    *length = o->length[i % o->n_lengths];
    if (o->kind == SUITE_STARS) return make_stars(s, recount, seed, t, *length, d);
    if (o->kind == SUITE_RULER) return ruler_task(t, s->haystack.data, s->haystack.len, *length, seed, d);
    needles_options n = {.chars = *length, .seed = seed, .depth = o->depth, .n_depths = o->n_depths, .distractors = !o->alone};
    return needles_task(t, &s->needles, s->haystack.data, s->haystack.len, &n, d);
}
