/* The shelf: what was read comes back, goes on where it was, is shared between texts that begin alike, and is put in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <sqlite3.h>

#include "base/clock.h"
#include "shelf/segment.h"
#include "../support/shelf_case.h"
#include "shelf/inner.h"

static shelf *open_shelf(const char *folder)
{
    shelf *s = NULL;
    cj_diag d = {0};
    if (shelf_open(&s, folder, &d)) fail_msg("%s", d.args);
    return s;
}

static void write_to(shelf *s, const shelf_plan *p, int64_t to, int64_t resumed)
{
    cj_diag d = {0};
    int64_t from = -1;
    if (case_write(s, p, to, 3000, &from, &d)) {
        char text[2048];
        cj_diag_text(&d, CJ_LANG_EN, text, sizeof text);
        fail_msg("%s (%s:%d)", text, d.place, d.line);
    }
    assert_int_equal(from, resumed);
}

/* The groups of a context's pages are made of the summaries that came with them. */
static void assert_groups(const kv_cache *kv)
{
    for (int l = 0; l < CASE_LAYERS; l++) {
        const kv_layout *y = &case_layers[l].layout, means = summary_layout(y);
        if (case_layers[l].window) continue;
        uint8_t *made = mem_zalloc((size_t)(kv_count(kv) / KV_PAGE / SUMMARY_GROUP / KV_PAGE + 1) * kv_page_bytes(&means)), one[2][4096];
        assert_non_null(made);
        assert_true(summary_bytes(y) <= sizeof one[0]);
        for (int64_t g = 0; g < kv_count(kv) / KV_PAGE / SUMMARY_GROUP; g++) {
            summary_make_group(y, kv_summaries(kv, l), made, g);
            summary_get(y, made, g, one[0]);
            summary_get(y, kv_groups(kv, l), g, one[1]);
            assert_memory_equal(one[0], one[1], summary_bytes(y));
        }
        mem_free(made);
    }
}

/* Opens the entry as a reader and looks at every page. */
static void assert_reads(shelf *s, const char *name, const int32_t *ids, int64_t n, int64_t tokens)
{
    shelf_entry *e = NULL;
    kv_cache *kv = NULL;
    cj_diag d = {0};
    int64_t count = -1;
    assert_int_equal(shelf_read(s, &e, name, &d), CJ_OK);
    assert_int_equal(shelf_entry_info(e)->tokens, tokens);
    assert_int_equal(shelf_entry_info(e)->tokens_total, n);
    assert_memory_equal(shelf_entry_ids(e), ids, (size_t)n * sizeof *ids);
    assert_int_equal(kv_open(&kv, case_layers, CASE_LAYERS, NULL), CJ_OK);
    assert_int_equal(shelf_attach(e, kv, n, &count, &d), CJ_OK);
    assert_int_equal(count, tokens);
    assert_int_equal(case_wrong(kv, ids, &d), -1);
    assert_groups(kv);
    kv_close(&kv);
    shelf_entry_close(&e);
}

/* What an entry says it will still need is what it takes, within a tenth. */
static void assert_needs(shelf *s, const shelf_plan *p)
{
    shelf_entry *e = NULL;
    int64_t needs, freed;
    shelf_plan all = *p;
    all.name = "all of it";
    assert_int_equal(shelf_write(s, &e, p, NULL), CJ_OK);
    needs = shelf_entry_needs(e) + shelf_entry_info(e)->bytes;
    shelf_entry_close(&e);
    assert_int_equal(case_write(s, &all, p->n, 8000, NULL, NULL), CJ_OK);
    assert_int_equal(shelf_read(s, &e, all.name, NULL), CJ_OK);
    assert_int_equal(shelf_entry_needs(e), 0);
    assert_true(llabs(needs - shelf_entry_info(e)->bytes) < needs / 10);
    shelf_entry_close(&e);
    assert_int_equal(shelf_rm(s, all.name, &freed, NULL), CJ_OK);
}

static void what_is_read_comes_back(void **state)
{
    (void)state;
    enum { N = 80000 };
    char *folder = case_folder();
    shelf *s = open_shelf(folder);
    int32_t *ids = case_ids(N, N, 0);
    shelf_plan p = case_plan("红楼梦", ids, N);
    write_to(s, &p, 5000, 0);
    assert_reads(s, p.name, ids, N, 5000);
    assert_needs(s, &p);
    write_to(s, &p, 5000, 5000);
    write_to(s, &p, 40000, 5000);
    assert_reads(s, p.name, ids, N, 40000);
    shelf_close(&s);
    s = open_shelf(folder);
    write_to(s, &p, N, 40000);
    assert_reads(s, p.name, ids, N, N);
    write_to(s, &p, N, N); /* complete: nothing to do */
    free(ids);
    shelf_close(&s);
    case_remove(folder);
}

static int segment_files(const char *folder)
{
    char command[512], line[64] = "0";
    snprintf(command, sizeof command, "ls %s/segments | grep -c '\\.seg$'", folder);
    FILE *f = popen(command, "r");
    if (!f || !fgets(line, sizeof line, f)) line[0] = '0';
    if (f) pclose(f);
    return atoi(line);
}

/* A chapter more, a correction near the end, another book: what is shared is not read again. */
static void versions_share_what_they_share(void **state)
{
    (void)state;
    enum { N = 80000, LONGER = 90000, CHANGE = 70000 };
    char *folder = case_folder();
    shelf *s = open_shelf(folder);
    int32_t *ids = case_ids(LONGER, LONGER, 0), *corrected = case_ids(N, CHANGE, 1), *other = case_ids(N, 0, 5);
    shelf_plan p = case_plan("a", ids, N);
    write_to(s, &p, N, 0);
    assert_int_equal(segment_files(folder), 3);
    p = case_plan("b", ids, LONGER);
    write_to(s, &p, LONGER, N); /* to the end of the shorter one */
    assert_int_equal(segment_files(folder), 4);
    p = case_plan("c", corrected, N);
    write_to(s, &p, N, 2 * SHELF_SEGMENT); /* to the beginning of the segment of the correction */
    assert_int_equal(segment_files(folder), 5);
    p = case_plan("d", other, N);
    write_to(s, &p, 1000, 0);
    p = case_plan("a", corrected, N); /* the new version takes the place of the old one: all of it is there */
    write_to(s, &p, N, N);
    assert_reads(s, "a", corrected, N, N);
    assert_reads(s, "b", ids, LONGER, LONGER);
    p = case_plan("a", ids, N);
    write_to(s, &p, N, N);
    int64_t freed = 0;
    assert_int_equal(shelf_rm(s, "b", &freed, NULL), CJ_OK);
    assert_true(freed > 0);
    assert_int_equal(segment_files(folder), 5);
    assert_reads(s, "a", ids, N, N);
    assert_reads(s, "c", corrected, N, N);
    assert_int_equal(shelf_rm(s, "b", &freed, NULL), CJ_E_NOT_FOUND);
    free(ids);
    free(corrected);
    free(other);
    shelf_close(&s);
    case_remove(folder);
}

/* Half a book is given up for another version: the half is of use to it. */
static void an_unfinished_version_is_not_lost(void **state)
{
    (void)state;
    enum { N = 50000, CHANGE = 45000 };
    char *folder = case_folder();
    shelf *s = open_shelf(folder);
    int32_t *ids = case_ids(N, N, 0), *corrected = case_ids(N, CHANGE, 1);
    shelf_plan p = case_plan("a", ids, N);
    write_to(s, &p, 42000, 0);
    p = case_plan("a", corrected, N);
    write_to(s, &p, N, 42000);
    assert_reads(s, "a", corrected, N, N);
    free(ids);
    free(corrected);
    shelf_close(&s);
    case_remove(folder);
}

static void put(shelf *s, const shelf_plan *p, const char *kind, const char *data)
{
    shelf_entry *e = NULL;
    assert_int_equal(shelf_write(s, &e, p, NULL), CJ_OK);
    assert_int_equal(shelf_put(e, kind, data, strlen(data), NULL), CJ_OK);
    shelf_entry_close(&e);
}

static void assert_holds(shelf *s, const char *name, const char *kind, const char *data)
{
    buf blob = {0};
    cj_err err = shelf_peek(s, name, kind, &blob, NULL);
    assert_int_equal(err, data ? CJ_OK : CJ_E_NOT_FOUND);
    if (data) assert_memory_equal(blob.data, data, strlen(data));
    buf_deinit(&blob);
}

/* What was written about a book is not lost with its older version; nothing is kept for an entry that is gone. */
static void blobs_are_handed_on(void **state)
{
    (void)state;
    enum { N = 9000, LONGER = 12000 };
    char *folder = case_folder();
    shelf *s = open_shelf(folder);
    shelf_named l;
    int32_t *ids = case_ids(LONGER, LONGER, 0);
    shelf_plan p = case_plan("a", ids, N);
    write_to(s, &p, N, 0);
    put(s, &p, SHELF_HANDED_ON "1", "one");
    put(s, &p, SHELF_HANDED_ON "2", "two");
    put(s, &p, "marks", "of the shorter one");
    assert_int_equal(shelf_find(s, "a", &l, NULL), CJ_OK);
    assert_true(l.is_complete && !l.is_unfinished && l.complete.tokens_total == N);
    p = case_plan("a", ids, LONGER);
    write_to(s, &p, N + 1000, N);
    put(s, &p, SHELF_HANDED_ON "2", "two of the longer one");
    assert_int_equal(shelf_find(s, "a", &l, NULL), CJ_OK);
    assert_true(l.is_complete && l.is_unfinished && l.unfinished.tokens == N + 1000 && l.complete.tokens == N);
    write_to(s, &p, LONGER, N + 1000);
    assert_holds(s, "a", SHELF_HANDED_ON "1", "one");
    assert_holds(s, "a", SHELF_HANDED_ON "2", "two of the longer one");
    assert_holds(s, "a", "marks", NULL);
    shelf_entry *e = NULL;
    int64_t freed, damages;
    assert_int_equal(shelf_verify(s, NULL, &(shelf_watch){0}, &damages, NULL), CJ_OK);
    assert_int_equal(damages, 0);
    assert_int_equal(shelf_read(s, &e, "a", NULL), CJ_OK);
    assert_int_equal(shelf_rm(s, "a", &freed, NULL), CJ_OK);
    assert_int_equal(shelf_put(e, SHELF_HANDED_ON "3", "late", 4, NULL), CJ_E_NOT_FOUND);
    assert_int_equal(shelf_find(s, "a", &l, NULL), CJ_E_NOT_FOUND);
    shelf_entry_close(&e);
    free(ids);
    shelf_close(&s);
    case_remove(folder);
}

/* ---- damage ---- */

static void segment_path(const char *folder, int which, char *path, size_t size)
{
    char command[512];
    snprintf(command, sizeof command, "ls -tr --time=ctime %s/segments/*.seg | sed -n %dp", folder, which);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_non_null(fgets(path, (int)size, f));
    path[strcspn(path, "\n")] = 0;
    pclose(f);
}

static void flip(const char *path, long at)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    if (at < 0) assert_int_equal(fseek(f, at, SEEK_END), 0);
    else assert_int_equal(fseek(f, at, SEEK_SET), 0);
    long where = ftell(f);
    int c = fgetc(f);
    fseek(f, where, SEEK_SET);
    fputc(c ^ 4, f);
    fclose(f);
}

typedef struct seen {
    int damages;
    shelf_damage last;
    char what[256];
} seen;

static void on_damage(void *user, const shelf_damage *w)
{
    seen *s = user;
    s->damages++;
    s->last = *w;
    snprintf(s->what, sizeof s->what, "%s", w->what);
}

static int64_t verify(shelf *s, const char *name, seen *out)
{
    *out = (seen){0};
    int64_t damages = -1;
    shelf_watch watch = {.user = out, .damage = on_damage};
    assert_int_equal(shelf_verify(s, name, &watch, &damages, NULL), CJ_OK);
    assert_int_equal(damages, out->damages);
    return damages;
}

/* A page is damaged: it is named, never used, and only its segment is read again. */
static void a_damaged_page_is_named_and_read_again(void **state)
{
    (void)state;
    enum { N = 120000 };
    char *folder = case_folder(), path[512];
    shelf *s = open_shelf(folder);
    int32_t *ids = case_ids(N, N, 0);
    shelf_plan p = case_plan("a", ids, N);
    seen w;
    write_to(s, &p, N, 0);
    assert_int_equal(verify(s, NULL, &w), 0);
    segment_path(folder, 2, path, sizeof path);
    flip(path, 400000); /* among the pages of the second segment */
    assert_int_equal(verify(s, "a", &w), 1);
    assert_int_equal(w.last.kind, SHELF_DAMAGED_PAGE);
    assert_int_equal(w.last.position, SHELF_SEGMENT);

    shelf_entry *e = NULL;
    kv_cache *kv = NULL;
    cj_diag d = {0};
    int64_t count;
    char text[512];
    assert_int_equal(shelf_read(s, &e, "a", &d), CJ_OK);
    assert_int_equal(kv_open(&kv, case_layers, CASE_LAYERS, NULL), CJ_OK);
    assert_int_equal(shelf_attach(e, kv, N, &count, &d), CJ_OK);
    assert_int_equal(count, N);
    assert_int_equal(case_wrong(kv, ids, &d), -2);
    assert_int_equal(d.message, MSG_SHELF_PAGE_DAMAGED);
    cj_diag_text(&d, CJ_LANG_EN, text, sizeof text);
    assert_non_null(strstr(text, "from token 32768 on"));
    kv_close(&kv);
    shelf_entry_close(&e);

    assert_reads(s, "a", ids, N, SHELF_SEGMENT); /* what it can be trusted with */
    int64_t resumed = -1;
    assert_int_equal(case_write(s, &p, 2 * SHELF_SEGMENT, 4000, &resumed, NULL), CJ_OK);
    assert_int_equal(resumed, SHELF_SEGMENT);
    assert_reads(s, "a", ids, N, N); /* the end of the second segment reached, all of it is there again */
    write_to(s, &p, N, N);
    assert_int_equal(verify(s, NULL, &w), 0);
    int64_t freed;
    assert_int_equal(shelf_gc(s, &freed, NULL), CJ_OK);
    assert_int_equal(segment_files(folder), 4);
    free(ids);
    shelf_close(&s);
    case_remove(folder);
}

/* Segments that are gone, cut short or another's; a tail that is gone; verify and forget. */
static void lost_files_are_read_again(void **state)
{
    (void)state;
    enum { N = 80000 };
    char *folder = case_folder(), path[512], command[600];
    shelf *s = open_shelf(folder);
    int32_t *ids = case_ids(N, N, 0);
    shelf_plan p = case_plan("a", ids, N);
    seen w;
    write_to(s, &p, N, 0);
    segment_path(folder, 2, path, sizeof path);
    unlink(path);
    assert_int_equal(verify(s, NULL, &w), 1);
    assert_int_equal(w.last.kind, SHELF_DAMAGED_SEGMENT);
    assert_int_equal(w.last.position, SHELF_SEGMENT);
    shelf_entry *e = NULL;
    cj_diag d = {0};
    assert_int_equal(shelf_read(s, &e, "a", &d), CJ_E_INPUT);
    assert_int_equal(d.message, MSG_SHELF_SEGMENT_DAMAGED);
    write_to(s, &p, N, SHELF_SEGMENT);
    assert_reads(s, "a", ids, N, N);
    segment_path(folder, 1, path, sizeof path);
    assert_int_equal(truncate(path, 5000), 0);
    assert_int_equal(verify(s, "a", &w), 1);
    assert_int_equal(shelf_forget(s, w.last.entry, w.last.position, NULL), CJ_OK);
    assert_int_equal(verify(s, "a", &w), 0);
    write_to(s, &p, N, 0);
    assert_reads(s, "a", ids, N, N);

    int32_t *more = case_ids(N, 0, 9);
    p = case_plan("b", more, N);
    write_to(s, &p, 40000, 0);
    snprintf(command, sizeof command, "rm %s/segments/*.tail", folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(verify(s, "b", &w), 1);
    write_to(s, &p, 40000, SHELF_SEGMENT); /* within one segment */
    assert_int_equal(verify(s, NULL, &w), 0);
    free(ids);
    free(more);
    shelf_close(&s);
    case_remove(folder);
}

/* Without its index a shelf knows no entries; reading again finds the segments that are there, and gc removes them. */
static void a_lost_index_costs_no_pages(void **state)
{
    (void)state;
    enum { N = 80000 };
    char *folder = case_folder(), path[512];
    shelf *s = open_shelf(folder);
    int32_t *ids = case_ids(N, N, 0), *other = case_ids(N, 70000, 1);
    shelf_plan p = case_plan("a", ids, N), q = case_plan("b", other, N);
    seen w;
    int64_t freed;
    write_to(s, &p, N, 0);
    write_to(s, &q, 72000, 2 * SHELF_SEGMENT); /* its last segment is open: that one is lost */
    for (int round = 0; round < 2; round++) {
        shelf_close(&s);
        snprintf(path, sizeof path, "%s/index.db", folder);
        unlink(path);
        s = open_shelf(folder);
        assert_int_equal(verify(s, NULL, &w), 0);
        if (round) assert_int_equal(shelf_gc(s, &freed, NULL), CJ_OK);
        write_to(s, &p, N, round ? 0 : N);
        assert_reads(s, "a", ids, N, N);
        write_to(s, &q, N, 2 * SHELF_SEGMENT);
        assert_int_equal(verify(s, NULL, &w), 0);
        assert_int_equal(shelf_gc(s, &freed, NULL), CJ_OK);
        assert_int_equal(segment_files(folder), 4);
    }
    free(ids);
    free(other);
    shelf_close(&s);
    case_remove(folder);
}

/* ---- moving ---- */

static void entries_travel(void **state)
{
    (void)state;
    enum { N = 70000 };
    char *folder = case_folder(), *other = case_folder(), path[512], name[SHELF_NAME_MAX + 1], text[256];
    shelf *s = open_shelf(folder), *t = open_shelf(other);
    int32_t *ids = case_ids(N, N, 0);
    shelf_plan p = case_plan("西游记", ids, N);
    shelf_watch quiet = {0};
    seen w;
    cj_diag d = {0};
    snprintf(path, sizeof path, "%s/x.juan", other);
    write_to(s, &p, 40000, 0);
    assert_int_equal(shelf_export(s, p.name, path, &quiet, &d), CJ_E_USAGE);
    assert_int_equal(d.message, MSG_SHELF_INCOMPLETE);
    write_to(s, &p, N, 40000);
    shelf_entry *e = NULL;
    assert_int_equal(shelf_write(s, &e, &p, NULL), CJ_OK);
    assert_int_equal(shelf_put(e, "document.0", "text", 4, NULL), CJ_OK);
    shelf_entry_close(&e);
    assert_int_equal(shelf_export(s, p.name, path, &quiet, &d), CJ_OK);
    assert_int_equal(shelf_import(t, path, NULL, &quiet, name, &d), CJ_OK);
    assert_string_equal(name, p.name);
    assert_reads(t, p.name, ids, N, N);
    assert_int_equal(verify(t, NULL, &w), 0);
    buf blob;
    assert_int_equal(shelf_peek(t, p.name, "document.0", &blob, NULL), CJ_OK);
    assert_string_equal(blob.data, "text");
    buf_deinit(&blob);
    assert_int_equal(shelf_import(t, path, NULL, &quiet, name, &d), CJ_E_USAGE);
    assert_int_equal(d.message, MSG_SHELF_EXISTS);
    assert_int_equal(shelf_import(t, path, "b", &quiet, name, &d), CJ_OK);
    assert_reads(t, "b", ids, N, N);
    assert_int_equal(segment_files(other), 6);

    /* every part of it is checked before anything is taken */
    int64_t size = file_size(path);
    srand(3);
    for (int i = 0; i < 200; i++) {
        long at = i < 64 ? i : (long)(rand() % size);
        flip(path, at);
        assert_int_equal(shelf_import(t, path, "c", &quiet, name, &d), at >= 4 && at < 8 ? d.code : CJ_E_INPUT);
        assert_true(d.code < 0);
        cj_diag_text(&d, CJ_LANG_ZH, text, sizeof text);
        flip(path, at);
    }
    assert_int_equal(truncate(path, (off_t)size - 64), 0);
    assert_int_equal(shelf_import(t, path, "c", &quiet, name, &d), CJ_E_INPUT);
    assert_int_equal(segment_files(other), 6);
    assert_int_equal(shelf_read(t, &e, "c", NULL), CJ_E_NOT_FOUND);
    free(ids);
    shelf_close(&s);
    shelf_close(&t);
    case_remove(folder);
    case_remove(other);
}

/* False at the n-th look. */
static bool stop_at(void *user, int64_t done, int64_t total)
{
    assert_true(done <= total);
    return --*(int *)user > 0;
}

/* Ctrl-C at any look leaves nothing behind. */
static void whatever_is_long_can_be_cancelled(void **state)
{
    (void)state;
    enum { N = 70000 };
    char *folder = case_folder(), path[512];
    shelf *s = open_shelf(folder);
    int32_t *ids = case_ids(N, N, 0);
    shelf_plan p = case_plan("a", ids, N);
    cj_diag d = {0};
    int64_t damages;
    int left;
    shelf_watch watch = {.user = &left, .progress = stop_at};
    cj_err e;
    snprintf(path, sizeof path, "%s/x.juan", folder);
    write_to(s, &p, N, 0);
    for (int n = 1; n < 6; n++) {
        left = n;
        assert_int_equal(shelf_verify(s, NULL, &watch, &damages, &d), CJ_E_CANCELLED);
        left = n;
        assert_int_equal(shelf_export(s, "a", path, &watch, &d), CJ_E_CANCELLED);
        assert_false(file_exists(path));
    }
    left = 1000;
    assert_int_equal(shelf_export(s, "a", path, &watch, &d), CJ_OK);
    for (int n = 1; left = n, (e = shelf_import(s, path, "b", &watch, NULL, &d)) != CJ_OK; n++) {
        assert_int_equal(e, CJ_E_CANCELLED);
        assert_int_equal(segment_files(folder), 3);
        assert_true(n < 100);
    }
    assert_reads(s, "b", ids, N, N);
    free(ids);
    shelf_close(&s);
    case_remove(folder);
}

/* ---- sentences ---- */

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    enum { N = 3000 };
    char *folder = case_folder(), text[1024];
    shelf *s = open_shelf(folder), *t = open_shelf(folder);
    int32_t *ids = case_ids(N, N, 0), *other = case_ids(N, 0, 3);
    shelf_plan p = case_plan("a", ids, N);
    shelf_entry *e = NULL, *f = NULL;
    cj_diag d = {0};
    write_to(s, &p, N, 0);
    assert_int_equal(shelf_read(s, &e, "a", NULL), CJ_OK);
    shelf_key key = case_key();
    assert_int_equal(shelf_entry_fits(e, &key, "tiny", &d), CJ_OK);
    key.model++;
    assert_int_equal(shelf_entry_fits(e, &key, "another", &d), CJ_E_UNSUPPORTED);
    cj_diag_text(&d, CJ_LANG_EN, text, sizeof text);
    assert_non_null(strstr(text, "a was read with tiny; its pages are of no use to another."));
    kv_layer changed[CASE_LAYERS] = {case_layers[0], case_layers[1], case_layers[2]};
    kv_cache *kv = NULL;
    changed[0].layout.type = KV_Q4; /* pages of another kind */
    key = case_key();
    key.layers = changed;
    assert_int_equal(shelf_entry_fits(e, &key, "tiny", &d), CJ_E_UNSUPPORTED);
    changed[0] = case_layers[0];
    changed[1].window = 300;
    int64_t count;
    assert_int_equal(kv_open(&kv, changed, CASE_LAYERS, NULL), CJ_OK);
    assert_int_equal(shelf_attach(e, kv, N, &count, &d), CJ_E_UNSUPPORTED);
    kv_close(&kv);
    assert_int_equal(shelf_put(e, ".ids", "x", 1, NULL), CJ_E_USAGE);
    assert_int_equal(shelf_put(e, "a/b", "x", 1, NULL), CJ_E_USAGE);
    char *path = NULL;
    assert_int_equal(shelf_entry_file(e, "../x", &path, NULL), CJ_E_USAGE);
    assert_null(path);
    shelf_entry_close(&e);

    p = case_plan("b", other, N); /* one writes, another may not, all may read */
    assert_int_equal(shelf_write(s, &e, &p, NULL), CJ_OK);
    assert_int_equal(shelf_write(t, &f, &p, &d), CJ_E_IO);
    assert_int_equal(d.message, MSG_SHELF_BUSY);
    int64_t freed;
    assert_int_equal(shelf_rm(t, "b", &freed, &d), CJ_E_IO);
    assert_int_equal(shelf_read(t, &f, "b", NULL), CJ_OK);
    assert_int_equal(shelf_entry_info(f)->tokens, 0);
    shelf_entry_close(&f);
    p.name = "c";
    assert_int_equal(shelf_write(t, &f, &p, NULL), CJ_OK);
    shelf_entry_close(&f);
    shelf_entry_close(&e);

    static const char *const bad_names[] = {"", " ", "a\nb", "\xff", "a\x7f"};
    for (size_t i = 0; i < sizeof bad_names / sizeof *bad_names; i++) {
        p.name = bad_names[i];
        assert_int_equal(shelf_write(s, &e, &p, &d), CJ_E_USAGE);
        assert_int_equal(d.message, MSG_SHELF_NAME_BAD);
    }
    char long_name[SHELF_NAME_MAX + 2];
    memset(long_name, 'x', sizeof long_name);
    long_name[SHELF_NAME_MAX + 1] = 0;
    p.name = long_name;
    assert_int_equal(shelf_write(s, &e, &p, &d), CJ_E_USAGE);
    p = case_plan("a", ids, 0);
    assert_int_equal(shelf_write(s, &e, &p, &d), CJ_E_LIMIT);
    assert_int_equal(shelf_read(s, &e, "none", &d), CJ_E_NOT_FOUND);
    cj_diag_text(&d, CJ_LANG_ZH, text, sizeof text);
    assert_non_null(strstr(text, "none"));
    shelf_close(&s);
    shelf_close(&t);
    free(ids);
    free(other);
    case_remove(folder);
}

static void run_sql(const char *folder, const char *sql)
{
    char path[512];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/index.db", folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void other_versions_are_told_apart(void **state)
{
    (void)state;
    char *folder = case_folder();
    shelf *s = open_shelf(folder);
    cj_diag d = {0};
    shelf_close(&s);
    run_sql(folder, "PRAGMA user_version=7");
    assert_int_equal(shelf_open(&s, folder, &d), CJ_E_UNSUPPORTED);
    assert_int_equal(d.message, MSG_SHELF_NEWER);
    run_sql(folder, "PRAGMA user_version=1; PRAGMA application_id=5");
    assert_int_equal(shelf_open(&s, folder, &d), CJ_E_INPUT);
    assert_int_equal(d.message, MSG_SHELF_INDEX_DAMAGED);
    case_remove(folder);
}

static void on_other(void *user, const shelf_info *info)
{
    assert_string_equal(info->name, "a");
    *(uint32_t *)user = info->format;
}

/* Pages of another layout are not damaged: they were made by another version, and that is said. Reading the text again takes their place. */
static void entries_of_another_version_are_named(void **state)
{
    (void)state;
    enum { N = 3000 };
    char *folder = case_folder(), text[1024];
    shelf *s = open_shelf(folder);
    int32_t *ids = case_ids(N, N, 0);
    shelf_plan p = case_plan("a", ids, N);
    shelf_entry *e = NULL;
    shelf_named l;
    cj_diag d = {0};
    int64_t damages = -1;
    write_to(s, &p, N, 0);
    run_sql(folder, "UPDATE entries SET shape = CAST(substr(shape, 1, 24) || x'02000000' || substr(shape, 29) AS BLOB)");
    assert_int_equal(shelf_find(s, "a", &l, NULL), CJ_OK);
    assert_true(l.is_damaged && !l.is_other); /* the row is not what was written */
    assert_int_equal(row_seal(s, TABLE_ENTRIES, 1, NULL), CJ_OK);
    assert_int_equal(shelf_find(s, "a", &l, NULL), CJ_OK);
    assert_true(l.is_other && !l.is_complete && !l.is_damaged && l.other.format == 2 && l.other.tokens == N && l.other.bytes > 0);
    assert_int_equal(shelf_read(s, &e, "a", &d), CJ_E_UNSUPPORTED);
    cj_diag_text(&d, CJ_LANG_EN, text, sizeof text);
    assert_non_null(strstr(text, "format 2"));
    uint32_t format = 0;
    assert_int_equal(shelf_verify(s, NULL, &(shelf_watch){.user = &format, .entry = on_other}, &damages, NULL), CJ_OK);
    assert_int_equal(damages, 0);
    assert_int_equal(format, 2);
    assert_int_equal(case_write(s, &p, N, 3000, &damages, &d), CJ_OK);
    assert_int_equal(shelf_find(s, "a", &l, NULL), CJ_OK);
    assert_true(l.is_complete && !l.is_other);
    assert_reads(s, "a", ids, N, N);
    free(ids);
    shelf_close(&s);
    case_remove(folder);
}

static bool no_entry(void *user, const shelf_info *info, bool damaged)
{
    (void)user;
    (void)info;
    (void)damaged;
    fail_msg("an entry out of nothing");
    return false;
}

/* Views, triggers and tables of another form in the place of ours are not run. */
static void foreign_schemas_are_refused(void **state)
{
    (void)state;
    static const char *const schemas[] = {
        "DROP TABLE entries; CREATE VIEW entries AS SELECT 1 AS id, 'x' AS name;",
        "DROP TABLE entries; CREATE VIEW entries AS WITH RECURSIVE r(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM r) SELECT id FROM r;",
        "DROP TABLE entries; CREATE TABLE entries(id INTEGER PRIMARY KEY, name);",
        "DROP TABLE segments; DROP TABLE links; DROP TABLE blobs; DROP TABLE entries;",
    };
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
        char *folder = case_folder();
        shelf *s = open_shelf(folder);
        cj_diag d = {0};
        shelf_watch watch = {0};
        int64_t damages;
        shelf_close(&s);
        run_sql(folder, schemas[i]);
        s = open_shelf(folder);
        assert_int_equal(shelf_each(s, no_entry, NULL, &d), CJ_E_INPUT);
        assert_int_equal(d.message, MSG_SHELF_INDEX_DAMAGED);
        assert_int_equal(shelf_verify(s, NULL, &watch, &damages, &d), CJ_E_INPUT);
        shelf_close(&s);
        case_remove(folder);
    }
    /* a trigger that would spoil what is written */
    char *folder = case_folder();
    shelf *s = open_shelf(folder);
    int32_t *ids = case_ids(3000, 3000, 0);
    shelf_plan p = case_plan("a", ids, 3000);
    shelf_close(&s);
    run_sql(folder, "CREATE TRIGGER t AFTER INSERT ON entries BEGIN UPDATE entries SET name='b'; END;");
    s = open_shelf(folder);
    write_to(s, &p, 3000, 0);
    assert_reads(s, "a", ids, 3000, 3000);
    free(ids);
    shelf_close(&s);
    case_remove(folder);
}

/* The clock stands in 1970, or in the year 5138: entries are found, shared and written all the same. */
static void clocks_are_for_people(void **state)
{
    (void)state;
    enum { N = 40000 };
    char *folder = case_folder();
    int32_t *ids = case_ids(N, N, 0);
    shelf_plan p = case_plan("a", ids, N);
    static const double jumps[] = {-1e9, 0, 1e11, 1.7e9};
    for (size_t i = 0; i < sizeof jumps / sizeof *jumps; i++) {
        char name[8];
        clock_wall_set(jumps[i]);
        shelf *s = open_shelf(folder);
        seen w;
        snprintf(name, sizeof name, "n%zu", i);
        p.name = name;
        write_to(s, &p, N, i ? N : 0);
        p.name = "again";
        write_to(s, &p, N, N);
        assert_int_equal(verify(s, NULL, &w), 0);
        shelf_close(&s);
    }
    clock_wall_set(NAN);
    free(ids);
    case_remove(folder);
}

/* A model without windows goes on from any token that is kept. */
static void without_windows_every_token_is_a_checkpoint(void **state)
{
    (void)state;
    enum { N = 40000 };
    static const kv_layer full[CASE_LAYERS] = {{.layout = {KV_Q8, 1, 4, 4}}, {.layout = {KV_Q8, 1, 4, 8}}, {.layout = {KV_BF16, 1, 4, 4}}};
    char *folder = case_folder();
    shelf *s = open_shelf(folder);
    int32_t *ids = case_ids(N, N, 0);
    shelf_plan p = case_plan("a", ids, N);
    p.key.layers = full;
    write_to(s, &p, 35000, 0);
    shelf_entry *e = NULL;
    kv_cache *kv = NULL;
    int64_t count;
    assert_int_equal(shelf_read(s, &e, "a", NULL), CJ_OK);
    assert_int_equal(kv_open(&kv, full, CASE_LAYERS, NULL), CJ_OK);
    assert_int_equal(shelf_attach(e, kv, 12345, &count, NULL), CJ_OK);
    assert_int_equal(count, 12345);
    assert_int_equal(kv_check(kv, 0, 0, 97, NULL), CJ_OK);
    for (int64_t i = 0; i < count; i++) assert_int_equal(kv_pages(kv, 0)[i / KV_PAGE][i % KV_PAGE], case_mark(ids, i, 0));
    kv_close(&kv);
    shelf_entry_close(&e);
    free(ids);
    shelf_close(&s);
    case_remove(folder);
}

/* A stored shape names kinds of pages that there are, and a state only where a layer keeps one. */
static void shapes_are_of_known_kinds(void **state)
{
    (void)state;
    enum { HEAD = 32, STORED_LAYER = 24 }; /* src/shelf/shape.c */
    static const int64_t windows[] = {0, 1, 200};
    for (uint32_t type = 0; type < 300; type++)
        for (int i = 0; i < 3; i++) {
            kv_layer layer = {.layout = {KV_Q4, 2, 16, 12}, .window = windows[i]};
            shelf_key key = {.model = 1, .mode = 2, .layers = &layer, .n_layers = 1};
            const bool good = type == KV_STATE ? windows[i] == 1 : type < KV_TYPES;
            uint8_t bytes[HEAD + STORED_LAYER];
            shelf_shape s, back;
            assert_int_equal(shape_init(&s, &key, NULL), CJ_OK);
            assert_int_equal(shape_bytes(&s), sizeof bytes);
            shape_encode(&s, bytes);
            memcpy(bytes + HEAD, &type, sizeof type);
            cj_err e = shape_decode(&back, bytes, sizeof bytes, NULL);
            if ((e == CJ_OK) != good) fail_msg("type %u, window %d: %d", type, (int)windows[i], (int)e);
            layer.layout.type = (kv_type)type;
            shelf_shape same = {.model = 1, .mode = 2, .n_layers = 1, .layers = &layer};
            if (!e) assert_true(shape_same(&back, &same));
            if (!e) shape_deinit(&back);
            shape_deinit(&s);
        }
}

/* Pages of q4 are kept and come back as any others; those of q8 are no part of it. */
static void pages_of_four_bits_are_pages(void **state)
{
    (void)state;
    enum { N = 40000 };
    static const kv_layer four[CASE_LAYERS] = {{.layout = {KV_Q4, 1, 16, 8}}, {.layout = {KV_Q8, 1, 4, 8}, .window = 200}, {.layout = {KV_Q4, 1, 4, 4}}};
    static const kv_layer eight[CASE_LAYERS] = {{.layout = {KV_Q8, 1, 16, 8}}, {.layout = {KV_Q8, 1, 4, 8}, .window = 200}, {.layout = {KV_Q8, 1, 4, 4}}};
    char *folder = case_folder();
    shelf *s = open_shelf(folder);
    int32_t *ids = case_ids(N, N, 0);
    shelf_plan p = case_plan("eight", ids, N);
    p.key.layers = eight;
    write_to(s, &p, N, 0);
    p.name = "four";
    p.key.layers = four;
    write_to(s, &p, N, 0);
    p.name = "again";
    write_to(s, &p, N, N);
    shelf_entry *e = NULL;
    kv_cache *kv = NULL;
    int64_t count;
    seen w;
    assert_int_equal(shelf_read(s, &e, "four", NULL), CJ_OK);
    assert_int_equal(kv_open(&kv, four, CASE_LAYERS, NULL), CJ_OK);
    assert_int_equal(shelf_attach(e, kv, N, &count, NULL), CJ_OK);
    assert_int_equal(count, N);
    assert_int_equal(kv_check(kv, 0, 0, N, NULL), CJ_OK);
    for (int64_t i = 0; i < count; i++) assert_int_equal(kv_pages(kv, 0)[i / KV_PAGE][i % KV_PAGE], case_mark(ids, i, 0));
    kv_close(&kv);
    shelf_entry_close(&e);
    assert_int_equal(verify(s, NULL, &w), 0);
    free(ids);
    shelf_close(&s);
    case_remove(folder);
}

/* Segments end at documents, but not at every small one. */
static void cuts_are_where_segments_end(void **state)
{
    (void)state;
    enum { N = 100000 };
    static const int64_t cuts[] = {100, 200, 9000, 9100, 40000, 60000, N};
    char *folder = case_folder();
    shelf *s = open_shelf(folder);
    int32_t *ids = case_ids(N, N, 0), *changed = case_ids(N, 60000, 1);
    shelf_plan p = case_plan("a", ids, N);
    p.cuts = cuts;
    p.n_cuts = sizeof cuts / sizeof *cuts;
    write_to(s, &p, N, 0); /* 9000, 40000, 60000, 92768, N */
    assert_int_equal(segment_files(folder), 5);
    p.ids = changed; /* another last document */
    write_to(s, &p, N, 60000);
    assert_reads(s, "a", changed, N, N);
    free(ids);
    free(changed);
    shelf_close(&s);
    case_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read_comes_back),
        cmocka_unit_test(versions_share_what_they_share),
        cmocka_unit_test(an_unfinished_version_is_not_lost),
        cmocka_unit_test(blobs_are_handed_on),
        cmocka_unit_test(a_damaged_page_is_named_and_read_again),
        cmocka_unit_test(lost_files_are_read_again),
        cmocka_unit_test(a_lost_index_costs_no_pages),
        cmocka_unit_test(entries_travel),
        cmocka_unit_test(whatever_is_long_can_be_cancelled),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(other_versions_are_told_apart),
        cmocka_unit_test(entries_of_another_version_are_named),
        cmocka_unit_test(foreign_schemas_are_refused),
        cmocka_unit_test(clocks_are_for_people),
        cmocka_unit_test(without_windows_every_token_is_a_checkpoint),
        cmocka_unit_test(cuts_are_where_segments_end),
        cmocka_unit_test(shapes_are_of_known_kinds),
        cmocka_unit_test(pages_of_four_bits_are_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
