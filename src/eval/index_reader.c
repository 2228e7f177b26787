/* Finding by the text index alone. */
#include "eval/index_reader.h"

#include "base/folder.h"

static cj_err open_text(void *arg, const char *text, size_t bytes, bool (*on_progress)(void *of, int64_t done, int64_t total), void *of, cj_diag *d)
{
    index_reader *ir = arg;
    text_range *passages = NULL;
    int64_t n = 0;
    text_index_close(&ir->index);
    TRY(ir->cut(text, bytes, &passages, &n, d));
    cj_err e = text_index_build(ir->path, text, bytes, passages, n, on_progress, of, d);
    mem_free(passages);
    return e ? e : text_index_open(&ir->index, ir->path, bytes, d);
}

cj_err index_reader_locate(void *arg, const char *question, int most, eval_range *found, int *n, cj_diag *d)
{
    index_reader *ir = arg;
    text_hit *hits = mem_array((size_t)most, sizeof *hits);
    if (!hits) return diag_nomem(d, (size_t)most * sizeof *hits);
    cj_err e = text_index_find(ir->index, question, hits, most, n, d);
    for (int i = 0; !e && i < *n; i++) found[i] = (eval_range){hits[i].range.byte, hits[i].range.end};
    mem_free(hits);
    return e;
}

eval_reader index_reader_of(index_reader *ir, index_reader_cut *cut, const char *path)
{
    text_index_close(&ir->index);
    *ir = (index_reader){cut, path, NULL};
    return (eval_reader){.column = "index", .arg = ir, .open = open_text, .locate = index_reader_locate};
}

void index_reader_close(index_reader *ir)
{
    text_index_close(&ir->index);
    if (ir->path) {
        cj_err ignored = folder_remove(ir->path, NULL); /* it is made anew when wanted */
        (void)ignored;
    }
}
