/* Finding heads: choosing those that find together, keeping them with a model, opening a model with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "hub/heads.h"
#include "reader/calibrate.h"
#include "reader/named.h"

static char home[] = "/tmp/test-calibrate-XXXXXX";

static int begin(void **state)
{
    const char *source = getenv("CJ_SOURCE");
    char share[4096];
    snprintf(share, sizeof share, "%s/share", source ? source : ".");
    return mkdtemp(home) && !setenv("JUAN_HOME", home, 1) && !setenv("JUAN_SHARE", share, 1) ? 0 : -1;
}

static int end(void **state) { return folder_remove(home, NULL); }

/* ---- choosing ---- */

static void places(void **state)
{
    const float score[] = {0.5f, 0.2f, 0.9f, 0.2f, 0};
    assert_int_equal(calibrate_place(score, 5, 2, 3), 1);
    assert_int_equal(calibrate_place(score, 5, 0, 1), 2);
    assert_int_equal(calibrate_place(score, 5, 1, 2), 4); /* what is as good counts as better */
    assert_int_equal(calibrate_place(score, 5, 1, 4), 1); /* any of them will do */
    assert_int_equal(calibrate_place(score, 5, 0, 2), 2);
    assert_int_equal(calibrate_place(score, 5, 4, 5), 0);
    calibrate_figures f = {0};
    assert_true(calibrate_value(&f) <= 0);
    calibrate_count(&f, 0, 1), calibrate_count(&f, 1, 4);
    calibrate_count(&f, 0, 3), calibrate_count(&f, 1, 0);
    assert_true(f.facts == 2 && f.first[0] == 1 && f.among[0] == 2 && !f.first[1] && !f.among[1]);
    assert_float_equal(calibrate_value(&f), (1 + 1 / 3.0 + 1 / 4.0) / 4, 1e-9);
}

enum { FACTS = 16, HEADS = 3, PASSAGES = 20, QUESTIONS = FACTS * CALIBRATE_WAYS };

typedef struct made {
    float score[QUESTIONS][HEADS][PASSAGES];
    int64_t right[FACTS], right_end[FACTS];
    calibrate_scores s;
} made;

/* Head 0 finds what is asked in its words and thinks as much of a wrong passage where it is not; head 1 finds half of what is asked in other words,
 * weakly, in every half of the facts; head 2 looks at one passage whatever is asked. */
static void make(made *m)
{
    *m = (made){0};
    for (int q = 0; q < QUESTIONS; q++) {
        const int fact = q / CALIBRATE_WAYS, right = 3 + fact, wrong = 3 + (fact + 5) % FACTS;
        m->right[fact] = right, m->right_end[fact] = right + 1;
        const bool other = q % CALIBRATE_WAYS;
        m->score[q][0][right] = other ? 0.10f : 0.50f;
        m->score[q][0][wrong] = other ? 0.10f : 0.05f;
        if (other && fact % 8 < 4) m->score[q][1][right] = 0.02f;
        else if (!other) m->score[q][1][wrong] = 0.30f;
        m->score[q][2][0] = 1;
    }
    m->s = (calibrate_scores){&m->score[0][0][0], m->right, m->right_end, FACTS, HEADS, PASSAGES};
}

static void chosen(void **state)
{
    static made m;
    calibrate_pick picks[CALIBRATE_CHOSEN_MAX];
    calibrate_figures f = {0};
    int n;
    make(&m);
    for (calibrate_half of = CALIBRATE_EVEN; of <= CALIBRATE_WHOLE; of++) {
        f = (calibrate_figures){0};
        assert_int_equal(calibrate_choose(&m.s, of, picks, &n, NULL), CJ_OK);
        assert_int_equal(n, 2); /* the third helps nothing */
        assert_int_equal(picks[0].head, 0);
        assert_int_equal(picks[1].head, 1);
        assert_float_equal(picks[0].weight, 1, 0);
        assert_int_equal(calibrate_check(&m.s, of, picks, n, &f, NULL), CJ_OK);
        assert_int_equal(f.facts, of == CALIBRATE_WHOLE ? FACTS : FACTS / 2);
        assert_int_equal(f.first[0], f.facts); /* nothing is lost in its words ... */
        assert_int_equal(f.first[1], of == CALIBRATE_ODD ? 4 : of == CALIBRATE_EVEN ? 4 : 8); /* ... and half is gained in others */
        assert_int_equal(f.among[1], f.facts);
    }
}

/* A head that would spoil at full weight what another finds is taken with less. */
static void weighed(void **state)
{
    static made m;
    calibrate_pick picks[CALIBRATE_CHOSEN_MAX];
    int n;
    make(&m);
    for (int q = 0; q < QUESTIONS; q += CALIBRATE_WAYS)
        for (int p = 0; p < PASSAGES; p++) m.score[q][1][p] *= 2.5f; /* now 0.75 where it is wrong */
    assert_int_equal(calibrate_choose(&m.s, CALIBRATE_WHOLE, picks, &n, NULL), CJ_OK);
    assert_true(n == 2 && picks[1].head == 1 && picks[1].weight < 1);
    make(&m); /* what helps in one half of the facts only is chance */
    for (int q = 0; q < QUESTIONS; q++)
        if (q / CALIBRATE_WAYS % 2) memset(m.score[q][1], 0, sizeof m.score[q][1]);
    assert_int_equal(calibrate_choose(&m.s, CALIBRATE_WHOLE, picks, &n, NULL), CJ_OK);
    assert_int_equal(n, 1);
    memset(m.score, 0, sizeof m.score); /* nothing finds anything */
    assert_int_equal(calibrate_choose(&m.s, CALIBRATE_WHOLE, picks, &n, NULL), CJ_OK);
    assert_int_equal(n, 1);
}

/* ---- what is kept ---- */

static const uint64_t ours = 0x0123456789abcdef;
#define BEGIN "{\"version\": 1, \"fingerprint\": \"0123456789abcdef\", \"heads\": "
#define HEAD "{\"layer\": 3, \"head\": 1, \"weight\": 0.5}"

static void hostile_files(void **state)
{
    static const char *const bad[] = {
        "", "{", "[]", "null", "7", "{}", BEGIN "[]}", BEGIN "{}}", BEGIN "[1]}", BEGIN "[" HEAD, BEGIN "[" HEAD "]} x", BEGIN "[{}]}",
        BEGIN "[{\"layer\": 3, \"head\": 1}]}", BEGIN "[{\"layer\": -1, \"head\": 1, \"weight\": 1}]}", BEGIN "[{\"layer\": 3, \"head\": 10000, \"weight\": 1}]}",
        BEGIN "[{\"layer\": 3.5, \"head\": 1, \"weight\": 1}]}", BEGIN "[{\"layer\": \"3\", \"head\": 1, \"weight\": 1}]}",
        BEGIN "[{\"layer\": 99999999999999999999, \"head\": 1, \"weight\": 1}]}", BEGIN "[{\"layer\": 3, \"head\": 1, \"weight\": 0}]}",
        BEGIN "[{\"layer\": 3, \"head\": 1, \"weight\": 1.5}]}", BEGIN "[{\"layer\": 3, \"head\": 1, \"weight\": -1}]}", BEGIN "[{\"layer\": 3, \"head\": 1, \"weight\": NaN}]}",
        BEGIN "[{\"layer\": 3, \"head\": 1, \"weight\": 1e-300}]}", BEGIN "[{\"layer\": 3, \"head\": 1, \"weight\": \"1\"}]}", BEGIN "[" HEAD ", " HEAD ", {\"layer\": 1}]}",
        "{\"version\": 2, \"fingerprint\": \"0123456789abcdef\", \"heads\": [" HEAD "]}", "{\"fingerprint\": \"0123456789abcdef\", \"heads\": [" HEAD "]}",
        "{\"version\": 1, \"fingerprint\": 81985529216486895, \"heads\": [" HEAD "]}", "{\"version\": 1, \"heads\": [" HEAD "]}",
    };
    static const char good[] = BEGIN "[" HEAD "]}", other[] = "{\"version\": 1, \"fingerprint\": \"0123456789abcdee\", \"heads\": [" HEAD "]}";
    hub_heads h;
    cj_diag d = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (hub_heads_parse(&h, bad[i], strlen(bad[i]), "x", ours, &d) != CJ_E_INPUT || d.message != MSG_HUB_HEADS_BAD) fail_msg("%s", bad[i]);
    }
    assert_int_equal(hub_heads_parse(&h, other, strlen(other), "x", ours, &d), CJ_E_INPUT);
    assert_int_equal(d.message, MSG_HUB_HEADS_OTHER);
    assert_int_equal(hub_heads_parse(&h, good, strlen(good), "x", ours, &d), CJ_OK);
    assert_true(h.n == 1 && h.item[0].layer == 3 && h.item[0].head == 1 && h.item[0].weight <= 0.5f && h.item[0].weight >= 0.5f);
    for (size_t i = 0; i < strlen(good); i++) assert_int_equal(hub_heads_parse(&h, good, i, "x", ours, NULL), CJ_E_INPUT);
    buf many;
    buf_init(&many, 1 << 16);
    assert_int_equal(buf_puts(&many, BEGIN "[" HEAD, NULL), CJ_OK);
    for (int i = 0; i < HUB_HEADS_MAX; i++) assert_int_equal(buf_puts(&many, ", " HEAD, NULL), CJ_OK);
    assert_int_equal(buf_puts(&many, "]}", NULL), CJ_OK);
    assert_int_equal(hub_heads_parse(&h, many.data, many.len, "x", ours, NULL), CJ_E_INPUT);
    buf_deinit(&many);
}

static void kept_and_forgotten(void **state)
{
    hub_heads mine = {.item = {{11, 2, 1}, {5, 1, 0.25f}}, .n = 2}, got;
    cj_diag d = {0};
    bool was = true;
    hub *h = NULL;
    assert_int_equal(hub_open(&h, home, NULL, NULL), CJ_OK);
    char *path = hub_heads_path(h, hub_find(h, hub_default(h)), ours); /* it is not installed here */
    assert_non_null(strstr(path, "/models/.heads/0123456789abcdef.json"));
    assert_int_equal(hub_heads_load(&got, path, ours, &d), CJ_E_NOT_FOUND);
    assert_int_equal(hub_heads_forget(path, &was, NULL), CJ_OK);
    assert_false(was);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(hub_heads_save(&mine, path, ours, NULL), CJ_OK);
        assert_int_equal(hub_heads_load(&got, path, ours, NULL), CJ_OK);
        assert_int_equal(got.n, mine.n);
        assert_memory_equal(got.item, mine.item, 2 * sizeof *mine.item);
        mine.item[1].head++;
    }
    assert_int_equal(hub_heads_load(&got, path, ours + 1, &d), CJ_E_INPUT);
    file_fail_after(0, ENOSPC); /* what is there stays where it cannot be replaced */
    assert_int_not_equal(hub_heads_save(&got, path, ours, NULL), CJ_OK);
    file_fail_after(-1, 0);
    assert_int_equal(hub_heads_load(&got, path, ours, NULL), CJ_OK);
    cj_err e = CJ_E_NOMEM;
    for (int n = 0; e; n++) {
        mem_fail_after(n);
        e = hub_heads_save(&mine, path, ours, NULL);
        if (!e) e = hub_heads_load(&got, path, ours, NULL);
        mem_fail_after(-1);
        assert_true(e == CJ_OK || e == CJ_E_NOMEM);
        assert_true(n < 100);
    }
    assert_int_equal(hub_heads_forget(path, &was, NULL), CJ_OK);
    assert_true(was && !file_exists(path));
    assert_int_equal(mkdir(path, 0700), 0); /* a folder in its place is no file */
    assert_int_equal(hub_heads_load(&got, path, ours, &d), CJ_E_INPUT);
    assert_int_equal(hub_heads_forget(path, &was, NULL), CJ_OK);
    mem_free(path);
    hub_close(&h);
}

/* ---- a model by its name ---- */

static const engine_options quick = {.level = KERNEL_AUTO, .threads = 1, .kv = KV_F32};

static void opened_with_its_heads(void **state)
{
    const char *file = getenv("CJ_TINY_BASE");
    const hub_heads mine = {.item = {{1, 1, 1}, {0, 2, 0.5f}}, .n = 2};
    named_model m;
    cj_diag d = {0};
    hub *h = NULL;
    assert_int_equal(named_open(&m, "no/such.gguf", NULL, &quick, &d), CJ_E_NOT_FOUND);
    assert_true(!m.engine && !m.name);
    assert_int_equal(named_open(&m, NULL, NULL, &quick, &d), CJ_E_NOT_FOUND); /* the default, which is not installed */
    assert_int_equal(named_open(&m, "of another folder.gguf", file, &quick, &d), CJ_OK); /* it is where it was */
    assert_string_equal(m.name, "of another folder.gguf");
    assert_true(m.heads.n == 0 && m.heads.from == HEADS_ALL && !m.heads.trouble.code);
    const uint64_t fingerprint = model_fingerprint(engine_model(m.engine));
    named_close(&m);
    assert_int_equal(hub_open(&h, NULL, NULL, NULL), CJ_OK);
    char *path = hub_heads_path(h, NULL, fingerprint);
    hub_close(&h);
    assert_int_equal(hub_heads_save(&mine, path, fingerprint, NULL), CJ_OK);
    assert_int_equal(named_open(&m, file, NULL, &quick, &d), CJ_OK);
    assert_true(m.heads.from == HEADS_CALIBRATED && m.heads.n == 2 && m.heads.item[1].layer == 0 && m.heads.item[1].head == 2);
    finder_head chosen[FINDER_HEADS_MAX];
    bool known;
    assert_int_equal(finder_choose_heads(m.engine, &(finder_options){.heads = m.heads.item, .n_heads = m.heads.n}, chosen, &known), 2);
    assert_true(known);
    assert_float_equal(chosen[0].weight, 2 / 3.0, 1e-6); /* they sum to 1 */
    assert_float_equal(chosen[1].weight, 1 / 3.0, 1e-6);
    named_close(&m);
    FILE *f = fopen(path, "w"); /* damaged: as if it were not there, but it is known */
    fputs("{\"version\": 1, \"fing", f);
    fclose(f);
    assert_int_equal(named_open(&m, file, NULL, &quick, &d), CJ_OK);
    assert_true(m.heads.n == 0 && m.heads.from == HEADS_ALL && m.heads.trouble.message == MSG_HUB_HEADS_BAD);
    named_close(&m);
    unlink(path);
    mem_free(path);
}

/* ---- all of it, on a tiny model whose heads find by chance ---- */

enum { LINES = 12 };

static const char *const animals[LINES] = {"猫", "狗", "牛", "羊", "马", "鸡", "鸭", "鹅", "鱼", "鸟", "虎", "象"};

typedef struct story {
    engine *e;
    document *doc;
    book book;
    calibrate_fact facts[LINES];
    char text[8192], questions[LINES][2][128];
} story;

static void tell(story *s)
{
    int64_t cut;
    const tokenizer *t;
    memset(s, 0, sizeof *s);
    assert_int_equal(named_engine(&s->e, getenv("CJ_TINY_BASE"), NULL, &quick, NULL), CJ_OK);
    for (int i = 0; i < LINES; i++) {
        const size_t at = strlen(s->text);
        snprintf(s->text + at, sizeof s->text - at, "第%d间屋子里的%s住了%d年。", i, animals[i], i * 7 % 11);
        s->facts[i].byte = at, s->facts[i].end = strlen(s->text);
        snprintf(s->text + s->facts[i].end, sizeof s->text - s->facts[i].end, "此外别无他物，只有风声。\n");
        snprintf(s->questions[i][0], 128, "第%d间屋子里的%s住了几年？", i, animals[i]);
        snprintf(s->questions[i][1], 128, "%s待了多久？", animals[i]);
        for (int w = 0; w < 2; w++) s->facts[i].question[w] = s->questions[i][w];
    }
    assert_int_equal(document_from_bytes(&s->doc, "x", s->text, strlen(s->text), NULL), CJ_OK);
    assert_int_equal(book_join(&s->book, &s->doc, 1, NULL), CJ_OK);
    assert_int_equal(engine_need_tokenizer(s->e, &t, NULL), CJ_OK);
    assert_int_equal(book_encode(&s->book, t, &cut, NULL), CJ_OK);
}

static void untell(story *s)
{
    book_deinit(&s->book);
    document_close(&s->doc);
    engine_close(&s->e);
}

static bool count(void *arg, bool asking, int64_t done, int64_t total)
{
    int *left = arg;
    assert_true(done >= 0 && done <= total);
    return (*left)-- > 0;
}

static void calibrated(void **state)
{
    static story s;
    calibration c, again;
    cj_diag d = {0};
    int plenty = INT32_MAX;
    tell(&s);
    const calibrate_options opt = {count, &plenty};
    assert_int_equal(calibrate(&c, s.e, &s.book, s.facts, LINES, &opt, &d), CJ_OK);
    const model_spec *m = model_spec_of(engine_model(s.e));
    assert_int_equal(c.n_heads, m->n_layers * m->layers[0].gqa.heads);
    for (int i = 0; i < c.n_heads; i++) {
        const calibrate_figures *f = &c.heads[i].alone;
        assert_int_equal(f->facts, LINES);
        for (int w = 0; w < 2; w++) assert_true(f->first[w] <= f->among[w] && f->among[w] <= LINES && f->reciprocal[w] >= f->first[w]);
        if (i) assert_true(calibrate_value(f) <= calibrate_value(&c.heads[i - 1].alone));
    }
    /* what is chosen begins with the best head, and does as well at least; and what a finder with it finds is what was counted */
    assert_true(c.chosen.n >= 1 && c.chosen.item[0].layer == c.heads[0].layer && c.chosen.item[0].head == c.heads[0].head);
    assert_true(calibrate_value(&c.chosen.figures) >= calibrate_value(&c.heads[0].alone) && c.unseen.facts == LINES);
    finder *f = NULL;
    const finder_options how = {.heads = c.chosen.item, .n_heads = c.chosen.n, .how = FIND_READING};
    int first = 0;
    assert_int_equal(finder_open(&f, s.e, &s.book, NULL, &how, NULL), CJ_OK);
    for (int i = 0; i < LINES; i++) {
        found_passage found[3];
        int n;
        assert_int_equal(finder_find(f, s.facts[i].question[0], found, 3, &n, NULL, NULL), CJ_OK);
        const passage *p = n ? &s.book.passages.item[found[0].passage] : NULL;
        first += p && p->byte < s.facts[i].end && p->end > s.facts[i].byte;
    }
    assert_int_equal(first, c.chosen.figures.first[0]);
    finder_close(&f);
    assert_int_equal(calibrate(&again, s.e, &s.book, s.facts, LINES, &(calibrate_options){0}, &d), CJ_OK);
    assert_int_equal(again.chosen.n, c.chosen.n);
    assert_memory_equal(again.heads, c.heads, (size_t)c.n_heads * sizeof *c.heads);
    calibration_deinit(&again);
    calibration_deinit(&c);
    untell(&s);
}

static void stopped_and_refused(void **state)
{
    static story s;
    calibration c;
    cj_diag d = {0};
    tell(&s);
    for (int after = 0; after < 30; after += 7) {
        int left = after;
        assert_int_equal(calibrate(&c, s.e, &s.book, s.facts, LINES, &(calibrate_options){count, &left}, &d), CJ_E_CANCELLED);
        calibration_deinit(&c);
    }
    assert_int_equal(calibrate(&c, s.e, &s.book, s.facts, CALIBRATE_FACTS_MIN - 1, &(calibrate_options){0}, &d), CJ_E_INPUT);
    assert_int_equal(d.message, MSG_CALIBRATE_FEW);
    calibration_deinit(&c);
    for (int n = 0, step = 1;; n += step, step = n > 40 ? 13 : 1) {
        mem_fail_after(n);
        cj_err e = calibrate(&c, s.e, &s.book, s.facts, CALIBRATE_FACTS_MIN, &(calibrate_options){0}, &d);
        mem_fail_after(-1);
        calibration_deinit(&c);
        assert_true(e == CJ_OK || e == CJ_E_NOMEM);
        if (!e) break;
    }
    engine *windows = NULL;
    assert_int_equal(named_engine(&windows, getenv("CJ_TINY_SPACES"), NULL, &quick, NULL), CJ_OK);
    assert_int_equal(calibrate(&c, windows, &s.book, s.facts, LINES, &(calibrate_options){0}, &d), CJ_E_UNSUPPORTED);
    assert_int_equal(d.message, MSG_CALIBRATE_NO_HEADS);
    calibration_deinit(&c);
    engine_close(&windows);
    untell(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places),
        cmocka_unit_test(chosen),
        cmocka_unit_test(weighed),
        cmocka_unit_test(hostile_files),
        cmocka_unit_test(kept_and_forgotten),
        cmocka_unit_test(opened_with_its_heads),
        cmocka_unit_test(calibrated),
        cmocka_unit_test(stopped_and_refused),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
