/* reader: asking entries of a shelf, one or several, by what was found or directly; what is kept between questions; conversations. With tiny
 * random models: what they say means nothing, but where it comes from and what was done for it does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "data/qa_form.h"
#include "reader/asker.h"
#include "reader/read.h"
#include "reader/talk.h"
#include "reader/usual.h"
#include "support/adapter_make.h"
#include "support/own_folder.h"

enum { BOOKS = 2 };

static engine *base, *chats;
static shelf *books;
static document *docs[BOOKS];
static shelf_entry *entries[BOOKS];
static book texts[BOOKS];
static search_source sources[BOOKS];

static engine *model_of(const char *variable)
{
    engine *e = NULL;
    return engine_open(&e, &(engine_options){.path = getenv(variable), .level = KERNEL_AUTO, .threads = 1, .kv = KV_F32}, NULL) ? NULL : e;
}

static int read_one(engine *e, const char *name, document *doc)
{
    read_result r;
    return read_documents(e, books, &doc, 1, &(read_options){.name = name, .model_name = "tiny"}, &r, NULL);
}

static int begin(void **state)
{
    static const char *const names[] = {"甲", "乙"}, *const things[] = {"今天没有下雨", "庙里的老和尚讲了故事"};
    if (own_folder_make(state)) return -1;
    base = model_of("CJ_TINY_BASE"), chats = model_of("CJ_TINY_CHAT");
    if (!base || !chats || shelf_open(&books, own_folder, NULL)) return -1;
    for (int i = 0; i < BOOKS; i++) {
        char lines[4096] = "";
        for (int k = 0; k < 20; k++) snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "第%d天，他在第%d页写下：%s。\n", k, k * 7 % 31, things[i]);
        if (document_from_bytes(&docs[i], names[i], lines, strlen(lines), NULL) || read_one(base, names[i], docs[i])) return -1;
        if (shelf_read(books, &entries[i], names[i], NULL) || book_load(&texts[i], entries[i], NULL)) return -1;
        sources[i] = (search_source){&texts[i], entries[i]};
    }
    return 0;
}

static int end(void **state)
{
    for (int i = 0; i < BOOKS; i++) {
        book_deinit(&texts[i]);
        shelf_entry_close(&entries[i]);
        document_close(&docs[i]);
    }
    shelf_close(&books);
    engine_close(&base);
    engine_close(&chats);
    return own_folder_remove(state);
}

/* ---- several entries ---- */

static const ask_step *step_of(const ask_result *r, ask_step_kind kind, int source)
{
    for (int i = 0; i < r->n_steps; i++)
        if (r->steps[i].kind == kind && r->steps[i].source == source) return &r->steps[i];
    return NULL;
}

static void check_quotes(const ask_result *r, int n_sources)
{
    for (int i = 0; i < r->n_evidence; i++) {
        const ask_evidence *e = &r->evidence[i];
        assert_in_range(e->source, 0, n_sources - 1);
        assert_true(e->verified && e->end > e->start);
        assert_true(e->end_byte <= document_bytes(texts[e->source].docs[e->document]));
    }
}

static void each_is_found_in_on_its_own(void **state)
{
    ask_result both, one;
    const ask_options opt = {.evidence = 2, .max_tokens = 3};
    assert_int_equal(ask(base, sources, BOOKS, "老和尚在第7天讲了什么？", &opt, &both, NULL), CJ_OK);
    check_quotes(&both, BOOKS);
    assert_int_equal(both.n_evidence, 4);
    assert_int_equal(both.mode, ASK_MODE_FIND);
    for (int i = 0; i < BOOKS; i++) {
        const ask_step *look = step_of(&both, ASK_STEP_LOOK, i);
        assert_non_null(look);
        assert_true(look->tokens > 0 && look->from >= shelf_entry_info(entries[i])->tokens && look->heads > 0 && look->pages > 0 && !look->chosen);
        assert_int_equal(step_of(&both, ASK_STEP_INDEX, i)->passages, texts[i].passages.n);
    }
    const ask_step *again = step_of(&both, ASK_STEP_REREAD, -1), *written = step_of(&both, ASK_STEP_WRITE, -1);
    assert_true(again && written && again->passages == 3 && written->tokens == both.written_tokens && written->from == both.context_tokens);
    /* what one says of itself alone, it says among others */
    for (int i = 0; i < BOOKS; i++) {
        assert_int_equal(ask(base, &sources[i], 1, "老和尚在第7天讲了什么？", &opt, &one, NULL), CJ_OK);
        assert_int_equal(one.n_evidence, 2);
        for (int k = 0; k < one.n_evidence; k++) {
            bool there = false;
            for (int j = 0; j < both.n_evidence; j++) there |= both.evidence[j].source == i && both.evidence[j].byte == one.evidence[k].byte;
            assert_true(there);
        }
        ask_deinit(&one);
    }
    ask_deinit(&both);
    assert_int_equal(ask(base, sources, BOOKS, "老和尚在第7天讲了什么？", &(ask_options){.find = FIND_INDEX, .max_tokens = 1}, &both, NULL), CJ_OK);
    assert_int_equal(both.evidence[0].source, 1); /* only there is an old monk; where such a model looks is chance */
    ask_deinit(&both);
    /* all of them: in the order of the entries, then of their texts */
    assert_int_equal(ask(base, sources, BOOKS, "老和尚在第7天讲了什么？", &(ask_options){.all = true, .max_tokens = 1}, &both, NULL), CJ_OK);
    check_quotes(&both, BOOKS);
    for (int i = 1; i < both.n_evidence; i++) {
        const ask_evidence *p = &both.evidence[i - 1], *q = &both.evidence[i];
        assert_true(p->source < q->source || (p->source == q->source && p->end <= q->start));
    }
    ask_deinit(&both);
}

/* ---- by an adapter that quotes ---- */

typedef struct heard {
    char text[4096];
    int evidence;
} heard;

static bool hear(void *arg, const char *text, size_t n)
{
    heard *h = arg;
    assert_int_equal(h->evidence, 1); /* it comes first */
    snprintf(h->text + strlen(h->text), sizeof h->text - strlen(h->text), "%.*s", (int)n, text);
    return true;
}

static void see(void *arg, const ask_evidence *e, int n)
{
    (void)e, (void)n;
    ((heard *)arg)->evidence++;
}

/* Nonsense, but verbatim: the answer is a piece of the first quote, or that there is none. Returns whether it quoted. */
static bool check_quoted(const ask_result *r, const heard *h, int n_sources)
{
    check_quotes(r, n_sources);
    assert_int_equal(h->evidence, 1);
    if (!r->written_tokens) { /* nothing bears on the question */
        assert_int_equal(r->n_evidence + r->answer.len, 0);
        return false;
    }
    assert_int_equal(r->end, END_TOKEN);
    assert_string_equal(h->text, r->answer.data);
    if (r->refused) return false;
    const ask_evidence *e = &r->evidence[0];
    const char *quote = texts[e->source].text.data + texts[e->source].begin[e->document] + e->byte;
    assert_non_null(memmem(quote, e->end_byte - e->byte, r->answer.data, r->answer.len));
    assert_true(r->answer.len > 0);
    for (int i = 1; i < r->n_evidence; i++)
        assert_false(r->evidence[i].source == e->source && r->evidence[i].byte < e->end_byte && e->byte < r->evidence[i].end_byte);
    return true;
}

/* Of a file: what was read to find is read on from. */
static void short_texts_stay_in_view(const engine_adapter *adapter)
{
    static const char line[] = "老和尚在第7天讲了故事，没有下雨。";
    document *doc;
    ask_result r;
    assert_int_equal(document_from_bytes(&doc, "x", line, strlen(line), NULL), CJ_OK);
    assert_int_equal(ask_documents(base, &doc, 1, "谁讲了什么？", &(ask_options){.adapter = adapter}, &r, NULL), CJ_OK);
    assert_int_equal(r.mode, ASK_MODE_CLOSE);
    assert_true(r.refused || strstr(line, r.answer.data));
    assert_true(r.n_evidence > 0 && r.evidence[0].verified);
    ask_deinit(&r);
    document_close(&doc);
}

static void an_adapter_that_quotes_cannot_misquote(void **state)
{
    (void)state;
    static const char *const questions[] = {"老和尚在第7天讲了什么？", "谁？"};
    int quoted = 0;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        made_adapter made;
        engine_adapter *adapter;
        make_adapter(&made, model_spec_of(engine_model(base)), 4, QUANT_F32, ~0u, seed, 0.3f);
        assert_int_equal(engine_adapter_of(&adapter, base, &made.data, &(adapter_facts){.prompt = QA_FORM_NAME, .activated = true}, NULL), CJ_OK);
        for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
            for (int how = 0; how < 3; how++) {
                ask_result r;
                heard h = {0};
                const ask_options opt = {.adapter = adapter, .direct = how == 2, .on_text = hear, .on_evidence = see, .arg = &h};
                assert_int_equal(ask(base, sources, how ? 1 : BOOKS, questions[i], &opt, &r, NULL), CJ_OK);
                quoted += check_quoted(&r, &h, how ? 1 : BOOKS);
                assert_int_equal(r.mode, how == 2 ? ASK_MODE_DIRECT : ASK_MODE_FIND);
                ask_deinit(&r);
            }
        short_texts_stay_in_view(adapter);
        engine_adapter_close(&adapter);
        arena_deinit(&made.mem);
    }
    assert_true(quoted > 0);
}

/* ---- what cannot be had ---- */

static void without_an_index(void **state)
{
    char *path = NULL;
    ask_result r;
    assert_int_equal(shelf_entry_file(entries[0], FINDER_INDEX, &path, NULL), CJ_OK);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0); /* where a folder stands no file can be put */
    assert_int_equal(ask(base, sources, 1, "他在第7天写下了什么？", &(ask_options){.max_tokens = 2}, &r, NULL), CJ_OK);
    assert_true(r.unindexed && r.n_evidence > 0 && r.evidence[0].found_by == FIND_READING);
    ask_deinit(&r);
    assert_int_not_equal(ask(base, sources, 1, "他在第7天写下了什么？", &(ask_options){.find = FIND_INDEX}, &r, NULL), CJ_OK);
    ask_deinit(&r);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(ask(base, sources, 1, "他在第7天写下了什么？", &(ask_options){.max_tokens = 2}, &r, NULL), CJ_OK);
    assert_true(!r.unindexed && step_of(&r, ASK_STEP_INDEX, 0));
    ask_deinit(&r);
    mem_free(path);
}

/* A model all of whose layers have windows finds nothing by reading. */
static void without_heads(void **state)
{
    finder_head heads[ASK_HEADS_MAX];
    bool known;
    ask_result r;
    cj_diag d = {0};
    engine *e = model_of("CJ_TINY_SPACES");
    assert_non_null(e);
    assert_int_equal(finder_choose_heads(e, &(finder_options){0}, heads, &known), 0);
    assert_int_equal(ask_documents(e, docs, 1, "谁？", &(ask_options){.max_tokens = 2}, &r, &d), CJ_E_UNSUPPORTED);
    assert_int_equal(d.message, MSG_ASK_NO_HEADS);
    ask_deinit(&r);
    shelf_entry *entry = NULL;
    book b;
    assert_int_equal(read_one(e, "丙", docs[0]), CJ_OK);
    assert_int_equal(shelf_read(books, &entry, "丙", NULL), CJ_OK);
    assert_int_equal(book_load(&b, entry, NULL), CJ_OK);
    const search_source source = {&b, entry};
    assert_int_equal(ask(e, &source, 1, "他在第7天写下了什么？", &(ask_options){.max_tokens = 2}, &r, NULL), CJ_OK); /* but the index does */
    assert_true(r.n_evidence > 0 && r.evidence[0].found_by == FIND_INDEX && !step_of(&r, ASK_STEP_LOOK, 0));
    ask_deinit(&r);
    assert_int_equal(ask(e, &source, 1, "他在第7天写下了什么？", &(ask_options){.find = FIND_READING}, &r, NULL), CJ_E_UNSUPPORTED);
    ask_deinit(&r);
    book_deinit(&b);
    shelf_entry_close(&entry);
    assert_int_equal(shelf_rm(books, "丙", &(int64_t){0}, NULL), CJ_OK);
    engine_close(&e);
}

/* Where attaching fails for want of memory, a session holds nothing rather than pages without their tokens. */
static void attaches_wholly_or_not(void **state)
{
    int failures = 0;
    for (int64_t n = 0;; n++) {
        session *s = NULL;
        assert_int_equal(session_open(&s, base, 4096, NULL), CJ_OK);
        mem_fail_after(n);
        cj_err e = session_attach(s, entries[0], 4096, NULL, NULL);
        mem_fail_after(-1);
        assert_int_equal(session_count(s), e ? 0 : shelf_entry_info(entries[0])->tokens);
        if (!e) assert_memory_equal(session_ids(s), shelf_entry_ids(entries[0]), (size_t)session_count(s) * sizeof(int32_t));
        session_close(&s);
        if (!e) break;
        failures++;
    }
    assert_true(failures > 0);
}

static void limits(void **state)
{
    enum { LONG = 20000 };
    static char question[LONG + 1];
    ask_result r;
    cj_diag d = {0};
    for (int i = 0; i < LONG; i++) question[i] = (char)('a' + i * i % 23);
    assert_int_equal(ask(base, sources, 1, question, &(ask_options){0}, &r, &d), CJ_E_LIMIT);
    assert_int_equal(d.message, MSG_ASK_QUESTION_LONG);
    ask_deinit(&r);
    assert_int_equal(ask_documents(base, docs, 1, question, &(ask_options){0}, &r, &d), CJ_E_LIMIT);
    assert_int_equal(d.message, MSG_ASK_NO_ROOM);
    ask_deinit(&r);
    const ask_options bad[] = {{.max_tokens = INT64_MAX}, {.max_tokens = -1}, {.evidence = -1}, {.evidence = ASK_EVIDENCE_MAX + 1}, {.find = 4}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        talk *t = NULL;
        assert_int_equal(ask(base, sources, 1, "谁？", &bad[i], &r, &d), CJ_E_USAGE);
        ask_deinit(&r);
        assert_int_equal(talk_open(&t, base, sources, 1, &bad[i], &d), CJ_E_USAGE);
    }
}

/* What is read again around a passage is of its own document. */
static void context_stays_in_its_document(void **state)
{
    static const char *const lines[] = {"甲文件里的一句话，不相干。", "乙文件里的话在此。", "丙文件里的一句话，不相干。"};
    document *three[3];
    book b;
    ask_result r;
    buf text;
    ask_range ranges[ASK_REREAD_MAX];
    const ask_options opt = {0};
    for (int i = 0; i < 3; i++) assert_int_equal(document_from_bytes(&three[i], "x", lines[i], strlen(lines[i]), NULL), CJ_OK);
    assert_int_equal(book_join(&b, three, 3, NULL), CJ_OK);
    assert_int_equal(b.passages.n, 3);
    const search_source source = {.book = &b};
    asker a = asker_begin(chats, &source, 1, "谁？", &opt, &r);
    a.found[a.n_found++] = (found_passage){.passage = 1};
    buf_init(&text, 1 << 16);
    assert_int_equal(ask_ranges(&a, ASK_CONTEXT, ranges), 1);
    assert_int_equal(ask_gather(&a, ranges, 1, &text, NULL), CJ_OK);
    assert_string_equal(text.data, lines[1]);
    buf_deinit(&text);
    asker_end(&a);
    ask_deinit(&r);
    book_deinit(&b);
    for (int i = 0; i < 3; i++) document_close(&three[i]);
}

static void one_model_reads_all(void **state)
{
    char sentence[1024];
    cj_diag d = {0};
    shelf_entry *mixed[BOOKS] = {entries[0], NULL};
    assert_int_equal(search_check(entries, BOOKS, NULL), CJ_OK);
    assert_int_equal(read_one(chats, "丙", docs[0]), CJ_OK);
    assert_int_equal(shelf_read(books, &mixed[1], "丙", NULL), CJ_OK);
    assert_int_equal(search_check(mixed, BOOKS, &d), CJ_E_INPUT);
    cj_diag_text(&d, CJ_LANG_EN, sentence, sizeof sentence);
    assert_non_null(strstr(sentence, "甲 was read by tiny, 丙 by tiny"));
    shelf_entry_close(&mixed[1]);
    assert_int_equal(shelf_rm(books, "丙", &(int64_t){0}, NULL), CJ_OK);
}

/* ---- directly ---- */

typedef struct shown {
    char text[4096];
    size_t n;
} shown;

static bool show(void *arg, const char *text, size_t n)
{
    shown *s = arg;
    assert_true(s->n + n <= sizeof s->text);
    memcpy(s->text + s->n, text, n);
    s->n += n;
    return true;
}

/* What is shown is the answer, wherever it is cut off, and no half of a character stands at its end. */
static void what_is_shown_is_the_answer(void **state)
{
    for (int tokens = 1; tokens <= 12; tokens++) {
        ask_result r;
        shown s = {.n = 0};
        assert_int_equal(ask(base, sources, 1, "他在第7天写下了什么？", &(ask_options){.find = FIND_INDEX, .max_tokens = tokens, .on_text = show, .arg = &s}, &r, NULL), CJ_OK);
        assert_int_equal(r.answer.len, s.n);
        assert_true(r.end == END_LENGTH ? r.written_tokens == tokens : r.written_tokens <= tokens && r.end != END_CALLER);
        if (s.n) assert_memory_equal(r.answer.data, s.text, s.n);
        ask_deinit(&r);
    }
}

static bool enough(void *arg, const char *text, size_t n) { return false; }

static void why_it_ends_is_told(void **state)
{
    ask_result r;
    assert_int_equal(ask(base, sources, 1, "他在第7天写下了什么？", &(ask_options){.find = FIND_INDEX, .max_tokens = 9, .on_text = enough}, &r, NULL), CJ_OK);
    assert_true(r.end == END_CALLER && r.written_tokens == 1);
    ask_deinit(&r);
    assert_int_equal(ask(base, sources, 1, "他在第7天写下了什么？", &(ask_options){.find = FIND_INDEX, .max_tokens = 1}, &r, NULL), CJ_OK);
    assert_int_equal(r.end, END_LENGTH);
    ask_deinit(&r);
}

static void directly(void **state)
{
    ask_result r;
    cj_diag d = {0};
    engine *const models[] = {base, chats};
    for (int i = 0; i < 2; i++) {
        const ask_options opt = {.direct = true, .find = FIND_INDEX, .max_tokens = 3};
        if (i) assert_int_equal(read_one(chats, "丙", docs[0]), CJ_OK);
        shelf_entry *e = NULL;
        assert_int_equal(shelf_read(books, &e, i ? "丙" : "甲", NULL), CJ_OK);
        assert_int_equal(ask(models[i], &(search_source){&texts[0], e}, 1, "他在第7天写下了什么？", &opt, &r, &d), CJ_OK);
        assert_int_equal(r.mode, ASK_MODE_DIRECT);
        check_quotes(&r, 1);
        assert_true(r.n_evidence > 0);
        for (int k = 0; k < r.n_evidence; k++) assert_int_equal(r.evidence[k].found_by, FIND_INDEX);
        const ask_step *text = step_of(&r, ASK_STEP_TEXT, 0), *written = step_of(&r, ASK_STEP_WRITE, 0);
        assert_true(text && written && !step_of(&r, ASK_STEP_REREAD, -1) && !step_of(&r, ASK_STEP_LOOK, 0));
        assert_true(text->tokens > 0 && text->from >= shelf_entry_info(e)->tokens && !text->chosen); /* what was read is not read again */
        assert_true(written->from > shelf_entry_info(e)->tokens);
        ask_deinit(&r);
        shelf_entry_close(&e);
    }
    assert_int_equal(shelf_rm(books, "丙", &(int64_t){0}, NULL), CJ_OK);
    for (int i = 0; i < 2; i++) { /* a text that is read now */
        document *small;
        assert_int_equal(document_from_bytes(&small, "b", "庙里有个老和尚。从前有座山。", strlen("庙里有个老和尚。从前有座山。"), NULL), CJ_OK);
        assert_int_equal(ask_documents(models[i], &small, 1, "庙里有谁？", &(ask_options){.direct = true, .max_tokens = 3}, &r, NULL), CJ_OK);
        assert_true(r.mode == ASK_MODE_DIRECT && r.n_evidence > 0 && step_of(&r, ASK_STEP_TEXT, 0) && !step_of(&r, ASK_STEP_REREAD, -1));
        ask_deinit(&r);
        document_close(&small);
    }
    assert_int_equal(ask(base, sources, BOOKS, "谁？", &(ask_options){.direct = true}, &r, &d), CJ_E_USAGE);
    ask_deinit(&r);
    assert_int_equal(ask(base, sources, 1, "谁？", &(ask_options){.direct = true, .answerer = chats}, &r, &d), CJ_E_USAGE);
    ask_deinit(&r);
}

/* ---- what is usual ---- */

static int64_t neutral_tokens(const finder_head *heads, int n_heads, const char *question, found_passage *found, int *n)
{
    finder *f = NULL;
    finder_cost cost;
    const finder_options opt = {.heads = heads, .n_heads = n_heads, .how = FIND_READING, .keep = ENGINE_KEEP};
    assert_int_equal(finder_open(&f, base, &texts[0], entries[0], &opt, NULL), CJ_OK);
    assert_int_equal(finder_find(f, question, found, 8, n, &cost, NULL), CJ_OK);
    finder_close(&f);
    return cost.neutral.tokens;
}

static void spoil(const char *path)
{
    buf b;
    file_out f;
    assert_int_equal(file_read(path, 1 << 20, &b, NULL), CJ_OK);
    b.data[b.len - 2] ^= 1;
    assert_int_equal(file_out_open(&f, path, NULL), CJ_OK);
    assert_int_equal(file_out_write(&f, b.data, b.len, NULL), CJ_OK);
    assert_int_equal(file_out_commit(&f, NULL), CJ_OK);
    buf_deinit(&b);
}

static void every_file(const char *at, void (*what)(const char *path))
{
    char command[512], path[512];
    snprintf(command, sizeof command, "find %s -name 'usual.*' -not -name '*.index*'", at);
    FILE *list = popen(command, "r");
    int n = 0;
    assert_non_null(list);
    while (fgets(path, sizeof path, list)) {
        path[strcspn(path, "\n")] = 0;
        what(path);
        n++;
    }
    pclose(list);
    assert_true(n > 0);
}

static void what_is_usual_is_kept(void **state)
{
    static const finder_head two[] = {{0, 0, 1}, {1, 1, 0.5f}};
    found_passage first[8], found[8];
    int n, n_first;
    neutral_tokens(two, 2, "第7天他写下了什么？", first, &n_first);
    assert_int_equal(neutral_tokens(two, 2, "第7天他写下了什么？", found, &n), 0);
    assert_int_equal(n, n_first);
    for (int i = 0; i < n; i++) {
        assert_int_equal(found[i].passage, first[i].passage);
        assert_true(found[i].reading - first[i].reading < 1e-4f && first[i].reading - found[i].reading < 1e-4f);
    }
    assert_true(neutral_tokens(two, 1, "第7天他写下了什么？", found, &n) > 0);  /* other heads */
    assert_true(neutral_tokens(two, 2, "What did he write?", found, &n) > 0); /* another language */
    assert_int_equal(neutral_tokens(two, 2, "第8天他写下了什么？", found, &n), 0);
    every_file(own_folder, spoil);
    assert_true(neutral_tokens(two, 2, "第8天他写下了什么？", found, &n) > 0);  /* damaged: computed again ... */
    assert_int_equal(neutral_tokens(two, 2, "第8天他写下了什么？", found, &n), 0); /* ... and kept again */
}

static void usual_files_are_not_believed(void **state)
{
    char path[64];
    float kept[] = {0, 0.25f, 1}, got[3];
    const usual_key key = {.model = 1, .tokens = 2, .passages = 3};
    snprintf(path, sizeof path, "%s/usual", own_folder);
    assert_false(usual_load(path, &key, got, 3));
    usual_save(path, &key, kept, 3);
    assert_true(usual_load(path, &key, got, 3));
    assert_memory_equal(got, kept, sizeof kept);
    for (size_t i = 0; i < sizeof key / sizeof(uint64_t); i++) { /* whatever differs */
        usual_key other = key;
        ((uint64_t *)(void *)&other)[i] ^= 1;
        assert_false(usual_load(path, &other, got, 3));
    }
    assert_false(usual_load(path, &key, got, 2));
    buf b;
    assert_int_equal(file_read(path, 1 << 20, &b, NULL), CJ_OK);
    for (size_t i = 0; i < b.len; i++) { /* whatever is damaged */
        FILE *f = fopen(path, "wb");
        b.data[i] ^= 4;
        assert_int_equal(fwrite(b.data, 1, b.len, f), b.len);
        fclose(f);
        b.data[i] ^= 4;
        assert_false(usual_load(path, &key, got, 3));
    }
    buf_deinit(&b);
    kept[1] = -1; /* well-formed, but no shares */
    usual_save(path, &key, kept, 3);
    assert_false(usual_load(path, &key, got, 3));
    usual_save("/nonexistent/usual", &key, kept, 3);
}

/* ---- conversations ---- */

static bool never(void *arg, ask_phase phase, int64_t done, int64_t total) { return false; }

static const char *const said[] = {"他在第7天写下了什么？", "庙里呢？", "What else?"};
enum { SAID = 3 };

/* Holds the same conversation with what was opened; fills answers. */
static void hold(talk *t, buf *answers, ask_mode mode, int64_t held)
{
    int64_t before = 0;
    for (int i = 0; i < SAID; i++) {
        ask_result r;
        assert_int_equal(talk_say(t, said[i], &r, NULL), CJ_OK);
        check_quotes(&r, BOOKS);
        assert_int_equal(r.mode, mode);
        assert_true(r.n_evidence > 0 && r.written_tokens <= 4 && r.context_tokens > before + held * !i);
        const ask_step *written = step_of(&r, ASK_STEP_WRITE, held ? 0 : -1);
        assert_non_null(written);
        assert_true(written->from == r.context_tokens && written->pages == i64_ceil_div(held, 128));
        const ask_step *read = step_of(&r, mode == ASK_MODE_DIRECT ? ASK_STEP_TEXT : ASK_STEP_REREAD, held ? 0 : -1);
        assert_non_null(read);
        assert_true(read->tokens < r.context_tokens - before + (held ? 64 : 0)); /* what was said is not read again, but for the end of an answer */
        before = r.context_tokens;
        assert_int_equal(buf_append(&answers[i], r.answer.data ? r.answer.data : "", r.answer.len, NULL), CJ_OK);
        ask_deinit(&r);
    }
}

static void talks(engine *e, const search_source *about, int n, const ask_options *opt, int64_t held)
{
    const ask_mode mode = opt->direct ? ASK_MODE_DIRECT : ASK_MODE_FIND;
    talk *t = NULL;
    buf first[SAID], again[SAID];
    ask_result r;
    for (int i = 0; i < SAID; i++) buf_init(&first[i], 1 << 16), buf_init(&again[i], 1 << 16);
    assert_int_equal(talk_open(&t, e, about, n, opt, NULL), CJ_OK);
    assert_int_equal(talk_held(t), held);
    hold(t, first, mode, held);
    talk_clear(t); /* as if nothing had been said */
    hold(t, again, mode, held);
    for (int i = 0; i < SAID; i++) {
        assert_int_equal(first[i].len, again[i].len);
        if (first[i].len) assert_memory_equal(first[i].data, again[i].data, first[i].len);
        buf_deinit(&first[i]);
        buf_deinit(&again[i]);
    }
    assert_int_equal(talk_say(t, "", &r, NULL), CJ_E_USAGE);
    ask_deinit(&r);
    talk_close(&t);
}

/* One more turn; `before`: tokens of the conversation until then. Nothing is read again but where something was forgotten. */
static int say_more(talk *t, int64_t *before)
{
    ask_result r;
    assert_int_equal(talk_say(t, "他写下了什么？", &r, NULL), CJ_OK);
    assert_true(r.n_evidence > 0 && r.context_tokens + 4 <= talk_room(t)); /* the answer has its room */
    const int64_t read = step_of(&r, ASK_STEP_REREAD, -1)->tokens;
    if (!r.forgotten) assert_true(r.context_tokens > *before && read < r.context_tokens - *before + 64);
    *before = r.context_tokens;
    ask_deinit(&r);
    return r.forgotten;
}

/* Past what there is room for the oldest turns are forgotten; a question that is too long by itself forgets nothing. */
static void talks_on(const ask_options *opt)
{
    enum { TURNS = 40, LONG = 1200 };
    char question[LONG * 3 + 1] = ""; /* of so many tokens too: a byte each */
    talk *t = NULL;
    ask_result r;
    cj_diag d = {0};
    int64_t before = 0;
    int forgotten = 0;
    assert_int_equal(talk_open(&t, base, sources, BOOKS, opt, NULL), CJ_OK);
    assert_int_equal(talk_held(t), 0);
    for (int i = 0; i < TURNS; i++) forgotten += say_more(t, &before);
    assert_in_range(forgotten, 1, TURNS - 1);
    for (int i = 0; i < LONG; i++) memcpy(question + 3 * i, "问", 3);
    assert_int_equal(talk_say(t, question, &r, &d), CJ_E_LIMIT);
    assert_int_equal(d.message, MSG_ASK_NO_ROOM);
    ask_deinit(&r);
    say_more(t, &before); /* as if it had not been asked */
    talk_close(&t);
}

static void conversations(void **state)
{
    const ask_options selected = {.max_tokens = 4}, direct = {.max_tokens = 4, .direct = true}, another = {.max_tokens = 4, .answerer = chats};
    const int64_t held = shelf_entry_info(entries[0])->tokens;
    talk *t = NULL;
    talks(base, sources, 1, &selected, held);
    talks(base, sources, 1, &direct, held);
    assert_int_equal(talk_open(&t, base, sources, BOOKS, &direct, NULL), CJ_E_USAGE);
    assert_int_equal(talk_open(&t, base, &(search_source){.book = &texts[0]}, 1, &selected, NULL), CJ_E_USAGE);
    assert_null(t);
    /* several, and another answerer: their context holds the conversation alone */
    talks_on(&selected);
    talks_on(&another);
}

static void a_cancelled_turn_leaves_no_trace(void **state)
{
    ask_options opt = {.max_tokens = 4};
    talk *t = NULL;
    ask_result r;
    buf alone;
    buf_init(&alone, 1 << 16);
    assert_int_equal(talk_open(&t, base, sources, 1, &opt, NULL), CJ_OK);
    assert_int_equal(talk_say(t, said[0], &r, NULL), CJ_OK);
    assert_int_equal(buf_append(&alone, r.answer.data ? r.answer.data : "", r.answer.len, NULL), CJ_OK);
    ask_deinit(&r);
    talk_clear(t);
    opt.on_progress = never;
    assert_int_equal(talk_say(t, said[1], &r, NULL), CJ_E_CANCELLED);
    ask_deinit(&r);
    opt.on_progress = NULL;
    assert_int_equal(talk_say(t, said[0], &r, NULL), CJ_OK);
    assert_int_equal(r.answer.len, alone.len);
    if (alone.len) assert_memory_equal(r.answer.data, alone.data, alone.len);
    ask_deinit(&r);
    talk_close(&t);
    buf_deinit(&alone);
}

static cj_err talk_twice(engine *writer, cj_diag *d)
{
    talk *t = NULL;
    ask_result r;
    const ask_options opt = {.max_tokens = 2, .answerer = writer};
    TRY(talk_open(&t, base, sources, 1, &opt, d));
    cj_err e = talk_say(t, said[0], &r, d);
    ask_deinit(&r);
    if (!e) {
        e = talk_say(t, said[1], &r, d);
        ask_deinit(&r);
    }
    talk_close(&t);
    return e;
}

static void talking_tells_of_no_memory(void **state)
{
    engine *const writers[] = {NULL, chats};
    for (int i = 0; i < 2; i++) {
        int failures = 0;
        for (int64_t n = 0;; n += n < 60 ? 1 : 29) {
            cj_diag d = {0};
            mem_fail_after(n);
            cj_err e = talk_twice(writers[i], &d);
            mem_fail_after(-1);
            if (!e) break;
            assert_int_equal(e, CJ_E_NOMEM);
            assert_int_equal(d.code, e);
            failures++;
        }
        assert_true(failures > 30);
    }
}

static void tells_of_no_memory(void **state)
{
    const ask_options ways[] = {{.max_tokens = 2}, {.max_tokens = 2, .direct = true}};
    for (int way = 0; way < 2; way++) {
        int failures = 0;
        for (int64_t n = 0;; n += n < 60 ? 1 : 17) {
            ask_result r;
            cj_diag d = {0};
            mem_fail_after(n);
            cj_err e = ask(base, sources, way ? 1 : BOOKS, "他在第7天写下了什么？", &ways[way], &r, &d);
            mem_fail_after(-1);
            ask_deinit(&r);
            if (!e) break;
            assert_int_equal(e, CJ_E_NOMEM);
            assert_int_equal(d.code, e);
            failures++;
        }
        assert_true(failures > 30);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_adapter_that_quotes_cannot_misquote),
        cmocka_unit_test(each_is_found_in_on_its_own), cmocka_unit_test(one_model_reads_all), cmocka_unit_test(directly), cmocka_unit_test(what_is_shown_is_the_answer),
        cmocka_unit_test(without_an_index), cmocka_unit_test(without_heads), cmocka_unit_test(attaches_wholly_or_not), cmocka_unit_test(limits),
        cmocka_unit_test(context_stays_in_its_document), cmocka_unit_test(why_it_ends_is_told),
        cmocka_unit_test(what_is_usual_is_kept), cmocka_unit_test(usual_files_are_not_believed), cmocka_unit_test(tells_of_no_memory),
        cmocka_unit_test(conversations), cmocka_unit_test(a_cancelled_turn_leaves_no_trace), cmocka_unit_test(talking_tells_of_no_memory),
    };
    return cmocka_run_group_tests_name("asking", tests, begin, end);
}
