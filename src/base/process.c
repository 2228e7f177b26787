/* Child processes: programs by posix_spawn, fenced ones by fork, because they confine themselves before they begin. Invariant: pid != 0 exactly as long as there is a child that has not been waited for. */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/confine.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"

extern char **environ;

/* Whether entries "NAME=..." a and b name the same variable. */
static bool same_name(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");
    return strncmp(a, b, n) == 0 && b[n] == '=';
}

/* Our environment with env's entries added; the caller frees the array. NULL: no memory. */
static const char **merged_environment(const char *const env[])
{
    size_t ours = 0, extra = 0, n = 0;
    while (environ[ours]) ours++;
    while (env && env[extra]) extra++;
    const char **all = mem_array(ours + extra + 1, sizeof *all);
    if (!all) return NULL;
    for (size_t i = 0; i < ours; i++) {
        bool replaced = false;
        for (size_t k = 0; k < extra && !replaced; k++) replaced = same_name(env[k], environ[i]);
        if (!replaced) all[n++] = environ[i];
    }
    for (size_t k = 0; k < extra; k++) all[n++] = env[k];
    return all;
}

/* The same file at another descriptor than the three that a child is given: where one of those is closed here, a new file gets its number.
 * -1 and errno: there is none. */
static int above_standard(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO) return fd;
    int up = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), why = errno;
    close(fd);
    errno = why;
    return up;
}

/* False and errno: it could not be made. */
static bool pipe_open(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC)) return false;
    for (int i = 0; i < 2; i++) ends[i] = above_standard(ends[i]);
    if (ends[0] >= 0 && ends[1] >= 0) return true;
    int why = errno;
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0) close(ends[i]);
    errno = why;
    return false;
}

static int spawn(pid_t *pid, const char *const argv[], const char **env, int errors)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGTERM);
    int e = posix_spawn_file_actions_init(&files);
    if (e) return e;
    if ((e = posix_spawnattr_init(&how))) {
        posix_spawn_file_actions_destroy(&files);
        return e;
    }
    if (!e) e = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!e) e = posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (!e) e = posix_spawn_file_actions_adddup2(&files, errors, STDERR_FILENO);
    /* Its own group: Ctrl-C reaches us alone, and we end the child with all its children. */
    if (!e) e = posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (!e) e = posix_spawnattr_setsigmask(&how, &none);
    if (!e) e = posix_spawnattr_setsigdefault(&how, &defaults);
    if (!e) e = posix_spawnp(pid, argv[0], &files, &how, (char *const *)argv, (char *const *)env);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    return e;
}

cj_err process_start(process *p, const char *const argv[], const char *const env[], cj_diag *d)
{
    int ends[2];
    *p = (process){.errors = -1};
    const char **all = merged_environment(env);
    if (!all) return diag_nomem(d, sizeof *all);
    if (!pipe_open(ends)) {
        mem_free(all);
        return diag_errno(d, errno, argv[0]);
    }
    pid_t pid = 0;
    int e = spawn(&pid, argv, all, ends[1]);
    mem_free(all);
    close(ends[1]);
    if (e) {
        close(ends[0]);
        return e == ENOENT ? diag_fail(d, CJ_E_NOT_FOUND, MSG_PROGRAM_MISSING, "%s", argv[0]) : diag_errno(d, e, argv[0]);
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    p->pid = pid;
    p->errors = ends[0];
    return CJ_OK;
}

static void close_errors(process *p)
{
    if (p->errors >= 0) close(p->errors);
    p->errors = -1;
}

/* Takes what the error output holds now, no more than a pipe holds; the tail keeps the newest bytes. */
static void drain(process *p)
{
    char piece[1024];
    for (int pieces = 64; p->errors >= 0 && pieces; pieces--) {
        ssize_t n = read(p->errors, piece, sizeof piece);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) {
            close_errors(p);
            return;
        }
        size_t keep = p->tail_len, room = sizeof p->tail - (size_t)n;
        if (keep > room) {
            memmove(p->tail, p->tail + keep - room, room);
            keep = room;
        }
        memcpy(p->tail + keep, piece, (size_t)n);
        p->tail_len = keep + (size_t)n;
    }
}

cj_err process_wait(process *p, double seconds, bool *ended, int *status, cj_diag *d)
{
    *ended = false;
    for (double until = clock_now() + seconds;;) {
        int how;
        pid_t done = waitpid(p->pid, &how, WNOHANG);
        drain(p);
        if (done < 0 && errno != EINTR) return diag_errno(d, errno, "waitpid");
        if (done > 0) {
            p->pid = 0;
            close_errors(p);
            *ended = true;
            *status = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
            return CJ_OK;
        }
        double left = until - clock_now();
        if (left <= 0) return CJ_OK;
        /* An end is not an event of the pipe (a grandchild may hold it open), so look again soon. */
        struct pollfd watch = {.fd = p->errors, .events = POLLIN};
        poll(&watch, 1, left < 0.02 ? 1 + (int)(left * 1000) : 20);
    }
}

void process_stop(process *p)
{
    bool ended = false;
    int status;
    if (p->pid) {
        kill(-p->pid, SIGTERM);
        if (process_wait(p, 2.0, &ended, &status, NULL) || !ended) {
            kill(-p->pid, SIGKILL);
            while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR) continue;
            p->pid = 0;
        }
    }
    close_errors(p);
}

void process_last_words(const process *p, char *out, size_t size)
{
    size_t end = p->tail_len, n = 0;
    while (end && (unsigned char)p->tail[end - 1] <= ' ') end--;
    size_t start = end;
    while (start && p->tail[start - 1] != '\n' && p->tail[start - 1] != '\r') start--;
    for (size_t i = start; i < end && n + 4 < size;) {
        uint32_t cp;
        size_t step = (size_t)utf8_decode(p->tail + i, end - i, &cp);
        if (cp == UTF8_INVALID || utf8_is_control(cp)) out[n++] = ' ';
        else {
            memcpy(out + n, p->tail + i, step);
            n += step;
        }
        i += step;
    }
    out[n] = 0;
}

/* ---- behind a fence ---- */

enum { FENCE_FAILED = 126, PROGRAM_ABSENT = 127 }; /* exit statuses of ours, before a program or work begins */

/* What a fenced process is given: work, or a program. */
typedef struct fenced {
    const process_fence *fence;
    process_work *work;
    void *arg;
    const char *const *argv;
    int input; /* what the program reads */
} fenced;

static void put_all(int fd, const void *data, size_t n)
{
    for (const char *at = data; n;) {
        ssize_t w = write(fd, at, n);
        if (w < 0 && errno == EINTR) continue;
        if (w <= 0) _exit(FENCE_FAILED);
        at += w;
        n -= (size_t)w;
    }
}

/* Only the three descriptors that are known stay open: nothing of ours can be read or written through another. */
static void close_others(void)
{
    if (!syscall(SYS_close_range, 3u, ~0u, 0u)) return;
    for (int fd = 3; fd < 1024; fd++) close(fd);
}

/* The answer of work: its code, then its output, or the number of its sentence and the arguments. */
static void work_and_end(const fenced *f)
{
    buf out;
    cj_diag d = {0};
    buf_init(&out, f->fence->output);
    int32_t head[2] = {f->work(f->arg, &out, &d), d.message};
    put_all(STDOUT_FILENO, head, sizeof head);
    if (head[0]) put_all(STDOUT_FILENO, d.args, strlen(d.args));
    else put_all(STDOUT_FILENO, out.data, out.len);
    _exit(0);
}

static void become(const fenced *f, int output, int errors, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(FENCE_FAILED);
    for (int s = 1; s < NSIG; s++) signal(s, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(f->input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0) _exit(FENCE_FAILED);
    close_others();
    if (!confine_self(f->work ? CONFINE_WORK : CONFINE_PROGRAM, f->fence->memory, f->fence->seconds)) _exit(FENCE_FAILED);
    if (f->work) work_and_end(f);
    execvp(f->argv[0], (char *const *)f->argv);
    _exit(errno == ENOENT ? PROGRAM_ABSENT : FENCE_FAILED);
}

/* Takes what there is of its output. *open becomes false at the end of it. */
static cj_err take_output(const process_fence *f, int fd, buf *out, bool *open, cj_diag *d)
{
    for (;;) {
        size_t begin = out->len, most = f->output + 2 * sizeof(int32_t) - begin, piece = most < 65536 ? most : 65536;
        if (!piece) return diag_fail(d, CJ_E_LIMIT, MSG_FENCE_OUTPUT, "%s" ARG "%zu", f->about, f->output);
        TRY(buf_reserve(out, piece + 1, d));
        ssize_t n = read(fd, out->data + begin, piece);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return CJ_OK;
        if (n < 0) return diag_errno(d, errno, f->about);
        *open = n > 0;
        out->len = begin + (size_t)n;
        out->data[out->len] = 0;
        if (!n) return CJ_OK;
    }
}

/* Follows a fenced process to its end; *how is as waitpid tells it. */
static cj_err follow(process *p, const process_fence *f, int output, buf *out, int *how, cj_diag *d)
{
    bool open = true;
    double until = clock_now() + (double)f->seconds * PROCESS_PATIENCE;
    for (;;) {
        struct pollfd watch[2] = {{.fd = open ? output : -1, .events = POLLIN}, {.fd = p->errors, .events = POLLIN}};
        poll(watch, 2, open || p->errors >= 0 ? 50 : 5);
        drain(p);
        if (open) TRY(take_output(f, output, out, &open, d));
        if (!(f->go_on ? f->go_on(f->user) : file_go_on())) return diag_fail(d, CJ_E_CANCELLED, MSG_CANCELLED, "%s", f->about);
        pid_t done = open ? 0 : waitpid(p->pid, how, WNOHANG); /* with its output taken whole */
        if (done < 0 && errno != EINTR) return diag_errno(d, errno, "waitpid");
        if (done > 0) {
            p->pid = 0;
            drain(p);
            return CJ_OK;
        }
        if (clock_now() > until) return diag_fail(d, CJ_E_LIMIT, MSG_FENCE_TIME, "%s" ARG "%d", f->about, f->seconds);
    }
}

/* What is left to be said of an end that was not an orderly one. */
static cj_err judge_end(const process_fence *f, int how, int *status, cj_diag *d)
{
    *status = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
    if (WIFSIGNALED(how) && WTERMSIG(how) == SIGXCPU) return diag_fail(d, CJ_E_LIMIT, MSG_FENCE_TIME, "%s" ARG "%d", f->about, f->seconds);
    if (WIFSIGNALED(how)) return diag_fail(d, CJ_E_INPUT, MSG_FENCE_CRASH, "%s" ARG "%d", f->about, WTERMSIG(how));
    if (*status == FENCE_FAILED) return diag_fail(d, CJ_E_IO, MSG_FENCE_FAILED, "%s", f->about);
    return CJ_OK;
}

static cj_err run_fenced(process *p, const fenced *f, buf *out, int *status, cj_diag *d)
{
    int output[2], errors[2], how = 0;
    *p = (process){.errors = -1};
    if (!pipe_open(output)) return diag_errno(d, errno, f->fence->about);
    if (!pipe_open(errors)) {
        cj_err e = diag_errno(d, errno, f->fence->about);
        close(output[0]);
        close(output[1]);
        return e;
    }
    pid_t parent = getpid(), child = fork();
    if (!child) become(f, output[1], errors[1], parent);
    close(output[1]);
    close(errors[1]);
    cj_err e = child < 0 ? diag_errno(d, errno, f->fence->about) : CJ_OK;
    p->pid = child > 0 ? child : 0;
    p->errors = errors[0];
    fcntl(output[0], F_SETFL, O_NONBLOCK);
    fcntl(errors[0], F_SETFL, O_NONBLOCK);
    if (!e) e = follow(p, f->fence, output[0], out, &how, d);
    if (!e) e = judge_end(f->fence, how, status, d);
    if (p->pid) {
        kill(p->pid, SIGKILL);
        while (waitpid(p->pid, &how, 0) < 0 && errno == EINTR) continue;
        p->pid = 0;
    }
    close_errors(p);
    close(output[0]);
    return e;
}

/* The answer of work comes from a process that a hostile file may have taken over: everything in it is checked. */
static cj_err judge_answer(const process_fence *f, const buf *answer, buf *out, cj_diag *d)
{
    int32_t head[2];
    if (answer->len < sizeof head) return diag_fail(d, CJ_E_INPUT, MSG_FENCE_CRASH, "%s" ARG "%d", f->about, 0);
    memcpy(head, answer->data, sizeof head);
    const char *rest = answer->data + sizeof head;
    size_t n = answer->len - sizeof head;
    if (!head[0]) return buf_append(out, rest, n, d);
    bool sound = head[0] >= CJ_E_INTERNAL && head[0] < 0 && head[1] > 0 && head[1] < MSG_COUNT && n < CJ_DIAG_ARGS_MAX && utf8_valid_prefix(rest, n) == n;
    if (!sound) return diag_fail(d, CJ_E_INPUT, MSG_FENCE_CRASH, "%s" ARG "%d", f->about, 0);
    if (head[0] == CJ_E_NOMEM) return diag_fail(d, CJ_E_NOMEM, MSG_FENCE_MEMORY, "%s" ARG "%zu", f->about, f->memory >> 20);
    return diag_fail(d, head[0], (msg_id)head[1], "%.*s", (int)n, rest);
}

cj_err process_work_fenced(const process_fence *f, process_work *work, void *arg, buf *out, cj_diag *d)
{
    process p;
    buf answer;
    int status = 0, nothing = above_standard(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (nothing < 0) return diag_errno(d, errno, "/dev/null");
    buf_init(&answer, f->output + 65536);
    cj_err e = run_fenced(&p, &(fenced){.fence = f, .work = work, .arg = arg, .input = nothing}, &answer, &status, d);
    if (!e && status) e = diag_fail(d, CJ_E_INPUT, MSG_FENCE_CRASH, "%s" ARG "%d", f->about, status);
    if (!e) e = judge_answer(f, &answer, out, d);
    close(nothing);
    buf_deinit(&answer);
    return e;
}

/* A file in memory alone that holds input[0..n). */
static int memory_file(const void *input, size_t n)
{
    int fd = above_standard(memfd_create("input", MFD_CLOEXEC));
    for (const char *at = input; fd >= 0 && n;) {
        ssize_t w = write(fd, at, n);
        if (w < 0 && errno == EINTR) continue;
        if (w <= 0) {
            close(fd);
            return -1;
        }
        at += w;
        n -= (size_t)w;
    }
    if (fd >= 0) lseek(fd, 0, SEEK_SET);
    return fd;
}

cj_err process_run_fenced(const process_fence *f, const char *const argv[], const void *input, size_t n, buf *out, int *status, char *words,
                          size_t size, cj_diag *d)
{
    process p;
    int given = memory_file(input, n);
    if (given < 0) return diag_errno(d, errno, f->about);
    cj_err e = run_fenced(&p, &(fenced){.fence = f, .argv = argv, .input = given}, out, status, d);
    if (!e && *status == PROGRAM_ABSENT) e = diag_fail(d, CJ_E_NOT_FOUND, MSG_PROGRAM_MISSING, "%s", argv[0]);
    if (!e) process_last_words(&p, words, size);
    close(given);
    return e;
}

cj_err process_divide(int *pid, cj_diag *d)
{
    *pid = fork();
    return *pid < 0 ? diag_errno(d, errno, "fork") : CJ_OK;
}
