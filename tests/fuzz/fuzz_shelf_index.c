/* The index as a hostile SQLite file: opened, listed, read, verified, written and tidied; as it is, and with the checksums of its rows put
 * right. */
#include "shelf_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NAMES_MAX = 4 };

typedef struct names {
    char name[NAMES_MAX][SHELF_NAME_MAX + 1];
    int n;
} names;

static bool on_entry(void *user, const shelf_info *info, bool damaged)
{
    names *l = user;
    (void)damaged;
    snprintf(l->name[l->n], sizeof l->name[0], "%s", info->name);
    return ++l->n < NAMES_MAX;
}

static void seal_all(shelf *s, index_table table, const char *sql)
{
    int64_t ids[8];
    int n = 0;
    query q;
    bool row = true;
    if (query_open(&q, s, NULL, sql, "")) return;
    while (n < 8 && !query_step(&q, &row, NULL) && row) ids[n++] = query_int(&q, 0);
    query_close(&q);
    for (int i = 0; i < n; i++)
        if (row_seal(s, table, ids[i], NULL)) return;
}

static void use(bool sealed)
{
    shelf *s = NULL;
    cj_diag d = {0};
    names l = {.n = 0};
    shelf_watch watch = {0};
    int64_t n;
    if (shelf_open(&s, fuzz_folder(), &d)) {
        assert(d.code < 0);
        return;
    }
    if (sealed) {
        seal_all(s, TABLE_ENTRIES, "SELECT id FROM entries LIMIT 8");
        seal_all(s, TABLE_SEGMENTS, "SELECT id FROM segments LIMIT 8");
        seal_all(s, TABLE_BLOBS, "SELECT id FROM blobs LIMIT 8");
    }
    cj_err e = shelf_each(s, on_entry, &l, &d);
    for (int i = 0; i < l.n; i++) fuzz_read(s, l.name[i]);
    e |= shelf_verify(s, NULL, &watch, &n, &d);
    shelf_entry *entry = NULL;
    shelf_plan p = {.name = "a", .key = fuzz_key(), .ids = fuzz_ids(), .n = FUZZ_TOKENS};
    if (shelf_write(s, &entry, &p, &d) == CJ_OK) e |= shelf_put(entry, "marks", "x", 1, &d);
    shelf_entry_close(&entry);
    e |= shelf_gc(s, &n, &d);
    assert(e <= 0);
    shelf_close(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int sealed = 0; sealed < 2; sealed++) {
        assert(folder_remove(fuzz_folder(), NULL) == CJ_OK && file_make_dirs(fuzz_folder(), NULL) == CJ_OK);
        fuzz_file("index.db", data, size);
        use(sealed);
    }
    assert(folder_remove(fuzz_folder(), NULL) == CJ_OK);
    return 0;
}
