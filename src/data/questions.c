/* Questions from a document: passages, which questions are taken, and those that another passage cannot answer. */
#include "data/questions.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/utf8.h"
#include "data/qa_form.h"
#include "data/question_kinds.h"

enum {
    SEEDS_MAX = 4096, KEPT = 256, KEPT_MARKS = 4, /* questions remembered for other passages */
    NAMES_SHORT = 2, NAMES_LONG = 3, LONG_TEXT = 100000 /* how often a name is said in a text of so many bytes */
};

static const char *const kind_names[QUESTION_KINDS] = {"hidden", "asked", "said", "where", "next", "absent"};

const char *question_kind_name(question_kind k) { return kind_names[k]; }

/* An answered question, to be asked of another passage. */
typedef struct kept_question {
    char *text;
    uint64_t mark[KEPT_MARKS]; /* hashes of the names and numbers in what it was made of */
    int n_marks;
    char *quote;
    int64_t passage;
} kept_question;

typedef struct range_list {
    size_t (*item)[2]; /* [n] bytes of passages */
    int64_t n, cap;
} range_list;

typedef struct maker {
    training_rows *rows;
    questions_count *count;
    const char *document, *text;
    questions_options opt;
    random_state random;
    name_table names;
    range_list passages;
    passage_view *view;
    question_seed *seeds;
    kept_question kept[KEPT];
    int64_t n_kept; /* ever: the last KEPT of them are there */
    int64_t passage;
    double owed; /* of questions without an answer */
} maker;

/* ---- passages ---- */

static cj_err push_range(range_list *l, size_t begin, size_t end, cj_diag *d)
{
    if (l->n == l->cap) {
        int64_t cap = l->cap ? 2 * l->cap : 256;
        void *more = mem_grow(l->item, (size_t)l->n * sizeof *l->item, (size_t)cap * sizeof *l->item);
        if (!more) return diag_nomem(d, (size_t)cap * sizeof *l->item);
        l->item = more;
        l->cap = cap;
    }
    l->item[l->n][0] = begin;
    l->item[l->n++][1] = end;
    return CJ_OK;
}

static bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

static cj_err end_passage(maker *m, size_t begin, size_t end, cj_diag *d)
{
    while (begin < end && is_blank(m->text[begin])) begin++;
    while (end > begin && is_blank(m->text[end - 1])) end--;
    return end > begin && utf8_count(m->text + begin, end - begin) >= QUESTIONS_PASSAGE_MIN ? push_range(&m->passages, begin, end, d) : CJ_OK;
}

static int64_t draw_length(maker *m) { return m->opt.passage_min + random_below(&m->random, m->opt.passage_max - m->opt.passage_min + 1); }

/* At the end of a line, of a sentence if the line is long, once there is enough. */
static cj_err cut_passages(maker *m, size_t bytes, cj_diag *d)
{
    size_t begin = 0;
    int64_t want = draw_length(m), chars = 0;
    uint32_t c;
    for (size_t at = 0; at < bytes;) {
        at += (size_t)utf8_decode(m->text + at, bytes - at, &c);
        chars++;
        bool enough = chars >= want && (c == '\n' || (chars >= want + want / 4 && char_ends_sentence(c)));
        if (!enough && chars < 2 * want && chars < MARKS_PASSAGE_CHARS_MAX) continue;
        TRY(end_passage(m, begin, at, d));
        begin = at;
        chars = 0;
        want = draw_length(m);
    }
    return end_passage(m, begin, bytes, d);
}

static cj_err count_names(maker *m, size_t bytes, cj_diag *d)
{
    m->names.needed = bytes > LONG_TEXT ? NAMES_LONG : NAMES_SHORT;
    for (int64_t i = 0; i < m->passages.n; i++) {
        const size_t *p = m->passages.item[i];
        char_text t;
        TRY(chars_open(&t, m->text + p[0], p[1] - p[0], d));
        cj_err e = names_count(&m->names, &t, d);
        chars_close(&t);
        TRY(e);
    }
    return CJ_OK;
}

/* ---- taking questions ---- */

static uint64_t hash_chars(const char_text *t, char_range r) { return hash_xxh3(t->bytes + t->at[r.begin], t->at[r.end] - t->at[r.begin]); }

static char *text_of(const char_text *t, char_range r) { return mem_strndup(t->bytes + t->at[r.begin], t->at[r.end] - t->at[r.begin]); }

/* Remembers an answered question with the names and numbers in its unit that it shows. */
static cj_err keep_question(maker *m, const made_question *q, cj_diag *d)
{
    const passage_view *v = m->view;
    kept_question *k = &m->kept[m->n_kept % KEPT];
    char *text = mem_strndup(q->question.data, q->question.len), *quote = text_of(&v->text, q->unit);
    if (!text || !quote) {
        mem_free(text);
        mem_free(quote);
        return diag_nomem(d, q->question.len);
    }
    mem_free(k->text);
    mem_free(k->quote);
    *k = (kept_question){.text = text, .quote = quote, .passage = m->passage};
    for (int i = 0; i < v->n_marks && k->n_marks < KEPT_MARKS; i++) {
        char_range a = v->mark[i].at;
        if (a.begin >= q->unit.begin && a.end <= q->unit.end && (a.end <= q->answer.begin || a.begin >= q->answer.end)) k->mark[k->n_marks++] = hash_chars(&v->text, a);
    }
    m->n_kept++;
    return CJ_OK;
}

static cj_err add_row(maker *m, const made_question *q, const char *text, cj_diag *d)
{
    const char_text *t = &m->view->text;
    const bool absent = q->kind == QUESTION_ABSENT;
    char *quote = text_of(t, q->quote), *answer = absent ? mem_strdup(qa_words_for(text)->refusal) : text_of(t, q->answer);
    const char *said = answer ? answer + strspn(answer, " ") : NULL;
    const row_parts p = {.passage = t->bytes, .passage_bytes = t->at[t->n], .question = text, .quote = absent ? "" : quote, .answer = said,
                         .kind = kind_names[q->kind], .document = m->document};
    cj_err e = quote && answer ? rows_add(m->rows, &p, d) : diag_nomem(d, q->question.len);
    mem_free(quote);
    mem_free(answer);
    if (!e) m->count->kind[q->kind]++;
    return e;
}

/* Whether a part of the passage is free of what other questions were made of. */
static bool is_free(const char_range *used, int n, char_range r)
{
    for (int i = 0; i < n; i++)
        if (r.begin < used[i].end && r.end > used[i].begin) return false;
    return true;
}

/* How many questions of a kind one passage may have: what follows and where are easy, and soon enough learnt. */
static int kind_limit(question_kind k, int each) { return k == QUESTION_NEXT ? 1 : k == QUESTION_WHERE ? (each + 2) / 4 : k == QUESTION_HIDDEN ? (each + 2) / 3 : each; }

/* ---- those without an answer ---- */

/* The share of a question's pairs of characters that stand in the passage. */
static double overlap(const char_text *passage, const char *question)
{
    char_text q;
    int pairs = 0, there = 0;
    if (chars_open(&q, question, strlen(question), NULL)) return 1;
    for (int i = 0; i + 1 < q.n; i++) {
        if (!char_is_chinese(q.c[i]) || !char_is_chinese(q.c[i + 1])) continue;
        pairs++;
        there += memmem(passage->bytes, passage->at[passage->n], q.bytes + q.at[i], q.at[i + 2 > q.n ? q.n : i + 2] - q.at[i]) != NULL;
    }
    chars_close(&q);
    return pairs ? (double)there / pairs : 1;
}

/* A question of an earlier passage that shares a name or number with this one, but not what was asked. NULL: none. */
static const kept_question *foreign(maker *m)
{
    const passage_view *v = m->view;
    const kept_question *best = NULL;
    int64_t there = m->n_kept < KEPT ? m->n_kept : KEPT, from = there ? random_below(&m->random, there) : 0;
    for (int64_t i = 0; i < there; i++) {
        kept_question *k = &m->kept[(from + i) % there];
        bool shares = false;
        if (!k->text || m->passage - k->passage < 2) continue;
        for (int a = 0; a < k->n_marks && !shares; a++)
            for (int b = 0; b < v->n_marks && !shares; b++) shares = hash_chars(&v->text, v->mark[b].at) == k->mark[a];
        if (!shares && (best || i > there / 2)) continue;
        if (memmem(v->text.bytes, v->text.at[v->text.n], k->quote, strlen(k->quote)) || overlap(&v->text, k->text) > 0.5) continue;
        best = k;
        if (shares) break;
    }
    return best;
}

static cj_err add_absent(maker *m, made_question *q, cj_diag *d)
{
    const passage_view *v = m->view;
    bool good = false;
    if (v->n_marks && random_below(&m->random, 2))
        for (int tries = 0; tries < 8 && !good; tries++) TRY(question_swapped(v, (int)random_below(&m->random, v->n_marks), &m->random, q, &good, d));
    const kept_question *k = good ? NULL : foreign(m);
    if (!good && !k) return CJ_OK;
    q->kind = QUESTION_ABSENT;
    q->quote = q->answer = (char_range){0};
    TRY(add_row(m, q, good ? q->question.data : k->text, d));
    if (k) { /* asked once */
        kept_question *used = &m->kept[k - m->kept];
        mem_free(used->text);
        used->text = NULL;
    }
    m->owed -= 1;
    return CJ_OK;
}

/* ---- one passage ---- */

static void shuffle(random_state *r, question_seed *s, int n)
{
    for (int i = n - 1; i > 0; i--) {
        int j = (int)random_below(r, i + 1);
        question_seed t = s[i];
        s[i] = s[j];
        s[j] = t;
    }
}

/* Kinds in turn, so that what there are few seeds of comes too: who said it first, since it is rarest. */
static cj_err take_questions(maker *m, made_question *q, cj_diag *d)
{
    static const question_kind turn[] = {QUESTION_ASKED, QUESTION_SAID, QUESTION_ASKED, QUESTION_HIDDEN, QUESTION_WHERE, QUESTION_ASKED, QUESTION_SAID, QUESTION_NEXT};
    enum { TURNS = sizeof turn / sizeof *turn };
    char_range used[QUESTIONS_EACH_MAX];
    int taken[QUESTION_KINDS] = {0}, n = 0, seeds = view_seeds(m->view, m->seeds, SEEDS_MAX), next[QUESTION_KINDS] = {0};
    bool good;
    shuffle(&m->random, m->seeds, seeds);
    int from = (int)random_below(&m->random, TURNS);
    for (int idle = 0; n < m->opt.each && idle < TURNS; from++) {
        question_kind k = turn[from % TURNS];
        int *i = &next[k], before = n;
        if (k == QUESTION_NEXT && random_below(&m->random, 2)) *i = seeds; /* in every other passage */
        for (; *i < seeds && n == before && taken[k] < kind_limit(k, m->opt.each); ++*i) {
            if (m->seeds[*i].kind != k) continue;
            TRY(question_from(m->view, m->seeds[*i], &m->random, q, &good, d));
            if (!good || !is_free(used, n, q->unit)) continue;
            TRY(add_row(m, q, q->question.data, d));
            if (k != QUESTION_NEXT && k != QUESTION_WHERE) TRY(keep_question(m, q, d));
            used[n++] = q->unit;
            taken[k]++;
        }
        idle = n > before ? 0 : idle + 1;
    }
    m->owed += n * m->opt.absent / (1 - m->opt.absent);
    for (int tries = 0; n && m->owed >= 1 && tries < 3; tries++) TRY(add_absent(m, q, d));
    return CJ_OK;
}

static cj_err ask_passage(maker *m, int64_t i, cj_diag *d)
{
    const size_t *p = m->passages.item[i];
    made_question q = {0};
    cj_err e = view_open(m->view, &m->names, m->text + p[0], p[1] - p[0], d);
    if (e) return e;
    m->passage = i;
    m->count->passages++;
    m->count->chars += m->view->text.n;
    buf_init(&q.question, 1 << 16);
    e = take_questions(m, &q, d);
    buf_deinit(&q.question);
    view_close(m->view);
    return e;
}

static cj_err make(maker *m, size_t bytes, cj_diag *d)
{
    m->view = mem_zalloc(sizeof *m->view);
    m->seeds = mem_array(SEEDS_MAX, sizeof *m->seeds);
    if (!m->view || !m->seeds) return diag_nomem(d, sizeof *m->view);
    TRY(cut_passages(m, bytes, d));
    TRY(count_names(m, bytes, d));
    int64_t n = m->passages.n, most = m->opt.passages && m->opt.passages < n ? m->opt.passages : n;
    for (int64_t i = 0; i < most; i++) TRY(ask_passage(m, most == n ? i : i * n / most, d));
    return CJ_OK;
}

static int within(int x, int low, int high) { return x < low ? low : x > high ? high : x; }

cj_err questions_make(training_rows *out, const char *document, const char *text, size_t bytes, const questions_options *opt, questions_count *count, cj_diag *d)
{
    maker m = {.rows = out, .count = count, .document = document, .text = text, .opt = *opt, .random = {opt->seed ^ hash_xxh3(document, strlen(document))}};
    m.opt.passage_min = within(opt->passage_min ? opt->passage_min : 250, QUESTIONS_PASSAGE_MIN, QUESTIONS_PASSAGE_MAX);
    m.opt.passage_max = within(opt->passage_max ? opt->passage_max : 900, m.opt.passage_min, QUESTIONS_PASSAGE_MAX);
    m.opt.each = within(opt->each ? opt->each : 4, 1, QUESTIONS_EACH_MAX);
    m.opt.absent = opt->absent < 0 ? 0 : opt->absent > 0.5 ? 0.5 : opt->absent;
    cj_err e = make(&m, bytes, d);
    for (int i = 0; i < KEPT; i++) {
        mem_free(m.kept[i].text);
        mem_free(m.kept[i].quote);
    }
    names_close(&m.names);
    mem_free(m.passages.item);
    mem_free(m.view);
    mem_free(m.seeds);
    return e;
}
