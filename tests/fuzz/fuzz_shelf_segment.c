/* Segment files and tails: damaged in any way they are told apart, and no access goes beyond them. Checksums are put right first, so that
 * what lies behind them is reached too. */
#include "shelf_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD_SUM = 56, HEAD_BYTES = 8, RECORD = 64, RECORD_TABLE = 24, RECORD_BYTES = 32, RECORD_TABLE_SUM = 40, RECORD_SUM = 56 };

static uint64_t load(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static void set_sum(uint8_t *sum, const uint8_t *bytes, size_t n)
{
    memset(sum, 0, sizeof(uint64_t));
    uint64_t s = hash_xxh3(bytes, n);
    memcpy(sum, &s, sizeof s);
}

static void mend(uint8_t *b, size_t size)
{
    if (size < RECORD || load(b + HEAD_BYTES) > size || load(b + HEAD_BYTES) < RECORD) return;
    set_sum(b + HEAD_SUM, b, load(b + HEAD_BYTES));
    for (size_t at = load(b + HEAD_BYTES); size - at >= RECORD;) {
        uint64_t table = load(b + at + RECORD_TABLE), bytes = load(b + at + RECORD_BYTES);
        if (bytes < RECORD || bytes > size - at || table > bytes - RECORD) return;
        uint64_t sum = hash_xxh3(b + at + RECORD, table);
        memcpy(b + at + RECORD_TABLE_SUM, &sum, sizeof sum);
        set_sum(b + at + RECORD_SUM, b + at, RECORD);
        at += bytes;
    }
}

static cj_err visit(void *user, const segment_record *r, cj_diag *d)
{
    const shelf_shape *s = user;
    int layer = 0;
    int64_t page = 0;
    (void)d;
    while (record_find_damage(r, s, &layer, &page)) page++;
    for (int i = 0; r->kind == RECORD_PAGES && i < s->n_layers; i++) {
        int64_t n;
        if (s->layers[i].window) continue;
        const uint8_t *p = record_summaries(r, s, i, &n);
        assert(n <= record_count(r, s, i));
        volatile uint8_t sum = 0;
        for (size_t k = 0; k < (size_t)n * summary_bytes(&s->layers[i].layout); k++) sum = (uint8_t)(sum + p[k]);
    }
    return CJ_OK;
}

static void walk(const uint8_t *data, size_t size, const shelf_shape *s)
{
    chain c;
    bool good;
    assert(chain_begin(&c, s, NULL) == CJ_OK);
    segment_row row = {.start = 0, .bytes = (int64_t)size};
    chain_digest(&c, row.before);
    segment_visit v = {s, fuzz_ids(), visit, (void *)(uintptr_t)s};
    static const int64_t lengths[] = {200, FUZZ_TOKENS};
    for (int i = 0; i < 4; i++) {
        row.tokens = lengths[i / 2];
        row.state = i % 2 ? SEGMENT_CLOSED : SEGMENT_OPEN;
        cj_err e = segment_walk(&v, &row, data, size, &good, NULL);
        assert(e == CJ_OK || e == CJ_E_UNSUPPORTED);
        segment_record r;
        if (segment_tail_read(data, size, s, &row, &r)) (void)visit((void *)(uintptr_t)s, &r, NULL);
    }
}

/* As a new index finds it, which knows nothing of its shape. */
static void scan(const uint8_t *data, size_t size)
{
    shelf_shape shape;
    segment_row row;
    bool good;
    cj_err e = segment_scan(data, size, &shape, &row, NULL, &good, NULL);
    assert(e == CJ_OK || e == CJ_E_NOMEM);
    if (e || !good) return;
    assert(row.tokens > 0 && row.tokens <= SHELF_SEGMENT && row.bytes > 0 && (size_t)row.bytes <= size);
    shape_deinit(&shape);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    shelf_shape s;
    shelf_key key = fuzz_key();
    assert(shape_init(&s, &key, NULL) == CJ_OK);
    uint8_t *mended = mem_alloc(size); /* aligned, as a mapping is */
    assert(mended);
    if (size) memcpy(mended, data, size);
    walk(mended, size, &s);
    scan(mended, size);
    mend(mended, size);
    walk(mended, size, &s);
    scan(mended, size);
    mem_free(mended);
    shape_deinit(&s);
    return 0;
}
