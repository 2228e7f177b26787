/* Child processes by posix_spawn. Invariant: pid != 0 exactly as long as there is a child that has not been waited for. */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
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
    if (pipe2(ends, O_CLOEXEC)) {
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

/* Takes what the error output holds now; the tail keeps the newest bytes. */
static void drain(process *p)
{
    char piece[1024];
    while (p->errors >= 0) {
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
        if (cp == UTF8_INVALID || cp < ' ') out[n++] = ' ';
        else {
            memcpy(out + n, p->tail + i, step);
            n += step;
        }
        i += step;
    }
    out[n] = 0;
}
