/* Confinement: what a process gives up, for good, before it touches a file that came from somewhere.
 *
 * Limits hold everywhere: memory, processor time, no file may be written, no process begun. On Linux a filter of system calls is
 * added, which needs no privileges: CONFINE_WORK may only compute, take memory and use the descriptors that it has; a
 * CONFINE_PROGRAM may also be loaded and read files, but has no network, writes no file and starts nothing.
 */
#ifndef BASE_CONFINE_H
#define BASE_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum confine_kind { CONFINE_WORK, CONFINE_PROGRAM } confine_kind;

/* Confines the calling process. memory: bytes beyond what it has now (WORK) or in all (PROGRAM); seconds of processor time.
 * False: the kernel has a filter but would not take it. Safe between fork and exec: no allocation, no lock. */
bool confine_self(confine_kind kind, size_t memory, int seconds);

/* Whether this kernel and processor take the filter; without it only the limits hold. */
bool confine_has_filter(void);

#endif
