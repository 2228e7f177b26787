/* Memory: one allocator for the whole library, arenas, growing buffers, checked arithmetic.
 *
 * Every allocation goes through mem_alloc so that tests can make the n-th one fail (mem_fail_after) and so that a host can
 * count. Nothing here aborts: NULL means no memory. All blocks are 64-byte aligned (a cache line, an AVX-512 vector, a tile row).
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { MEM_ALIGN = 64, MEM_HUGE_PAGE = 2 * 1024 * 1024 };

void *mem_alloc(size_t bytes);                              /* uninitialised; bytes == 0 gives a block that can be freed */
void *mem_zalloc(size_t bytes);                             /* zeroed */
void *mem_array(size_t count, size_t size);                 /* zeroed; NULL when count * size overflows */
void *mem_grow(void *old, size_t old_bytes, size_t bytes);  /* keeps the contents; on NULL the old block still stands */
void mem_free(void *block);                                 /* NULL is allowed */
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n);                 /* copies n bytes and a terminator */

/* Test hook: after n more allocations every one fails, until called with a negative n. Per process. */
void mem_fail_after(int64_t n);

/* Checked arithmetic: false (and *out untouched) on overflow. */
static inline bool size_mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool size_add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline bool i64_mul(int64_t a, int64_t b, int64_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool i64_add(int64_t a, int64_t b, int64_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline size_t size_round_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }
static inline int64_t i64_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t i64_max(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t i64_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* An arena: allocate many, free all at once. Grows by blocks up to max_bytes. Not thread-safe. */
typedef struct arena {
    struct arena_block *first, *now;
    size_t used, max_bytes; /* used counts bytes handed out */
} arena;
void arena_init(arena *a, size_t max_bytes);
void arena_deinit(arena *a);
void *arena_alloc(arena *a, size_t bytes);   /* 64-byte aligned, uninitialised; NULL when out of memory or past max */
void *arena_zalloc(arena *a, size_t bytes);
char *arena_strndup(arena *a, const char *s, size_t n);
void arena_reset(arena *a);                  /* forgets everything, keeps the blocks for the next round */

/* A growing byte buffer with a declared maximum; always has a terminating 0 after len. */
typedef struct buf {
    char *data;
    size_t len, cap, max;
} buf;
void buf_init(buf *b, size_t max);
void buf_deinit(buf *b);
CJ_NODISCARD cj_err buf_append(buf *b, const void *bytes, size_t n, cj_diag *d);
CJ_NODISCARD cj_err buf_puts(buf *b, const char *s, cj_diag *d);
CJ_NODISCARD cj_err buf_printf(buf *b, cj_diag *d, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
CJ_NODISCARD cj_err buf_reserve(buf *b, size_t more, cj_diag *d);
void buf_clear(buf *b);
char *buf_take(buf *b); /* the caller frees the data with mem_free; b is empty again. NULL only when nothing was ever written */

#endif
