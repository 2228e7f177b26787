/* Running another program: found on the PATH, given its arguments as they are (no shell), in its own process group, with
 * nothing to read, its output thrown away and the end of its error output kept. One thread owns a process. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include "base/err.h"

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

#endif
