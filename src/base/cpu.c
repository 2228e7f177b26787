/* Processor and memory, asked once (first caller fills; the fill is idempotent, so a race is harmless). */
#include "base/cpu.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

#if defined(__x86_64__)
static unsigned long long xgetbv0(void)
{
    unsigned a, d;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return (unsigned long long)d << 32 | a;
}

/* Linux gives the tile registers only to a process that asks: ARCH_REQ_XCOMP_PERM for XTILEDATA. */
static bool amx_permitted(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
}

static void fill_x86(cpu_info *c)
{
    unsigned a, b, cx, dx;
    unsigned brand[12] = {0};
    for (unsigned i = 0; i < 3; i++) __get_cpuid(0x80000002 + i, &brand[4 * i], &brand[4 * i + 1], &brand[4 * i + 2], &brand[4 * i + 3]);
    snprintf(c->name, sizeof c->name, "%.48s", (const char *)brand);
    if (!__get_cpuid(1, &a, &b, &cx, &dx) || !(cx & bit_OSXSAVE)) return;
    unsigned long long state = xgetbv0();
    bool ymm = (state & 0x6) == 0x6, zmm = (state & 0xe6) == 0xe6, tiles = (state & 0x60000) == 0x60000;
    bool fma = cx & bit_FMA, f16c = cx & bit_F16C;
    if (!__get_cpuid_count(7, 0, &a, &b, &cx, &dx)) return;
    c->fma = ymm && fma;
    c->f16c = ymm && f16c;
    c->avx2 = ymm && (b & 1u << 5);
    c->avx512 = zmm && (b & 1u << 16) && (b & 1u << 17) && (b & 1u << 30) && (b & 1u << 31);
    c->avx512_vnni = c->avx512 && (cx & 1u << 11);
    bool amx_bf16 = dx & 1u << 22, amx_tile = dx & 1u << 24, amx_int8 = dx & 1u << 25;
    if (amx_tile && tiles && c->avx512_vnni && amx_permitted()) {
        c->amx_int8 = amx_int8;
        c->amx_bf16 = amx_bf16;
    }
    if (__get_cpuid_count(7, 1, &a, &b, &cx, &dx)) {
        c->avx_vnni = c->avx2 && (a & 1u << 4);
        c->avx512_bf16 = c->avx512 && (a & 1u << 5);
    }
}
#endif

/* "MemTotal" and the like of /proc/meminfo, in bytes; 0 when it is not there. */
static int64_t meminfo(const char *key)
{
    FILE *f = fopen("/proc/meminfo", "re");
    if (!f) return 0;
    char line[128];
    long long kib = 0;
    size_t n = strlen(key);
    while (fgets(line, sizeof line, f))
        if (!strncmp(line, key, n) && line[n] == ':' && sscanf(line + n + 1, "%lld", &kib) == 1) break;
    fclose(f);
    return (int64_t)kib * 1024;
}

int64_t cpu_memory_available(void) { return meminfo("MemAvailable"); }

int64_t cpu_memory_peak(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) ? 0 : (int64_t)u.ru_maxrss * 1024;
}

const cpu_info *cpu_get(void)
{
    static cpu_info info;
    static bool filled;
    if (filled) return &info;
    cpu_info c = {.name = "unknown"};
    cpu_set_t set;
    c.cores = sched_getaffinity(0, sizeof set, &set) ? (int)sysconf(_SC_NPROCESSORS_ONLN) : CPU_COUNT(&set);
#if defined(__x86_64__)
    fill_x86(&c);
#elif defined(__aarch64__)
    unsigned long cap = getauxval(AT_HWCAP), cap2 = getauxval(AT_HWCAP2);
    snprintf(c.name, sizeof c.name, "aarch64");
    c.neon = true;
    c.dotprod = cap & 1ul << 20;
    c.i8mm = cap2 & 1ul << 13;
#endif
    c.memory_total = meminfo("MemTotal");
    c.memory_available = cpu_memory_available();
    long l2 = sysconf(_SC_LEVEL2_CACHE_SIZE);
    c.l2_bytes = l2 > 0 ? l2 : 0;
    info = c;
    filled = true;
    return &info;
}
