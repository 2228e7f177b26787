/* Lessons in finding: texts of many passages, questions after them, and a head that learns to look where the answer stands; then a finder with what was learnt.
 * With a tiny random model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/vocab_gguf.h"
#include "reader/finder.h"
#include "train/finding.h"

enum { PASSAGES = 12, STEPS = 60 };
static const char *const things[PASSAGES] = {"铜哨", "红伞", "竹笛", "白鹅", "石桥", "药方", "渔网", "火炉", "书信", "马车", "茶壶", "木梳"};

static kernel_ctx *ctx;
static model *m;
static tokenizer *vocabulary;
static training_rows rows;
static sample_set set;
static const finding_head heads[] = {{.layer = 1, .head = 0, .weight = 1}};

static void ok(cj_err e, const cj_diag *d)
{
    char text[1024];
    cj_diag_text(d, CJ_LANG_EN, text, sizeof text);
    if (e) fail_msg("%s", text);
}

static void passage_of(char out[512], int i)
{
    snprintf(out, 512, "那天没有下雨。%s放在门后面了。庙里的老和尚讲了故事。", things[i]);
}

static int begin(void **state)
{
    (void)state;
    char text[1 << 14] = "", one[512];
    for (int i = 0; i < PASSAGES; i++) {
        passage_of(one, i);
        snprintf(text + strlen(text), sizeof text - strlen(text), "{\"passage\":\"%s\",\"question\":\"哪里有%s？\",\"quote\":\"%s放在门后面了。\",\"answer\":\"门后面\"}\n", one,
                 things[i], things[i]);
        if (i % 3 == 0) /* nothing to be found */
            snprintf(text + strlen(text), sizeof text - strlen(text), "{\"passage\":\"%s\",\"question\":\"谁？\",\"quote\":\"\",\"answer\":\"文中未提及\"}\n", one);
    }
    rows_init(&rows);
    if (kernel_open(&ctx, &(kernel_options){.level = KERNEL_AUTO, .threads = 1, .exact = true}, NULL)) return -1;
    if (model_open(&m, ctx, getenv("CJ_TINY_BASE"), NULL) || vocab_gguf_open(&vocabulary, model_file(m), NULL)) return -1;
    if (rows_parse(&rows, "rows", text, strlen(text), NULL)) return -1;
    return samples_make(&set, &rows, vocabulary, &(sample_options){.sample_tokens = 512, .prefix_tokens = 512, .group_tokens = 4096, .held = 0.25}, NULL) ? -1 : 0;
}

static int end(void **state)
{
    (void)state;
    samples_deinit(&set);
    rows_deinit(&rows);
    tokenizer_close(&vocabulary);
    model_close(&m);
    kernel_close(&ctx);
    return 0;
}

static const int64_t lengths[] = {150, 400};
static finding_options usual(void)
{
    return (finding_options){.heads = heads, .n_heads = 1, .lengths = lengths, .n_lengths = 2, .tokens = 120, .seed = 3, .kv = KV_F32};
}

/* A number that stands for a batch; its aims are looked at: each must be at a sentence that its question asks for. */
static uint64_t look_at(const grad_batch *b)
{
    uint64_t sum = 0;
    const int layers = model_spec_of(m)->n_layers;
    assert_true(b->n_seqs > 0 && b->aim_begin[0] == 0 && b->aim_begin[1] == 0 && b->aim_begin[layers] == b->n_seqs);
    for (int i = 0; i < b->n_seqs; i++) {
        const op_attn_aim *a = &b->aims[i];
        assert_true(a->seq == i && a->begin >= 0 && a->begin < a->end && a->end <= kv_count(b->seqs[i].prefix));
        for (int64_t k = 0; k < b->seqs[i].count; k++) sum = sum * 31 + (uint64_t)b->seqs[i].ids[k];
        sum = sum * 31 + (uint64_t)a->begin * 7 + (uint64_t)a->end;
    }
    return sum;
}

/* The same cursor gives the same batch, at any time; an epoch asks every question of its part once. */
static void batches_follow_from_the_cursor(void **state)
{
    (void)state;
    cj_diag d = {0};
    finding *f;
    const finding_options o = usual();
    ok(finding_open(&f, m, vocabulary, &set, &o, &d), &d);
    const train_source s = finding_source(f);
    train_cursor at[64] = {0};
    uint64_t said[64];
    int n = 0, asked = 0, want = 0;
    for (int64_t i = 0; i < set.n_groups; i++)
        for (int64_t k = 0; !set.group[i].held && k < set.group[i].n; k++) want += set.sample[set.group[i].first + k].aim_end > 0;
    for (; n < 63 && at[n].at[0] < 2; n++) {
        grad_batch b;
        at[n + 1] = at[n];
        ok(s.next(s.arg, &at[n + 1], &b, &d), &d);
        said[n] = look_at(&b);
        asked += b.n_seqs;
    }
    assert_true(n < 63 && asked >= 2 * want && asked <= 2 * want + 4); /* the last one is of the third epoch, or the second ended with it */
    for (int i = n; i-- > 0;) {
        grad_batch b;
        train_cursor c = at[i];
        ok(s.next(s.arg, &c, &b, &d), &d);
        assert_memory_equal(&c, &at[i + 1], sizeof c);
        assert_true(look_at(&b) == said[i]);
    }
    finding_close(&f);
}

static void the_held_out_part_ends(void **state)
{
    (void)state;
    cj_diag d = {0};
    finding *f, *other;
    finding_options o = usual();
    ok(finding_open(&other, m, vocabulary, &set, &o, &d), &d);
    o.held = true;
    ok(finding_open(&f, m, vocabulary, &set, &o, &d), &d);
    const train_source s = finding_source(f);
    assert_true(s.fingerprint != finding_source(other).fingerprint);
    train_cursor c = {0};
    int asked = 0;
    for (grad_batch b = {.n_seqs = 1}; b.n_seqs; asked += b.n_seqs) ok(s.next(s.arg, &c, &b, &d), &d);
    assert_int_equal(asked, 3);
    finding_close(&f);
    finding_close(&other);
}

static void what_is_refused(void **state)
{
    (void)state;
    static const struct { finding_head head; } bad[] = {{{7, 0, 1}}, {{1, 99, 1}}, {{-1, 0, 1}}, {{0, -1, 1}}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        finding *f = NULL;
        finding_options o = usual();
        o.heads = &bad[i].head;
        assert_int_equal(finding_open(&f, m, vocabulary, &set, &o, NULL), CJ_E_INPUT);
        assert_null(f);
    }
    training_rows plain;
    sample_set none;
    finding *f = NULL;
    const finding_options o = usual();
    static const char text[] = "{\"passage\":\"今天没有下雨。\",\"question\":\"谁？\",\"quote\":\"\",\"answer\":\"文中未提及\"}\n";
    rows_init(&plain);
    assert_int_equal(rows_parse(&plain, "rows", text, sizeof text - 1, NULL), CJ_OK);
    assert_int_equal(samples_make(&none, &plain, vocabulary, &(sample_options){.sample_tokens = 512, .prefix_tokens = 512, .group_tokens = 512}, NULL), CJ_OK);
    assert_int_equal(finding_open(&f, m, vocabulary, &none, &o, NULL), CJ_E_INPUT);
    samples_deinit(&none);
    rows_deinit(&plain);
}

/* Whether a finder has the one sentence of its kind first, in a passage as it was taught. */
static bool found(const trainee *t, const char *thing)
{
    cj_diag d = {0};
    engine *e = NULL;
    engine_adapter *a = NULL;
    document *doc = NULL;
    finder *f = NULL;
    finder_cost cost;
    found_passage list[3];
    book b;
    int64_t cut;
    int n = 0;
    char text[1024], question[128];
    snprintf(text, sizeof text, "那天没有下雨。%s放在门后面了。庙里的老和尚讲了故事。", thing);
    snprintf(question, sizeof question, "哪里有%s？", thing);
    ok(engine_open(&e, &(engine_options){.path = getenv("CJ_TINY_BASE"), .level = KERNEL_AUTO, .threads = 1, .kv = KV_F32, .exact = true}, &d), &d);
    if (t) ok(engine_adapter_of(&a, e, t->adapter, &(adapter_facts){.name = "made", .prompt = FINDER_FORM, .heads = "1.0 9.9*2", .activated = true}, &d), &d);
    ok(document_from_bytes(&doc, "a.txt", text, strlen(text), &d), &d);
    ok(book_join(&b, &doc, 1, &d), &d);
    ok(book_encode(&b, engine_tokenizer(e), &cut, &d), &d);
    const finder_options o = {.heads = &(finder_head){1, 0, 1}, .n_heads = 1, .adapter = a, .how = FIND_READING};
    ok(finder_open(&f, e, &b, NULL, &o, &d), &d);
    if (a) assert_int_equal(finder_find(f, " \n", list, 3, &n, NULL, NULL), CJ_E_USAGE);
    ok(finder_find(f, question, list, 3, &n, &cost, &d), &d);
    assert_int_equal(cost.heads, 1); /* the one that the model has */
    assert_int_equal(cost.neutral.tokens > 0, !t); /* an adapter needs no question about nothing */
    const passage *p = n ? &b.passages.item[list[0].passage] : NULL;
    const bool right = p && memmem(text + p->byte, p->end - p->byte, thing, strlen(thing)) != NULL;
    finder_close(&f);
    book_deinit(&b);
    document_close(&doc);
    engine_adapter_close(&a);
    engine_close(&e);
    return right;
}

static void a_head_learns_to_find(void **state)
{
    (void)state;
    cj_diag d = {0};
    finding *f;
    trainee *t;
    trainer *r;
    static const int64_t one_passage = 1;
    finding_options o = usual();
    o.lengths = &one_passage;
    o.n_lengths = 1;
    ok(finding_open(&f, m, vocabulary, &set, &o, &d), &d);
    ok(trainee_open_adapter(&t, m, &(trainee_adapter_options){.rank = 8, .alpha = 16, .seed = 1}, &d), &d);
    const train_source source = finding_source(f);
    const train_options how = {.passes = {.max_rows = finding_rows(f)}, .schedule = {.peak = 1e-2, .least = 1e-3, .warmup = 5, .steps = STEPS}, .optimiser = OPTIMISER_USUAL};
    ok(train_open(&r, m, t, &source, &how, &d), &d);
    double first = 0, last = 0;
    for (int i = 0; i < STEPS; i++) {
        train_report report;
        ok(train_step(r, NULL, &report, &d), &d);
        if (!i) first = report.loss;
        last = report.loss;
    }
    print_message("# -log of the mass: %.2f before, %.2f after\n", first, last);
    assert_true(last < 0.5 * first);
    assert_true(found(t, "铜哨") && found(t, "木梳"));
    assert_true(!found(NULL, "铜哨") || !found(NULL, "木梳"));
    train_close(&r);
    trainee_close(&t);
    finding_close(&f);
}

static void no_memory(void **state)
{
    (void)state;
    const finding_options o = usual();
    for (int n = 0;; n++) {
        finding *f = NULL;
        grad_batch b;
        train_cursor c = {0};
        mem_fail_after(n);
        cj_err e = finding_open(&f, m, vocabulary, &set, &o, NULL);
        if (!e) e = finding_source(f).next(f, &c, &b, NULL);
        mem_fail_after(-1);
        finding_close(&f);
        if (!e) break;
        assert_int_equal(e, CJ_E_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_follow_from_the_cursor), cmocka_unit_test(the_held_out_part_ends), cmocka_unit_test(what_is_refused),
        cmocka_unit_test(a_head_learns_to_find), cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
