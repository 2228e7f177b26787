/* Builds GGUF files byte by byte, right or wrong: for tests of the reader. Everything lies in one growing buffer. */
#ifndef TEST_GGUF_BUILD_H
#define TEST_GGUF_BUILD_H

#include <string.h>

#include "base/mem.h"

typedef struct gguf_build {
    buf b;
    size_t counts_at, tensors, keys; /* where the two counts lie; how many have been added */
} gguf_build;

static inline void build_bytes(gguf_build *g, const void *p, size_t n)
{
    cj_err e = buf_append(&g->b, p, n, NULL);
    (void)e;
}
static inline void build_u32(gguf_build *g, uint32_t v) { build_bytes(g, &v, 4); }
static inline void build_u64(gguf_build *g, uint64_t v) { build_bytes(g, &v, 8); }
static inline void build_string(gguf_build *g, const char *s)
{
    build_u64(g, strlen(s));
    build_bytes(g, s, strlen(s));
}

static inline void build_begin(gguf_build *g, uint32_t version)
{
    *g = (gguf_build){0};
    buf_init(&g->b, (size_t)1 << 30);
    build_bytes(g, "GGUF", 4);
    build_u32(g, version);
    g->counts_at = g->b.len;
    build_u64(g, 0);
    build_u64(g, 0);
}

/* The name and type of a key; its value is appended by the caller. */
static inline void build_key(gguf_build *g, const char *name, uint32_t type)
{
    build_string(g, name);
    build_u32(g, type);
    g->keys++;
}
static inline void build_key_u32(gguf_build *g, const char *name, uint32_t v)
{
    build_key(g, name, 4);
    build_u32(g, v);
}
static inline void build_key_string(gguf_build *g, const char *name, const char *v)
{
    build_key(g, name, 8);
    build_string(g, v);
}
static inline void build_tensor(gguf_build *g, const char *name, uint32_t n_dims, const uint64_t *dims, uint32_t type, uint64_t offset)
{
    build_string(g, name);
    build_u32(g, n_dims);
    for (uint32_t i = 0; i < n_dims; i++) build_u64(g, dims[i]);
    build_u32(g, type);
    build_u64(g, offset);
    g->tensors++;
}
static inline void build_row(gguf_build *g, const char *name, uint64_t row, uint32_t type, uint64_t offset)
{
    build_tensor(g, name, 1, &row, type, offset);
}

/* Pads to `alignment`, appends `bytes` bytes of data and sets the counts. */
static inline void build_end(gguf_build *g, size_t alignment, size_t bytes)
{
    static const char zero = 0;
    while (g->b.len % alignment) build_bytes(g, &zero, 1);
    for (size_t i = 0; i < bytes; i++) {
        char c = (char)(i * 7);
        build_bytes(g, &c, 1);
    }
    uint64_t counts[2] = {g->tensors, g->keys};
    memcpy(g->b.data + g->counts_at, counts, sizeof counts);
}

#endif
