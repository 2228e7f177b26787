/* Other programs, and work that is fenced in.
 *
 * A program is found on the PATH, given its arguments as they are (no shell), in its own process group, with nothing to read, its
 * output thrown away and the end of its error output kept. One thread owns a process.
 *
 * What comes from somewhere is worked on behind a fence: in a process of its own, confined (base/confine.h), its time, memory
 * and output limited, so that a file made to break a parser breaks only that process. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include "base/err.h"
#include "base/mem.h"

enum { PROCESS_TAIL = 4096 };

typedef struct process {
    int pid;                 /* 0: none runs */
    int errors;              /* read end of its error output, -1: closed */
    size_t tail_len;
    char tail[PROCESS_TAIL]; /* the last bytes of its error output */
} process;

/* argv ends in NULL; env holds "NAME=value" to add to our environment or to replace there, ends in NULL, may be NULL. */
CJ_NODISCARD cj_err process_start(process *p, const char *const argv[], const char *const env[], cj_diag *d);

/* Waits at most `seconds` for the end. *status is then the exit status, or 128 + the signal that ended it. */
CJ_NODISCARD cj_err process_wait(process *p, double seconds, bool *ended, int *status, cj_diag *d);

/* Ends the process group if it still runs (a polite signal, two seconds, then the other one) and frees what p holds. */
void process_stop(process *p);

/* The last line of the error output that says something, made printable; "" when there is none. */
void process_last_words(const process *p, char *out, size_t size);

/* Divides this process, which must have no threads; *pid is the other's here, 0 in the other. For background.h. */
CJ_NODISCARD cj_err process_divide(int *pid, cj_diag *d);

typedef struct process_fence {
    const char *about;          /* what is worked on, for messages */
    size_t memory, output;      /* most bytes */
    int seconds;                /* of processor time; of time that passes PROCESS_PATIENCE times as many */
    bool (*go_on)(void *user);  /* false cancels; NULL: goes on until file_stop_when's wish */
    void *user;
} process_fence;
enum { PROCESS_PATIENCE = 3 };

/* Runs work(arg, out, d) in a copy of this process that can only compute. What it appends comes back in out, its failure as d. */
typedef cj_err process_work(void *arg, buf *out, cj_diag *d);
CJ_NODISCARD cj_err process_work_fenced(const process_fence *f, process_work *work, void *arg, buf *out, cj_diag *d);

/* Runs a program that may only read files, with input[0..n) as its standard input; its standard output is appended to out. *status
 * is its exit status; words, of `size`, its last words. An end by a signal is an error. */
CJ_NODISCARD cj_err process_run_fenced(const process_fence *f, const char *const argv[], const void *input, size_t n, buf *out, int *status,
                                       char *words, size_t size, cj_diag *d);

#endif
