/* Adapters of engines and sessions. */
#include "engine/adapter.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "engine/inner.h"
#include "model/low_rank.h"

cj_err engine_adapter_of(engine_adapter **out, engine *e, const model_adapter *data, const adapter_facts *facts, cj_diag *d)
{
    TRY(adapter_fits(data, model_spec_of(e->model), facts->name, d));
    engine_adapter *a = mem_zalloc(sizeof *a);
    if (!a) return diag_nomem(d, sizeof *a);
    *a = (engine_adapter){.engine = e, .facts = *facts, .fingerprint = adapter_print(data)};
    cj_err err = low_rank_open(&a->laid, e->ctx, data, d);
    if (err) engine_adapter_close(&a);
    else *out = a;
    return err;
}

cj_err engine_adapter_open(engine_adapter **out, engine *e, const char *path, cj_diag *d)
{
    adapter_file *f = NULL;
    TRY(adapter_file_open(&f, path, d));
    cj_err err = adapter_file_fit(f, e->model, d);
    if (!err) err = engine_adapter_of(out, e, adapter_file_data(f), adapter_file_facts(f), d);
    adapter_file_close(&f);
    return err;
}

void engine_adapter_close(engine_adapter **pa)
{
    engine_adapter *a = *pa;
    if (!a) return;
    low_rank_close(&a->laid);
    mem_free(a);
    *pa = NULL;
}

const adapter_facts *engine_adapter_facts(const engine_adapter *a) { return &a->facts; }
bool engine_adapter_is_at_home(const engine_adapter *a) { return a->facts.base_print == model_fingerprint(a->engine->model); }

cj_err session_set_adapter(session *s, const engine_adapter *a, int64_t from, cj_diag *d)
{
    if (!a) from = INT64_MAX;
    if (from < 0 || (a && a->engine != s->engine)) return diag_fail(d, CJ_E_INTERNAL, MSG_INTERNAL, "adapter from %lld", (long long)from);
    if (a == s->adapter && from == s->adapter_from) return CJ_OK;
    const int64_t same = i64_min(from, s->adapter_from);
    int64_t left = session_count(s);
    s->adapter = a;
    s->adapter_from = from;
    if (left <= same) return CJ_OK;
    cj_err e = session_cut(s, s->ids, same, &left, d);
    session_left(s, e ? kv_cut(s->kv, 0) : left);
    return e;
}

uint64_t session_writer(const session *s, int64_t n)
{
    const uint64_t base = model_fingerprint(s->engine->model);
    return n > s->adapter_from ? hash_mix(hash_mix(base, s->adapter->fingerprint), (uint64_t)s->adapter_from) : base;
}
