/* Reading onto the shelf, and finding in what was read: a tiny random model with window layers; what it finds means nothing, but what was kept must
 * be what reading again would give, to the bit, however reading was cut, stopped or shared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mapped.h"
#include "reader/ask.h"
#include "reader/outline.h"
#include "reader/read.h"
#include "support/own_folder.h"

static engine *e;
static shelf *books;

static int open_all(void **state)
{
    if (own_folder_make(state)) return -1;
    if (engine_open(&e, &(engine_options){.path = getenv("CJ_TINY_WINDOWS"), .level = KERNEL_AUTO, .threads = 1, .kv = KV_Q8}, NULL)) return -1;
    return shelf_open(&books, own_folder, NULL) ? -1 : 0;
}

static int close_all(void **state)
{
    engine_close(&e);
    shelf_close(&books);
    return own_folder_remove(state);
}

/* `lines` lines that differ; those from `change` on are others. */
static document *make(const char *name, int lines, int change)
{
    buf text;
    document *doc = NULL;
    buf_init(&text, 1 << 24);
    for (int i = 0; i < lines; i++)
        assert_int_equal(buf_printf(&text, NULL, "第%d天，他在第%d页写下：%s没有下雨。\n", i, i * 7 % 31, i < change ? "今天" : "昨夜"), CJ_OK);
    assert_int_equal(document_from_bytes(&doc, name, text.data, text.len, NULL), CJ_OK);
    buf_deinit(&text);
    return doc;
}

typedef struct stopper {
    int64_t at; /* tokens; 0: never */
    int64_t last;
    read_choice choice;
} stopper;

static bool on_progress(void *arg, const read_progress *p)
{
    stopper *s = arg;
    assert_true(p->tokens >= p->tokens_before && p->tokens <= p->tokens_total && p->characters >= 0);
    s->last = p->tokens;
    return !s->at || p->tokens < s->at;
}

static cj_err read_as(const char *name, document *const *docs, int n, int64_t keep, int64_t segment, int64_t stop, read_result *out)
{
    stopper s = {.at = stop};
    return read_documents(e, books, docs, n, &(read_options){.name = name, .model_name = "tiny", .keep = keep, .segment = segment, .on_progress = on_progress, .arg = &s},
                          out, NULL);
}

/* The hidden state of everything, as the logits after three more tokens. */
static void fingerprint(const char *name, float *logits, int64_t vocab)
{
    shelf_entry *entry = NULL;
    session *s = NULL;
    int64_t count;
    assert_int_equal(shelf_read(books, &entry, name, NULL), CJ_OK);
    int64_t n = shelf_entry_info(entry)->tokens;
    assert_int_equal(session_open(&s, e, n + 8, NULL), CJ_OK);
    assert_int_equal(session_attach(s, entry, n, &count, NULL), CJ_OK);
    assert_int_equal(count, n);
    int32_t *ids = mem_array((size_t)n + 3, sizeof *ids);
    memcpy(ids, shelf_entry_ids(entry), (size_t)n * sizeof *ids);
    for (int i = 0; i < 3; i++) ids[n + i] = 5 + i;
    assert_int_equal(session_eval(s, ids, n + 3, &(session_call){.want = WANT_LAST}, NULL, NULL), CJ_OK);
    memcpy(logits, session_logits(s), (size_t)vocab * sizeof *logits);
    /* giving up more than the windows remember goes back to a checkpoint, not to the beginning */
    int64_t reused = 0;
    if (n > 3 * KV_SLACK + SHELF_SEGMENT_LEAST) {
        assert_int_equal(session_eval(s, ids, n - 2 * KV_SLACK, &(session_call){.want = WANT_NONE}, &reused, NULL), CJ_OK);
        assert_true(reused > 0 || n < SHELF_SEGMENT);
    }
    mem_free(ids);
    session_close(&s);
    shelf_entry_close(&entry);
}

static void what_is_kept_is_what_was_read(void **state)
{
    document *doc = make("a.txt", 120, 60);
    read_result r;
    assert_int_equal(read_as("whole", &doc, 1, 0, 0, 0, &r), CJ_OK);
    assert_int_equal(r.characters, document_chars(doc));
    assert_true(r.tokens > 1000 && r.tokens_before == 0 && r.bytes > 0);
    /* the same by a session that never saw the shelf */
    shelf_entry *entry = NULL;
    session *s = NULL;
    const int64_t n = r.tokens, vocab = model_spec_of(engine_model(e))->vocab;
    assert_int_equal(shelf_read(books, &entry, "whole", NULL), CJ_OK);
    int32_t *ids = mem_array((size_t)n + 3, sizeof *ids);
    memcpy(ids, shelf_entry_ids(entry), (size_t)n * sizeof *ids);
    for (int i = 0; i < 3; i++) ids[n + i] = 5 + i;
    assert_int_equal(session_open(&s, e, n + 8, NULL), CJ_OK);
    assert_int_equal(session_eval(s, ids, n, &(session_call){.want = WANT_NONE}, NULL, NULL), CJ_OK);
    assert_int_equal(session_eval(s, ids, n + 3, &(session_call){.want = WANT_LAST}, NULL, NULL), CJ_OK);
    float *kept = mem_array((size_t)vocab, sizeof *kept);
    fingerprint("whole", kept, vocab);
    assert_memory_equal(kept, session_logits(s), (size_t)vocab * sizeof *kept);
    mem_free(kept);
    mem_free(ids);
    session_close(&s);
    shelf_entry_close(&entry);
    document_close(&doc);
}

/* Stopped anywhere and gone on with: the same pages. Sparse reading too. */
static void stopped_reading_goes_on(void **state)
{
    document *doc = make("a.txt", 70, 60);
    read_result r;
    int64_t total = 0, vocab = model_spec_of(engine_model(e))->vocab;
    float *of_parts = mem_array((size_t)vocab, sizeof *of_parts), *of_once = mem_array((size_t)vocab, sizeof *of_once);
    assert_int_equal(read_as("other", &doc, 1, 2, 512, 0, &r), CJ_OK); /* in another mode: shares nothing */
    total = r.tokens;
    for (int keep = 0; keep < 2; keep++) {
        const char *parts = keep ? "parts, sparse" : "parts";
        int64_t before = 0, freed;
        assert_int_equal(read_as(parts, &doc, 1, keep, 512, 1, &r), CJ_E_CANCELLED);
        for (int64_t stop = 700; stop < total; stop += 900) {
            assert_int_equal(read_as(parts, &doc, 1, keep, 512, stop, &r), CJ_E_CANCELLED);
            assert_true(r.tokens_before >= before);
            before = r.tokens_before;
        }
        assert_int_equal(read_as(parts, &doc, 1, keep, 512, 0, &r), CJ_OK);
        assert_true(r.tokens_before > 0 && r.tokens == total);
        assert_int_equal(read_as(parts, &doc, 1, keep, 512, 0, &r), CJ_OK); /* nothing is left to do */
        assert_int_equal(r.tokens_before, total);
        fingerprint(parts, of_parts, vocab);
        assert_int_equal(shelf_rm(books, parts, &freed, NULL), CJ_OK); /* or its segments would be shared */
        assert_int_equal(read_as("once", &doc, 1, keep, 512, 0, &r), CJ_OK);
        assert_int_equal(r.tokens_before, 0);
        fingerprint("once", of_once, vocab);
        assert_memory_equal(of_parts, of_once, (size_t)vocab * sizeof *of_once);
        assert_int_equal(shelf_rm(books, "once", &freed, NULL), CJ_OK);
    }
    mem_free(of_parts);
    mem_free(of_once);
    document_close(&doc);
}

static void on_choice(void *arg, const read_choice *c)
{
    stopper *s = arg;
    s->choice = *c;
}

static cj_err read_choosing(const char *name, document *doc, int64_t stop, read_choice *choice)
{
    stopper s = {.at = stop};
    read_result out;
    cj_err err = read_documents(e, books, &doc, 1, &(read_options){.name = name, .model_name = "tiny", .keep = READ_CHOOSE, .segment = 512, .on_progress = on_progress,
                                .on_choice = on_choice, .arg = &s}, &out, NULL);
    *choice = s.choice;
    assert_int_equal(out.keep, choice->keep);
    return err;
}

/* Exactly where nothing would be left out or where it does not take long; what was begun goes on as it was begun. */
static void chooses_how_to_read(void **state)
{
    document *text = make("a.txt", 70, 60), *longer = make("b.txt", 1300, 0);
    read_choice c;
    read_result r;
    assert_int_equal(read_choosing("chosen", text, 700, &c), CJ_E_CANCELLED);
    assert_int_equal(c.why, READ_SAME);
    assert_int_equal(c.keep, 0);
    assert_int_equal(read_choosing("chosen", text, 0, &c), CJ_OK);
    assert_int_equal(c.why, READ_BEGUN);
    assert_int_equal(c.keep, 0);
    assert_int_equal(read_as("begun fast", &text, 1, 3, 512, 700, &r), CJ_E_CANCELLED);
    assert_int_equal(read_choosing("begun fast", text, 0, &c), CJ_OK);
    assert_int_equal(c.why, READ_BEGUN);
    assert_int_equal(c.keep, 3);
    assert_int_equal(read_choosing("begun fast", longer, 1, &c), CJ_E_CANCELLED); /* begins otherwise */
    assert_int_equal(c.why, READ_ESTIMATED);
    assert_int_equal(c.keep, 0); /* a tiny model is quick */
    assert_true(c.exact_seconds > 0 && c.exact_seconds <= READ_PATIENCE && c.fast_seconds > 0 && c.tokens > 17152);
    document_close(&text);
    document_close(&longer);
}

static bool cut_segment(void *user, const char *path, bool is_dir)
{
    if (is_dir || !strstr(path, ".seg") || file_size(path) < *(int64_t *)user) return true;
    assert_int_equal(truncate(path, file_size(path) / 3), 0);
    return true;
}

/* Lines that differ from a.txt only in their order are another text. */
static void another_text_is_not_gone_on_with(void **state)
{
    enum { LINES = 70 };
    document *docs[2];
    read_choice first, c;
    read_result r;
    for (int k = 0; k < 2; k++) {
        buf text;
        buf_init(&text, 1 << 20);
        for (int i = 0; i < LINES; i++)
            assert_int_equal(buf_printf(&text, NULL, "第%d天，他写下：今天没有下雨，老和尚又讲了一个故事。\n", 10 + (i < 2 ? i ^ k : i)), CJ_OK);
        assert_int_equal(document_from_bytes(&docs[k], "a.txt", text.data, text.len, NULL), CJ_OK);
        buf_deinit(&text);
    }
    assert_int_equal(read_as("order", docs, 1, 3, 512, 700, &r), CJ_E_CANCELLED);
    assert_int_equal(read_choosing("order", docs[0], 700, &first), CJ_E_CANCELLED);
    assert_int_equal(first.why, READ_BEGUN);
    assert_int_equal(read_choosing("order", docs[1], 700, &c), CJ_E_CANCELLED);
    assert_int_equal(c.tokens, first.tokens);
    assert_int_equal(c.why, READ_SAME);
    document_close(&docs[0]);
    document_close(&docs[1]);
}

/* What another reader of the name did while one was at it. */
typedef struct rival {
    document *doc;
    shelf *books;
    cj_err err;
    bool wished;
} rival;

static bool interfere(void *arg, const read_progress *p)
{
    rival *v = arg;
    read_result r;
    if (p->phase != READ_TOKENS || v->wished) return true;
    assert_int_equal(shelf_pause(v->books, "rivals", NULL), CJ_OK);
    v->wished = true;
    clock_sleep(0.3); /* readers look now and then */
    v->err = read_documents(e, v->books, &v->doc, 1, &(read_options){.name = "rivals", .model_name = "tiny"}, &r, NULL);
    return true;
}

/* A wish to pause stands until the reader that it is for has heard it, and is forgotten by the next that gets the entry. */
static void wishes_to_pause_are_heard(void **state)
{
    rival v = {.doc = make("a.txt", 60, 60)};
    read_result r;
    cj_diag d = {0};
    read_options opt = {.name = "rivals", .model_name = "tiny", .segment = 256, .on_progress = interfere, .arg = &v};
    assert_int_equal(shelf_open(&v.books, own_folder, NULL), CJ_OK);
    assert_int_equal(read_documents(e, books, &v.doc, 1, &opt, &r, &d), CJ_E_CANCELLED);
    assert_int_equal(v.err, CJ_E_IO); /* busy */
    assert_int_equal(d.message, MSG_READ_PAUSED);
    assert_true(shelf_is_paused(books, "rivals"));
    assert_int_equal(read_as("rivals", &v.doc, 1, 0, 256, 0, &r), CJ_OK);
    assert_false(shelf_is_paused(books, "rivals"));
    shelf_close(&v.books);
    document_close(&v.doc);
}

static bool cut_all(void *user, const char *path, bool is_dir)
{
    if (!is_dir && strstr(path, ".seg")) assert_int_equal(truncate(path, file_size(path) / 3), 0);
    return true;
}

/* Its documents are found all the same, and what is missing is read again. */
static void an_unfinished_entry_is_damaged(void **state)
{
    char own[] = "/tmp/cj_read_XXXXXX";
    document *doc = make("a.txt", 70, 60);
    stopper s = {.at = 700};
    read_options opt = {.name = "stopped", .model_name = "tiny", .segment = 256, .on_progress = on_progress, .arg = &s};
    read_result r;
    shelf *mine = NULL;
    shelf_entry *entry = NULL;
    book b;
    assert_non_null(mkdtemp(own));
    assert_int_equal(shelf_open(&mine, own, NULL), CJ_OK);
    assert_int_equal(read_documents(e, mine, &doc, 1, &opt, &r, NULL), CJ_E_CANCELLED);
    char *folder = file_join(own, "segments");
    assert_int_equal(folder_each(folder, cut_all, NULL, NULL), CJ_OK);
    assert_int_equal(shelf_read(mine, &entry, "stopped", NULL), CJ_E_INPUT);
    assert_int_equal(shelf_read_unfinished(mine, &entry, "stopped", NULL), CJ_OK);
    assert_int_equal(shelf_entry_info(entry)->tokens, 0);
    assert_int_equal(book_load(&b, entry, NULL), CJ_OK);
    assert_string_equal(document_text(b.docs[0]), document_text(doc));
    shelf_entry_close(&entry);
    s.at = 0;
    assert_int_equal(read_documents(e, mine, b.docs, 1, &opt, &r, NULL), CJ_OK);
    assert_int_equal(r.tokens_before, 0);
    book_deinit(&b);
    shelf_close(&mine);
    mem_free(folder);
    document_close(&doc);
    assert_int_equal(folder_remove(own, NULL), CJ_OK);
}

/* Somebody cuts a file that is being used: a sentence, and what is missing is read again. */
static void a_file_is_cut_in_use(void **state)
{
    document *doc = make("cut.txt", 90, 3);
    read_result r;
    shelf_entry *entry = NULL;
    session *s = NULL;
    cj_diag d = {0};
    const int64_t vocab = model_spec_of(engine_model(e))->vocab;
    char *folder = file_join(own_folder, "segments");
    float *whole = mem_array((size_t)vocab, sizeof *whole), *again = mem_array((size_t)vocab, sizeof *again);
    mapped_guard();
    assert_int_equal(read_as("cut", &doc, 1, 0, 512, 0, &r), CJ_OK);
    fingerprint("cut", whole, vocab);
    assert_int_equal(shelf_read(books, &entry, "cut", NULL), CJ_OK);
    const int64_t n = shelf_entry_info(entry)->tokens;
    assert_int_equal(session_open(&s, e, n + 8, NULL), CJ_OK);
    assert_int_equal(session_attach(s, entry, n, NULL, NULL), CJ_OK);
    int32_t *ids = mem_array((size_t)n + 3, sizeof *ids);
    memcpy(ids, shelf_entry_ids(entry), (size_t)n * sizeof *ids);
    for (int i = 0; i < 3; i++) ids[n + i] = 5 + i;
    assert_int_equal(session_eval(s, ids, n + 1, &(session_call){.want = WANT_LAST}, NULL, NULL), CJ_OK);
    int64_t least = shelf_entry_info(entry)->bytes; /* of the one segment */
    assert_int_equal(folder_each(folder, cut_segment, &least, NULL), CJ_OK);
    for (int i = 0; i < 2; i++) { /* and again: it is not forgotten */
        assert_int_equal(session_eval(s, ids, n + 3, &(session_call){.want = WANT_LAST}, NULL, &d), CJ_E_INPUT);
        assert_int_equal(d.message, MSG_SHELF_FILE_CUT);
    }
    session_close(&s);
    shelf_entry_close(&entry);
    assert_int_equal(read_as("cut", &doc, 1, 0, 512, 0, &r), CJ_OK);
    assert_true(r.tokens_before < n);
    fingerprint("cut", again, vocab);
    assert_memory_equal(whole, again, (size_t)vocab * sizeof *whole);
    mem_free(folder);
    mem_free(ids);
    mem_free(whole);
    mem_free(again);
    document_close(&doc);
}

/* The same of a model's file: what comes is right, or a sentence. */
static void a_model_is_cut_in_use(void **state)
{
    buf bytes;
    file_out f;
    engine *cut = NULL;
    session *s = NULL;
    cj_diag d = {0};
    char *path = file_join(own_folder, "cut.gguf");
    const int32_t ids[] = {5, 6, 7, 300, 301};
    const int64_t vocab = model_spec_of(engine_model(e))->vocab;
    float *right = mem_array((size_t)vocab, sizeof *right);
    mapped_guard();
    assert_int_equal(file_read(getenv("CJ_TINY_WINDOWS"), (size_t)1 << 30, &bytes, NULL), CJ_OK);
    assert_int_equal(file_out_open(&f, path, NULL), CJ_OK);
    assert_int_equal(file_out_write(&f, bytes.data, bytes.len, NULL), CJ_OK);
    assert_int_equal(file_out_commit(&f, NULL), CJ_OK);
    assert_int_equal(engine_open(&cut, &(engine_options){.path = path, .level = KERNEL_AUTO, .threads = 1, .kv = KV_Q8}, NULL), CJ_OK);
    assert_int_equal(session_open(&s, cut, 16, NULL), CJ_OK);
    assert_int_equal(session_eval(s, ids, 5, &(session_call){.want = WANT_LAST}, NULL, NULL), CJ_OK);
    memcpy(right, session_logits(s), (size_t)vocab * sizeof *right);
    session_close(&s);
    assert_int_equal(truncate(path, 4096), 0);
    assert_int_equal(session_open(&s, cut, 16, NULL), CJ_OK);
    cj_err err = session_eval(s, ids, 5, &(session_call){.want = WANT_LAST}, NULL, &d);
    if (err) {
        assert_int_equal(err, CJ_E_INPUT);
        assert_int_equal(d.message, MSG_FILE_CUT);
    } else
        assert_memory_equal(right, session_logits(s), (size_t)vocab * sizeof *right);
    session_close(&s);
    engine_close(&cut);
    mem_free(right);
    mem_free(path);
    buf_deinit(&bytes);
}

/* Several documents; what a longer book shares with a shorter one is not read again. */
static void books_share_their_beginning(void **state)
{
    document *docs[3] = {make("a.txt", 500, 500), make("b.txt", 30, 0), make("c.txt", 40, 10)};
    read_result one, more;
    assert_int_equal(read_as("one", docs, 1, 0, 0, 0, &one), CJ_OK);
    assert_true(one.tokens > SHELF_SEGMENT_LEAST); /* or no segment would be closed */
    assert_int_equal(read_as("more", docs, 3, 0, 0, 0, &more), CJ_OK);
    assert_int_equal(more.tokens_before, one.tokens);
    assert_true(more.tokens > one.tokens);
    book b;
    shelf_entry *entry = NULL;
    assert_int_equal(shelf_read(books, &entry, "more", NULL), CJ_OK);
    assert_int_equal(book_load(&b, entry, NULL), CJ_OK);
    assert_int_equal(b.n_docs, 3);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(document_name(b.docs[i]), document_name(docs[i]));
        assert_string_equal(document_text(b.docs[i]), document_text(docs[i]));
        assert_int_equal(book_document_of(&b, b.begin[i]), i);
        assert_int_equal(book_document_of(&b, b.begin[i + 1] - 1), i);
    }
    const token_list *t = &b.tokens;
    assert_int_equal(t->spans[t->count - 1].end, b.text.len);
    for (size_t i = 1; i < t->count; i++) assert_int_equal(t->spans[i].start, t->spans[i - 1].end);
    book_deinit(&b);
    shelf_entry_close(&entry);
    for (int i = 0; i < 3; i++) document_close(&docs[i]);
}

/* ---- finding ---- */

static void check_found(const book *b, const found_passage *found, int n, int how)
{
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        assert_true(found[i].passage >= 0 && found[i].passage < b->passages.n);
        assert_true(found[i].reading + found[i].index > 0 && found[i].reading <= 1.001f && found[i].index <= 1.001f);
        assert_true(found[i].by && !(found[i].by & ~how));
        for (int k = 0; k < i; k++) assert_int_not_equal(found[i].passage, found[k].passage);
    }
}

static void finds_again_and_again(void **state)
{
    document *doc = make("a.txt", 120, 60);
    read_result r;
    book b;
    shelf_entry *entry = NULL;
    found_passage first[8], found[8];
    int n, n_first;
    assert_int_equal(read_as("asked", &doc, 1, 0, 0, 0, &r), CJ_OK);
    assert_int_equal(shelf_read(books, &entry, "asked", NULL), CJ_OK);
    assert_int_equal(book_load(&b, entry, NULL), CJ_OK);
    for (int how = FIND_READING; how <= FIND_BOTH; how++) {
        finder *f = NULL;
        finder_cost cost;
        finder_options opt = {.how = how, .keep = ENGINE_KEEP};
        assert_int_equal(finder_open(&f, e, &b, entry, &opt, NULL), CJ_OK);
        assert_int_equal(finder_find(f, "第77天他写下了什么？", first, 8, &n_first, &cost, NULL), CJ_OK);
        check_found(&b, first, n_first, how);
        assert_int_equal(cost.question.tokens > 0, (how & FIND_READING) != 0);
        if (how == FIND_INDEX) assert_non_null(strstr(b.text.data + b.passages.item[first[0].passage].byte, "第77天"));
        assert_int_equal(finder_find(f, "Who wrote it?", found, 8, &n, &cost, NULL), CJ_OK); /* another language, another neutral question */
        assert_int_equal(finder_find(f, "第77天他写下了什么？", found, 8, &n, &cost, NULL), CJ_OK);
        assert_int_equal(n, n_first);
        assert_memory_equal(found, first, (size_t)n * sizeof *found);
        assert_int_equal(cost.neutral.tokens, 0); /* it is kept */
        finder_close(&f);
    }
    /* a book read into memory finds what the shelf's finds */
    int64_t cut;
    book now;
    document *docs[] = {doc};
    finder *f = NULL;
    finder_options opt = {.how = FIND_READING};
    assert_int_equal(book_join(&now, docs, 1, NULL), CJ_OK);
    assert_int_equal(book_encode(&now, engine_tokenizer(e), &cut, NULL), CJ_OK);
    assert_int_equal(cut, now.tokens.count);
    assert_int_equal(finder_open(&f, e, &now, NULL, &opt, NULL), CJ_OK);
    assert_int_equal(finder_find(f, "第77天他写下了什么？", found, 8, &n, NULL, NULL), CJ_OK);
    check_found(&now, found, n, FIND_READING);
    finder_close(&f);
    assert_int_equal(finder_open(&f, e, &b, entry, &opt, NULL), CJ_OK);
    assert_int_equal(finder_find(f, "第77天他写下了什么？", first, 8, &n_first, NULL, NULL), CJ_OK);
    assert_int_equal(n, n_first);
    assert_memory_equal(found, first, (size_t)n * sizeof *found);
    finder_close(&f);
    book_deinit(&now);
    book_deinit(&b);
    shelf_entry_close(&entry);
    document_close(&doc);
}

/* Half-read, an entry is asked about what was read. */
static void an_unfinished_book_is_asked(void **state)
{
    document *doc = make("a.txt", 120, 60);
    read_result r;
    book b;
    ask_result a;
    shelf_entry *entry = NULL;
    assert_int_equal(read_as("half", &doc, 1, 1, 512, 2100, &r), CJ_E_CANCELLED);
    assert_int_equal(shelf_read(books, &entry, "half", NULL), CJ_OK);
    const shelf_info *info = shelf_entry_info(entry);
    assert_false(info->complete);
    assert_true(info->tokens >= 1536 && info->tokens < info->tokens_total);
    assert_int_equal(book_load(&b, entry, NULL), CJ_OK);
    assert_int_equal(ask(e, &(search_source){&b, entry}, 1, "他写下了什么？", &(ask_options){.find = FIND_READING, .max_tokens = 3}, &a, NULL), CJ_OK);
    assert_true(a.n_evidence > 0);
    for (int i = 0; i < a.n_evidence; i++) {
        assert_true(a.evidence[i].verified);
        assert_int_equal(a.evidence[i].found_by, FIND_READING);
        assert_true(a.evidence[i].end_byte <= b.tokens.spans[info->tokens - 1].end);
    }
    ask_deinit(&a);
    book_deinit(&b);
    shelf_entry_close(&entry);
    document_close(&doc);
}

/* Everything that bears on a question comes in the order of the text; another model may write the answer. */
static void all_in_order_and_another_answerer(void **state)
{
    document *doc = make("a.txt", 120, 60);
    read_result r;
    book b;
    ask_result a;
    engine *writer = NULL;
    shelf_entry *entry = NULL;
    assert_int_equal(engine_open(&writer, &(engine_options){.path = getenv("CJ_TINY_CHAT"), .level = KERNEL_AUTO, .threads = 1, .kv = KV_F32}, NULL), CJ_OK);
    assert_int_equal(read_as("all", &doc, 1, 0, 0, 0, &r), CJ_OK);
    assert_int_equal(shelf_read(books, &entry, "all", NULL), CJ_OK);
    assert_int_equal(book_load(&b, entry, NULL), CJ_OK);
    assert_int_equal(ask(e, &(search_source){&b, entry}, 1, "第7天，他在第几页写下？", &(ask_options){.all = true, .max_tokens = 3, .answerer = writer}, &a, NULL), CJ_OK);
    assert_true(a.n_evidence > 1);
    for (int i = 1; i < a.n_evidence; i++) assert_true(a.evidence[i].start >= a.evidence[i - 1].end);
    assert_true(a.written_tokens <= 3);
    ask_deinit(&a);
    document *docs[] = {doc};
    assert_int_equal(ask_documents(e, docs, 1, "他写下了什么？", &(ask_options){.all = true, .max_tokens = 3, .answerer = writer}, &a, NULL), CJ_E_LIMIT); /* too long to be read at once */
    ask_deinit(&a);
    book_deinit(&b);
    shelf_entry_close(&entry);
    engine_close(&writer);
    document_close(&doc);
}

/* ---- outlines ---- */

static int written;
static void on_chapter(void *arg, const outline_chapter *c)
{
    assert_non_null(c->summary);
    written++;
}

static bool until_one(void *arg, int64_t done, int64_t total)
{
    assert_true(done >= 0 && done <= total);
    return written < *(int *)arg;
}

static int unkept;
static void on_unkept(void *arg, const cj_diag *why)
{
    assert_int_equal(why->code, CJ_E_NOT_FOUND);
    unkept++;
}

static cj_err outline_as(outline *o, const book *b, shelf_entry *entry, engine *writer, int chapters)
{
    written = unkept = 0;
    assert_int_equal(outline_make(o, b, NULL), CJ_OK);
    return outline_summarise(o, writer, entry, &(outline_options){until_one, on_chapter, on_unkept, &chapters}, NULL);
}

static void assert_tidy(const char *text, bool cut, const char *want)
{
    char *got = outline_tidy(text, strlen(text), cut);
    assert_string_equal(got, want);
    mem_free(got);
}

/* What was cut short ends with its last whole sentence, if there is one, and never in half a character. */
static void summaries_are_tidied(void **state)
{
    assert_tidy(" 一句。\n", false, "一句。");
    assert_tidy("一句。又一", false, "一句。又一");
    assert_tidy("一句。又一", true, "一句。");
    assert_tidy("他说：“走。”于是\xEF\xBF\xBD", true, "他说：“走。”");
    assert_tidy("没有句号\xEF\xBF\xBD\xEF\xBF\xBD", true, "没有句号");
    assert_tidy("\xEF\xBF\xBD", true, "");
    assert_tidy("It is 3.5 metres. He we", true, "It is 3.5 metres.");
    assert_tidy("", true, "");
}

static bool has_summary(const shelf_entry *entry, engine *writer, int chapter, int part)
{
    char kind[SHELF_KIND_MAX + 1];
    buf blob = {0};
    snprintf(kind, sizeof kind, "outline.%016llx.%d.%d", (unsigned long long)model_fingerprint(engine_model(writer)), chapter, part);
    bool has = !shelf_get(entry, kind, &blob, NULL);
    buf_deinit(&blob);
    return has;
}

/* A chapter of more parts than fit at once is joined from all of them. Its summaries go to a longer version of the book; nothing is kept with an
 * entry that is gone. */
static void long_chapters_are_joined_in_rounds(void **state)
{
    enum { FIT = (2048 - OUTLINE_TOKENS - 192) / (OUTLINE_TOKENS + 1) };
    document *docs[2] = {make("long.txt", 560, 300), make("more.txt", 5, 2)};
    read_result r;
    book b;
    outline o;
    engine *writer = NULL;
    shelf_entry *entry = NULL;
    int64_t freed;
    assert_int_equal(engine_open(&writer, &(engine_options){.path = getenv("CJ_TINY_CHAT"), .level = KERNEL_AUTO, .threads = 1, .kv = KV_F32}, NULL), CJ_OK);
    assert_int_equal(read_as("rounds", docs, 1, 0, 0, 0, &r), CJ_OK);
    assert_int_equal(shelf_read(books, &entry, "rounds", NULL), CJ_OK);
    assert_int_equal(book_load(&b, entry, NULL), CJ_OK);
    assert_int_equal(outline_as(&o, &b, entry, writer, 9), CJ_OK);
    assert_int_equal(unkept, 0);
    const int n = o.chapters[0].n_parts;
    assert_true(n > FIT && n <= FIT * FIT);
    assert_non_null(o.chapters[0].summary);
    const int joined = n / FIT + (n % FIT > 1); /* a single one left over is not written again */
    for (int part = 0; part <= n + joined; part++) assert_true(has_summary(entry, writer, 0, part));
    assert_false(has_summary(entry, writer, 0, n + joined + 1));
    outline_deinit(&o);
    book_deinit(&b);
    shelf_entry_close(&entry);
    assert_int_equal(read_as("rounds", docs, 2, 0, 0, 0, &r), CJ_OK);
    assert_int_equal(shelf_read(books, &entry, "rounds", NULL), CJ_OK);
    assert_int_equal(shelf_entry_info(entry)->documents, 2);
    for (int part = 0; part <= n + joined; part++) assert_true(has_summary(entry, writer, 0, part));
    assert_int_equal(book_load(&b, entry, NULL), CJ_OK);
    assert_int_equal(shelf_rm(books, "rounds", &freed, NULL), CJ_OK);
    assert_int_equal(shelf_put(entry, "outline.x", "x", 1, NULL), CJ_E_NOT_FOUND);
    book_deinit(&b);
    shelf_entry_close(&entry);
    engine_close(&writer);
    for (int i = 0; i < 2; i++) document_close(&docs[i]);
}

/* Chapters cover the text; summaries are kept as they are written, and what they rest on is in the text. */
static void outlines(void **state)
{
    static const char text[] = "从前的事。\n第一章 开始\n今天没有下雨，他在第一页写下了这句话。\n第二章 结束\n昨夜下了一场大雨，他在第二页写下了那句话。山里有座庙。\n";
    document *doc = NULL;
    read_result r;
    book b;
    outline o, again;
    engine *writer = NULL;
    shelf_entry *entry = NULL;
    assert_int_equal(document_from_bytes(&doc, "o.txt", text, sizeof text - 1, NULL), CJ_OK);
    assert_int_equal(engine_open(&writer, &(engine_options){.path = getenv("CJ_TINY_CHAT"), .level = KERNEL_AUTO, .threads = 1, .kv = KV_F32}, NULL), CJ_OK);
    assert_int_equal(read_as("outlined", &doc, 1, 0, 0, 0, &r), CJ_OK);
    assert_int_equal(shelf_read(books, &entry, "outlined", NULL), CJ_OK);
    assert_int_equal(book_load(&b, entry, NULL), CJ_OK);
    assert_int_equal(outline_as(&o, &b, entry, writer, 1), CJ_E_CANCELLED); /* after the first */
    assert_int_equal(o.n, 3);
    size_t at = 0;
    for (int i = 0; i < o.n; i++) {
        assert_int_equal(o.chapters[i].byte, at);
        assert_int_equal(o.chapters[i].chapter, i - 1);
        assert_int_equal(o.chapters[i].summary != NULL, i == 0);
        assert_true(o.chapters[i].tokens > 0 && o.chapters[i].token + o.chapters[i].tokens <= r.tokens);
        at = o.chapters[i].end;
    }
    assert_int_equal(at, b.text.len);
    assert_int_equal(outline_as(&again, &b, entry, writer, 9), CJ_OK); /* goes on */
    assert_int_equal(written, 3);
    assert_string_equal(again.chapters[0].summary, o.chapters[0].summary);
    outline_deinit(&o);
    assert_int_equal(outline_as(&o, &b, entry, writer, 9), CJ_OK);
    for (int i = 0; i < o.n; i++) {
        assert_string_equal(o.chapters[i].summary, again.chapters[i].summary);
        for (int k = 0; k < o.chapters[i].n_parts; k++)
            for (int q = 0; q < o.chapters[i].parts[k].n_quotes; q++) {
                const outline_quote *x = &o.chapters[i].parts[k].quotes[q];
                assert_true(x->byte >= o.chapters[i].byte && x->end <= o.chapters[i].end && x->start < x->stop);
            }
    }
    outline_deinit(&o);
    int64_t freed;
    assert_int_equal(shelf_rm(books, "outlined", &freed, NULL), CJ_OK); /* now none can be kept: they serve all the same */
    assert_int_equal(outline_as(&o, &b, entry, writer, 9), CJ_OK);
    assert_int_equal(unkept, 1);
    for (int i = 0; i < o.n; i++) assert_string_equal(o.chapters[i].summary, again.chapters[i].summary);
    outline_deinit(&o);
    outline_deinit(&again);
    for (int64_t n = 0, failed = 1; failed; n++) {
        mem_fail_after(n);
        failed = outline_make(&o, &b, NULL) == CJ_E_NOMEM;
        mem_fail_after(-1);
        outline_deinit(&o);
    }
    book_deinit(&b);
    shelf_entry_close(&entry);
    engine_close(&writer);
    document_close(&doc);
}

/* However the rest is read, the last tokens of a text see all of it; of a longer version that goes on from there too. */
static void the_end_is_read_exactly(void **state)
{
    document *doc = make("a.txt", 500, 500), *both[2] = {doc, make("b.txt", 30, 0)};
    read_result r, more;
    shelf_entry *entry = NULL;
    const int64_t vocab = model_spec_of(engine_model(e))->vocab;
    float *kept = mem_array((size_t)vocab, sizeof *kept), *sparse = mem_array((size_t)vocab, sizeof *sparse);
    assert_int_equal(read_as("ends", &doc, 1, 1, 512, 0, &r), CJ_OK);
    assert_true(r.tokens % 512 > READ_LAST); /* or the end would be cut into other chunks than below */
    fingerprint("ends", kept, vocab);
    assert_int_equal(shelf_read(books, &entry, "ends", NULL), CJ_OK);
    int32_t *ids = mem_array((size_t)r.tokens + 3, sizeof *ids);
    memcpy(ids, shelf_entry_ids(entry), (size_t)r.tokens * sizeof *ids);
    for (int i = 0; i < 3; i++) ids[r.tokens + i] = 5 + i;
    /* by hand, by the session's own means, and all of it sparsely */
    for (int how = 0; how < 3; how++) {
        session *s = NULL;
        const int64_t last = r.tokens - READ_LAST;
        assert_int_equal(session_open(&s, e, r.tokens + 3, NULL), CJ_OK);
        session_set_keep(s, 1);
        if (how == 1) session_set_exact_from(s, last);
        assert_int_equal(session_eval(s, ids, last, &(session_call){.want = WANT_NONE}, NULL, NULL), CJ_OK);
        if (how == 0) session_set_keep(s, 0);
        for (int64_t at = last; at < r.tokens; at += READ_LAST / 4) /* the chunks are those of the reading */
            assert_int_equal(session_eval(s, ids, at + READ_LAST / 4, &(session_call){.want = WANT_NONE}, NULL, NULL), CJ_OK);
        session_set_keep(s, 0);
        assert_int_equal(session_eval(s, ids, r.tokens + 3, &(session_call){.want = WANT_LAST}, NULL, NULL), CJ_OK);
        if (how < 2) assert_memory_equal(session_logits(s), kept, (size_t)vocab * sizeof *kept);
        else memcpy(sparse, session_logits(s), (size_t)vocab * sizeof *sparse);
        session_close(&s);
    }
    assert_memory_not_equal(sparse, kept, (size_t)vocab * sizeof *kept);
    shelf_entry_close(&entry);
    assert_int_equal(read_as("ends later", both, 2, 1, 512, 0, &more), CJ_OK);
    assert_int_equal(more.tokens_before, r.tokens);
    assert_true(more.tokens > r.tokens);
    fingerprint("ends later", kept, vocab);
    assert_memory_not_equal(sparse, kept, (size_t)vocab * sizeof *kept);
    mem_free(ids);
    mem_free(kept);
    mem_free(sparse);
    for (int i = 0; i < 2; i++) document_close(&both[i]);
}

/* In exact mode attention is exact, whatever was asked for. */
static void exact_mode_keeps_everything(void **state)
{
    enum { N = 1500 };
    engine *exact = NULL;
    session *s[2] = {NULL, NULL};
    int32_t ids[N];
    for (int i = 0; i < N; i++) ids[i] = 5 + i * 37 % 300;
    assert_int_equal(engine_open(&exact, &(engine_options){.path = getenv("CJ_TINY_WINDOWS"), .level = KERNEL_AUTO, .threads = 1, .exact = true, .kv = KV_F32}, NULL), CJ_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(session_open(&s[i], exact, N, NULL), CJ_OK);
        session_set_keep(s[i], i);
        assert_int_equal(session_eval(s[i], ids, N, &(session_call){.want = WANT_LAST}, NULL, NULL), CJ_OK);
    }
    assert_memory_equal(session_logits(s[0]), session_logits(s[1]), (size_t)model_spec_of(engine_model(exact))->vocab * sizeof(float));
    for (int i = 0; i < 2; i++) session_close(&s[i]);
    engine_close(&exact);
}

/* The largest difference of logits between exact attention and one that keeps a page, or `times` as many for every head. */
static float off_by(int times)
{
    enum { N = 2500 };
    engine *fast = NULL;
    session *s[2] = {NULL, NULL};
    int32_t ids[N];
    float most = 0;
    for (int i = 0; i < N; i++) ids[i] = 5 + i * 37 % 300;
    assert_int_equal(engine_open(&fast, &(engine_options){.path = getenv("CJ_TINY_WINDOWS"), .level = KERNEL_AUTO, .threads = 1, .kv = KV_F32}, NULL), CJ_OK);
    const model_spec *m = model_spec_of(engine_model(fast));
    for (int layer = -1; layer <= m->n_layers; layer++) /* those that are not there are left out */
        for (int head = -1; head < 9; head++) assert_int_equal(engine_keep_more(fast, layer, head, times, NULL), CJ_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(session_open(&s[i], fast, N, NULL), CJ_OK);
        session_set_keep(s[i], i);
        assert_int_equal(session_eval(s[i], ids, N, &(session_call){.want = WANT_LAST}, NULL, NULL), CJ_OK);
    }
    for (int64_t i = 0; i < m->vocab; i++) most = fmaxf(most, fabsf(session_logits(s[0])[i] - session_logits(s[1])[i]));
    for (int i = 0; i < 2; i++) session_close(&s[i]);
    engine_close(&fast);
    return most;
}

static void heads_keep_more_pages(void **state)
{
    const float one = off_by(1), all = off_by(255);
    if (!(one > 1e-3f && all < one / 20)) fail_msg("%g and %g", (double)one, (double)all);
}

/* Where nothing is found nothing is answered. */
static void nothing_found_nothing_answered(void **state)
{
    document *doc = make("a.txt", 40, 20);
    read_result r;
    book b;
    ask_result a;
    shelf_entry *entry = NULL;
    assert_int_equal(read_as("none", &doc, 1, 0, 0, 0, &r), CJ_OK);
    assert_int_equal(shelf_read(books, &entry, "none", NULL), CJ_OK);
    assert_int_equal(book_load(&b, entry, NULL), CJ_OK);
    assert_int_equal(ask(e, &(search_source){&b, entry}, 1, "zzzqqq", &(ask_options){.find = FIND_INDEX, .max_tokens = 3}, &a, NULL), CJ_OK);
    assert_int_equal(a.n_evidence, 0);
    assert_int_equal(a.answer.len, 0);
    ask_deinit(&a);
    book_deinit(&b);
    shelf_entry_close(&entry);
    document_close(&doc);
}

static void no_memory_is_an_error(void **state)
{
    document *doc = make("a.txt", 4, 2);
    read_result r;
    for (int n = 0;; n++) {
        mem_fail_after(n);
        cj_err err = read_as("scarce", &doc, 1, 0, 0, 0, &r);
        mem_fail_after(-1);
        if (!err) break;
        assert_int_equal(err, CJ_E_NOMEM);
        assert_true(n < 5000);
    }
    document_close(&doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_what_was_read), cmocka_unit_test(stopped_reading_goes_on), cmocka_unit_test(chooses_how_to_read), cmocka_unit_test(another_text_is_not_gone_on_with),
        cmocka_unit_test(wishes_to_pause_are_heard), cmocka_unit_test(an_unfinished_entry_is_damaged), cmocka_unit_test(a_file_is_cut_in_use), cmocka_unit_test(a_model_is_cut_in_use), cmocka_unit_test(books_share_their_beginning),
        cmocka_unit_test(finds_again_and_again), cmocka_unit_test(an_unfinished_book_is_asked), cmocka_unit_test(all_in_order_and_another_answerer),
        cmocka_unit_test(the_end_is_read_exactly), cmocka_unit_test(exact_mode_keeps_everything), cmocka_unit_test(heads_keep_more_pages), cmocka_unit_test(outlines), cmocka_unit_test(summaries_are_tidied), cmocka_unit_test(long_chapters_are_joined_in_rounds),
        cmocka_unit_test(nothing_found_nothing_answered), cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
