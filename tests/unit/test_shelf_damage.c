/* Any file of a shelf with a flipped bit, a cut, bytes of nonsense or more at its end: what is wrong is detected and refused with a sentence, or
 * harmless; never a crash, never wrong keys, values, tokens or blobs. Reading the document again then repairs it, or says why not.
 *
 *     test_shelf_damage [TIMES]     default 150; the long test does 2000 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "../support/shelf_case.h"

enum { N = 45000, KEPT = 41000, MORE = 3000, FILES_MAX = 32 };
static int times = 150;
static const char marks[] = "what stands where";

/* A shelf as bytes. */
typedef struct kept_file {
    char name[128];
    buf bytes;
} kept_file;
static kept_file files[FILES_MAX];
static int n_files;
static int32_t *ids, *other;

static bool keep(void *user, const char *path, bool is_dir)
{
    const char *folder = user;
    if (is_dir) return !folder_each(path, keep, user, NULL);
    if (strstr(path, "/locks/")) return true;
    assert_true(n_files < FILES_MAX);
    kept_file *f = &files[n_files++];
    snprintf(f->name, sizeof f->name, "%s", path + strlen(folder) + 1);
    if (file_size(path)) assert_int_equal(file_read(path, 1 << 26, &f->bytes, NULL), CJ_OK);
    return true;
}

static void make_shelf(void)
{
    char *folder = case_folder();
    shelf *s = NULL;
    shelf_entry *e = NULL;
    shelf_plan p = case_plan("a", ids, N), q = case_plan("b", other, MORE);
    assert_int_equal(shelf_open(&s, folder, NULL), CJ_OK);
    assert_int_equal(case_write(s, &q, MORE, 5000, NULL, NULL), CJ_OK);
    assert_int_equal(case_write(s, &p, KEPT, 5000, NULL, NULL), CJ_OK);
    assert_int_equal(shelf_write(s, &e, &p, NULL), CJ_OK);
    assert_int_equal(shelf_put(e, "marks", marks, sizeof marks, NULL), CJ_OK);
    shelf_entry_close(&e);
    shelf_close(&s);
    assert_int_equal(folder_each(folder, keep, folder, NULL), CJ_OK);
    case_remove(folder);
}

static void put_back(const char *folder, const kept_file *f, const char *bytes, size_t n)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, f->name);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    fclose(out);
}

/* The file, damaged in one of several ways. */
static void put_damaged(const char *folder, const kept_file *f)
{
    enum { TAIL = 100 };
    size_t n = f->bytes.len, at = (size_t)rand() * 4099 % n;
    char *copy = malloc(n + TAIL);
    memcpy(copy, f->bytes.data, n);
    if (rand() % 4 == 0) at %= 4096; /* heads, tables, the first page of the index */
    switch (rand() % 8) {
    case 0: n = at; break;
    case 1: memset(copy + at, rand(), n - at < 64 ? n - at : 64); break;
    case 2:
        for (size_t i = 0; i < TAIL; i++) copy[n + i] = (char)rand();
        n += TAIL;
        break;
    default: copy[at] ^= (char)(1 << rand() % 8);
    }
    put_back(folder, f, copy, n);
    free(copy);
}

static void assert_sentence(cj_err e, const cj_diag *d)
{
    char text[1024];
    assert_true(e == CJ_E_INPUT || e == CJ_E_UNSUPPORTED || e == CJ_E_NOT_FOUND);
    assert_int_equal(d->code, e);
    assert_true(cj_diag_text(d, CJ_LANG_EN, text, sizeof text) > 0);
}

/* What a reader gets of an entry is right, or it gets a sentence. 0: right and all there. */
static int read_entry(shelf *s, const char *name, const int32_t *want, int64_t n, int64_t tokens)
{
    shelf_entry *e = NULL;
    kv_cache *kv = NULL;
    cj_diag d = {0};
    int64_t count = 0;
    buf blob = {0};
    cj_err err = shelf_read(s, &e, name, &d);
    if (err) {
        assert_sentence(err, &d);
        return 1;
    }
    assert_int_equal(shelf_entry_info(e)->tokens_total, n);
    assert_memory_equal(shelf_entry_ids(e), want, (size_t)n * sizeof *want);
    assert_int_equal(kv_open(&kv, case_layers, CASE_LAYERS, NULL), CJ_OK);
    err = shelf_attach(e, kv, n, &count, &d);
    int64_t wrong = err ? -2 : case_wrong(kv, want, &d);
    assert_true(wrong < 0);
    if (wrong == -2) assert_sentence(d.code, &d);
    int outcome = wrong == -2 || count < tokens;
    kv_close(&kv);
    if (n == N) {
        err = shelf_get(e, "marks", &blob, &d);
        if (err) assert_sentence(err, &d);
        else assert_memory_equal(blob.data, marks, sizeof marks);
        outcome |= err != CJ_OK;
        buf_deinit(&blob);
    }
    shelf_entry_close(&e);
    return outcome;
}

/* Reads the document again, and puts its blob back, as juan read does. */
static cj_err read_again(shelf *s, cj_diag *d)
{
    shelf_plan p = case_plan("a", ids, N);
    shelf_entry *e = NULL;
    TRY(shelf_write(s, &e, &p, d));
    cj_err err = shelf_put(e, "marks", marks, sizeof marks, d);
    shelf_entry_close(&e);
    return err ? err : case_write(s, &p, N, 8000, NULL, d);
}

/* A damaged page is met only when it is used: so it may take as many turns as there are damaged segments. 0: all is right again. */
static int repair(shelf *s)
{
    cj_diag d = {0};
    cj_err err = CJ_OK;
    for (int turn = 0; turn < 4; turn++) {
        err = read_again(s, &d);
        if (!err && read_entry(s, "a", ids, N, N) == 0) return 0;
    }
    if (err) assert_sentence(err, &d);
    return 1;
}

static int run_one(const char *folder, int *found)
{
    shelf *s = NULL;
    cj_diag d = {0};
    shelf_watch watch = {0};
    int64_t damages = 0, freed;
    cj_err err = shelf_open(&s, folder, &d);
    if (err) {
        assert_sentence(err, &d);
        *found = 1;
        return 1;
    }
    *found = read_entry(s, "a", ids, N, KEPT) | read_entry(s, "b", other, MORE, MORE);
    err = shelf_verify(s, NULL, &watch, &damages, &d);
    if (err) assert_sentence(err, &d);
    *found |= err || damages;
    int lost = repair(s);
    err = shelf_gc(s, &freed, &d);
    if (err) assert_sentence(err, &d);
    shelf_close(&s);
    return lost;
}

static void damage_is_found_or_harmless(void **state)
{
    (void)state;
    int found = 0, lost = 0, index_lost = 0;
    make_shelf();
    srand(4);
    for (int i = 0; i < times; i++) {
        char *folder = case_folder();
        shelf *s = NULL;
        assert_int_equal(shelf_open(&s, folder, NULL), CJ_OK); /* for its folders */
        shelf_close(&s);
        int which = i % n_files, seen = 0;
        for (int k = 0; k < n_files; k++)
            if (k == which) put_damaged(folder, &files[k]);
            else put_back(folder, &files[k], files[k].bytes.data, files[k].bytes.len);
        bool in_index = strstr(files[which].name, "index.db") != NULL;
        int gone = run_one(folder, &seen);
        assert_true(!gone || in_index); /* whatever happens to segments, reading again repairs it */
        found += seen;
        lost += gone;
        index_lost += in_index;
        case_remove(folder);
    }
    print_message("# %d damaged: %d found, %d harmless, %d refused for good (of %d in the index)\n", times, found, times - found, lost, index_lost);
    for (int k = 0; k < n_files; k++) buf_deinit(&files[k].bytes);
}

int main(int argc, char **argv)
{
    if (argc > 1) times = atoi(argv[1]);
    ids = case_ids(N, N, 0);
    other = case_ids(MORE, 0, 7);
    const struct CMUnitTest tests[] = {cmocka_unit_test(damage_is_found_or_harmless)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
