/* A fork-join pool.
 *
 * State: `round` counts jobs. A worker that sees a new round takes items by incrementing `next` until it passes `items`, then
 * decrements `busy`. The caller does the same and waits for busy == 0. `items`, `fn`, `arg` change only while busy == 0.
 */
#include "parallel/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/cpu.h"
#include "base/mem.h"

enum { THREADS_MAX = 256, SPINS = 4000 };

typedef struct worker {
    pthread_t thread;
    struct pool *pool;
    int index;
} worker;

struct pool {
    int threads;
    worker *workers;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    _Alignas(64) _Atomic uint64_t round;
    _Atomic int sleepers;
    _Atomic bool stop;
    pool_fn fn;
    void *arg;
    int64_t items;
    _Alignas(64) _Atomic int64_t next;
    _Alignas(64) _Atomic int busy;
};

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void take_items(pool *p, int index)
{
    for (int64_t i; (i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < p->items;) p->fn(p->arg, i, index);
}

/* Waits until round passes `seen`; spins first, then sleeps. */
static uint64_t await_round(pool *p, uint64_t seen)
{
    for (int i = 0; i < SPINS; i++) {
        uint64_t r = atomic_load_explicit(&p->round, memory_order_acquire);
        if (r != seen) return r;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1);
    uint64_t r;
    while ((r = atomic_load(&p->round)) == seen) pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
    return r;
}

static void *worker_main(void *arg)
{
    worker *w = arg;
    pool *p = w->pool;
    for (uint64_t seen = 0;;) {
        seen = await_round(p, seen);
        if (atomic_load(&p->stop)) return NULL;
        take_items(p, w->index);
        atomic_fetch_sub_explicit(&p->busy, 1, memory_order_release);
    }
}

static void start_round(pool *p)
{
    atomic_fetch_add(&p->round, 1); /* sequentially consistent, against the sleepers' check */
    if (atomic_load(&p->sleepers)) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
    }
}

/* The last item of a worker may take a while; on a busy machine the worker may not even have a processor: then it can have ours. */
static void await_workers(const pool *p)
{
    for (int i = 0; atomic_load_explicit(&p->busy, memory_order_acquire); i++) {
        if (i < SPINS) relax();
        else sched_yield();
    }
}

cj_err pool_open(pool **out, int threads, cj_diag *d)
{
    if (threads <= 0) threads = cpu_get()->cores;
    if (threads > THREADS_MAX) threads = THREADS_MAX;
    pool *p = mem_zalloc(sizeof *p);
    if (!p) return diag_nomem(d, sizeof *p);
    p->threads = 1;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    p->workers = mem_array((size_t)threads, sizeof *p->workers);
    if (!p->workers) {
        pool_close(&p);
        return diag_nomem(d, (size_t)threads * sizeof *p->workers);
    }
    for (int i = 1; i < threads; i++) {
        worker *w = &p->workers[i];
        *w = (worker){.pool = p, .index = i};
        if (pthread_create(&w->thread, NULL, worker_main, w)) break; /* fewer threads are slower, not wrong */
        p->threads++;
    }
    *out = p;
    return CJ_OK;
}

void pool_close(pool **pp)
{
    pool *p = *pp;
    if (!p) return;
    atomic_store(&p->stop, true);
    start_round(p);
    for (int i = 1; i < p->threads; i++) pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    mem_free(p->workers);
    mem_free(p);
    *pp = NULL;
}

int pool_threads(const pool *p) { return p ? p->threads : 1; }

void pool_run(pool *p, pool_fn fn, void *arg, int64_t items)
{
    if (!p || p->threads == 1 || items <= 1) {
        for (int64_t i = 0; i < items; i++) fn(arg, i, 0);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    p->items = items;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    atomic_store_explicit(&p->busy, p->threads - 1, memory_order_relaxed);
    start_round(p);
    take_items(p, 0);
    await_workers(p);
}
