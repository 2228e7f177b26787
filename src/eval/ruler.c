/* Keys, chains and counts. */
#include "eval/ruler.h"

#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "eval/plant.h"

enum {
    KEYS = 32, CHAINS = 4, LINKS = 5, NAMES = CHAINS * LINKS, DEEDS = 6, TIMES_MIN = 3, TIMES_MAX = 9,
    ITEMS_MAX = KEYS + NAMES + DEEDS * TIMES_MAX, SENTENCE_MAX = 160, NAME_MAX = 16,
};

static const char *const first[] = {"松", "竹", "梅", "兰", "荷", "菊", "桂", "枫", "柳", "杏", "桐", "槐", "榆", "椿", "棠", "莲", "蕉", "茶", "桑", "榕"};
static const char *const second[] = {"涛", "影", "声", "雪", "露", "烟", "月", "溪", "岭", "亭", "桥", "径", "湾", "坞", "渡", "屏", "汀", "坡", "泉", "台"};
enum { HALVES = sizeof first / sizeof *first };

static const struct {
    const char *sentence, *question;
} deeds[DEEDS] = {
    {"更夫又敲了一下铜锣。", "更夫一共敲了几下铜锣？"},     {"小童又放飞了一只纸鸢。", "小童一共放飞了几只纸鸢？"},
    {"老僧又点亮了一盏油灯。", "老僧一共点亮了几盏油灯？"}, {"渔翁又撒下了一张旧网。", "渔翁一共撒下了几张旧网？"},
    {"樵夫又劈开了一段松木。", "樵夫一共劈开了几段松木？"}, {"绣娘又剪断了一根红线。", "绣娘一共剪断了几根红线？"},
};

typedef struct maker {
    random_state random;
    char sentence[KEYS + NAMES][SENTENCE_MAX];
    plant_item item[ITEMS_MAX]; /* keys, then links chain by chain, then deeds deed by deed */
    int n;
    int key[KEYS], code[KEYS];
    char name[NAMES][NAME_MAX];
    int value[CHAINS];
    int times[DEEDS];
} maker;

static double anywhere(maker *m) { return (double)random_below(&m->random, 100000) / 100000; }

/* Is `v` among the first n of list? */
static bool used(const int *list, int n, int v)
{
    for (int i = 0; i < n; i++)
        if (list[i] == v) return true;
    return false;
}

static void add(maker *m, const char *text, double depth) { m->item[m->n++] = (plant_item){.text = text, .depth = depth}; }

static void make_keys(maker *m)
{
    for (int i = 0; i < KEYS; i++) {
        do m->key[i] = 1000 + (int)random_below(&m->random, 9000);
        while (used(m->key, i, m->key[i]));
        do m->code[i] = 100000 + (int)random_below(&m->random, 900000);
        while (used(m->code, i, m->code[i]));
        snprintf(m->sentence[i], SENTENCE_MAX, "编号%d的木箱，锁的密码是%d。", m->key[i], m->code[i]);
        add(m, m->sentence[i], anywhere(m));
    }
}

/* Each chain's links follow each other in the text, chains mingle. */
static void make_chains(maker *m)
{
    int order[HALVES * HALVES];
    random_order(&m->random, order, HALVES * HALVES);
    for (int i = 0; i < NAMES; i++) snprintf(m->name[i], NAME_MAX, "%s%s", first[order[i] / HALVES], second[order[i] % HALVES]);
    for (int c = 0; c < CHAINS; c++) {
        do m->value[c] = 10000 + (int)random_below(&m->random, 90000);
        while (used(m->value, c, m->value[c]));
        for (int l = 0; l < LINKS; l++) {
            char *s = m->sentence[KEYS + c * LINKS + l];
            const char *name = m->name[c * LINKS + l];
            if (l) snprintf(s, SENTENCE_MAX, "暗号「%s」与暗号「%s」相同。", name, m->name[c * LINKS + l - 1]);
            else snprintf(s, SENTENCE_MAX, "暗号「%s」等于%d。", name, m->value[c]);
            add(m, s, (l + anywhere(m)) / LINKS);
        }
    }
}

static void make_deeds(maker *m)
{
    for (int i = 0; i < DEEDS; i++) {
        m->times[i] = TIMES_MIN + (int)random_below(&m->random, TIMES_MAX - TIMES_MIN + 1);
        for (int k = 0; k < m->times[i]; k++) add(m, deeds[i].sentence, anywhere(m));
    }
}

/* Places of items [from, from + n) in order of the text. */
static void places_of(const maker *m, int from, int n, eval_range *out)
{
    for (int i = 0; i < n; i++) {
        int at = i;
        for (; at > 0 && out[at - 1].byte > m->item[from + i].placed.byte; at--) out[at] = out[at - 1];
        out[at] = m->item[from + i].placed;
    }
}

static cj_err ask_keys(eval_task *t, const maker *m, cj_diag *d)
{
    char question[SENTENCE_MAX], code[16];
    const char *answer = code;
    for (int i = 0; i < KEYS; i++) {
        snprintf(question, sizeof question, "编号%d的木箱，锁的密码是多少？", m->key[i]);
        snprintf(code, sizeof code, "%d", m->code[i]);
        TRY(task_add(t, &(eval_question){.text = question, .group = "keys", .place = &m->item[i].placed, .n_places = 1, .answer = &answer, .n_answers = 1,
                                         .metric = METRIC_ANY}, d));
    }
    return CJ_OK;
}

static cj_err ask_chains(eval_task *t, const maker *m, cj_diag *d)
{
    char question[SENTENCE_MAX];
    const char *answer[LINKS];
    eval_range place[LINKS];
    for (int c = 0; c < CHAINS; c++) {
        snprintf(question, sizeof question, "哪些暗号等于%d？请全部列出。", m->value[c]);
        for (int l = 0; l < LINKS; l++) answer[l] = m->name[c * LINKS + l];
        places_of(m, KEYS + c * LINKS, LINKS, place);
        TRY(task_add(t, &(eval_question){.text = question, .group = "tracking", .place = place, .n_places = LINKS, .each = true, .answer = answer,
                                         .n_answers = LINKS, .metric = METRIC_ALL}, d));
    }
    return CJ_OK;
}

static cj_err ask_deeds(eval_task *t, const maker *m, cj_diag *d)
{
    char count[16];
    const char *answer = count;
    eval_range place[TIMES_MAX];
    for (int i = 0, from = KEYS + NAMES; i < DEEDS; from += m->times[i++]) {
        snprintf(count, sizeof count, "%d", m->times[i]);
        places_of(m, from, m->times[i], place);
        TRY(task_add(t, &(eval_question){.text = deeds[i].question, .group = "counting", .place = place, .n_places = m->times[i], .each = true,
                                         .answer = &answer, .n_answers = 1, .metric = METRIC_NUMBER}, d));
    }
    return CJ_OK;
}

cj_err ruler_task(eval_task *t, const char *haystack, size_t bytes, int64_t chars, uint64_t seed, cj_diag *d)
{
    maker *m = mem_zalloc(sizeof *m);
    task_init(t);
    if (!m) return diag_nomem(d, sizeof *m);
    m->random = (random_state){seed ^ 0x72756C6572u};
    make_keys(m);
    make_chains(m);
    make_deeds(m);
    cj_err e = plant_items(t, haystack, bytes, chars, m->item, m->n, d);
    if (!e) e = ask_keys(t, m, d);
    if (!e) e = ask_chains(t, m, d);
    if (!e) e = ask_deeds(t, m, d);
    mem_free(m);
    if (e) task_deinit(t);
    return e;
}
