/* Session snapshots on disk. One that an adapter has had a part in is only for sessions with the same adapter from the same token on.
 *
 * Bytes, little-endian: header { "CJSS", u32 version, u64 session_writer, u32 kv type, u32 exact, i64 tokens, u64 xxh3 of the
 * ids }, i32 ids[tokens], zeros to a multiple of 64, then the context (context/kv_snapshot.c).
 */
#include <string.h>

#include "base/hash.h"
#include "engine/inner.h"

typedef struct snapshot_head {
    char magic[4];
    uint32_t version;
    uint64_t model;
    uint32_t kv, exact;
    int64_t tokens;
    uint64_t ids_sum;
} snapshot_head;

enum { SNAPSHOT_VERSION = 1, SNAPSHOT_ALIGN = 64 };

static snapshot_head head_of(const session *s, int64_t tokens, const void *ids)
{
    const engine *e = s->engine;
    return (snapshot_head){{'C', 'J', 'S', 'S'}, SNAPSHOT_VERSION, session_writer(s, tokens), (uint32_t)e->opt.kv, e->opt.exact,
                           tokens, hash_xxh3(ids, (size_t)tokens * sizeof(int32_t))};
}

cj_err session_save(const session *s, const char *path, cj_diag *d)
{
    int64_t n = session_count(s);
    snapshot_head h = head_of(s, n, s->ids);
    file_out f;
    TRY(file_out_open(&f, path, d));
    cj_err e = file_out_write(&f, &h, sizeof h, d);
    if (!e) e = file_out_write(&f, s->ids, (size_t)n * sizeof *s->ids, d);
    if (!e) e = file_out_pad(&f, SNAPSHOT_ALIGN, d);
    if (!e) e = kv_save(s->kv, &f, d);
    if (!e) return file_out_commit(&f, d);
    file_out_abort(&f);
    return e;
}

/* The header and ids at the front of the file; *at is where the context begins. */
static cj_err load_ids(session *s, const file_map *m, size_t *at, const char *path, cj_diag *d)
{
    snapshot_head h;
    if (m->size < sizeof h) return diag_fail(d, CJ_E_INPUT, MSG_SNAPSHOT_BAD, "%s", path);
    memcpy(&h, m->data, sizeof h);
    bool fits = h.tokens >= 1 && h.tokens <= s->context && (uint64_t)h.tokens <= (m->size - sizeof h) / sizeof(int32_t);
    snapshot_head want = {0};
    if (fits) want = head_of(s, h.tokens, m->data + sizeof h);
    if (!fits || memcmp(&h, &want, sizeof h)) return diag_fail(d, CJ_E_INPUT, MSG_SNAPSHOT_BAD, "%s", path);
    TRY(session_ids_reserve(s, h.tokens, d));
    repeats_cut(&s->repeats, s->ids, 0);
    memcpy(s->ids, m->data + sizeof h, (size_t)h.tokens * sizeof *s->ids);
    *at = size_round_up(sizeof h + (size_t)h.tokens * sizeof *s->ids, SNAPSHOT_ALIGN);
    return CJ_OK;
}

cj_err session_load(session *s, const char *path, cj_diag *d)
{
    file_map m;
    TRY(file_map_open(&m, path, d));
    size_t at = 0, used = 0;
    kv_cut(s->kv, 0);
    session_left(s, 0);
    s->entry = NULL;
    cj_err e = load_ids(s, &m, &at, path, d);
    int64_t tokens = 0;
    if (!e) memcpy(&tokens, m.data + offsetof(snapshot_head, tokens), sizeof tokens);
    if (!e && at > m.size) e = diag_fail(d, CJ_E_INPUT, MSG_SNAPSHOT_BAD, "%s", path);
    if (!e) e = kv_load(s->kv, m.data + at, m.size - at, &used, path, d);
    if (!e && (kv_count(s->kv) != tokens || at + used != m.size)) {
        kv_cut(s->kv, 0);
        e = diag_fail(d, CJ_E_INPUT, MSG_SNAPSHOT_BAD, "%s", path);
    }
    file_map_close(&m);
    return e;
}
