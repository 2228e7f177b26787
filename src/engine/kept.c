/* Sessions on the shelf: what a session has read is kept with an entry, and a session begins with what an entry holds. */
#include <string.h>

#include "engine/inner.h"

#define MODE_FORM ((uint64_t)0xffff)

enum { SPARSE_VERSION = 7 };

/* mode: bit 0 exact mode, bits 8-15 the kind of pages, bits 16-46 the pages kept, from bit 48 on which sparse attention it was. */
static uint64_t mode_of(const session *s)
{
    uint64_t mode = (uint64_t)s->engine->opt.exact | (uint64_t)s->engine->opt.kv << 8;
    return s->keep ? mode | ((uint64_t)s->keep & INT32_MAX) << 16 | (uint64_t)SPARSE_VERSION << 48 : mode;
}

void session_mode_read(uint64_t mode, engine_options *out, int64_t *keep)
{
    if (keep) *keep = (int64_t)(mode >> 16 & INT32_MAX);
    out->exact = mode & 1;
    const int kv = (int)(mode >> 8 & 255);
    out->kv = kv_type_name(kv) ? (kv_type)kv : KV_Q8; /* none that this version writes */
}

bool session_mode_other(uint64_t mode) { return mode & ~MODE_FORM && mode >> 48 != SPARSE_VERSION; }

shelf_key session_shelf_key(const session *s)
{
    const engine *e = s->engine;
    return (shelf_key){.model = model_fingerprint(e->model), .mode = mode_of(s), .layers = s->layers, .n_layers = kv_layers(s->kv)};
}

cj_err session_attach(session *s, shelf_entry *e, int64_t most, int64_t *count, cj_diag *d)
{
    int64_t n = 0;
    shelf_key key = session_shelf_key(s);
    key.mode = (key.mode & MODE_FORM) | (shelf_entry_info(e)->mode & ~MODE_FORM); /* how many pages it was read with may differ */
    s->entry = NULL;
    session_left(s, 0);
    TRY(shelf_entry_fits(e, &key, model_spec_of(s->engine->model)->name, d));
    most = i64_min(i64_min(most, s->adapter_from), i64_min(s->context, shelf_entry_info(e)->tokens)); /* an entry is the base's */
    TRY(session_ids_reserve(s, most, d)); /* before kv holds anything: ids always has what kv has */
    TRY(shelf_attach(e, s->kv, most, &n, d));
    repeats_cut(&s->repeats, s->ids, 0);
    if (n) memcpy(s->ids, shelf_entry_ids(e), (size_t)n * sizeof *s->ids);
    s->entry = e;
    if (count) *count = n;
    return CJ_OK;
}

/* What an adapter has had a part in is not kept: an entry serves every adapter, and none. */
static cj_err check_plain(const session *s, cj_diag *d)
{
    if (session_count(s) <= s->adapter_from) return CJ_OK;
    return diag_fail(d, CJ_E_USAGE, MSG_ADAPTER_KEEP, "%s" ARG "%lld", s->adapter->facts.name, (long long)s->adapter_from);
}

cj_err session_keep(session *s, shelf_entry *e, cj_diag *d)
{
    TRY(check_plain(s, d));
    return shelf_append(e, s->kv, d);
}

cj_err session_keep_begin(session *s, shelf_entry *e, cj_diag *d)
{
    TRY(check_plain(s, d));
    return shelf_append_begin(e, s->kv, d);
}

cj_err session_keep_end(session *s, shelf_entry *e, cj_diag *d) { return shelf_append_end(e, s->kv, d); }

/* Where position n cannot be had back: the entry's last checkpoint before it, if the session has nothing nearer. The session may have left the
 * entry's text since it was attached: only what they have in common counts. */
cj_err session_cut(session *s, const int32_t *ids, int64_t n, int64_t *left, cj_diag *d)
{
    *left = kv_cut(s->kv, n);
    if (*left == n || !s->entry) return CJ_OK;
    const int32_t *kept = shelf_entry_ids(s->entry);
    const int64_t limit = i64_min(i64_min(n, s->adapter_from), shelf_entry_info(s->entry)->tokens);
    int64_t same = 0;
    while (same < limit && kept[same] == ids[same]) same++;
    return shelf_entry_reach(s->entry, same) > *left ? session_attach(s, s->entry, same, left, d) : CJ_OK;
}
