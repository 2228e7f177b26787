/* The allocator, arenas and buffers. The only state is the failure countdown of the tests (atomic). */
#include "base/mem.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static _Atomic int64_t fail_after = -1;

void mem_fail_after(int64_t n) { atomic_store(&fail_after, n); }

static bool must_fail(void)
{
    int64_t n = atomic_load_explicit(&fail_after, memory_order_relaxed);
    if (n < 0) return false;
    if (n == 0) return true;
    atomic_fetch_sub(&fail_after, 1);
    return false;
}

/* Large blocks ask for huge pages: kernels stride through them a row at a time, and a row is a small page or more. */
static void *alloc_large(size_t bytes)
{
    void *p = NULL; /* posix_memalign takes a size that is no multiple of the alignment */
    if (posix_memalign(&p, MEM_HUGE_PAGE, bytes)) return NULL;
    madvise(p, bytes / MEM_HUGE_PAGE * MEM_HUGE_PAGE, MADV_HUGEPAGE); /* a wish: it may fail */
    return p;
}

void *mem_alloc(size_t bytes)
{
    if (must_fail() || bytes > SIZE_MAX - MEM_HUGE_PAGE) return NULL;
    if (bytes >= 2 * MEM_HUGE_PAGE) return alloc_large(bytes);
    return aligned_alloc(MEM_ALIGN, size_round_up(bytes ? bytes : 1, MEM_ALIGN));
}

void *mem_zalloc(size_t bytes)
{
    void *p = mem_alloc(bytes);
    if (p) memset(p, 0, bytes);
    return p;
}

void *mem_array(size_t count, size_t size)
{
    size_t bytes;
    return size_mul(count, size, &bytes) ? mem_zalloc(bytes) : NULL;
}

void *mem_grow(void *old, size_t old_bytes, size_t bytes)
{
    void *p = mem_alloc(bytes);
    if (!p) return NULL;
    if (old) memcpy(p, old, old_bytes < bytes ? old_bytes : bytes);
    mem_free(old);
    return p;
}

void mem_free(void *block) { free(block); }

char *mem_strndup(const char *s, size_t n)
{
    char *p = n < SIZE_MAX ? mem_alloc(n + 1) : NULL;
    if (!p) return NULL;
    memcpy(p, s, n);
    p[n] = 0;
    return p;
}

char *mem_strdup(const char *s) { return mem_strndup(s, strlen(s)); }

/* ---- arena ---- */

typedef struct arena_block {
    struct arena_block *next;
    size_t size, fill; /* of the bytes after this header */
    char pad[MEM_ALIGN - 3 * sizeof(size_t)];
} arena_block;
_Static_assert(sizeof(arena_block) == MEM_ALIGN, "data after the header stays aligned");

enum { ARENA_BLOCK = 256 * 1024 };

void arena_init(arena *a, size_t max_bytes) { *a = (arena){.max_bytes = max_bytes}; }

void arena_deinit(arena *a)
{
    for (arena_block *b = a->first, *next; b; b = next) {
        next = b->next;
        mem_free(b);
    }
    *a = (arena){0};
}

void arena_reset(arena *a)
{
    for (arena_block *b = a->first; b; b = b->next) b->fill = 0;
    a->now = a->first;
    a->used = 0;
}

void *arena_alloc(arena *a, size_t bytes)
{
    if (bytes > a->max_bytes || a->used > a->max_bytes - bytes) return NULL;
    size_t need = size_round_up(bytes ? bytes : 1, MEM_ALIGN);
    while (a->now && a->now->size - a->now->fill < need && a->now->next) a->now = a->now->next;
    if (!a->now || a->now->size - a->now->fill < need) {
        size_t size = need > ARENA_BLOCK ? need : ARENA_BLOCK;
        arena_block *b = mem_alloc(sizeof *b + size);
        if (!b) return NULL;
        *b = (arena_block){.size = size};
        if (a->now) a->now->next = b; else a->first = b;
        a->now = b;
    }
    void *p = (char *)(a->now + 1) + a->now->fill;
    a->now->fill += need;
    a->used += bytes;
    return p;
}

void *arena_zalloc(arena *a, size_t bytes)
{
    void *p = arena_alloc(a, bytes);
    if (p) memset(p, 0, bytes);
    return p;
}

char *arena_strndup(arena *a, const char *s, size_t n)
{
    char *p = n < SIZE_MAX ? arena_alloc(a, n + 1) : NULL;
    if (!p) return NULL;
    memcpy(p, s, n);
    p[n] = 0;
    return p;
}

/* ---- buffer ---- */

void buf_init(buf *b, size_t max) { *b = (buf){.max = max}; }

void buf_deinit(buf *b)
{
    mem_free(b->data);
    *b = (buf){0};
}

cj_err buf_reserve(buf *b, size_t more, cj_diag *d)
{
    size_t need;
    if (!size_add(b->len, more, &need) || need > b->max)
        return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%zu", "buffer", b->max);
    if (b->data && need < b->cap) return CJ_OK;
    size_t cap = b->cap < 256 ? 256 : b->cap * 2;
    if (cap <= need) cap = need + 1;
    char *p = mem_grow(b->data, b->len, cap);
    if (!p) return diag_nomem(d, cap);
    p[b->len] = 0;
    b->data = p;
    b->cap = cap;
    return CJ_OK;
}

cj_err buf_append(buf *b, const void *bytes, size_t n, cj_diag *d)
{
    TRY(buf_reserve(b, n, d));
    if (n) memcpy(b->data + b->len, bytes, n);
    b->len += n;
    b->data[b->len] = 0;
    return CJ_OK;
}

cj_err buf_puts(buf *b, const char *s, cj_diag *d) { return buf_append(b, s, strlen(s), d); }

cj_err buf_printf(buf *b, cj_diag *d, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    cj_err e = n < 0 ? diag_fail(d, CJ_E_INTERNAL, MSG_INTERNAL, "format") : buf_reserve(b, (size_t)n + 1, d);
    if (!e) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return e;
}

void buf_clear(buf *b)
{
    b->len = 0;
    if (b->data) b->data[0] = 0;
}

char *buf_take(buf *b)
{
    char *p = b->data;
    *b = (buf){.max = b->max};
    return p;
}
