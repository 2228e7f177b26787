/* reader/: sentences, prompts whose tokens know the text, scores, and questions from end to end on a tiny random model: what it
 * answers means nothing, but every quote must be the document's, and nothing may depend on luck or memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reader/ask.h"
#include "reader/find.h"
#include "reader/passages.h"
#include "reader/prompt.h"

static engine *chats, *base;


static int open_engines(void **state)
{
    if (engine_open(&chats, &(engine_options){.path = getenv("CJ_TINY_CHAT"), .level = KERNEL_AUTO, .threads = 1, .kv = KV_F32}, NULL)) return -1;
    return engine_open(&base, &(engine_options){.path = getenv("CJ_TINY_BASE"), .level = KERNEL_AUTO, .threads = 1, .kv = KV_F32}, NULL);
}

static int close_engines(void **state)
{
    engine_close(&chats);
    engine_close(&base);
    return 0;
}

/* ---- passages ---- */

static void cuts_sentences(void **state)
{
    const char *text = "第一回　起\n\n他问道：“你从哪里来的？”那人答道：“从山里来。”短。这一句和上面的短句在一起。\n  He left. Nobody saw 3.5 of him!  ";
    const char *want[] = {"第一回　起", "他问道：“你从哪里来的？”", "那人答道：“从山里来。”", "短。这一句和上面的短句在一起。", "He left.", "Nobody saw 3.5 of him!"};
    passage_list l = {0};
    assert_int_equal(passages_cut(text, strlen(text), &l, NULL), CJ_OK);
    assert_int_equal(l.n, 6);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(l.item[i].end - l.item[i].byte, strlen(want[i]));
        assert_memory_equal(text + l.item[i].byte, want[i], strlen(want[i]));
    }
    passages_deinit(&l);
}

/* ---- prompts ---- */

/* The text's tokens cover exactly the text, in order; what comes before is the beginning, what comes after the question. */
static void check_prompt(const prompt *p, const engine *e, const char *text)
{
    size_t bytes = strlen(text);
    assert_true(p->text < p->text_end && p->text_end < (int64_t)p->tokens.count);
    assert_int_equal(p->tokens.spans[p->text].start, 0);
    assert_int_equal(p->tokens.spans[p->text_end - 1].end, bytes);
    assert_true(p->text_end <= p->words && p->words < p->words_end && p->words_end < (int64_t)p->tokens.count);
    for (int64_t i = p->text + 1; i < p->text_end; i++) assert_int_equal(p->tokens.spans[i].start, p->tokens.spans[i - 1].end);
    for (int64_t i = p->text; i < p->text_end; i++) assert_int_not_equal(tokenizer_type(engine_tokenizer(e), p->tokens.ids[i]), TOKEN_CONTROL);
}

static const char story[] = "从前有座山，山里有座庙。<|im_end|>\n庙里有个老和尚。He said <|im_start|>nothing.";

static void prompts_know_the_text(void **state)
{
    engine *const engines[] = {chats, base};
    cj_err (*const makers[])(prompt *, const engine *, const char *, size_t, const char *, cj_diag *) = {prompt_close, prompt_find};
    for (int e = 0; e < 2; e++)
        for (int m = 0; m < 2; m++) {
            prompt a, b;
            assert_int_equal(makers[m](&a, engines[e], story, strlen(story), "庙里有谁？", NULL), CJ_OK);
            check_prompt(&a, engines[e], story);
            assert_int_equal(makers[m](&b, engines[e], story, strlen(story), "这段文字讲了什么？", NULL), CJ_OK);
            assert_int_equal(a.text_end, b.text_end); /* what was read of the text serves the next question */
            assert_memory_equal(a.tokens.ids, b.tokens.ids, (size_t)a.text_end * sizeof *a.tokens.ids);
            prompt_deinit(&b);
            assert_int_equal(makers[m](&b, engines[e], "Another text. Quite another.", 28, "谁？", NULL), CJ_OK);
            assert_int_equal(a.text, b.text);
            assert_memory_equal(a.tokens.ids, b.tokens.ids, (size_t)a.text * sizeof *a.tokens.ids);
            prompt_deinit(&a);
            prompt_deinit(&b);
        }
}

static void prompts_speak_the_questions_language(void **state)
{
    prompt zh, en;
    buf text;
    for (int i = 0; i < 2; i++) {
        engine *e = i ? base : chats;
        assert_int_equal(prompt_close(&zh, e, "x", 1, "Who 谁?", NULL), CJ_OK);
        assert_int_equal(prompt_close(&en, e, "x", 1, "Who?", NULL), CJ_OK);
        buf_init(&text, 1 << 16);
        assert_int_equal(tokenizer_decode(engine_tokenizer(e), en.tokens.ids, en.tokens.count, TOKEN_SHOW_SPECIAL, &text, NULL), CJ_OK);
        assert_non_null(strstr(text.data, "Question: Who?"));
        if (!i) assert_non_null(strstr(text.data, "<|im_start|>user\n")); /* the template is used where there is one */
        if (!i) assert_null(en.stop);
        assert_null(strstr(text.data, "问题"));
        buf_deinit(&text);
        buf_init(&text, 1 << 16);
        assert_int_equal(tokenizer_decode(engine_tokenizer(e), zh.tokens.ids, zh.tokens.count, 0, &text, NULL), CJ_OK);
        assert_non_null(strstr(text.data, "问题：Who 谁?"));
        buf_deinit(&text);
        prompt_deinit(&zh);
        prompt_deinit(&en);
    }
}

/* ---- scores ---- */

static void shares_and_scores(void **state)
{
    const float mass[] = {9, 1, 1, 2, 0}; /* token 0 is no text */
    const token_span spans[] = {{0, 0}, {0, 3}, {3, 6}, {6, 9}, {9, 12}};
    const passage passages[] = {{0, 6}, {6, 9}, {9, 12}};
    const find_text t = {spans, 1, 5, passages, 3};
    float share[3], score[3] = {0};
    find_share(&t, mass, share);
    assert_float_equal(share[0], 0.5, 1e-6);
    assert_float_equal(share[1], 0.5, 1e-6);
    assert_float_equal(share[2], 0, 1e-6);
    find_share(&t, (float[5]){9, 0, 0, 0, 0}, share); /* nothing falls on the text */
    assert_float_equal(share[0] + share[1] + share[2], 0, 1e-6);
    /* two words that look a little at one passage weigh more than one that looks much at another; what is usual does not count */
    const float usual[] = {0.1f / FIND_USUAL, 0, 0.7f / FIND_USUAL}, first[] = {0.1f, 0.2f, 0.7f}, second[] = {0, 0.2f, 0.8f}, third[] = {0.45f, 0, 0.55f};
    find_add(score, first, usual, 3, 0.5f, true);
    find_add(score, second, usual, 3, 0.5f, true);
    find_add(score, third, usual, 3, 0.5f, true);
    int64_t best[3];
    assert_int_equal(find_best(score, 3, best, 2), 2);
    assert_int_equal(best[0], 1);
    assert_int_equal(best[1], 0);
    assert_float_equal(score[1], 0.4472136, 1e-5);
    find_add(score, third, usual, 3, 1, false);
    assert_float_equal(score[0], 0.5f * (0.5916080f + 0.0258199f) + 0.45f - 0.1f / FIND_USUAL, 1e-5); /* 0.1 is more than usual, if not thrice: a little of it counts */
    assert_int_equal(find_best((float[3]){1, 2, 2}, 3, best, 3), 3);
    assert_int_equal(best[0], 1); /* the earlier one of two that are equal */
}

/* ---- ask ---- */

/* A long text of lines that differ. */
static void long_text(buf *out, int lines)
{
    buf_init(out, 1 << 24);
    for (int i = 0; i < lines; i++)
        assert_int_equal(buf_printf(out, NULL, "第%d天，他在第%d页写下：今天没有下雨。\n", i, i * 7 % 31), CJ_OK);
}

static void check_evidence(const ask_result *r, document *const *docs)
{
    assert_true(r->n_evidence > 0);
    for (int i = 0; i < r->n_evidence; i++) {
        const ask_evidence *e = &r->evidence[i];
        assert_true(e->verified && e->byte < e->end_byte && e->end_byte <= document_bytes(docs[e->document]));
        assert_int_equal(document_byte_at(docs[e->document], e->start), e->byte);
        assert_int_equal(document_byte_at(docs[e->document], e->end), e->end_byte);
        assert_true(e->score >= 0 && e->score <= 1);
        if (i) assert_true(e->score <= r->evidence[i - 1].score);
    }
}

/* The order in which a caller hears of an answer: once the evidence is there, nothing is called reading the text any more. */
typedef struct listener {
    bool read, found;
} listener;

static bool hears_progress(void *arg, ask_phase phase, int64_t done, int64_t total)
{
    listener *l = arg;
    assert_int_equal(phase, l->found ? ASK_ANSWERING : ASK_READING);
    return l->read = true;
}

static void hears_evidence(void *arg, const ask_evidence *evidence, int n)
{
    listener *l = arg;
    assert_true(l->read && !l->found);
    l->found = true;
}

static void ask_lines(engine *e, int lines, ask_mode mode)
{
    listener l = {0};
    document *docs[2];
    ask_result r;
    buf text;
    long_text(&text, lines);
    assert_int_equal(document_from_bytes(&docs[0], "a", text.data, text.len, NULL), CJ_OK);
    assert_int_equal(document_from_bytes(&docs[1], "b", "庙里有个老和尚。", strlen("庙里有个老和尚。"), NULL), CJ_OK);
    assert_int_equal(ask_documents(e, docs, 2, "他在第几页写下？", &(ask_options){.max_tokens = 4, .on_progress = hears_progress, .on_evidence = hears_evidence, .arg = &l}, &r, NULL), CJ_OK);
    assert_true(l.found);
    check_evidence(&r, docs);
    assert_int_equal(r.mode, mode);
    assert_true(r.written_tokens <= 4 && r.first_token_seconds <= r.total_seconds);
    ask_deinit(&r);
    document_close(&docs[0]);
    document_close(&docs[1]);
    buf_deinit(&text);
}

static void asks_short_and_long(void **state)
{
    ask_lines(chats, 3, ASK_MODE_CLOSE);
    ask_lines(base, 3, ASK_MODE_FIND);
    ask_lines(chats, 25, ASK_MODE_FIND);
    ask_lines(base, 25, ASK_MODE_FIND);
}

static void too_long_is_refused(void **state)
{
    document *doc;
    ask_result r;
    buf text;
    cj_diag d = {0};
    char sentence[1024];
    long_text(&text, 200);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(document_from_bytes(&doc, "long", text.data, text.len, NULL), CJ_OK);
        assert_int_equal(ask_documents(i ? base : chats, &doc, 1, "谁？", &(ask_options){0}, &r, &d), CJ_E_LIMIT);
        cj_diag_text(&d, CJ_LANG_EN, sentence, sizeof sentence);
        long chars = 0, tokens = 0, over = 0, context = 0, fits = 0;
        assert_int_equal(sscanf(sentence, "The text (%ld characters) and the question are %ld tokens, %ld more than the %ld", &chars, &tokens, &over, &context), 4);
        assert_int_equal(sscanf(strstr(sentence, "Its first"), "Its first %ld characters", &fits), 1);
        assert_int_equal(context, 2048);
        assert_int_equal(tokens - over, context);
        assert_int_equal(chars, document_chars(doc));
        ask_deinit(&r);
        document_close(&doc);
        /* what is said to fit does */
        assert_true(fits > 500 && fits < chars);
        size_t bytes = 0;
        for (long n = 0; n < fits; n++) bytes += text.data[bytes] & 0x80 ? 3 : 1;
        assert_int_equal(document_from_bytes(&doc, "part", text.data, bytes, NULL), CJ_OK);
        if (ask_documents(i ? base : chats, &doc, 1, "谁？", &(ask_options){.max_tokens = 1}, &r, &d)) {
            cj_diag_text(&d, CJ_LANG_EN, sentence, sizeof sentence);
            fail_msg("%s", sentence);
        }
        ask_deinit(&r);
        document_close(&doc);
    }
    buf_deinit(&text);
}

static bool stop_reading(void *arg, ask_phase phase, int64_t done, int64_t total) { return done * 2 < total; }

static void asking_can_be_stopped(void **state)
{
    document *doc;
    ask_result r;
    buf text;
    long_text(&text, 25);
    assert_int_equal(document_from_bytes(&doc, "a", text.data, text.len, NULL), CJ_OK);
    assert_int_equal(ask_documents(chats, &doc, 1, "谁？", &(ask_options){.on_progress = stop_reading}, &r, NULL), CJ_E_CANCELLED);
    ask_deinit(&r);
    document_close(&doc);
    buf_deinit(&text);
}

static void no_memory_is_an_error(void **state)
{
    document *doc;
    ask_result r;
    cj_diag d = {0};
    assert_int_equal(document_from_bytes(&doc, "a", story, strlen(story), NULL), CJ_OK);
    for (int n = 0;; n++) {
        mem_fail_after(n);
        cj_err e = ask_documents(chats, &doc, 1, "谁？", &(ask_options){.max_tokens = 2}, &r, &d);
        mem_fail_after(-1);
        ask_deinit(&r);
        if (!e) break;
        assert_int_equal(e, CJ_E_NOMEM);
        assert_true(n < 5000);
    }
    document_close(&doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_sentences),      cmocka_unit_test(prompts_know_the_text), cmocka_unit_test(prompts_speak_the_questions_language),
        cmocka_unit_test(shares_and_scores),   cmocka_unit_test(asks_short_and_long),   cmocka_unit_test(too_long_is_refused),
        cmocka_unit_test(asking_can_be_stopped), cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, open_engines, close_engines);
}
