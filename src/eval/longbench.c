/* LongBench's Chinese tasks. */
#include "eval/longbench.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"

typedef struct longbench_line line;

/* How a prompt is taken apart: the text stands between `begin` (its first) and `end` (its last), the question between `ask` (its last; at
 * the end of the text when NULL) and `stop` (its last); `own`: a question of ours where the prompt has only an instruction. */
static const struct {
    const char *name, *begin, *end, *ask, *stop, *own;
    eval_metric metric;
} kinds[] = {
    {"multifieldqa_zh", "\n\n", "\n\n现在请基于", "问题：", "\n回答：", NULL, METRIC_F1},
    {"dureader", "文章：", "\n\n请基于上述文章", "问题：", "\n回答：", NULL, METRIC_ROUGE_L},
    {"passage_retrieval_zh", "\n\n", "\n\n下面是一个摘要", "下面是一个摘要\n\n", "\n\n请输入摘要所属", NULL, METRIC_NUMBER},
    {"lsht", "\n\n", "新闻内容：", "新闻内容：", "类别：", NULL, METRIC_ANY},
    {"vcsum", "会议记录：", "\n\n会议总结：", NULL, NULL, "这次会议讲了什么？请写一段总结。", METRIC_ROUGE_L},
};
enum { KINDS = sizeof kinds / sizeof *kinds, RETRIEVAL = 2 };

/* ---- reading ---- */

static const char *last_of(const char *text, const char *what)
{
    const char *found = NULL;
    for (const char *at = text; (at = strstr(at, what)); at++) found = at;
    return found;
}

typedef struct cut {
    const char *text, *text_end, *ask, *ask_end;
} cut;

static bool take_apart(const char *prompt, int kind, cut *c)
{
    c->text = strstr(prompt, kinds[kind].begin);
    c->text_end = last_of(prompt, kinds[kind].end);
    if (!c->text || !c->text_end) return false;
    c->text += strlen(kinds[kind].begin);
    if (kinds[kind].own) {
        c->ask = kinds[kind].own;
        c->ask_end = c->ask + strlen(c->ask);
        return c->text < c->text_end;
    }
    c->ask = last_of(prompt, kinds[kind].ask);
    c->ask_end = last_of(prompt, kinds[kind].stop);
    if (!c->ask || !c->ask_end) return false;
    c->ask += strlen(kinds[kind].ask);
    return c->text < c->text_end && c->text_end <= c->ask && c->ask < c->ask_end;
}

/* The list of answers in "gold": a list of strings, or an object that has it as "answers". */
static json_object *answers_of(json_object *gold)
{
    if (json_object_is_type(gold, json_type_object)) gold = json_object_object_get(gold, "answers");
    if (!json_object_is_type(gold, json_type_array) || json_object_array_length(gold) < 1 || json_object_array_length(gold) > LONGBENCH_GOLD_MAX) return NULL;
    for (size_t i = 0; i < json_object_array_length(gold); i++)
        if (!json_object_is_type(json_object_array_get_idx(gold, i), json_type_string)) return NULL;
    return gold;
}

static cj_err make_room(longbench *l, cj_diag *d)
{
    if (l->n < l->cap) return CJ_OK;
    if (l->n == LONGBENCH_LINES_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "LongBench", LONGBENCH_LINES_MAX);
    int more = l->cap ? 2 * l->cap : 16;
    line *grown = mem_grow(l->line, (size_t)l->cap * sizeof *grown, (size_t)more * sizeof *grown);
    if (!grown) return diag_nomem(d, (size_t)more * sizeof *grown);
    l->line = grown;
    l->cap = more;
    return CJ_OK;
}

/* Text, question and answers go into one block, each with its 0. */
static cj_err keep(longbench *l, int kind, const cut *c, json_object *gold, cj_diag *d)
{
    size_t text = (size_t)(c->text_end - c->text), ask = (size_t)(c->ask_end - c->ask), total = text + ask + 2;
    int n = (int)json_object_array_length(gold);
    TRY(make_room(l, d));
    for (int i = 0; i < n; i++) total += strlen(json_object_get_string(json_object_array_get_idx(gold, (size_t)i))) + 1;
    char *at = mem_zalloc(total);
    if (!at) return diag_nomem(d, total);
    line *x = &l->line[l->n++];
    *x = (line){.kind = kind, .text = at, .n_answers = n, .chars = (int64_t)utf8_count(c->text, text)};
    memcpy(at, c->text, text);
    at += text + 1;
    x->question = memcpy(at, c->ask, ask);
    at += ask + 1;
    for (int i = 0; i < n; i++) {
        const char *s = json_object_get_string(json_object_array_get_idx(gold, (size_t)i));
        x->answer[i] = memcpy(at, s, strlen(s) + 1);
        at += strlen(s) + 1;
    }
    return CJ_OK;
}

static cj_err parse_line(longbench *l, const char *name, int64_t number, const char *bytes, size_t n, cj_diag *d)
{
    json_object *o = NULL;
    cut c;
    int kind = -1;
    TRY(json_parse(bytes, n, name, &o, d));
    const char *task = json_object_get_string(json_object_object_get(o, "task")), *prompt = json_object_get_string(json_object_object_get(o, "prompt"));
    for (int k = 0; task && k < KINDS; k++)
        if (strcmp(task, kinds[k].name) == 0) kind = k;
    json_object *gold = answers_of(json_object_object_get(o, "gold"));
    cj_err e = CJ_OK;
    if (kind < 0 || !prompt || !gold || !take_apart(prompt, kind, &c)) e = diag_fail(d, CJ_E_INPUT, MSG_EVAL_LONGBENCH_BAD, "%s" ARG "%lld", name, (long long)number);
    else e = keep(l, kind, &c, gold, d);
    json_object_put(o);
    return e;
}

cj_err longbench_parse(longbench *l, const char *name, const char *bytes, size_t n, cj_diag *d)
{
    int64_t number = 0;
    for (size_t at = 0; at < n;) {
        const char *end = memchr(bytes + at, '\n', n - at);
        size_t length = end ? (size_t)(end - (bytes + at)) : n - at;
        number++;
        if (length) TRY(parse_line(l, name, number, bytes + at, length, d));
        at += length + 1;
    }
    return CJ_OK;
}

static cj_err read_kind(longbench *l, const char *folder, int kind, cj_diag *d)
{
    char name[64];
    buf file;
    snprintf(name, sizeof name, "%s.jsonl", kinds[kind].name);
    char *path = file_join(folder, name);
    if (!path) return diag_nomem(d, strlen(folder));
    cj_err e = CJ_OK;
    if (file_exists(path)) {
        e = file_read(path, LONGBENCH_FILE_MAX, &file, d);
        if (!e) {
            e = longbench_parse(l, path, file.data ? file.data : "", file.len, d);
            buf_deinit(&file);
        }
    }
    mem_free(path);
    return e;
}

cj_err longbench_open(longbench *l, const char *folder, cj_diag *d)
{
    *l = (longbench){0};
    cj_err e = CJ_OK;
    for (int k = 0; !e && k < KINDS; k++) e = read_kind(l, folder, k, d);
    if (!e && !l->n) e = diag_fail(d, CJ_E_NOT_FOUND, MSG_EVAL_NO_LONGBENCH, "%s", folder);
    if (e) longbench_close(l);
    return e;
}

void longbench_close(longbench *l)
{
    for (int i = 0; i < l->n; i++) mem_free(l->line[i].text);
    mem_free(l->line);
    *l = (longbench){0};
}

int64_t longbench_length(const longbench *l, int i)
{
    int64_t chars = 0, n = 0;
    for (int k = 0; k < l->n; k++)
        if (l->line[k].kind == l->line[i].kind) chars += l->line[k].chars, n++;
    return chars / n;
}

/* ---- tasks ---- */

/* The numbered paragraph that an answer like 段落5 names. */
static bool find_paragraph(const char *text, const char *answer, eval_range *place)
{
    char head[64];
    int n = 0;
    if (sscanf(answer, "段落%d", &n) != 1 || n < 1 || n > 100000) return false;
    snprintf(head, sizeof head, "段落%d：", n);
    const char *at = strstr(text, head);
    while (at && at > text && at[-1] != '\n') at = strstr(at + 1, head);
    if (!at) return false;
    const char *end = strstr(at, "\n\n段落");
    *place = (eval_range){(size_t)(at - text), end ? (size_t)(end - text) : strlen(text)};
    return true;
}

/* Where an answer stands in the text, its full stop aside. */
static bool find_words(const char *text, const char *answer, eval_range *place, char *copy, size_t room)
{
    size_t n = strlen(answer);
    if (n >= room) return false;
    memcpy(copy, answer, n + 1);
    if (n >= 3 && strcmp(copy + n - 3, "。") == 0) copy[n -= 3] = 0;
    const char *at = n ? strstr(text, copy) : NULL;
    if (at) *place = (eval_range){(size_t)(at - text), (size_t)(at - text) + n};
    return at != NULL;
}

cj_err longbench_task(eval_task *t, const longbench *l, int i, cj_diag *d)
{
    enum { WORDS_MAX = 4096 };
    const line *x = &l->line[i];
    eval_range place;
    char copy[WORDS_MAX];
    const char *number = x->answer[0] + strcspn(x->answer[0], "0123456789");
    bool found = false, retrieval = x->kind == RETRIEVAL;
    task_init(t);
    for (int k = 0; !found && k < x->n_answers && kinds[x->kind].metric != METRIC_ANY; k++)
        found = retrieval ? find_paragraph(x->text, x->answer[k], &place) : find_words(x->text, x->answer[k], &place, copy, sizeof copy);
    eval_question q = {.text = x->question, .group = kinds[x->kind].name, .place = &place, .n_places = found, .metric = kinds[x->kind].metric,
                       .answer = retrieval ? &number : x->answer, .n_answers = retrieval ? 1 : x->n_answers};
    cj_err e = buf_puts(&t->text, x->text, d);
    t->chars = x->chars;
    if (!e) e = task_add(t, &q, d);
    if (e) task_deinit(t);
    return e;
}
