/* Figures of agreement, for people and for programs. */
#include "app/agreement_view.h"

#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "eval/agreement_svg.h"

static const char *const way_names[] = {"exact", "sparse", "control"};

static double share(int64_t part, int64_t all) { return all ? (double)part / (double)all : NAN; }
static double copied(const agreement_depth *a, agreement_way way) { return a->copies.tokens ? a->copies.nll[way] / (double)a->copies.tokens : NAN; }
/* By how much of exact's a way predicts copies worse. */
static double copied_worse(const agreement_depth *a, agreement_way way) { return copied(a, way) / copied(a, AGREEMENT_EXACT) - 1; }

/* How far behind the nearest copied stretch lies. */
static int64_t behind(const agreement_depth *a)
{
    int64_t nearest = 0;
    for (int i = 0; i < a->copies.n; i++) nearest = i64_max(nearest, a->copies.from[i]);
    return a->at - nearest;
}

/* ---- JSON ---- */

static json_object *way_json(const agreement_depth *a, agreement_way way)
{
    const agreement_sum *s = &a->way[way];
    json_object *o = json_object_new_object();
    json_object_object_add(o, "kl_mean", cli_json_number(s->kl / (double)s->rows));
    json_object_object_add(o, "kl_max", cli_json_number(s->kl_max));
    json_object_object_add(o, "top1_same", cli_json_number(share(s->same, s->rows)));
    json_object_object_add(o, "top1_same_where_led", cli_json_number(share(s->same_led, s->led)));
    json_object_object_add(o, "nll", cli_json_number(s->nll / (double)s->rows));
    json_object_object_add(o, "copied_nll", cli_json_number(copied(a, way)));
    return o;
}

static json_object *copies_json(const agreement_depth *a)
{
    json_object *o = json_object_new_object(), *from = json_object_new_array();
    for (int i = 0; i < a->copies.n; i++) json_object_array_add(from, json_object_new_int64(a->copies.from[i]));
    json_object_object_add(o, "from", from);
    json_object_object_add(o, "behind", a->copies.n ? json_object_new_int64(behind(a)) : NULL);
    json_object_object_add(o, "tokens", json_object_new_int64(a->copies.tokens));
    return o;
}

static json_object *best_json(const agreement_head *h, const agreement_best *b)
{
    json_object *o = json_object_new_object();
    json_object_object_add(o, "layer", json_object_new_int(h->layer));
    json_object_object_add(o, "head", json_object_new_int(h->head));
    json_object_object_add(o, "pages", json_object_new_int64(b->pages));
    json_object_object_add(o, "kept", json_object_new_int64(b->kept));
    json_object_object_add(o, "far", json_object_new_int64(b->far));
    json_object_object_add(o, "far_kept", json_object_new_int64(b->far_kept));
    json_object_object_add(o, "far_share_kept", b->paid > 0 ? cli_json_number(b->paid_kept / b->paid) : NULL);
    return o;
}

static json_object *depth_json(const agreement_view *v, const agreement_depth *a)
{
    json_object *o = json_object_new_object(), *best = json_object_new_array();
    json_object_object_add(o, "depth", json_object_new_int64(a->at));
    json_object_object_add(o, "rows", json_object_new_int64(a->way[0].rows));
    for (int w = 0; w < AGREEMENT_WAYS; w++) json_object_object_add(o, way_names[w], way_json(a, (agreement_way)w));
    json_object_object_add(o, "copies", copies_json(a));
    for (int h = 0; h < v->opt->n_heads; h++) json_object_array_add(best, best_json(&v->opt->heads[h], &a->best[h]));
    json_object_object_add(o, "best_pages", best);
    return o;
}

void agreement_print_json(const agreement_view *v)
{
    json_object *o = json_object_new_object(), *list = json_object_new_array();
    const shelf_info *entry = v->opt->entry ? shelf_entry_info(v->opt->entry) : NULL;
    json_object_object_add(o, "model", json_object_new_string(v->model));
    json_object_object_add(o, "keep", json_object_new_int64(v->opt->keep));
    json_object_object_add(o, "seed", json_object_new_int64((int64_t)v->opt->seed));
    json_object_object_add(o, "entry", entry ? json_object_new_string(entry->name) : NULL);
    json_object_object_add(o, "entry_keep", entry ? json_object_new_int64(v->entry_keep) : NULL);
    for (int i = 0; i < v->opt->n_depths; i++) json_object_array_add(list, depth_json(v, &v->depth[i]));
    json_object_object_add(o, "depths", list);
    cli_json(o);
}

/* ---- a table ---- */

static void print_depth(const agreement_view *v, const agreement_depth *a)
{
    for (int w = 0; w < AGREEMENT_WAYS; w++) {
        const agreement_sum *s = &a->way[w];
        double n = (double)s->rows;
        printf("%9lld  %-7s  %.5f  %.4f  %5.1f  %5.1f  %.4f", (long long)a->at, way_names[w], s->kl / n, s->kl_max, 100 * share(s->same, s->rows),
               s->led ? 100 * share(s->same_led, s->led) : 100, s->nll / n);
        if (a->copies.n) printf("  %.4f", copied(a, (agreement_way)w));
        putchar('\n');
    }
    if (a->copies.n)
        cli_print(v->c, MSG_AGREEMENT_COPIED, "%d" ARG "%lld" ARG "%+.1f" ARG "%+.1f", a->copies.n, (long long)behind(a), 100 * copied_worse(a, AGREEMENT_SPARSE),
                  100 * copied_worse(a, AGREEMENT_CONTROL));
    for (int h = 0; h < v->opt->n_heads; h++) {
        const agreement_best *b = &a->best[h];
        cli_print(v->c, MSG_AGREEMENT_BEST, "%d.%d" ARG "%lld" ARG "%lld" ARG "%lld" ARG "%lld" ARG "%.1f", v->opt->heads[h].layer, v->opt->heads[h].head, (long long)b->kept,
                  (long long)b->pages, (long long)b->far_kept, (long long)b->far, b->paid > 0 ? 100 * b->paid_kept / b->paid : 100);
    }
}

static void print_entry(const agreement_view *v)
{
    const char *name = shelf_entry_info(v->opt->entry)->name;
    if (v->entry_keep) cli_print(v->c, MSG_AGREEMENT_ENTRY_FAST, "%s" ARG "%lld", name, (long long)v->entry_keep);
    else cli_print(v->c, MSG_AGREEMENT_ENTRY_EXACT, "%s", name);
}

void agreement_print(const agreement_view *v)
{
    cli_print(v->c, v->opt->copies ? MSG_AGREEMENT_HEAD_COPIES : MSG_AGREEMENT_HEAD, "%lld" ARG "%d" ARG "%d", (long long)v->opt->keep, AGREEMENT_COPY, AGREEMENT_COPY_SKIP);
    if (v->opt->entry) print_entry(v);
    for (int i = 0; i < v->opt->n_depths; i++) print_depth(v, &v->depth[i]);
}

/* ---- a picture ---- */

static void write_note(const agreement_view *v, char *out, size_t size)
{
    const agreement_depth *last = &v->depth[v->opt->n_depths - 1];
    char args[512];
    if (v->opt->entry) snprintf(args, sizeof args, "%lld" ARG "%lld" ARG "%s", (long long)v->opt->keep, (long long)v->opt->rows, shelf_entry_info(v->opt->entry)->name);
    else if (last->copies.n)
        snprintf(args, sizeof args, "%lld" ARG "%lld" ARG "%lld" ARG "%+.1f" ARG "%+.1f", (long long)v->opt->keep, (long long)v->opt->rows, (long long)last->at,
                 100 * copied_worse(last, AGREEMENT_SPARSE), 100 * copied_worse(last, AGREEMENT_CONTROL));
    else snprintf(args, sizeof args, "%lld" ARG "%lld", (long long)v->opt->keep, (long long)v->opt->rows);
    msg_format(cli_text(v->c, v->opt->entry ? MSG_AGREEMENT_NOTE_ENTRY : last->copies.n ? MSG_AGREEMENT_NOTE_COPIES : MSG_AGREEMENT_NOTE), args, out, size);
}

cj_err agreement_write_svg(const agreement_view *v, const char *path, cj_diag *d)
{
    const cli *c = v->c;
    char note[512];
    buf svg;
    write_note(v, note, sizeof note);
    const agreement_picture p = {
        .head = {.title = cli_text(c, MSG_AGREEMENT_TITLE), .note = note, .x_name = cli_text(c, MSG_AGREEMENT_DEPTH), .chinese = c->lang == CJ_LANG_ZH},
        .sparse = cli_text(c, MSG_AGREEMENT_SPARSE), .control = cli_text(c, MSG_AGREEMENT_CONTROL), .exact = cli_text(c, MSG_AGREEMENT_EXACT),
        .aim = cli_text(c, MSG_AGREEMENT_AIM), .kl = cli_text(c, MSG_AGREEMENT_KL), .likeliest = cli_text(c, MSG_AGREEMENT_LIKELIEST),
        .copied = cli_text(c, MSG_AGREEMENT_COPIED_AXIS), .best = cli_text(c, MSG_AGREEMENT_BEST_AXIS),
    };
    buf_init(&svg, SVG_BYTES_MAX);
    cj_err e = agreement_draw(v->depth, v->opt->n_depths, v->opt->n_heads, &p, &svg, d);
    if (!e) e = file_write(path, svg.data, svg.len, d);
    buf_deinit(&svg);
    return e;
}
