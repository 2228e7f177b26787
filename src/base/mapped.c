/* Mappings. They stand in slots, in blocks that are never freed: a signal handler may look through them at any moment.
 *
 * Invariants
 *  1. A slot with at != 0 is a live mapping; its other members do not change while it is, `cut` aside. Slots are taken and given back under `lock`.
 *  2. Memory is given back under `lock` too, so never from a mapping that has just ended.
 *  3. The handler takes no lock: it only touches a mapping that the faulting thread is reading, which therefore cannot end meanwhile.
 */
#include "base/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"

enum { BLOCK = 256 };
#define STEP ((size_t)4 << 20)   /* bytes given back at a time */
#define MARGIN ((int64_t)8 << 20) /* kept free below the limit, besides a sixteenth of it: memory grows while nobody looks */

typedef struct slot {
    _Atomic uintptr_t at; /* 0: free */
    size_t size;
    bool whole;           /* a file that was mapped as one, a model: given back last */
    _Atomic bool cut;
} slot;

typedef struct block {
    slot slot[BLOCK];
    struct block *_Atomic next;
} block;

static block first;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int cuts; /* live mappings that were cut */
static _Atomic int64_t limit, needs;
static _Atomic int keeper_of; /* the process that has the thread */

static uintptr_t system_page(void)
{
    static _Atomic long size;
    if (!size) size = sysconf(_SC_PAGESIZE);
    return (uintptr_t)size;
}

/* The slot of a mapping that holds an address; NULL: none. */
static slot *slot_of(uintptr_t address)
{
    for (block *b = &first; b; b = atomic_load(&b->next))
        for (int i = 0; i < BLOCK; i++) {
            uintptr_t at = atomic_load(&b->slot[i].at);
            if (at && address >= at / system_page() * system_page() && address - at / system_page() * system_page() < b->slot[i].size + at % system_page()) return &b->slot[i];
        }
    return NULL;
}

static void *keep(void *arg);

static void lock_all(void) { pthread_mutex_lock(&lock); }
static void unlock_all(void) { pthread_mutex_unlock(&lock); }

static void start_keeper(void)
{
    static bool forks_watched; /* a copy of the process has it too */
    pthread_t t;
    sigset_t all, before;
    if (!limit || keeper_of == (int)getpid()) return;
    if (!forks_watched && pthread_atfork(lock_all, unlock_all, unlock_all)) return; /* a copy must not begin with the keeper's lock */
    forks_watched = true;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are for others */
    if (!pthread_create(&t, NULL, keep, NULL)) { /* else the next mapping tries again */
        pthread_detach(t);
        keeper_of = (int)getpid();
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

bool mapped_add(const file_map *m, bool whole)
{
    bool done = false;
    pthread_mutex_lock(&lock);
    for (block *b = &first; b && !done; b = atomic_load(&b->next)) {
        for (int i = 0; i < BLOCK && !done; i++) {
            slot *s = &b->slot[i];
            if (s->at) continue;
            s->size = m->size;
            s->whole = whole;
            s->cut = false;
            atomic_store(&s->at, (uintptr_t)m->data);
            done = true;
        }
        if (!done && !b->next) atomic_store(&b->next, mem_zalloc(sizeof *b));
    }
    start_keeper();
    pthread_mutex_unlock(&lock);
    return done;
}

void mapped_remove(const file_map *m)
{
    pthread_mutex_lock(&lock);
    slot *s = slot_of((uintptr_t)m->data);
    if (s) {
        if (s->cut) cuts--;
        atomic_store(&s->at, 0);
    }
    pthread_mutex_unlock(&lock);
}

/* ---- files that are cut short ---- */

static struct sigaction foreign;

/* Zeros from the page of the address to the end of its mapping. */
static bool fill(slot *s, uintptr_t address)
{
    uintptr_t from = address / system_page() * system_page(), end = s->at + s->size;
    void *p = mmap((void *)from, end - from, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (p == MAP_FAILED) return false;
    if (!atomic_exchange(&s->cut, true)) cuts++;
    return true;
}

static void on_bus(int sig, siginfo_t *info, void *context)
{
    int kept = errno;
    slot *s = info->si_code > 0 ? slot_of((uintptr_t)info->si_addr) : NULL;
    if (s && fill(s, (uintptr_t)info->si_addr)) {
        errno = kept;
        return;
    }
    if (foreign.sa_flags & SA_SIGINFO) foreign.sa_sigaction(sig, info, context);
    else if (foreign.sa_handler != SIG_DFL && foreign.sa_handler != SIG_IGN) foreign.sa_handler(sig);
    else {
        signal(sig, SIG_DFL); /* back at the instruction it ends the process, as it would have without us */
        if (info->si_code <= 0) raise(sig);
    }
}

void mapped_guard(void)
{
    struct sigaction a = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK}, before;
    if (sigaction(SIGBUS, NULL, &before) || ((before.sa_flags & SA_SIGINFO) && before.sa_sigaction == on_bus)) return;
    foreign = before;
    sigaction(SIGBUS, &a, NULL);
}

bool mapped_any_cut(void) { return atomic_load(&cuts) > 0; }

bool mapped_is_cut(const file_map *m)
{
    slot *s = mapped_any_cut() && m->data ? slot_of((uintptr_t)m->data) : NULL;
    return s && s->cut;
}

/* ---- keeping within memory ---- */

typedef struct usage {
    int64_t all, own; /* resident bytes; those that cannot be given back */
} usage;

static bool usage_now(int statm, usage *u)
{
    char text[128];
    long long size, all, shared;
    ssize_t n = pread(statm, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = 0;
    if (sscanf(text, "%lld %lld %lld", &size, &all, &shared) != 3) return false;
    u->all = all * (int64_t)system_page();
    u->own = (all - shared) * (int64_t)system_page();
    return true;
}

/* Where the next bytes are given back: goes round, so that those of longest ago come first. */
typedef struct hand {
    block *b;
    int i;
    size_t offset;
} hand;

/* Gives back a step of a mapping of the kind, and moves on. False: the hand is at the end of the last one. */
static bool give_back(hand *h, bool whole)
{
    slot *s = &h->b->slot[h->i];
    if (s->at && s->whole == whole && h->offset < s->size) {
        uintptr_t page = system_page(), from = s->at / page * page + h->offset, end = s->at + s->size;
        size_t n = end > from && end - from < STEP ? end - from : STEP;
        madvise((void *)from, n, MADV_DONTNEED);
        h->offset += STEP;
        return true;
    }
    h->offset = 0;
    if (++h->i < BLOCK) return true;
    h->i = 0;
    h->b = atomic_load(&h->b->next);
    if (h->b) return true;
    h->b = &first;
    return false;
}

/* Gives back until what is resident is below `least`, or nothing is left to give. */
static void shrink(int statm, hand *h, int64_t least)
{
    usage u;
    for (int whole = 0; whole < 2; whole++)
        for (int ends = 0; ends < 2;) {
            if (!usage_now(statm, &u) || u.all <= least) return;
            pthread_mutex_lock(&lock);
            int64_t given = 0;
            bool more = true;
            while (more && given < u.all - least) {
                size_t before = h->offset;
                more = give_back(h, whole);
                if (h->offset > before) given += (int64_t)STEP;
            }
            pthread_mutex_unlock(&lock);
            ends += !more;
        }
}

static void *keep(void *arg)
{
    const double often = 0.002, seldom = 0.02;
    hand h = {.b = &first};
    usage u;
    int statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    while (statm >= 0) {
        int64_t most = atomic_load(&limit);
        bool known = usage_now(statm, &u);
        int64_t least = most - MARGIN - most / 16;
        if (most && known && u.all > least) shrink(statm, &h, least);
        atomic_store(&needs, most && known && u.own > most - MARGIN ? u.own + MARGIN + u.own / 8 : 0);
        clock_sleep(most && known && u.all > most / 2 ? often : seldom);
    }
    return arg;
}

void mapped_limit(int64_t bytes)
{
    atomic_store(&limit, bytes);
    atomic_store(&needs, 0);
}

int64_t mapped_limit_now(void) { return atomic_load(&limit); }
int64_t mapped_needs(void) { return atomic_load(&needs); }

void mapped_ahead(const void *at, size_t n)
{
    uintptr_t from = (uintptr_t)at / system_page() * system_page();
    madvise((void *)from, n + ((uintptr_t)at - from), MADV_WILLNEED);
}
