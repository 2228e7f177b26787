/* What an evaluation asks about. */
#include "eval/suite.h"

#include <string.h>

#include "base/utf8.h"
#include "document/document.h"

static const struct {
    const char *name, *protocol;
} kinds[SUITE_KINDS] = {
    [SUITE_NEEDLE] = {"needle",
                      "Facts planted at the ends of sentences, spread over the text's depth, each asked for in its own words (words), in other words "
                      "(other) and two at once (pair). Located first: as many passages as the question has facts, best first, hold them all; "
                      "located: three times as many do. Intervals: Wilson, 95%."},
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
    for (int i = 0; i < o->n_lengths; i++) s->chars += o->repeat * o->length[i];
    return CJ_OK;
}

cj_err suite_open(suite *s, const suite_options *opt, cj_diag *d)
{
    *s = (suite){.opt = *opt};
    buf_init(&s->haystack, DOCUMENT_BYTES_MAX);
    TRY(count_texts(s, d));
    return needles_open(&s->needles, opt->needles, d);
}

void suite_close(suite *s)
{
    buf_deinit(&s->haystack);
    needles_close(&s->needles);
    *s = (suite){0};
}

cj_err suite_make(const suite *s, int i, eval_task *t, int64_t *length, cj_diag *d)
{
    const suite_options *o = &s->opt;
    uint64_t seed = o->seed + (uint64_t)(i / o->n_lengths);
    *length = o->length[i % o->n_lengths];
    needles_options n = {.chars = *length, .seed = seed, .depth = o->depth, .n_depths = o->n_depths, .distractors = !o->alone};
    return needles_task(t, &s->needles, s->haystack.data, s->haystack.len, &n, d);
}
