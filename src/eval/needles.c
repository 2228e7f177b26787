/* Needles. */
#include "eval/needles.h"

#include <string.h>

#include "base/file.h"
#include "base/random.h"
#include "base/utf8.h"
#include "eval/plant.h"

enum { FIELDS = 5, FIELDS_NEEDED = 4, SHARE = 4 };

/* Cuts a line at its tabs, in place; how many fields there are. */
static int cut_fields(char *line, const char *field[FIELDS])
{
    int n = 0;
    while (n < FIELDS) {
        char *tab = strchr(line, '\t');
        if (tab) *tab = 0;
        field[n++] = line;
        if (!tab) return n;
        line = tab + 1;
    }
    return FIELDS + 1;
}

static cj_err add_line(needle_set *s, const char *name, int64_t number, char *line, cj_diag *d)
{
    const char *f[FIELDS] = {0};
    int n = cut_fields(line, f);
    bool good = n >= FIELDS_NEEDED && n <= FIELDS;
    for (int i = 0; good && i < n; i++) good = (*f[i] || i == FIELDS_NEEDED) && strlen(f[i]) <= NEEDLE_FIELD_MAX;
    if (!good) return diag_fail(d, CJ_E_INPUT, MSG_EVAL_NEEDLE_BAD, "%s" ARG "%lld" ARG "%d", name, (long long)number, NEEDLE_FIELD_MAX);
    if (s->n == NEEDLES_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", name, NEEDLES_MAX);
    s->item[s->n++] = (needle){f[0], f[1], f[2], f[3], f[4] && *f[4] ? f[4] : NULL};
    return CJ_OK;
}

static cj_err parse(needle_set *s, const char *name, cj_diag *d)
{
    size_t n = s->text.len;
    int64_t number = 0;
    if (utf8_valid_prefix(s->text.data, n) != n || strlen(s->text.data) != n)
        return diag_fail(d, CJ_E_INPUT, MSG_UTF8_BAD, "%s" ARG "%zu", name, utf8_valid_prefix(s->text.data, strlen(s->text.data)));
    s->item = mem_array(NEEDLES_MAX, sizeof *s->item);
    if (!s->item) return diag_nomem(d, NEEDLES_MAX * sizeof *s->item);
    for (char *line = s->text.data, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        line[strcspn(line, "\r")] = 0;
        number++;
        if (*line && *line != '#') TRY(add_line(s, name, number, line, d));
    }
    return s->n ? CJ_OK : diag_fail(d, CJ_E_INPUT, MSG_EVAL_NO_NEEDLES, "%s", name);
}

cj_err needles_parse(needle_set *s, const char *name, const char *bytes, size_t n, cj_diag *d)
{
    *s = (needle_set){0};
    buf_init(&s->text, NEEDLES_BYTES_MAX);
    cj_err e = buf_append(&s->text, bytes, n, d);
    if (!e) e = buf_append(&s->text, "\n", 1, d);
    if (!e) e = parse(s, name, d);
    if (e) needles_close(s);
    return e;
}

cj_err needles_open(needle_set *s, const char *path, cj_diag *d)
{
    buf file;
    *s = (needle_set){0};
    TRY(file_read(path, NEEDLES_BYTES_MAX - 2, &file, d));
    cj_err e = needles_parse(s, path, file.data ? file.data : "", file.len, d);
    buf_deinit(&file);
    return e;
}

void needles_close(needle_set *s)
{
    buf_deinit(&s->text);
    mem_free(s->item);
    *s = (needle_set){0};
}

/* ---- a text with needles in it ---- */

static int64_t chars_of(const char *s) { return (int64_t)utf8_count(s, strlen(s)); }

/* How many of the facts, in random order, fit. */
static int choose(const needle_set *s, const needles_options *opt, const int *order)
{
    int64_t planted = 0;
    for (int i = 0; i < s->n; i++) {
        const needle *n = &s->item[order[i]];
        planted += chars_of(n->fact) + (opt->distractors && n->distractor ? chars_of(n->distractor) : 0);
        if (planted > opt->chars / SHARE) return i;
    }
    return s->n;
}

static cj_err ask(eval_task *t, const needle *n, const plant_item *p, cj_diag *d)
{
    eval_question q = {.place = &p->placed, .n_places = 1, .answer = &n->answer, .n_answers = 1, .metric = METRIC_ANY};
    q.text = n->words;
    q.group = "words";
    TRY(task_add(t, &q, d));
    q.text = n->other;
    q.group = "other";
    return task_add(t, &q, d);
}

/* Both of a pair are asked for in one breath. */
static cj_err ask_pair(eval_task *t, const needle *a, const plant_item *pa, const needle *b, const plant_item *pb, cj_diag *d)
{
    bool turned = pa->placed.byte > pb->placed.byte;
    const eval_range place[] = {turned ? pb->placed : pa->placed, turned ? pa->placed : pb->placed};
    const char *const answer[] = {a->answer, b->answer};
    buf both;
    buf_init(&both, 4 * NEEDLE_FIELD_MAX);
    cj_err e = buf_printf(&both, d, "%s%s", a->words, b->words);
    eval_question q = {.group = "pair", .text = both.data, .place = place, .n_places = 2, .answer = answer, .n_answers = 2, .metric = METRIC_ALL};
    if (!e) e = task_add(t, &q, d);
    buf_deinit(&both);
    return e;
}

/* items: the facts, then the distractors at depths of their own. */
static int lay_out(const needle_set *s, const needles_options *opt, const int *order, int n, plant_item *items)
{
    random_state r = {opt->seed ^ 0x6E6565646C65u};
    int total = n;
    for (int i = 0; i < n; i++) {
        const needle *x = &s->item[order[i]];
        items[i] = (plant_item){.text = x->fact, .depth = opt->n_depths ? opt->depth[i % opt->n_depths] : (i + 0.5) / n};
        if (opt->distractors && x->distractor) items[total++] = (plant_item){.text = x->distractor, .depth = (double)random_below(&r, 1000) / 1000};
    }
    return total;
}

static cj_err make(eval_task *t, const needle_set *s, const char *haystack, size_t bytes, const needles_options *opt, int *order,
                   plant_item *items, cj_diag *d)
{
    random_state r = {opt->seed};
    random_order(&r, order, s->n);
    int n = choose(s, opt, order);
    if (!n) return diag_fail(d, CJ_E_INPUT, MSG_EVAL_CROWDED, "%d" ARG "%lld" ARG "%lld", 1, (long long)chars_of(s->item[order[0]].fact), (long long)opt->chars);
    TRY(plant_items(t, haystack, bytes, opt->chars, items, lay_out(s, opt, order, n, items), d));
    for (int i = 0; i < n; i++) TRY(ask(t, &s->item[order[i]], &items[i], d));
    for (int i = 0; i < n / 2; i++)
        TRY(ask_pair(t, &s->item[order[i]], &items[i], &s->item[order[i + n / 2]], &items[i + n / 2], d));
    return CJ_OK;
}

cj_err needles_task(eval_task *t, const needle_set *s, const char *haystack, size_t bytes, const needles_options *opt, cj_diag *d)
{
    int *order = mem_array((size_t)s->n, sizeof *order);
    plant_item *items = mem_array(2 * (size_t)s->n, sizeof *items);
    task_init(t);
    cj_err e = order && items ? make(t, s, haystack, bytes, opt, order, items, d) : diag_nomem(d, 2 * (size_t)s->n * sizeof *items);
    mem_free(order);
    mem_free(items);
    if (e) task_deinit(t);
    return e;
}
