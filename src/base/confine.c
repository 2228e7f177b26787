/* Limits and filters. A filter is a small program for the kernel: it sees the number and the arguments of each system call, and
 * what it refuses fails with "not permitted", so that libraries can say what went wrong. */
#include "base/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
enum { MACHINE_KNOWN = 1 };
#define MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
enum { MACHINE_KNOWN = 1 };
#define MACHINE AUDIT_ARCH_AARCH64
#else
enum { MACHINE_KNOWN = 0 };
#define MACHINE 0u
#endif

/* The sanitizers map far more than any limit. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { INSTRUMENTED = 1 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
enum { INSTRUMENTED = 1 };
#else
enum { INSTRUMENTED = 0 };
#endif
#else
enum { INSTRUMENTED = 0 };
#endif

/* All that WORK may call. Memory and files that are open already; what the C library asks to know; the end. */
static const int work_may[] = {
    SYS_read, SYS_readv, SYS_write, SYS_writev, SYS_close, SYS_lseek, SYS_fstat, SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise,
    SYS_brk, SYS_futex, SYS_clock_gettime, SYS_gettimeofday, SYS_getrandom, SYS_getpid, SYS_gettid, SYS_sched_yield, SYS_rt_sigaction,
    SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_tgkill, SYS_exit, SYS_exit_group,
};

/* What a PROGRAM may not call: the network, other processes, writing to the file system, the kernel's larger doors. */
static const int program_may_not[] = {
    SYS_socket, SYS_socketpair, SYS_connect, SYS_bind, SYS_listen, SYS_accept, SYS_accept4, SYS_sendto, SYS_sendmsg, SYS_sendmmsg, SYS_recvfrom,
    SYS_recvmsg, SYS_recvmmsg, SYS_io_uring_setup, SYS_io_uring_enter, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kill,
    SYS_tkill, SYS_pidfd_open, SYS_pidfd_getfd, SYS_pidfd_send_signal, SYS_setns, SYS_unshare, SYS_mount, SYS_umount2, SYS_pivot_root,
    SYS_chroot, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_keyctl, SYS_add_key, SYS_request_key, SYS_execveat, SYS_truncate,
    SYS_unlinkat, SYS_renameat, SYS_renameat2, SYS_mkdirat, SYS_mknodat, SYS_linkat, SYS_symlinkat, SYS_fchmodat, SYS_fchmod, SYS_fchownat,
    SYS_fchown, SYS_utimensat, SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr, SYS_shmget, SYS_msgget, SYS_open_by_handle_at,
#if defined(__x86_64__)
    SYS_fork, SYS_vfork, SYS_creat, SYS_unlink, SYS_rename, SYS_mkdir, SYS_rmdir, SYS_mknod, SYS_link, SYS_symlink, SYS_chmod, SYS_chown,
    SYS_lchown, SYS_utime, SYS_utimes, SYS_futimesat,
#endif
};

enum { FILTER_MAX = 256, WRITES = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND };

typedef struct filter {
    struct sock_filter code[FILTER_MAX];
    unsigned short n;
} filter;

static void add(filter *f, uint16_t code, uint32_t k, uint8_t skip_if, uint8_t skip_else)
{
    if (f->n < FILTER_MAX) f->code[f->n] = (struct sock_filter){code, skip_if, skip_else, k};
    f->n++;
}

static void load(filter *f, size_t offset) { add(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0); }
static void answer(filter *f, uint32_t k) { add(f, BPF_RET | BPF_K, k, 0, 0); }
static uint32_t refuse(int error) { return SECCOMP_RET_ERRNO | (uint32_t)error; }

/* The call `number` gets this answer; any other goes on. */
static void rule(filter *f, int number, uint32_t action)
{
    add(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1);
    answer(f, action);
}

/* The call `number` is refused when its argument has one of `bits` set, or (wanted) when it has none of them. */
static void rule_bits(filter *f, int number, int argument, uint32_t bits, bool wanted)
{
    add(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 4);
    load(f, offsetof(struct seccomp_data, args) + (size_t)argument * 8); /* the low half: both machines are little-endian */
    add(f, BPF_JMP | BPF_JSET | BPF_K, bits, wanted, !wanted);
    answer(f, refuse(EPERM));
    answer(f, SECCOMP_RET_ALLOW);
}

static void build(filter *f, confine_kind kind)
{
    load(f, offsetof(struct seccomp_data, arch));
    add(f, BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 1, 0);
    answer(f, SECCOMP_RET_KILL_PROCESS);
    load(f, offsetof(struct seccomp_data, nr));
    if (kind == CONFINE_WORK) {
        for (size_t i = 0; i < sizeof work_may / sizeof *work_may; i++) rule(f, work_may[i], SECCOMP_RET_ALLOW);
        answer(f, refuse(EPERM));
        return;
    }
#if defined(__x86_64__)
    add(f, BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1); /* the same calls under other numbers */
    answer(f, refuse(ENOSYS));
    rule_bits(f, SYS_open, 1, WRITES, false);
#endif
    rule_bits(f, SYS_openat, 2, WRITES, false);
    rule_bits(f, SYS_clone, 0, 0x00010000, true); /* CLONE_THREAD: a thread, no process */
    rule(f, SYS_clone3, refuse(ENOSYS));          /* its flags lie in memory, out of sight; the C library then uses clone */
    rule(f, SYS_openat2, refuse(ENOSYS));
    for (size_t i = 0; i < sizeof program_may_not / sizeof *program_may_not; i++) rule(f, program_may_not[i], refuse(EPERM));
    answer(f, SECCOMP_RET_ALLOW);
}

bool confine_has_filter(void)
{
    /* An impossible address: a kernel that knows filters complains of that, others of the request. */
    return MACHINE_KNOWN && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 0, 0, 0) < 0 && errno == EFAULT;
}

/* `grace` lies between the limit that sends a telling signal and the one that ends all. */
static void limit(int what, rlim_t most, rlim_t grace)
{
    struct rlimit now;
    if (getrlimit(what, &now)) return;
    rlim_t hard = most + grace;
    if (now.rlim_max != RLIM_INFINITY && hard > now.rlim_max) hard = now.rlim_max;
    setrlimit(what, &(struct rlimit){most < hard ? most : hard, hard});
}

/* Bytes of address space in use now. */
static size_t mapped(void)
{
    char text[32] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    size_t pages = 0;
    for (ssize_t i = 0; i < n && text[i] >= '0' && text[i] <= '9'; i++) pages = pages * 10 + (size_t)(text[i] - '0');
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

bool confine_self(confine_kind kind, size_t memory, int seconds)
{
    bool work = kind == CONFINE_WORK, filtered = confine_has_filter();
    if (!INSTRUMENTED) limit(RLIMIT_AS, memory + (work ? mapped() : 0), 0);
    limit(RLIMIT_CPU, (rlim_t)seconds, 2);
    limit(RLIMIT_CORE, 0, 0);
    limit(RLIMIT_FSIZE, 0, 0);
    limit(RLIMIT_NPROC, 0, 0);
    limit(RLIMIT_NOFILE, work ? 0 : 64, 0); /* with none to be had, nothing can be opened: neither files nor connections */
    if (!filtered) return true;
    filter f = {.n = 0};
    build(&f, kind);
    if (f.n > FILTER_MAX || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return false;
    return !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &(struct sock_fprog){f.n, f.code}, 0, 0);
}
