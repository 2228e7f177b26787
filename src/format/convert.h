/* One GGUF file into another with its weights stored as another type: what `juan quantize` does.
 *
 * Matrices named *.weight take the wanted type; norms, biases, routers and other small tensors become F32. Some tensors are kept
 * finer than the rest (see convert_type). A tensor that has its new type already is copied bit by bit. Keys are carried over; the
 * output is one file even when the input is split. Memory does not grow with the model: a piece of a tensor is held at a time.
 */
#ifndef FORMAT_CONVERT_H
#define FORMAT_CONVERT_H

#include "format/gguf.h"
#include "parallel/pool.h"

enum { CONVERT_KEEP = -1 };

/* Numbers that are changed on the way. Both are called on any thread. */
typedef struct convert_edit {
    bool (*touches)(const void *of, const gguf_tensor *t);                              /* whether a tensor is changed */
    void (*change)(const void *of, const gguf_tensor *t, float *x, int64_t at, int64_t n); /* its elements [at, at + n), which come in any order */
    const void *of;
} convert_edit;

typedef struct convert_options {
    int type;                                             /* quant_type wanted for the matrices; CONVERT_KEEP: everything keeps its type */
    const convert_edit *edit;                             /* NULL: none */
    pool *pool;                                           /* NULL: one thread */
    bool (*progress)(void *arg, int64_t done, int64_t all); /* bytes read of all; false stops the work; NULL: no reports */
    void *arg;
} convert_options;

typedef struct convert_result {
    int64_t tensors, bytes_in, bytes_out; /* bytes of tensors */
    int64_t finer;       /* matrices stored in a finer type than asked, or in another because their rows are no whole blocks */
    int64_t requantised; /* matrices that had been quantised before and are again: their old errors stay in the new file */
} convert_result;

/* Writes `out` from `in`, completely or not at all. CJ_E_CANCELLED when progress said stop. */
CJ_NODISCARD cj_err convert_gguf(const char *in, const char *out, const convert_options *o, convert_result *r, cj_diag *d);

/* The type that a tensor of g gets when `wanted` is asked for. */
int convert_type(const gguf *g, const gguf_tensor *t, int wanted);

#endif
