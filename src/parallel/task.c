/* Tasks. */
#include "parallel/task.h"

#include <signal.h>

void task_start(task *t, void *(*fn)(void *arg), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    t->runs = !pthread_create(&t->thread, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!t->runs) fn(arg);
}

void task_wait(task *t)
{
    if (t->runs) pthread_join(t->thread, NULL);
    t->runs = false;
}
