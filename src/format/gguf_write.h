/* Writing GGUF version 3. First all keys and all tensor descriptions, then the tensors' bytes in the same order, in pieces of any
 * size that end where a tensor ends; then commit. The file appears under its name only when it is complete.
 *
 * Calls out of this order, and sizes that do not match what was described, are errors of ours (CJ_E_INTERNAL). Names must be
 * unique and general.alignment must not be put: the data is aligned to GGUF_ALIGN_DEFAULT.
 */
#ifndef FORMAT_GGUF_WRITE_H
#define FORMAT_GGUF_WRITE_H

#include "format/gguf.h"

typedef struct gguf_writer gguf_writer;

CJ_NODISCARD cj_err gguf_writer_open(gguf_writer **out, const char *path, cj_diag *d);
CJ_NODISCARD cj_err gguf_writer_commit(gguf_writer **w, cj_diag *d); /* closes w whatever happens */
void gguf_writer_abort(gguf_writer **w);                            /* leaves nothing behind; NULL inside is allowed */

CJ_NODISCARD cj_err gguf_put_u32(gguf_writer *w, const char *name, uint32_t v, cj_diag *d);
CJ_NODISCARD cj_err gguf_put_f32(gguf_writer *w, const char *name, float v, cj_diag *d);
CJ_NODISCARD cj_err gguf_put_bool(gguf_writer *w, const char *name, bool v, cj_diag *d);
CJ_NODISCARD cj_err gguf_put_string(gguf_writer *w, const char *name, gguf_str s, cj_diag *d);
/* A scalar of any type but string; `value` points to it in memory order (a bool as one byte). */
CJ_NODISCARD cj_err gguf_put_scalar(gguf_writer *w, const char *name, gguf_type type, const void *value, cj_diag *d);
CJ_NODISCARD cj_err gguf_put_array(gguf_writer *w, const char *name, gguf_type item, const void *items, int64_t count, cj_diag *d);
CJ_NODISCARD cj_err gguf_put_strings(gguf_writer *w, const char *name, const gguf_str *items, int64_t count, cj_diag *d);
CJ_NODISCARD cj_err gguf_put_key(gguf_writer *w, const gguf_key *k, cj_diag *d); /* copies a key of another file */

/* dims[0] is the row length. */
CJ_NODISCARD cj_err gguf_put_tensor(gguf_writer *w, const char *name, int type, int n_dims, const int64_t *dims, cj_diag *d);
CJ_NODISCARD cj_err gguf_write_data(gguf_writer *w, const void *bytes, size_t n, cj_diag *d);

#endif
