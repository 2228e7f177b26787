/* Counting stars. */
#include "eval/stars.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "eval/plant.h"

enum { SENTENCE_MAX = 128 };

void stars_draw(star_counts *s, int n, uint64_t seed)
{
    int order[STARS_MAX];
    random_state r = {seed ^ 0x7374617273u};
    random_order(&r, order, n);
    s->n = n;
    for (int i = 0; i < n; i++) {
        s->right[i] = 2 * order[i] + 3 + (int)random_below(&r, 2);
        s->wrong[i] = s->right[i] + (random_below(&r, 2) ? 1 : -1);
    }
}

/* ---- published numbers ---- */

/* The shortest list in the file with n numbers or more: its first n. Python writes its keys between single quotes. */
static cj_err take_list(json_object *lists, int n, int *out, const char *path, cj_diag *d)
{
    json_object *best = NULL;
    if (json_object_is_type(lists, json_type_object)) {
        json_object_object_foreach(lists, key, list) {
            (void)key;
            if (!json_object_is_type(list, json_type_array) || json_object_array_length(list) < (size_t)n) continue;
            if (!best || json_object_array_length(list) < json_object_array_length(best)) best = list;
        }
    }
    if (!best) return diag_fail(d, CJ_E_INPUT, MSG_EVAL_STARS_BAD, "%s" ARG "%d", path, n);
    for (int i = 0; i < n; i++) {
        int64_t v = json_object_get_int64(json_object_array_get_idx(best, (size_t)i));
        if (v < 0 || v > STARS_COUNT_MAX) return diag_fail(d, CJ_E_INPUT, MSG_EVAL_STARS_BAD, "%s" ARG "%d", path, n);
        out[i] = (int)v;
    }
    return CJ_OK;
}

static cj_err read_list(const char *folder, const char *name, int n, int *out, cj_diag *d)
{
    buf text;
    json_object *lists = NULL;
    char *path = file_join(folder, name);
    if (!path) return diag_nomem(d, strlen(folder));
    cj_err e = file_read(path, STARS_FILE_MAX, &text, d);
    if (!e) {
        for (size_t i = 0; i < text.len; i++)
            if (text.data[i] == '\'') text.data[i] = '"';
        e = json_parse(text.data ? text.data : "", text.len, path, &lists, d);
        buf_deinit(&text);
    }
    if (!e) e = take_list(lists, n, out, path, d);
    json_object_put(lists);
    mem_free(path);
    return e;
}

cj_err stars_read(star_counts *s, int n, const char *folder, cj_diag *d)
{
    s->n = n;
    TRY(read_list(folder, "a_stars.txt", n, s->right, d));
    return read_list(folder, "r_stars.txt", n, s->wrong, d);
}

/* ---- the text ---- */

static cj_err ask(eval_task *t, const plant_item *items, int n, bool recount, const char *const *number, cj_diag *d)
{
    eval_range place[STARS_MAX];
    for (int i = 0; i < n; i++) place[i] = items[i].placed;
    eval_question q = {.place = place, .n_places = n, .each = true, .answer = number, .n_answers = n, .metric = METRIC_ORDER};
    q.group = recount ? "recount" : "stars";
    q.text = recount ? "小企鹅重数之后，每次数到几颗★？按先后次序，把数目一个一个列出来。" : "小企鹅每次数到几颗★？按先后次序，把数目一个一个列出来。";
    return task_add(t, &q, d);
}

typedef struct sky {
    char sentence[STARS_MAX][SENTENCE_MAX], number[STARS_MAX][16];
    const char *numbers[STARS_MAX];
    plant_item item[STARS_MAX];
} sky;

cj_err stars_task(eval_task *t, const star_counts *s, bool recount, const char *haystack, size_t bytes, int64_t chars, cj_diag *d)
{
    sky *k = mem_zalloc(sizeof *k);
    task_init(t);
    if (!k) return diag_nomem(d, sizeof *k);
    for (int i = 0; i < s->n; i++) {
        if (recount) snprintf(k->sentence[i], SENTENCE_MAX, "天黑之后，小企鹅起先数成%d颗★，重数一遍，原来是%d颗★。", s->wrong[i], s->right[i]);
        else snprintf(k->sentence[i], SENTENCE_MAX, "天黑之后，小企鹅数到%d颗★。", s->right[i]);
        snprintf(k->number[i], sizeof k->number[i], "%d", s->right[i]);
        k->numbers[i] = k->number[i];
        k->item[i] = (plant_item){.text = k->sentence[i], .depth = (i + 0.5) / s->n};
    }
    cj_err e = plant_items(t, haystack, bytes, chars, k->item, s->n, d);
    if (!e) e = ask(t, k->item, s->n, recount, k->numbers, d);
    mem_free(k);
    if (e) task_deinit(t);
    return e;
}
