/* See log.h. */
#include "tune/log.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "eval/svg.h"

enum { LOG_MAX = 1 << 28, LINE_MAX_BYTES = 1 << 12, POINTS = 60 };

typedef struct point {
    int64_t step;
    double loss;
    bool held_out;
} point;

struct tune_log {
    int fd;
    char *path;
    point *points; /* [n] */
    int64_t n, cap;
};

static cj_err keep(tune_log *l, point p, cj_diag *d)
{
    if (l->n == l->cap) {
        const int64_t cap = l->cap ? 2 * l->cap : 256;
        point *more = mem_grow(l->points, (size_t)l->n * sizeof *more, (size_t)cap * sizeof *more);
        if (!more) return diag_nomem(d, (size_t)cap * sizeof *more);
        l->points = more;
        l->cap = cap;
    }
    l->points[l->n++] = p;
    return CJ_OK;
}

/* ---- what there was before ---- */

static double number(json_object *o, const char *key)
{
    json_object *v = NULL;
    return json_object_object_get_ex(o, key, &v) && (json_object_is_type(v, json_type_double) || json_object_is_type(v, json_type_int)) ? json_object_get_double(v) : NAN;
}

/* Whether a line is one of ours; *p is what it says. */
static bool read_line(const char *text, size_t n, point *p)
{
    json_object *o = NULL;
    if (json_parse(text, n, "", &o, NULL)) return false;
    const double step = number(o, "step"), loss = number(o, "loss"), held = number(o, "held_out_loss");
    json_object_put(o);
    *p = (point){isfinite(step) ? (int64_t)step : -1, isfinite(held) ? held : loss, isfinite(held)};
    return step >= 0 && step < 1e15;
}

/* The lines that stand, as they are. */
static cj_err take_back(tune_log *l, const buf *old, int64_t steps, int64_t checked, buf *out, cj_diag *d)
{
    for (size_t at = 0, n; at < old->len; at += n + 1) {
        const char *end = memchr(old->data + at, '\n', old->len - at);
        point p;
        if (!end) return CJ_OK; /* cut short when it was written */
        n = (size_t)(end - (old->data + at));
        if (!read_line(old->data + at, n, &p) || p.step > (p.held_out ? checked : steps)) continue;
        TRY(buf_append(out, old->data + at, n + 1, d));
        TRY(keep(l, p, d));
    }
    return CJ_OK;
}

static cj_err begin(tune_log *l, int64_t steps, int64_t checked, cj_diag *d)
{
    buf old = {0}, kept;
    buf_init(&kept, LOG_MAX);
    cj_err e = steps && file_exists(l->path) ? file_read_regular(l->path, LOG_MAX, &old, d) : CJ_OK;
    if (!e && old.len) e = take_back(l, &old, steps, checked, &kept, d);
    if (!e) e = file_write(l->path, kept.data ? kept.data : "", kept.len, d);
    buf_deinit(&kept);
    buf_deinit(&old);
    if (e) return e;
    l->fd = open(l->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    return l->fd < 0 ? diag_errno(d, errno, l->path) : CJ_OK;
}

cj_err tune_log_open(tune_log **out, const char *path, int64_t steps, int64_t checked, cj_diag *d)
{
    tune_log *l = mem_zalloc(sizeof *l);
    *out = NULL;
    if (!l) return diag_nomem(d, sizeof *l);
    *l = (tune_log){.fd = -1, .path = mem_strdup(path)};
    cj_err e = l->path ? begin(l, steps, checked, d) : diag_nomem(d, strlen(path));
    if (e) tune_log_close(&l);
    *out = l;
    return e;
}

void tune_log_close(tune_log **pl)
{
    tune_log *l = *pl;
    if (!l) return;
    if (l->fd >= 0) close(l->fd);
    mem_free(l->path);
    mem_free(l->points);
    mem_free(l);
    *pl = NULL;
}

/* ---- more lines ---- */

static void put(json_object *o, const char *key, double v) { json_object_object_add(o, key, isfinite(v) ? json_object_new_double(v) : NULL); }

static json_object *line_of(const train_report *r)
{
    json_object *o = json_object_new_object();
    json_object_object_add(o, "step", json_object_new_int64(r->step));
    if (r->checked) {
        put(o, "held_out_loss", r->held_out);
        json_object_object_add(o, "best", json_object_new_boolean(r->best));
        return o;
    }
    put(o, "loss", r->loss);
    put(o, "rate", r->rate);
    put(o, "norm", r->norm);
    json_object_object_add(o, "tokens", json_object_new_int64(r->rows));
    put(o, "tokens_per_second", r->rows_per_second);
    put(o, "share_of_ceiling", r->share);
    if (r->skipped) json_object_object_add(o, "skipped", json_object_new_boolean(true));
    return o;
}

cj_err tune_log_add(tune_log *l, const train_report *r, cj_diag *d)
{
    buf line;
    json_object *o = line_of(r);
    buf_init(&line, LINE_MAX_BYTES);
    cj_err e = buf_puts(&line, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN), d);
    json_object_put(o);
    if (!e) e = buf_puts(&line, "\n", d);
    const ssize_t wrote = e ? 0 : write(l->fd, line.data, line.len); /* in one piece, so that a kill does not part it */
    if (!e && wrote != (ssize_t)line.len) e = diag_errno(d, wrote < 0 ? errno : ENOSPC, l->path);
    buf_deinit(&line);
    return e ? e : keep(l, (point){r->step, r->checked ? r->held_out : r->loss, r->checked}, d);
}

/* ---- the picture ---- */

typedef struct curve {
    double x[POINTS], y[POINTS];
    int n;
} curve;

/* So many steps in a row are one point, their mean; of the held-out part every look is one, the last that find room. */
static void fill(const tune_log *l, curve *training, curve *held)
{
    int64_t last = 1, looks = 0, count = 0;
    for (int64_t i = 0; i < l->n; i++) last = i64_max(last, l->points[i].step), looks += l->points[i].held_out;
    const int64_t wide = (last + POINTS - 1) / POINTS;
    for (int64_t i = 0; i < l->n; i++) {
        const point *p = &l->points[i];
        if (!isfinite(p->loss)) continue;
        if (p->held_out) {
            if (looks-- <= POINTS) held->x[held->n] = (double)p->step, held->y[held->n++] = p->loss;
            continue;
        }
        const double centre = ((double)((p->step - 1) / wide) + 0.5) * (double)wide;
        const bool more = training->n && training->x[training->n - 1] == centre;
        if (!more && training->n == POINTS) continue;
        const int at = more ? training->n - 1 : training->n++;
        count = more ? count + 1 : 1;
        training->x[at] = centre;
        training->y[at] += (p->loss - training->y[at]) / (double)count;
    }
}

cj_err tune_log_draw(const tune_log *l, const tune_picture *names, const char *path, cj_diag *d)
{
    curve training = {.n = 0}, held = {.n = 0};
    buf out;
    fill(l, &training, &held);
    const svg_head head = {.title = names->title, .x_name = names->steps, .y_name = names->loss, .chinese = names->chinese};
    const svg_series series[] = {{.name = names->training, .x = training.x, .y = training.y, .n = training.n}, {.name = names->held_out, .x = held.x, .y = held.y, .n = held.n}};
    buf_init(&out, SVG_BYTES_MAX);
    cj_err e = svg_lines(&out, &head, (svg_axes){0}, series, held.n ? 2 : 1, d);
    if (!e) e = file_write(path, out.data, out.len, d);
    buf_deinit(&out);
    return e;
}
