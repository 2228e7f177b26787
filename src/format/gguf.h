/* GGUF model files, versions 2 and 3, read through a mapping. A file is untrusted: gguf_open checks every count, length, offset,
 * type and alignment against the file and against the maxima below, and after it has succeeded
 *   1. all pointers handed out lie inside the mapping or the arena of the gguf and live until gguf_close;
 *   2. key and tensor names are unique, not empty, printable UTF-8, begin with no dot and end in 0;
 *   3. tensors have 1-4 dimensions >= 1, a type that quant/quant.h knows and rows of whole blocks; their bytes lie in the file,
 *      are aligned, and do not overlap;
 *   4. booleans are 0 or 1; arrays hold no arrays.
 * Nothing is said about whether the keys make sense together: that is for model/ and token/.
 *
 * A model in several files (NAME-00001-of-0000N.gguf) is opened by its first part; keys are those of the first part.
 * After opening, a gguf does not change: any number of threads may read it.
 */
#ifndef FORMAT_GGUF_H
#define FORMAT_GGUF_H

#include "base/err.h"

enum {
    GGUF_KEYS_MAX = 1 << 16,
    GGUF_TENSORS_MAX = 1 << 16, /* over all parts */
    GGUF_NAME_MAX = 255,        /* bytes of a key or tensor name */
    GGUF_STRING_MAX = 1 << 24,  /* bytes of a string */
    GGUF_ARRAY_MAX = 1 << 24,   /* elements of an array */
    GGUF_DIMS_MAX = 4,
    GGUF_ALIGN_MIN = 8,
    GGUF_ALIGN_DEFAULT = 32,
    GGUF_ALIGN_MAX = 1 << 16,
    GGUF_PARTS_MAX = 1000
};

typedef enum gguf_type {
    GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STRING, GGUF_ARRAY, GGUF_U64, GGUF_I64,
    GGUF_F64, GGUF_TYPE_END
} gguf_type;

/* Bytes in the file; may hold anything, does not end in 0. */
typedef struct gguf_str {
    const char *data;
    size_t len;
} gguf_str;

typedef struct gguf_array {
    gguf_type item;
    int64_t count;
    const uint8_t *data;  /* the first element, not aligned */
    const uint32_t *ends; /* strings only: where string i ends, counted from data */
} gguf_array;

typedef struct gguf_key {
    const char *name;
    gguf_type type;
    gguf_array array;         /* of a GGUF_ARRAY; a scalar is kept as an array of one, a string likewise */
    const uint8_t *value;     /* the value as stored after its type, for copying */
    size_t value_bytes;
} gguf_key;

typedef struct gguf_tensor {
    const char *name;
    int type;                 /* quant_type */
    int n_dims;
    int64_t dims[GGUF_DIMS_MAX]; /* dims[0] is the row length, the fastest; 1 past n_dims */
    const void *data;         /* aligned to 8 at least */
    size_t bytes;
} gguf_tensor;

typedef struct gguf gguf;

CJ_NODISCARD cj_err gguf_open(gguf **out, const char *path, cj_diag *d);
/* Reads bytes[0..n), aligned to 8, which must outlive the gguf. A part of a split model is refused. */
CJ_NODISCARD cj_err gguf_open_memory(gguf **out, const void *bytes, size_t n, cj_diag *d);
void gguf_close(gguf **g); /* NULL inside is allowed */
/* Whether somebody cut the file short since it was opened (mapped_guard): nothing of it can be believed then. */
bool gguf_is_cut(const gguf *g);
const char *gguf_path(const gguf *g);
int gguf_parts(const gguf *g);

int64_t gguf_tensor_count(const gguf *g);
const gguf_tensor *gguf_tensor_at(const gguf *g, int64_t i);             /* in file order */
const gguf_tensor *gguf_tensor_find(const gguf *g, const char *name);    /* NULL: none */
int64_t gguf_key_count(const gguf *g);
const gguf_key *gguf_key_at(const gguf *g, int64_t i);                   /* in file order */
/* NULL: none. Here and below a name that begins with '.' has the value of general.architecture put in front of it. */
const gguf_key *gguf_key_find(const gguf *g, const char *name);

/* Values by name. An absent optional key leaves *out as it was, so put the default there first. A value of another kind or out
 * of range is an error, required or not: an integer may be stored in any width, a float as any number but NaN or infinity.
 * The _at forms read element `index` of an array, or a scalar whatever the index: a value per layer or one for all. */
typedef enum gguf_need { GGUF_OPTIONAL, GGUF_REQUIRED } gguf_need;
CJ_NODISCARD cj_err gguf_int(const gguf *g, const char *name, gguf_need need, int64_t lo, int64_t hi, int64_t *out, cj_diag *d);
CJ_NODISCARD cj_err gguf_float(const gguf *g, const char *name, gguf_need need, float *out, cj_diag *d);
CJ_NODISCARD cj_err gguf_bool(const gguf *g, const char *name, gguf_need need, bool *out, cj_diag *d);
CJ_NODISCARD cj_err gguf_string(const gguf *g, const char *name, gguf_need need, gguf_str *out, cj_diag *d);
CJ_NODISCARD cj_err gguf_int_at(const gguf *g, const char *name, gguf_need need, int64_t index, int64_t lo, int64_t hi,
                                int64_t *out, cj_diag *d);
CJ_NODISCARD cj_err gguf_float_at(const gguf *g, const char *name, gguf_need need, int64_t index, float *out, cj_diag *d);
CJ_NODISCARD cj_err gguf_bool_at(const gguf *g, const char *name, gguf_need need, int64_t index, bool *out, cj_diag *d);

/* An array whose elements are of one kind (a scalar is an array of one). */
typedef enum gguf_kind { GGUF_INTS, GGUF_FLOATS, GGUF_BOOLS, GGUF_STRINGS } gguf_kind;
CJ_NODISCARD cj_err gguf_array_get(const gguf *g, const char *name, gguf_need need, gguf_kind kind, gguf_array *out, cj_diag *d);
/* Elements of such an array, 0 <= i < count. */
int64_t gguf_array_int(const gguf_array *a, int64_t i);  /* also of booleans; a GGUF_U64 past INT64_MAX gives INT64_MAX */
double gguf_array_float(const gguf_array *a, int64_t i); /* of any number */
gguf_str gguf_array_string(const gguf_array *a, int64_t i);

/* "u32", "string", ... for messages and `inspect`; bytes of one scalar (0 for strings and arrays). */
const char *gguf_type_name(gguf_type t);
size_t gguf_type_bytes(gguf_type t);

#endif
