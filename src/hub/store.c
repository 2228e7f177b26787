/* The marker and the places of files. The marker is ours, but it is read like any other file: strictly. */
#include "hub/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "hub/catalogue.h"

static char *join_take(char *a, const char *b)
{
    char *p = a ? file_join(a, b) : NULL;
    mem_free(a);
    return p;
}

char *store_folder(const char *home, const char *name) { return join_take(file_join(home, "models"), name); }
char *store_path(const char *home, const char *name, const char *file) { return join_take(store_folder(home, name), file); }

char *store_partial(const char *home, const char *name, const char *file)
{
    char *p = join_take(file_join(home, "models/.partial"), name);
    return file ? join_take(p, file) : p;
}

void store_record_deinit(store_record *r)
{
    mem_free(r->files);
    *r = (store_record){0};
}

/* One "file NAME SIZE MODIFIED SHA256" line; false: it is not of that form. */
static bool read_file_line(char *line, store_file *out)
{
    char *save, *words[5];
    size_t n = 0;
    for (char *w = strtok_r(line, " ", &save); w && n < 5; w = strtok_r(NULL, " ", &save)) words[n++] = w;
    if (n != 5 || strcmp(words[0], "file") || !catalogue_file_ok(words[1]) || strlen(words[4]) != 64) return false;
    if (strspn(words[4], "0123456789abcdef") != 64) return false;
    if (!catalogue_number(words[2], INT64_MAX, &out->stamp.size) || !catalogue_number(words[3], INT64_MAX, &out->stamp.modified))
        return false;
    memcpy(out->name, words[1], strlen(words[1]) + 1);
    memcpy(out->sha256, words[4], 65);
    return true;
}

static bool read_record(char *text, store_record *r)
{
    char *save;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (!strcmp(line, "verified yes") || !strcmp(line, "verified no")) {
            r->verified = line[9] == 'y';
            return r->count > 0 && !strtok_r(NULL, "\n", &save);
        }
        if (r->count == CATALOGUE_FILES_MAX || !read_file_line(line, &r->files[r->count++])) return false;
    }
    return false;
}

cj_err store_read(const char *home, const char *name, store_record *out, cj_diag *d)
{
    *out = (store_record){0};
    char *path = store_path(home, name, ".installed");
    if (!path) return diag_nomem(d, strlen(home));
    buf text;
    cj_err e = file_read(path, 1 << 17, &text, d);
    if (!e) {
        out->files = mem_array(CATALOGUE_FILES_MAX, sizeof *out->files);
        if (!out->files) e = diag_nomem(d, CATALOGUE_FILES_MAX * sizeof *out->files);
        else if (!read_record(text.data, out)) e = diag_fail(d, CJ_E_NOT_FOUND, MSG_FILE_NOT_FOUND, "%s", path);
        buf_deinit(&text);
        if (e) store_record_deinit(out);
    } else if (e != CJ_E_NOMEM)
        e = CJ_E_NOT_FOUND;
    mem_free(path);
    return e;
}

cj_err store_write(const char *home, const char *name, const store_record *r, cj_diag *d)
{
    char *path = store_path(home, name, ".installed");
    if (!path) return diag_nomem(d, strlen(home));
    buf text;
    buf_init(&text, 1 << 17);
    cj_err e = CJ_OK;
    for (size_t i = 0; i < r->count && !e; i++) {
        const store_file *f = &r->files[i];
        e = buf_printf(&text, d, "file %s %" PRId64 " %" PRId64 " %s\n", f->name, f->stamp.size, f->stamp.modified, f->sha256);
    }
    if (!e) e = buf_printf(&text, d, "verified %s\n", r->verified ? "yes" : "no");
    file_out out;
    if (!e) e = file_out_open(&out, path, d);
    if (!e) {
        e = file_out_write(&out, text.data, text.len, d);
        if (e) file_out_abort(&out);
        else e = file_out_commit(&out, d);
    }
    buf_deinit(&text);
    mem_free(path);
    return e;
}

cj_err store_intact(const char *home, const char *name, const store_record *r, bool *intact, cj_diag *d)
{
    bool same = r->count > 0;
    for (size_t i = 0; same && i < r->count; i++) {
        folder_stamp now, then = r->files[i].stamp;
        char *path = store_path(home, name, r->files[i].name);
        if (!path) return diag_nomem(d, strlen(home));
        same = folder_stamp_of(path, &now) && now.size == then.size && now.modified == then.modified;
        mem_free(path);
    }
    *intact = same;
    return CJ_OK;
}
