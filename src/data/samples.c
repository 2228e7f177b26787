/* Rows to tokens. */
#include "data/samples.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "data/qa_form.h"
#include "data/samples_inner.h"

enum { DOCUMENTS_FEW = 10 }; /* with fewer of them passages are held out, not documents */

/* ---- growing ---- */

cj_err sample_put(sample_work *w, const int32_t *ids, size_t n, bool scored, cj_diag *d)
{
    sample_set *s = w->set;
    if (s->n_tokens + (int64_t)n > s->tokens_cap) {
        int64_t cap = i64_max(2 * s->tokens_cap, s->n_tokens + (int64_t)n + 4096);
        int32_t *tokens = mem_grow(s->tokens, (size_t)s->n_tokens * sizeof *tokens, (size_t)cap * sizeof *tokens);
        if (tokens) s->tokens = tokens;
        uint8_t *marks = tokens ? mem_grow(s->scored, (size_t)s->n_tokens, (size_t)cap) : NULL;
        if (!marks) return diag_nomem(d, (size_t)cap * sizeof *tokens);
        s->scored = marks;
        s->tokens_cap = cap;
    }
    memcpy(s->tokens + s->n_tokens, ids, n * sizeof *ids);
    memset(s->scored + s->n_tokens, scored, n);
    s->n_tokens += (int64_t)n;
    return CJ_OK;
}

cj_err sample_end(sample_work *w, const sample *one, cj_diag *d)
{
    sample_set *s = w->set;
    if (s->n == s->cap) {
        int64_t cap = s->cap ? 2 * s->cap : 256;
        sample *more = mem_grow(s->sample, (size_t)s->n * sizeof *more, (size_t)cap * sizeof *more);
        if (!more) return diag_nomem(d, (size_t)cap * sizeof *more);
        s->sample = more;
        s->cap = cap;
    }
    s->sample[s->n] = *one;
    s->sample[s->n++].n = s->n_tokens - one->first;
    return CJ_OK;
}

/* ---- questions ---- */

/* Encodes one piece into w->list, which is emptied first. */
static cj_err encode(sample_work *w, bool first, const char *text, size_t n, cj_diag *d)
{
    w->list.count = 0;
    return qa_encode(w->tokenizer, first, text, n, &w->list, d);
}

/* The tokens in w->list that cover the quote, `text` being what they spell. */
static void find_aim(const sample_work *w, const char *text, const char *quote, sample *s)
{
    const char *at = *quote ? strstr(text, quote) : NULL;
    if (!at) return;
    size_t byte = (size_t)(at - text), end = byte + strlen(quote);
    for (size_t i = 0; i < w->list.count; i++) {
        token_span span = w->list.spans[i];
        if (span.start == span.end || span.end <= byte || span.start >= end) continue;
        if (s->aim == s->aim_end) s->aim = (int32_t)i;
        s->aim_end = (int32_t)i + 1;
    }
}

/* The passage as a prefix of its own or, with `whole`, in the sample. *fits: it is not too long. */
static cj_err put_passage(sample_work *w, const training_row *row, sample *s, bool *fits, cj_diag *d)
{
    const training_passage *p = &w->rows->passage[row->passage];
    sample_prefix *prefix = &w->set->prefix[row->passage];
    TRY(encode(w, true, p->text, p->bytes, d));
    *fits = (int64_t)w->list.count <= w->opt->prefix_tokens;
    find_aim(w, p->text, row->quote, s);
    if (!*fits || (prefix->n && !w->opt->whole)) return CJ_OK;
    int64_t first = w->set->n_tokens;
    TRY(sample_put(w, w->list.ids, w->list.count, false, d));
    if (!w->opt->whole) {
        *prefix = (sample_prefix){first, (int64_t)w->list.count};
        s->first = w->set->n_tokens;
    }
    return CJ_OK;
}

/* The end of an answer: a token, or an empty line where there is none. */
static cj_err put_end(sample_work *w, cj_diag *d)
{
    int32_t end = qa_end_token(w->tokenizer);
    if (end >= 0) return sample_put(w, &end, 1, true, d);
    TRY(encode(w, false, "\n\n", 2, d));
    return sample_put(w, w->list.ids, w->list.count, true, d);
}

static cj_err put_question(sample_work *w, const training_row *row, bool first, cj_diag *d)
{
    buf text;
    buf_init(&text, 4 * ROWS_FIELD_MAX);
    cj_err e = qa_put_question(&text, row->question, d);
    size_t skip = first && !e ? strspn(text.data, "\n") : 0;
    if (!e) e = encode(w, first, text.data + skip, text.len - skip, d);
    if (!e) e = sample_put(w, w->list.ids, w->list.count, false, d);
    buf_clear(&text);
    if (!e) e = qa_put_answer(&text, row->question, row->quote, row->answer, d);
    if (!e) e = encode(w, false, text.data, text.len, d);
    if (!e) e = sample_put(w, w->list.ids, w->list.count, true, d);
    buf_deinit(&text);
    return e ? e : put_end(w, d);
}

static cj_err question_sample(sample_work *w, int64_t i, cj_diag *d)
{
    const training_row *row = &w->rows->row[i];
    sample s = {.row = i, .first = w->set->n_tokens};
    bool fits = true;
    if (row->passage >= 0) TRY(put_passage(w, row, &s, &fits, d));
    if (fits) {
        TRY(put_question(w, row, row->passage < 0, d));
        if (w->set->n_tokens - s.first <= w->opt->sample_tokens) return sample_end(w, &s, d);
    }
    w->set->too_long++;
    w->set->n_tokens = s.first;
    return CJ_OK;
}

/* ---- plain text ---- */

static cj_err text_samples(sample_work *w, int64_t i, cj_diag *d)
{
    const char *text = w->rows->row[i].text;
    const int32_t eos = tokenizer_specials(w->tokenizer)->eos;
    TRY(encode(w, true, text, strlen(text), d));
    if (eos >= 0) TRY(token_list_push(&w->list, eos, strlen(text), strlen(text), d));
    const int64_t n = (int64_t)w->list.count, piece = w->opt->sample_tokens;
    for (int64_t at = 0; at + 1 < n; at += piece) {
        sample s = {.row = i, .first = w->set->n_tokens};
        TRY(sample_put(w, w->list.ids + at, (size_t)i64_min(piece, n - at), true, d));
        w->set->scored[s.first] = 0;
        if (w->set->n_tokens - s.first > 1) TRY(sample_end(w, &s, d));
    }
    return CJ_OK;
}

static cj_err make_one(sample_work *w, int64_t i, cj_diag *d)
{
    const training_row *row = &w->rows->row[i];
    bool alone = row->form == ROW_QUESTION && row->passage < 0;
    if (row->form == ROW_TEXT) return text_samples(w, i, d);
    if (row->form == ROW_MESSAGES || (alone && w->opt->chat_template)) return sample_conversation(w, i, d);
    return question_sample(w, i, d);
}

/* ---- groups ---- */

typedef struct place { /* where a sample belongs: with the first one of its passage, in the order of the rows */
    int64_t key, index;
} place;

static int by_place(const void *a, const void *b)
{
    const place *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int64_t passage_of(const sample_work *w, const sample *s) { return w->opt->whole ? -1 : w->rows->row[s->row].passage; }

/* Puts the samples of a passage side by side. */
static cj_err gather(sample_work *w, cj_diag *d)
{
    sample_set *s = w->set;
    place *order = mem_array((size_t)s->n, sizeof *order);
    sample *sorted = mem_array((size_t)s->n, sizeof *sorted);
    int64_t *first = mem_array((size_t)w->rows->n_passages + 1, sizeof *first); /* sample + 1 */
    bool good = order && sorted && first;
    for (int64_t i = 0; good && i < s->n; i++) {
        int64_t p = passage_of(w, &s->sample[i]);
        if (p >= 0 && !first[p]) first[p] = i + 1;
        order[i] = (place){p >= 0 ? first[p] - 1 : i, i};
    }
    if (good) qsort(order, (size_t)s->n, sizeof *order, by_place);
    for (int64_t i = 0; good && i < s->n; i++) sorted[i] = s->sample[order[i].index];
    mem_free(order);
    mem_free(first);
    if (!good) {
        mem_free(sorted);
        return diag_nomem(d, (size_t)s->n * (sizeof *order + sizeof *sorted));
    }
    mem_free(s->sample);
    s->sample = sorted;
    s->cap = s->n;
    return CJ_OK;
}

static cj_err group_them(sample_work *w, cj_diag *d)
{
    sample_set *s = w->set;
    s->group = mem_array((size_t)s->n, sizeof *s->group);
    if (!s->group) return diag_nomem(d, (size_t)s->n * sizeof *s->group);
    for (int64_t i = 0; i < s->n; i++) {
        int64_t passage = passage_of(w, &s->sample[i]);
        sample_group *g = s->n_groups ? &s->group[s->n_groups - 1] : NULL;
        if (!g || passage < 0 || g->passage != passage || g->tokens + s->sample[i].n > w->opt->group_tokens) {
            g = &s->group[s->n_groups++];
            *g = (sample_group){.passage = passage, .first = i};
        }
        g->n++;
        g->tokens += s->sample[i].n;
    }
    return CJ_OK;
}

/* ---- what is held out ---- */

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* What a group is held out by, drawn from its document or passage: the smallest ones are. */
static uint64_t lot(const sample_work *w, const sample_group *g, bool by_document)
{
    const training_row *row = &w->rows->row[w->set->sample[g->first].row];
    random_state r = {by_document || row->passage < 0 ? row->document : w->rows->passage[row->passage].hash};
    return random_bits(&r);
}

static int64_t distinct(const uint64_t *sorted, int64_t n)
{
    int64_t many = n > 0;
    for (int64_t i = 1; i < n; i++) many += sorted[i] != sorted[i - 1];
    return many;
}

/* The lots below the one that is returned are held out: the wanted share of them, at least one, not all. */
static uint64_t draw_line(uint64_t *lots, int64_t n, double share)
{
    qsort(lots, (size_t)n, sizeof *lots, by_value);
    int64_t kinds = distinct(lots, n), want = (int64_t)(share * (double)kinds + 0.5), seen = 0;
    if (kinds < 2) return 0;
    want = i64_max(1, i64_min(want, kinds - 1));
    for (int64_t i = 0; i < n; i++) {
        if (i && lots[i] == lots[i - 1]) continue;
        if (seen++ == want) return lots[i];
    }
    return 0;
}

static cj_err hold_out(sample_work *w, cj_diag *d)
{
    sample_set *s = w->set;
    if (w->opt->held <= 0 || !s->n_groups) return CJ_OK;
    uint64_t *lots = mem_array((size_t)s->n_groups, sizeof *lots);
    if (!lots) return diag_nomem(d, (size_t)s->n_groups * sizeof *lots);
    bool by_document = true;
    for (int64_t i = 0; i < s->n_groups; i++) lots[i] = lot(w, &s->group[i], true);
    qsort(lots, (size_t)s->n_groups, sizeof *lots, by_value);
    if (distinct(lots, s->n_groups) < DOCUMENTS_FEW) {
        by_document = false;
        for (int64_t i = 0; i < s->n_groups; i++) lots[i] = lot(w, &s->group[i], false);
    }
    uint64_t line = draw_line(lots, s->n_groups, w->opt->held);
    for (int64_t i = 0; i < s->n_groups; i++) s->group[i].held = lot(w, &s->group[i], by_document) < line;
    mem_free(lots);
    return CJ_OK;
}

/* ---- */

static cj_err make(sample_work *w, cj_diag *d)
{
    sample_set *s = w->set;
    s->prefix = mem_array((size_t)w->rows->n_passages, sizeof *s->prefix);
    if (!s->prefix) return diag_nomem(d, (size_t)w->rows->n_passages * sizeof *s->prefix);
    for (int64_t i = 0; i < w->rows->n; i++) TRY(make_one(w, i, d));
    if (!s->n)
        return diag_fail(d, CJ_E_INPUT, MSG_DATA_NO_SAMPLES, "%lld" ARG "%lld" ARG "%lld", (long long)w->rows->n, (long long)s->too_long, (long long)s->no_template);
    TRY(gather(w, d));
    TRY(group_them(w, d));
    TRY(hold_out(w, d));
    for (int64_t i = 0; i < s->n; i++)
        for (int64_t k = 1; k < s->sample[i].n; k++) s->scored_tokens += s->scored[s->sample[i].first + k];
    return CJ_OK;
}

cj_err samples_make(sample_set *out, const training_rows *rows, const tokenizer *t, const sample_options *opt, cj_diag *d)
{
    sample_work w = {.set = out, .rows = rows, .tokenizer = t, .opt = opt};
    *out = (sample_set){0};
    token_list_init(&w.list);
    cj_err e = make(&w, d);
    token_list_deinit(&w.list);
    return e;
}

void samples_deinit(sample_set *s)
{
    mem_free(s->tokens);
    mem_free(s->scored);
    mem_free(s->sample);
    mem_free(s->group);
    mem_free(s->prefix);
    *s = (sample_set){0};
}
