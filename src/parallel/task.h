/* One thing done beside what this thread does: waiting for a disk, say. Signals stay with the other threads. */
#ifndef PARALLEL_TASK_H
#define PARALLEL_TASK_H

#include <pthread.h>
#include <stdbool.h>

typedef struct task {
    pthread_t thread;
    bool runs; /* until task_wait */
} task;

/* Calls fn(arg) in a thread of its own, or here and now where there can be none. */
void task_start(task *t, void *(*fn)(void *arg), void *arg);
/* Returns when it has come back; at once when nothing was started. */
void task_wait(task *t);

#endif
