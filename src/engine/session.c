/* Sessions: prefix reuse and the chunk loop. Invariants: ids[0..kv_count) are the tokens whose keys and values kv holds; those before adapter_from are
 * written by the base alone, the others with the adapter. */
#include <string.h>

#include "base/mapped.h"
#include "engine/inner.h"

enum { REPEATS_PER_PAGE = 2 /* of each kind, for each page that sparse attention keeps: one dial for both */ };

cj_err session_open(session **out, engine *e, int64_t context, cj_diag *d)
{
    const model_spec *m = model_spec_of(e->model);
    session *s = mem_zalloc(sizeof *s);
    if (!s) return diag_nomem(d, sizeof *s);
    s->engine = e;
    s->context = context > 0 ? context : m->context;
    s->exact_from = s->adapter_from = INT64_MAX;
    s->logits = mem_array((size_t)m->vocab, sizeof *s->logits);
    s->prompt_logits = mem_array((size_t)m->vocab, sizeof *s->prompt_logits);
    s->layers = mem_array((size_t)m->n_layers, sizeof *s->layers);
    const bool room = s->logits && s->prompt_logits && s->layers;
    cj_err err = room ? model_kv_open(e->model, e->opt.kv, &s->kv, d) : diag_nomem(d, 2 * (size_t)m->vocab * sizeof *s->logits);
    for (int i = 0; !err && i < m->n_layers; i++) s->layers[i] = *kv_layer_at(s->kv, i);
    if (err) {
        session_close(&s);
        return err;
    }
    *out = s;
    return CJ_OK;
}

void session_close(session **ps)
{
    session *s = *ps;
    if (!s) return;
    kv_close(&s->kv);
    mem_free(s->layers);
    mem_free(s->ids);
    repeats_deinit(&s->repeats);
    mem_free(s->logits);
    mem_free(s->prompt_logits);
    mem_free(s->all_logits);
    mem_free(s);
    *ps = NULL;
}

engine *session_engine(const session *s) { return s->engine; }
int64_t session_context(const session *s) { return s->context; }

void session_set_keep(session *s, int64_t keep)
{
    if (s->keep != keep) s->prompt = 0; /* the same prompt will have other logits */
    s->keep = keep;
}

void session_set_exact_from(session *s, int64_t position)
{
    if (s->exact_from != position) s->prompt = 0;
    s->exact_from = position;
}

int64_t session_count(const session *s) { return kv_count(s->kv); }
const int32_t *session_ids(const session *s) { return s->ids; }
float *session_logits(session *s) { return s->logits; }

cj_err session_ids_reserve(session *s, int64_t n, cj_diag *d)
{
    if (n <= s->cap) return CJ_OK;
    int64_t cap = i64_max(n, s->cap * 2);
    int32_t *ids = mem_grow(s->ids, (size_t)s->cap * sizeof *ids, (size_t)cap * sizeof *ids);
    if (!ids) return diag_nomem(d, (size_t)cap * sizeof *ids);
    s->ids = ids;
    s->cap = cap;
    return CJ_OK;
}

void session_left(session *s, int64_t n)
{
    if (n < s->prompt) s->prompt = 0;
}

/* How much of ids can stay: the common prefix, but nothing from the first token that must be computed anyway. */
static int64_t common_prefix(const session *s, const int32_t *ids, int64_t n, const session_call *call)
{
    int64_t limit = i64_min(n, session_count(s)), same = 0;
    const bool known = call->want == WANT_LAST && n == s->prompt;
    if (call->want != WANT_NONE && !known) limit = i64_min(limit, n - 1);
    for (int i = 0; i < call->n_probes; i++) limit = i64_min(limit, call->probes[i].from);
    while (same < limit && s->ids[same] == ids[same]) same++;
    return same;
}

/* The probes of a session as rows of the batch [pos, pos + count). */
static int batch_probes(const session_call *call, int64_t pos, int64_t count, model_probe *out)
{
    int n = 0;
    for (int i = 0; i < call->n_probes; i++) {
        const session_probe *p = &call->probes[i];
        int64_t row0 = i64_max(0, p->from - pos), end = p->end ? i64_min(count, p->end - pos) : count;
        if (row0 >= end) continue;
        float *mass = p->mass ? p->mass + (pos + row0 - p->from) * p->ld : NULL;
        uint8_t *kept = p->kept && pos >= p->from ? p->kept + (pos / KV_PAGE - p->from / KV_PAGE) * p->kept_ld : NULL;
        const op_mass to = {.head = p->head, .row0 = row0, .rows = end - row0, .bin = i64_max(1, p->bin), .ld = p->ld, .mass = mass};
        out[n++] = (model_probe){p->layer, to, kept, p->kept_ld};
    }
    return n;
}

/* Whether what was mapped is still there, and memory is enough: before what was computed counts. */
static cj_err look_after(const session *s, cj_diag *d)
{
    const model_source *source = model_source_of(s->engine->model);
    if (source_is_cut(source)) return diag_fail(d, CJ_E_INPUT, MSG_FILE_CUT, "%s", source_path(source));
    if (s->entry) TRY(shelf_entry_sound(s->entry, d));
    const int64_t needs = mapped_needs() >> 20;
    if (!needs) return CJ_OK;
    return diag_fail(d, CJ_E_NOMEM, MSG_RAM_SMALL, "%lld" ARG "%lld" ARG "%lld", (long long)(mapped_limit_now() >> 20), (long long)needs, (long long)needs);
}

static int64_t keep_at(const session *s, int64_t pos) { return pos < s->exact_from ? s->keep : 0; }

/* Exact attention goes through all pages of a layer: with little memory the disk begins with the next layer's while this one is computed. */
static void read_ahead(const session *s, int layer, int64_t pos, int64_t count)
{
    enum { MANY = 16, SHARE = 8 };
    const int n = kv_layers(s->kv);
    if (!mapped_limit_now() || !s->entry || keep_at(s, pos) || count < MANY) return;
    for (int i = 1; i <= n; i++) {
        int next = (layer + i) % n;
        if (kv_layer_at(s->kv, next)->window) continue;
        shelf_entry_ahead(s->entry, next, pos, mapped_limit_now() / SHARE);
        return;
    }
}

/* How many of the tokens [pos, n) come next: some of a sparse read, or of the exact rows at its end, which go through every page: few at a time, so
 * that a cancel is heard. */
static int64_t next_chunk(const session *s, int64_t pos, int64_t n)
{
    const int64_t most = i64_min(model_job_rows(s->engine->job), n - pos);
    if (!s->keep) return most;
    return i64_min(most, pos < s->exact_from ? s->exact_from - pos : ENGINE_EXACT_ROWS);
}

/* One chunk: count tokens from pos on. */
static cj_err run_chunk(session *s, int64_t pos, int64_t count, int64_t total, bool last, const session_call *call, cj_diag *d)
{
    model_probe probes[SESSION_PROBES_MAX];
    if (call->n_probes > SESSION_PROBES_MAX) return diag_fail(d, CJ_E_INTERNAL, MSG_INTERNAL, "%d probes", call->n_probes);
    op_repeats back;
    const int64_t keep = keep_at(s, pos);
    if (keep > 0) TRY(repeats_collect(&s->repeats, s->ids, pos, count, MODEL_NEAR_PAGES, REPEATS_PER_PAGE * keep, &back, d));
    model_rows rows = {.kv = s->kv, .ids = s->ids + pos, .count = count, .keep = keep, .repeats = keep > 0 ? &back : NULL,
                       .adapter = s->adapter ? s->adapter->laid : NULL, .plain = i64_max(0, s->adapter_from - pos),
                       .logits = call->want == WANT_ALL ? WANT_ALL : call->want == WANT_LAST && last ? WANT_LAST : WANT_NONE};
    model_batch batch = {.seqs = &rows, .n_seqs = 1, .probes = probes, .n_probes = batch_probes(call, pos, count, probes),
                         .logits = rows.logits == WANT_ALL ? s->all_logits : s->logits};
    model_job *job = s->engine->job;
    TRY(model_job_begin(job, &batch, d));
    int layers = model_spec_of(s->engine->model)->n_layers;
    bool done = false;
    for (int layer = 1; !done; layer++) {
        if (!kv_layer_at(s->kv, layer - 1)->window) read_ahead(s, layer - 1, pos, count);
        TRY(model_job_step(job, &done, d));
        if (!done && call->on_progress && !call->on_progress(call->arg, pos + count * layer / layers, total))
            return diag_fail(d, CJ_E_CANCELLED, MSG_CANCELLED, "%s", "");
    }
    return rows.logits == WANT_ALL ? call->on_logits(call->arg, pos, count, s->all_logits, d) : CJ_OK;
}

cj_err session_eval(session *s, const int32_t *ids, int64_t n, const session_call *call, int64_t *reused, cj_diag *d)
{
    if (n < 1) return diag_fail(d, CJ_E_USAGE, MSG_NO_TOKENS, "%s", "");
    if (n > s->context)
        return diag_fail(d, CJ_E_LIMIT, MSG_CONTEXT_FULL, "%lld" ARG "%lld" ARG "%lld", (long long)n, (long long)s->context,
                         (long long)(n - s->context));
    const int64_t chunk = model_job_rows(s->engine->job);
    const size_t vocab = (size_t)model_spec_of(s->engine->model)->vocab;
    if (call->want == WANT_ALL && !s->all_logits) {
        s->all_logits = mem_array(vocab, (size_t)chunk * sizeof *s->all_logits);
        if (!s->all_logits) return diag_nomem(d, vocab * (size_t)chunk * sizeof *s->all_logits);
    }
    TRY(session_ids_reserve(s, n, d));
    int64_t pos;
    TRY(session_cut(s, ids, common_prefix(s, ids, n, call), &pos, d));
    session_left(s, pos);
    if (reused) *reused = pos;
    if (pos == n && call->want == WANT_LAST) memcpy(s->logits, s->prompt_logits, vocab * sizeof *s->logits);
    const bool prompt = n - pos > 1; /* where one begins and ends, the next call may want to go on from */
    if (prompt) kv_mark(s->kv);
    repeats_cut(&s->repeats, s->ids, pos);
    memmove(s->ids + pos, ids + pos, (size_t)(n - pos) * sizeof *ids);
    if (s->keep > 0) TRY(repeats_link(&s->repeats, s->ids, n, (int64_t)vocab, d));
    while (pos < n) {
        int64_t count = next_chunk(s, pos, n);
        cj_err err = run_chunk(s, pos, count, n, pos + count == n, call, d);
        if (!err) err = look_after(s, d);
        if (err) {
            session_left(s, kv_cut(s->kv, pos));
            return err;
        }
        pos += count;
        if (call->on_progress && !call->on_progress(call->arg, pos, n) && pos < n)
            return diag_fail(d, CJ_E_CANCELLED, MSG_CANCELLED, "%s", "");
    }
    if (prompt) kv_mark(s->kv);
    if (prompt && call->want == WANT_LAST) {
        memcpy(s->prompt_logits, s->logits, vocab * sizeof *s->logits);
        s->prompt = n;
    }
    return CJ_OK;
}
