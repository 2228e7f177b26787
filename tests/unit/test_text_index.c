/* shelf/: pieces of texts, and the index of them: what is found, in which order, and that damaged files and lack of memory, ours and
 * SQLite's, are told and not more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "shelf/text_index.h"
#include "shelf/text_pieces.h"
#include "support/own_folder.h"

static char path[64];

/* ---- SQLite's memory: the n-th allocation from now fails, and all that follow ---- */

static sqlite3_mem_methods real;
static int64_t left = -1;

static bool spent(void) { return left >= 0 && left-- == 0 ? (left = 0, true) : false; }
static void *failing_malloc(int n) { return spent() ? NULL : real.xMalloc(n); }
static void *failing_realloc(void *p, int n) { return spent() ? NULL : real.xRealloc(p, n); }

static int begin(void **state)
{
    sqlite3_mem_methods m;
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real)) return -1;
    m = real;
    m.xMalloc = failing_malloc;
    m.xRealloc = failing_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &m) || own_folder_make(state)) return -1;
    snprintf(path, sizeof path, "%s/a %%?#.index", own_folder); /* a name that would be something else in a URI */
    return 0;
}

/* ---- pieces ---- */

typedef struct listed {
    const char *text;
    buf out;
} listed;

static int list_piece(void *arg, const text_piece *p)
{
    listed *l = arg;
    assert_true(p->length > 0 && p->length <= TEXT_PIECE_MAX && p->from < p->end && p->end <= strlen(l->text));
    assert_int_equal(buf_printf(&l->out, NULL, "%s%.*s", l->out.len ? (p->pair ? "+" : " ") : "", p->length, p->bytes), CJ_OK);
    return l->out.len > 4000;
}

static void cut_into(const char *text, const char *want)
{
    listed l = {.text = text};
    buf_init(&l.out, 1 << 16);
    text_pieces(text, strlen(text), list_piece, &l);
    assert_string_equal(l.out.data ? l.out.data : "", want);
    buf_deinit(&l.out);
}

static void cuts_pieces(void **state)
{
    cut_into("甄士隐", "甄+甄士 士+士隐 隐");
    cut_into("甄，士 隐", "甄 士 隐");
    cut_into("第3回Ｂ卷", "第 3 回 b 卷");
    cut_into("It's ÉTÉ, Straße 3.5!", "it s ete strasse 3 5");
    cut_into("㍿ガ한글㈱", "株+株式 式+式会 会+会社 社+社カ カ+カ한 한+한글 글 株");
    cut_into("シド・ﾊﾟﾘ", "シ+シト ト ハ+ハリ リ");
    cut_into("\xff甄\xff士\xe7", "甄 士");
    cut_into("。，…  ", "");
    cut_into("", "");
    char word[200] = {0}, want[65] = {0};
    memset(word, 'x', 150);
    memset(want, 'x', 64);
    cut_into(word, want);
}

/* ---- finding ---- */

static const char story[] =
    "甄士隐住在葫芦庙旁。他的女儿叫英莲。元宵那晚，霍启抱英莲去看灯。霍启去小解，回来不见了英莲。"
    "那个人什么也没说。\nAlice met the White Rabbit. The RABBIT was late.人说：有十二只船。";
static const text_range none[1];

/* The story's sentences. */
static int64_t cut_story(text_range *out)
{
    static const char *const ends[] = {"。", "\n", ".", NULL};
    int64_t n = 0;
    size_t from = 0;
    for (size_t at = 0; story[at];) {
        size_t step = 1;
        bool cut = false;
        for (int i = 0; ends[i] && !cut; i++)
            if (strncmp(story + at, ends[i], strlen(ends[i])) == 0) cut = true, step = strlen(ends[i]);
        at += step;
        if (cut) {
            if (at - from > 1) out[n++] = (text_range){from, at};
            from = at;
        }
    }
    return n;
}

static void build_story(void)
{
    text_range p[32];
    cj_diag d = {0};
    int64_t n = cut_story(p);
    assert_int_equal(n, 8);
    assert_int_equal(text_index_build(path, story, strlen(story), p, n, NULL, NULL, &d), CJ_OK);
}

static text_index *open_story(void)
{
    text_index *ix = NULL;
    cj_diag d = {0};
    build_story();
    assert_int_equal(text_index_open(&ix, path, strlen(story), &d), CJ_OK);
    assert_int_equal(text_index_passages(ix), 8);
    return ix;
}

static void finds(text_index *ix, const char *question, const char *first)
{
    text_hit hits[4];
    int n;
    assert_int_equal(text_index_find(ix, question, hits, 4, &n, NULL), CJ_OK);
    assert_true(n > 0 && n <= 4);
    assert_true(hits[0].range.end - hits[0].range.byte >= strlen(first));
    assert_memory_equal(story + hits[0].range.byte, first, strlen(first));
    for (int i = 0; i < n; i++) {
        text_range r = text_index_range(ix, hits[i].passage);
        assert_true(r.byte == hits[i].range.byte && r.end == hits[i].range.end);
        assert_true(hits[i].score > 0 && hits[i].score <= 1 && (!i || hits[i].score <= hits[i - 1].score));
    }
}

static void finds_passages(void **state)
{
    text_index *ix = open_story();
    text_hit hits[8];
    int n;
    finds(ix, "谁住在葫芦庙旁边？", "甄士隐");
    finds(ix, "女儿叫什么名字？", "他的女儿");  /* 什么 only asks: the sentence with it is not the one */
    finds(ix, "霍启什么时候去小解？", "霍启去小解");
    finds(ix, "who met the white rabbit", "Alice");
    finds(ix, "Was the ｒａｂｂｉｔ LATE?", " The RABBIT");
    assert_int_equal(text_index_find(ix, "龘", hits, 8, &n, NULL), CJ_OK);
    assert_int_equal(n, 0);
    assert_int_equal(text_index_find(ix, "", hits, 8, &n, NULL), CJ_OK);
    assert_int_equal(n, 0);
    assert_int_equal(text_index_find(ix, "英莲", hits, 2, &n, NULL), CJ_OK);
    assert_int_equal(n, 2); /* of three */
    assert_int_equal(text_index_find(ix, "英莲", hits, 0, &n, NULL), CJ_OK);
    assert_int_equal(n, 0);
    text_hit again[8];
    int n_again;
    assert_int_equal(text_index_find(ix, "英莲", hits, 8, &n, NULL), CJ_OK);
    assert_int_equal(text_index_find(ix, "英莲", again, 8, &n_again, NULL), CJ_OK); /* nothing is left of the question before */
    assert_int_equal(n, n_again);
    for (int i = 0; i < n; i++) assert_true(hits[i].passage == again[i].passage && hits[i].score == again[i].score);
    text_index_close(&ix);
    assert_null(ix);
}

static void long_questions(void **state)
{
    text_index *ix = open_story();
    text_hit hits[8];
    int n;
    buf q;
    buf_init(&q, 1 << 20);
    assert_int_equal(buf_puts(&q, "葫芦庙", NULL), CJ_OK);
    for (int i = 0; i < 3000; i++) assert_int_equal(buf_printf(&q, NULL, " w%d", i), CJ_OK);
    assert_int_equal(text_index_find(ix, q.data, hits, 8, &n, NULL), CJ_OK);
    assert_int_equal(n, 1);
    assert_int_equal(hits[0].passage, 0);
    buf_deinit(&q);
    text_index_close(&ix);
}

/* ---- building ---- */

static bool stop_at_once(void *arg, int64_t done, int64_t total)
{
    ++*(int *)arg;
    return false;
}

static void builds_with_care(void **state)
{
    cj_diag d = {0};
    text_index *ix = NULL;
    text_hit hits[2];
    int n, calls = 0;
    assert_int_equal(text_index_build(path, "", 0, none, 0, NULL, NULL, &d), CJ_OK); /* a text without passages */
    assert_int_equal(text_index_open(&ix, path, 0, &d), CJ_OK);
    assert_int_equal(text_index_find(ix, "谁？", hits, 2, &n, &d), CJ_OK);
    assert_int_equal(n, 0);
    text_index_close(&ix);
    build_story(); /* replaces it */
    assert_int_equal(text_index_build(path, "甲乙", 6, (text_range[]){{0, 3}, {3, 6}}, 2, stop_at_once, &calls, &d), CJ_E_CANCELLED);
    assert_int_equal(calls, 1);
    assert_int_equal(text_index_open(&ix, path, strlen(story), &d), CJ_OK); /* the one before still stands */
    text_index_close(&ix);
    assert_int_equal(text_index_open(&ix, path, 10, &d), CJ_E_INPUT); /* of a longer text */
    assert_int_equal(text_index_build(path, "甲乙", 6, (text_range[]){{3, 6}, {0, 3}}, 2, NULL, NULL, &d), CJ_E_INTERNAL);
    assert_int_equal(text_index_build(path, "甲乙", 6, (text_range[]){{3, 7}}, 1, NULL, NULL, &d), CJ_E_INTERNAL);
    assert_true(text_index_build("/no/such/folder/x", "甲乙", 6, none, 0, NULL, NULL, &d) < 0);
    assert_int_equal(text_index_open(&ix, "/no/such/file", 10, &d), CJ_E_NOT_FOUND);
    assert_true(text_index_open(&ix, own_folder, 10, &d) < 0);
    assert_null(ix);
}

static bool another_builds(void *arg, int64_t done, int64_t total)
{
    int status = -1;
    pid_t other = fork();
    if (!other) _exit(text_index_build(path, story, strlen(story), *(const text_range **)arg, total, NULL, NULL, NULL) ? 1 : 0);
    assert_int_equal(waitpid(other, &status, 0), other);
    assert_int_equal(status, 0);
    return true;
}

/* Two processes make one index at a time; what a third one left half-made is cleared away, what one is making is not. */
static void several_build_at_once(void **state)
{
    char ended[96], runs[96];
    text_index *ix = NULL;
    const text_range halves[] = {{0, 30}, {30, 60}}, *passages = halves;
    int status;
    pid_t child = fork();
    if (!child) _exit(0);
    assert_int_equal(waitpid(child, &status, 0), child);
    snprintf(ended, sizeof ended, "%s.%ld.part", path, (long)child);
    snprintf(runs, sizeof runs, "%s.%ld.part", path, (long)getppid());
    fclose(fopen(ended, "w"));
    fclose(fopen(runs, "w"));
    assert_int_equal(text_index_build(path, story, strlen(story), halves, 2, another_builds, &passages, NULL), CJ_OK);
    assert_int_equal(text_index_open(&ix, path, strlen(story), NULL), CJ_OK);
    assert_int_equal(text_index_passages(ix), 2);
    text_index_close(&ix);
    assert_false(file_exists(ended));
    assert_true(file_exists(runs));
    assert_int_equal(unlink(runs), 0);
}

/* ---- files from elsewhere ---- */

static void made_by(const char *sql, cj_err want)
{
    sqlite3 *db = NULL;
    text_index *ix = NULL;
    cj_diag d = {0};
    assert_int_equal(folder_remove(path, NULL), CJ_OK);
    build_story();
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(text_index_open(&ix, path, strlen(story), &d), want);
    text_index_close(&ix);
}

static void refuses_other_files(void **state)
{
    made_by("SELECT 1", CJ_OK);
    made_by("CREATE TABLE more(x)", CJ_E_INPUT);
    made_by("CREATE TRIGGER t AFTER INSERT ON passage BEGIN SELECT 1; END", CJ_E_INPUT);
    made_by("CREATE VIEW v AS SELECT load_extension('x')", CJ_E_INPUT);
    made_by("DROP TABLE passage; CREATE VIEW passage AS SELECT 1 AS id, 2 AS byte, 3 AS end", CJ_E_INPUT);
    made_by("PRAGMA user_version=2", CJ_E_INPUT);
    made_by("DELETE FROM passage WHERE id=3", CJ_E_INPUT);
    made_by("UPDATE passage SET end=byte-1 WHERE id=3", CJ_E_INPUT);
    made_by("UPDATE passage SET end=1000000000000 WHERE id=7", CJ_E_INPUT);
    made_by("UPDATE passage SET byte=-1 WHERE id=0", CJ_E_INPUT);
    made_by("UPDATE passage SET byte='x' WHERE id=3", CJ_E_INPUT);
    FILE *f = fopen(path, "w");
    fputs("not an index", f);
    fclose(f);
    text_index *ix = NULL;
    assert_int_equal(text_index_open(&ix, path, 100, NULL), CJ_E_INPUT);
}

/* Every byte in turn is turned over: refused, or hits that lie in the text. */
static void survives_damage(void **state)
{
    buf b;
    int refused = 0, opened = 0;
    build_story();
    assert_int_equal(file_read(path, 1 << 20, &b, NULL), CJ_OK);
    for (size_t at = 0; at < b.len; at += at < 2048 ? 3 : 41) {
        text_index *ix = NULL;
        text_hit hits[8];
        cj_diag d = {0};
        int n = 0;
        b.data[at] = (char)~b.data[at];
        FILE *f = fopen(path, "wb");
        assert_int_equal(fwrite(b.data, 1, b.len, f), b.len);
        fclose(f);
        b.data[at] = (char)~b.data[at];
        if (text_index_open(&ix, path, strlen(story), &d)) {
            assert_true(d.code < 0 && !ix);
            refused++;
            continue;
        }
        opened++;
        for (const char *const *q = (const char *const[]){"英莲叫什么名字", "white rabbit", NULL}; *q; q++) {
            if (text_index_find(ix, *q, hits, 8, &n, &d)) continue;
            for (int i = 0; i < n; i++) assert_true(hits[i].range.byte <= hits[i].range.end && hits[i].range.end <= strlen(story));
        }
        text_index_close(&ix);
    }
    assert_true(refused > 10 && opened > 100);
    buf_deinit(&b);
}

/* ---- no memory ---- */

static cj_err all_of_it(void)
{
    text_index *ix = NULL;
    text_hit hits[4];
    text_range p[32];
    cj_diag d = {0};
    int n;
    cj_err e = text_index_build(path, story, strlen(story), p, cut_story(p), NULL, NULL, &d);
    if (!e) e = text_index_open(&ix, path, strlen(story), &d);
    if (!e) e = text_index_find(ix, "英莲叫什么名字？", hits, 4, &n, &d);
    if (!e) assert_int_equal(n, 4);
    text_index_close(&ix);
    assert_int_equal(d.code, e);
    return e;
}

static void tells_of_no_memory(void **state)
{
    int failures = 0;
    for (int64_t n = 0;; n++) {
        mem_fail_after(n);
        cj_err e = all_of_it();
        mem_fail_after(-1);
        if (!e) break;
        assert_int_equal(e, CJ_E_NOMEM);
        failures++;
    }
    assert_true(failures > 5);
    failures = 0;
    for (int64_t n = 0; n < 100000; n += n < 300 ? 1 : 17) {
        left = n;
        cj_err e = all_of_it();
        bool reached = left == 0;
        left = -1;
        assert_true(e == CJ_OK || e == CJ_E_NOMEM);
        failures += e != CJ_OK;
        if (!reached) break; /* it went through without a failure */
    }
    assert_true(failures > 100);
    assert_int_equal(all_of_it(), CJ_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_pieces),        cmocka_unit_test(finds_passages),              cmocka_unit_test(long_questions),     cmocka_unit_test(builds_with_care),    cmocka_unit_test(refuses_other_files),
        cmocka_unit_test(survives_damage),    cmocka_unit_test(tells_of_no_memory),  cmocka_unit_test(several_build_at_once),
    };
    return cmocka_run_group_tests_name("text_index", tests, begin, own_folder_remove);
}
