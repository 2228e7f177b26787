/* safetensors files: tensors by name, read through a mapping. A file is untrusted: opening checks the header, every type, shape and
 * offset against the file and against the maxima below, and after it has succeeded
 *   1. all pointers handed out lie inside the mapping, the arena or the copies of the safetensors and live until safetensors_close;
 *   2. names are unique, not empty, printable UTF-8, at most SAFETENSORS_NAME_MAX bytes;
 *   3. a tensor's bytes are its shape times its element, and together the tensors fill the file's data without gap or overlap;
 *   4. a tensor that a kernel reads begins at a multiple of its element's size: where in the file it does not, as the format allows, it is a
 *      copy in memory.
 * A model of several files is a folder with an index (model.safetensors.index.json) that says which file has which tensor:
 * safetensors_open_folder opens them all as one. The index can only name files beside it, and must agree with what they hold.
 * After opening, a safetensors does not change: any number of threads may read it.
 */
#ifndef FORMAT_SAFETENSORS_H
#define FORMAT_SAFETENSORS_H

#include "base/err.h"

enum {
    SAFETENSORS_HEADER_MAX = 1 << 24, /* bytes; published ones are far smaller */
    SAFETENSORS_TENSORS_MAX = 1 << 18,
    SAFETENSORS_NAME_MAX = 255,
    SAFETENSORS_DIMS_MAX = 4,         /* dimensions of size 1 in front do not count */
    SAFETENSORS_FILES_MAX = 1000,
    SAFETENSORS_DIM_MAX = 1 << 30,    /* of one dimension, also where another is 0 */
};

typedef struct safetensor {
    const char *name;
    int type;          /* quant_type; -1: one that no kernel reads (dtype says which) */
    char dtype[12];    /* "F32", "BF16", ... as the file says */
    int n_dims;
    int64_t dims[SAFETENSORS_DIMS_MAX]; /* dims[0] is the row length, the fastest (the other way round than in the file); 1 past n_dims */
    const void *data;
    size_t bytes;
    bool copied;       /* data is memory of the safetensors' own */
} safetensor;

typedef struct safetensors safetensors;

/* The model.safetensors of a folder, or all files that its index names. */
CJ_NODISCARD cj_err safetensors_open_folder(safetensors **out, const char *folder, cj_diag *d);
/* One file. */
CJ_NODISCARD cj_err safetensors_open(safetensors **out, const char *path, cj_diag *d);
/* Reads bytes[0..n), aligned to 8, which must outlive the safetensors. */
CJ_NODISCARD cj_err safetensors_open_memory(safetensors **out, const void *bytes, size_t n, cj_diag *d);
void safetensors_close(safetensors **s); /* NULL inside is allowed */
/* Whether a folder holds a model in this format. */
bool safetensors_here(const char *folder);

/* Whether somebody cut one of the files short since it was opened (mapped_guard). */
bool safetensors_is_cut(const safetensors *s);
int64_t safetensors_count(const safetensors *s);
const safetensor *safetensors_at(const safetensors *s, int64_t i);          /* by name, ascending */
const safetensor *safetensors_find(const safetensors *s, const char *name); /* NULL: none */

#endif
