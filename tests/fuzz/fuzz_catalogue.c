/* The catalogue, which may come from anybody: every entry that is taken is whole and safe to make paths and arguments of. */
#include <assert.h>
#include <string.h>

#include "hub/catalogue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_source(const hub_source *s, size_t files)
{
    assert(s->text && *s->text);
    for (size_t i = 0; i < s->part_count; i++) {
        assert(s->parts[i].requirement[0] != '-' && strstr(s->parts[i].requirement, "=="));
        assert(s->parts[i].member[0] != '/' && !strstr(s->parts[i].member, ".."));
    }
    if (s->kind == HUB_REPO) assert(s->hub && strchr(s->repo, '/') && !strstr(s->repo, "..") && (!s->file || files == 1));
    if (s->kind == HUB_PATH) assert(s->file[0] == '/');
    if (s->kind == HUB_PACKAGES) assert(s->part_count > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    catalogue c;
    if (catalogue_init(&c, NULL)) return 0;
    cj_diag d = {0};
    char text[CJ_DIAG_ARGS_MAX + 512];
    if (catalogue_read(&c, (const char *)data, size, "models.ini", &d)) {
        assert(d.code < 0 && cj_diag_text(&d, CJ_LANG_ZH, text, sizeof text) > 0);
        assert(!strpbrk(text, "\x1b\x07")); /* nothing that a terminal would obey */
    }
    for (size_t i = 0; i < c.count; i++) {
        const hub_model *m = &c.entries[i].model;
        assert(catalogue_name_ok(m->name) && (m->file_count || !m->ready) && m->source_count && m->title && m->licence);
        for (size_t k = 0; k < m->file_count; k++) assert(catalogue_file_ok(m->files[k].name) && m->files[k].size >= -1);
        for (size_t k = 0; k < m->head_count; k++) assert(m->heads[k].weight > 0 && m->heads[k].weight <= 1);
        for (size_t k = 0; k < m->source_count; k++) check_source(&m->sources[k], m->file_count);
    }
    catalogue_deinit(&c);
    return 0;
}
