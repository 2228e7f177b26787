/* Work that goes on when the command that began it has ended: a process of its own, which gives way to everything else. */
#ifndef BASE_BACKGROUND_H
#define BASE_BACKGROUND_H

#include "base/err.h"

enum { BACKGROUND_WORD_MAX = 1024 };

typedef struct background {
    int pid;     /* in the process that began it, of the other one; 0 in the other */
    int errors;  /* what that one says before it has settled: read here, written there */
    int settled; /* one word comes through when it has */
} background;

/* Divides the process; both come back. The other has no terminal and nothing to read; its standard output is thrown away, its error output comes
 * here. To be called before there are threads. */
CJ_NODISCARD cj_err background_begin(background *b, cj_diag *d);
/* In the other: all that could be refused at once has been. Says a word, and what is said from now on goes to the file `log`, at its end. */
CJ_NODISCARD cj_err background_settle(background *b, const char *word, const char *log, cj_diag *d);
/* Here: hands on what is said until the other has settled, word [BACKGROUND_WORD_MAX] is then its word; or until it has ended, with *status. A wish
 * to stop (file_stop_when) before that is passed on to it, politely. */
bool background_await(background *b, void (*said)(const char *text, size_t n), char *word, int *status);

/* The lowest priority for this process: for the processor, for the disk, and for staying when memory runs out. As far as the system lets us. */
void background_give_way(void);

#endif
