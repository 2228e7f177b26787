/* Writing a safetensors file: first the description of all tensors, then their bytes in the same order, in pieces of any size that end where a tensor
 * ends; then commit. The file appears under its name only when it is complete. Calls out of this order are errors of ours. */
#ifndef FORMAT_SAFETENSORS_WRITE_H
#define FORMAT_SAFETENSORS_WRITE_H

#include "format/safetensors.h"

typedef struct safetensors_writer safetensors_writer;

CJ_NODISCARD cj_err safetensors_writer_open(safetensors_writer **out, const char *path, cj_diag *d);
CJ_NODISCARD cj_err safetensors_writer_commit(safetensors_writer **w, cj_diag *d); /* closes w whatever happens */
void safetensors_writer_abort(safetensors_writer **w);                            /* leaves nothing behind; NULL inside is allowed */

/* dtype as in safetensor ("BF16"); dims[0] is the row length. */
CJ_NODISCARD cj_err safetensors_put(safetensors_writer *w, const char *name, const char *dtype, int n_dims, const int64_t *dims, size_t bytes, cj_diag *d);
CJ_NODISCARD cj_err safetensors_write_data(safetensors_writer *w, const void *bytes, size_t n, cj_diag *d);

#endif
