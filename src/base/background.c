/* Background processes. The child's error output is a pipe until it settles; the parent reads it to its end, which comes when the child settles or
 * dies, and the second pipe tells which of the two it was. Who stops the parent before that stops the child. */
#include "base/background.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/process.h"

static void close_both(const int ends[2])
{
    close(ends[0]);
    close(ends[1]);
}

/* A pipe beside the standard streams, even where one of those was closed before us. */
static cj_err open_pipe(int ends[2], cj_diag *d)
{
    if (pipe2(ends, O_CLOEXEC)) return diag_errno(d, errno, "pipe");
    for (int i = 0; i < 2; i++) {
        if (ends[i] > STDERR_FILENO) continue;
        int low = ends[i];
        ends[i] = fcntl(low, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        close(low);
    }
    if (ends[0] >= 0 && ends[1] >= 0) return CJ_OK;
    cj_err e = diag_errno(d, errno, "pipe");
    close_both(ends);
    return e;
}

/* Of the child: no terminal, nothing to read or to write to; and it does not end because nobody listens any more. */
static void detach(background *b, const int errors[2], const int settled[2])
{
    setsid();
    signal(SIGPIPE, SIG_IGN);
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(errors[1], STDERR_FILENO);
    if (null > STDERR_FILENO) close(null);
    close_both(errors);
    close(settled[0]);
    *b = (background){.pid = 0, .errors = -1, .settled = settled[1]};
}

cj_err background_begin(background *b, cj_diag *d)
{
    int errors[2], settled[2];
    int pid;
    TRY(open_pipe(errors, d));
    cj_err e = open_pipe(settled, d);
    if (e) {
        close_both(errors);
        return e;
    }
    e = process_divide(&pid, d);
    if (e) {
        close_both(errors);
        close_both(settled);
        return e;
    }
    if (!pid) {
        detach(b, errors, settled);
        return CJ_OK;
    }
    close(errors[1]);
    close(settled[1]);
    *b = (background){pid, errors[0], settled[0]};
    return CJ_OK;
}

cj_err background_settle(background *b, const char *word, const char *log, cj_diag *d)
{
    int fd = file_must_fail() ? -1 : open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return diag_errno(d, errno, log);
    ssize_t n = write(b->settled, word, strlen(word) + 1); /* nobody waits any more: all the same */
    (void)n;
    close(b->settled);
    b->settled = -1;
    dup2(fd, STDERR_FILENO);
    close(fd);
    return CJ_OK;
}

/* Up to size bytes; 0 at the end and, `unless_stopped`, once it is wished that we stop. */
static size_t read_some(int fd, char *out, size_t size, bool unless_stopped)
{
    const int often = 200; /* ms: a wish that comes right before the wait is heard too */
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ssize_t n;
    while (unless_stopped && file_go_on() && poll(&p, 1, often) <= 0) {}
    if (unless_stopped && !file_go_on()) return 0;
    do n = read(fd, out, size);
    while (n < 0 && errno == EINTR);
    return n > 0 ? (size_t)n : 0;
}

bool background_await(background *b, void (*said)(const char *text, size_t n), char *word, int *status)
{
    char text[4096];
    int how = 0;
    bool stopped = false;
    for (;;) {
        size_t n = read_some(b->errors, text, sizeof text, !stopped);
        if (n) said(text, n);
        else if (stopped || file_go_on()) break;
        else stopped = true, kill(b->pid, SIGTERM); /* what it says to that is handed on too */
    }
    word[0] = 0;
    word[read_some(b->settled, word, BACKGROUND_WORD_MAX - 1, false)] = 0;
    close(b->errors);
    close(b->settled);
    if (word[0] && !stopped) return true;
    while (waitpid(b->pid, &how, 0) < 0 && errno == EINTR) {}
    *status = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
    return false;
}

/* Priorities belong to threads. */
static bool lower(void *user, const char *path, bool is_dir)
{
    enum { WHO_PROCESS = 1, CLASS_IDLE = 3, CLASS_SHIFT = 13, LOWEST = 19 };
    int thread = atoi(strrchr(path, '/') + 1);
    setpriority(PRIO_PROCESS, (id_t)thread, LOWEST);
    syscall(SYS_ioprio_set, WHO_PROCESS, thread, CLASS_IDLE << CLASS_SHIFT);
    return true;
}

void background_give_way(void)
{
    static const char first_to_go[] = "500"; /* of 1000: better us, who go on where we were */
    if (folder_each("/proc/self/task", lower, NULL, NULL)) return;
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    ssize_t n = write(fd, first_to_go, sizeof first_to_go - 1);
    (void)n;
    close(fd);
}
