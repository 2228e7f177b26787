/* Background processes. The child's error output is a pipe until it settles; the parent reads it to its end, which comes when the child settles or
 * dies, and the second pipe tells which of the two it was. */
#include "base/background.h"

#include <errno.h>
#include <fcntl.h>
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

/* Of the child: no terminal, nothing to read or to write to. */
static void detach(background *b, const int errors[2], const int settled[2])
{
    setsid();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(errors[1], STDERR_FILENO);
    close(null);
    close_both(errors);
    close(settled[0]);
    *b = (background){.pid = 0, .errors = -1, .settled = settled[1]};
}

cj_err background_begin(background *b, cj_diag *d)
{
    int errors[2], settled[2];
    if (pipe2(errors, O_CLOEXEC)) return diag_errno(d, errno, "pipe");
    if (pipe2(settled, O_CLOEXEC)) {
        close_both(errors);
        return diag_errno(d, errno, "pipe");
    }
    int pid;
    cj_err e = process_divide(&pid, d);
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

/* Up to size bytes; 0 at the end. */
static size_t read_some(int fd, char *out, size_t size)
{
    ssize_t n;
    do n = read(fd, out, size);
    while (n < 0 && errno == EINTR && file_go_on());
    return n > 0 ? (size_t)n : 0;
}

bool background_await(background *b, void (*said)(const char *text, size_t n), char *word, int *status)
{
    char text[4096];
    int how = 0;
    for (size_t n; (n = read_some(b->errors, text, sizeof text));) said(text, n);
    word[0] = 0;
    word[read_some(b->settled, word, BACKGROUND_WORD_MAX - 1)] = 0;
    close(b->errors);
    close(b->settled);
    if (word[0]) return true;
    if (!file_go_on()) kill(b->pid, SIGTERM);
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
