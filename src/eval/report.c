/* Summing up. */
#include "eval/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MEMORY_MAX = 1 << 28, DEPTH_BINS = 10 };

void report_init(report *r)
{
    *r = (report){0};
    arena_init(&r->memory, MEMORY_MAX);
}

void report_deinit(report *r)
{
    mem_free(r->item);
    arena_deinit(&r->memory);
    *r = (report){0};
}

/* ---- collecting ---- */

cj_err report_add(report *r, const eval_task *t, const char *column, int64_t length, const eval_outcome *outcomes, cj_diag *d)
{
    size_t size = sizeof *r->item, had = (size_t)r->n, now = had + (size_t)t->n_questions;
    if (now > REPORT_CASES_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "cases", REPORT_CASES_MAX);
    report_case *grown = mem_grow(r->item, had * size, now * size);
    if (!grown) return diag_nomem(d, now * size);
    r->item = grown;
    for (int i = 0; i < t->n_questions; i++) {
        const eval_question *q = &t->question[i];
        const eval_outcome *o = &outcomes[i];
        const char *text = arena_strndup(&r->memory, q->text, strlen(q->text));
        if (!text) return diag_nomem(d, strlen(q->text));
        r->item[r->n++] = (report_case){column, q->group, text, length ? length : t->chars, q->depth, q->n_places, o->first, o->among, o->rank, q->each, o->answered};
    }
    return CJ_OK;
}

/* ---- counting ---- */

static bool passes(const report_case *c, const report_filter *f)
{
    return (!f->column || strcmp(c->column, f->column) == 0) && (!f->group || strcmp(c->group, f->group) == 0) &&
           (f->length < 0 || c->length == f->length) && (f->depth_to < 0 || (c->places == 1 && (double)c->depth >= f->depth_from && (double)c->depth < f->depth_to));
}

static bool all_found(const report_case *c) { return c->places > 0 && c->first == c->places; }

report_sum report_count(const report *r, const report_filter *f)
{
    report_sum s = {0};
    for (int64_t i = 0; i < r->n; i++) {
        const report_case *c = &r->item[i];
        if (!passes(c, f)) continue;
        s.questions++;
        bool counts = c->first >= 0;
        s.n += !counts ? 0 : c->each ? c->places : c->places > 0;
        s.first += !counts ? 0 : c->each ? c->first : all_found(c);
        s.among += !counts ? 0 : c->each ? c->among : c->places > 0 && c->among == c->places;
        if (c->answered < 0) continue;
        s.answered_n++;
        s.answered += c->answered;
    }
    return s;
}

static int add_name(const char **names, int n, int most, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) return n;
    if (n < most) names[n++] = name;
    return n;
}

int report_columns(const report *r, const char **names, int most)
{
    int n = 0;
    for (int64_t i = 0; i < r->n; i++) n = add_name(names, n, most, r->item[i].column);
    return n;
}

int report_groups(const report *r, const char **names, int most)
{
    int n = 0;
    for (int64_t i = 0; i < r->n; i++) n = add_name(names, n, most, r->item[i].group);
    return n;
}

int report_lengths(const report *r, int64_t *lengths, int most)
{
    int n = 0;
    for (int64_t i = 0; i < r->n; i++) {
        int at = 0;
        while (at < n && lengths[at] != r->item[i].length) at++;
        if (at == n && n < most) lengths[n++] = r->item[i].length;
    }
    return n;
}

/* ---- JSON ---- */

static json_object *number(double v)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%.4g", v);
    return isfinite(v) ? json_object_new_double_s(v, digits) : NULL;
}

static json_object *share_json(int64_t right, int64_t n)
{
    if (!n) return NULL;
    stats_interval i = stats_share(right, n);
    json_object *o = json_object_new_object();
    json_object_object_add(o, "right", json_object_new_int64(right));
    json_object_object_add(o, "n", json_object_new_int64(n));
    json_object_object_add(o, "share", number((double)right / (double)n));
    json_object_object_add(o, "low", number(i.low));
    json_object_object_add(o, "high", number(i.high));
    return o;
}

/* The mean score of answers, its interval by drawing again. */
static cj_err answered_json(const report *r, const report_filter *f, uint64_t seed, json_object **out, cj_diag *d)
{
    report_sum s = report_count(r, f);
    stats_interval interval;
    int64_t n = 0;
    *out = NULL;
    if (!s.answered_n) return CJ_OK;
    double *value = mem_array((size_t)s.answered_n, sizeof *value);
    if (!value) return diag_nomem(d, (size_t)s.answered_n * sizeof *value);
    for (int64_t i = 0; i < r->n; i++)
        if (passes(&r->item[i], f) && r->item[i].answered >= 0) value[n++] = r->item[i].answered;
    cj_err e = stats_mean(value, n, seed, &interval, d);
    mem_free(value);
    if (e) return e;
    *out = json_object_new_object();
    json_object_object_add(*out, "n", json_object_new_int64(n));
    json_object_object_add(*out, "mean", number(s.answered / (double)n));
    json_object_object_add(*out, "low", number(interval.low));
    json_object_object_add(*out, "high", number(interval.high));
    return CJ_OK;
}

static json_object *place_json(const report_filter *f)
{
    json_object *o = json_object_new_object();
    json_object_object_add(o, "column", json_object_new_string(f->column));
    json_object_object_add(o, "group", json_object_new_string(f->group));
    json_object_object_add(o, "length", json_object_new_int64(f->length));
    return o;
}

static cj_err add_row(const report *r, const report_filter *f, uint64_t seed, json_object *rows, cj_diag *d)
{
    report_sum s = report_count(r, f);
    json_object *o, *answered;
    if (!s.questions) return CJ_OK;
    TRY(answered_json(r, f, seed, &answered, d));
    o = place_json(f);
    json_object_object_add(o, "questions", json_object_new_int64(s.questions));
    json_object_object_add(o, "located_first", share_json(s.first, s.n));
    json_object_object_add(o, "located", share_json(s.among, s.n));
    json_object_object_add(o, "answered", answered);
    json_object_array_add(rows, o);
    return CJ_OK;
}

static void add_cells(const report *r, report_filter f, json_object *cells)
{
    for (int b = 0; b < DEPTH_BINS; b++) {
        f.depth_from = (double)b / DEPTH_BINS;
        f.depth_to = b + 1 == DEPTH_BINS ? 2 : (double)(b + 1) / DEPTH_BINS;
        report_sum s = report_count(r, &f);
        if (!s.n) continue;
        json_object *o = place_json(&f);
        json_object_object_add(o, "depth_from", number(f.depth_from));
        json_object_object_add(o, "depth_to", number(fmin(f.depth_to, 1)));
        json_object_object_add(o, "located_first", share_json(s.first, s.n));
        json_object_object_add(o, "located", share_json(s.among, s.n));
        json_object_array_add(cells, o);
    }
}

/* Is a case right, one way or the other? -1: it was not tried. */
static int located_right(const report_case *c) { return c->first < 0 || !c->places ? -1 : all_found(c); }
static int answered_right(const report_case *c) { return c->answered < 0 ? -1 : c->answered >= 1; }

/* The same questions by two columns: how many only one of them has right. */
static json_object *pairs_json(const report *r, const report_filter *f, const report_filter *g, int (*right)(const report_case *))
{
    int64_t only[2] = {0}, n = 0, j = 0;
    for (int64_t i = 0; i < r->n; i++) {
        if (!passes(&r->item[i], f)) continue;
        while (j < r->n && !passes(&r->item[j], g)) j++;
        if (j == r->n) break;
        int a = right(&r->item[i]), b = right(&r->item[j++]);
        if (a < 0 || b < 0) continue;
        n++;
        only[0] += a && !b;
        only[1] += b && !a;
    }
    if (!n) return NULL;
    json_object *o = json_object_new_object();
    json_object_object_add(o, "n", json_object_new_int64(n));
    json_object_object_add(o, "only_column", json_object_new_int64(only[0]));
    json_object_object_add(o, "only_against", json_object_new_int64(only[1]));
    json_object_object_add(o, "p", number(stats_paired(only[0], only[1])));
    return o;
}

static void compare(const report *r, const report_filter *f, const char *other, json_object *list)
{
    report_filter g = *f;
    g.column = other;
    json_object *located = pairs_json(r, f, &g, located_right), *answered = pairs_json(r, f, &g, answered_right);
    if (!located && !answered) return;
    json_object *o = place_json(f);
    json_object_object_add(o, "against", json_object_new_string(other));
    json_object_object_add(o, "located_first", located);
    json_object_object_add(o, "answered", answered);
    json_object_array_add(list, o);
}

static json_object *cases_json(const report *r)
{
    json_object *list = json_object_new_array();
    for (int64_t i = 0; i < r->n; i++) {
        const report_case *c = &r->item[i];
        json_object *o = place_json(&(report_filter){.column = c->column, .group = c->group, .length = c->length});
        json_object_object_add(o, "question", json_object_new_string(c->question));
        json_object_object_add(o, "depth", number((double)c->depth));
        json_object_object_add(o, "places", json_object_new_int(c->places));
        json_object_object_add(o, "first", c->first < 0 ? NULL : json_object_new_int(c->first));
        json_object_object_add(o, "among", c->among < 0 ? NULL : json_object_new_int(c->among));
        json_object_object_add(o, "rank", c->rank ? json_object_new_int(c->rank) : NULL);
        json_object_object_add(o, "answered", c->answered < 0 ? NULL : number(c->answered));
        json_object_array_add(list, o);
    }
    return list;
}

cj_err report_json(const report *r, uint64_t seed, json_object *o, cj_diag *d)
{
    const char *column[REPORT_NAMES_MAX], *group[REPORT_NAMES_MAX];
    int64_t length[REPORT_NAMES_MAX];
    int columns = report_columns(r, column, REPORT_NAMES_MAX), groups = report_groups(r, group, REPORT_NAMES_MAX);
    int lengths = report_lengths(r, length, REPORT_NAMES_MAX);
    json_object *rows = json_object_new_array(), *cells = json_object_new_array(), *against = json_object_new_array();
    json_object_object_add(o, "rows", rows);
    json_object_object_add(o, "cells", cells);
    json_object_object_add(o, "comparisons", against);
    for (int c = 0; c < columns; c++)
        for (int g = 0; g < groups; g++)
            for (int l = 0; l < lengths; l++) {
                report_filter f = {column[c], group[g], length[l], -1, -1};
                TRY(add_row(r, &f, seed, rows, d));
                add_cells(r, f, cells);
                for (int k = c + 1; k < columns; k++) compare(r, &f, column[k], against);
            }
    json_object_object_add(o, "cases", cases_json(r));
    return CJ_OK;
}
