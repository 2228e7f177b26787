/* What is mapped: every file_map of this process, known in one place, so that
 *  - a file that somebody cuts short under us does not end the process (mapped_guard): what is missing reads as zeros, the mapping is marked,
 *    and who uses it asks before believing what came of it;
 *  - mappings take no more memory than they are given (mapped_limit): what was used longest ago is given back, and read again when it is wanted.
 * Any thread may call these.
 */
#ifndef BASE_MAPPED_H
#define BASE_MAPPED_H

#include "base/file.h"

/* For file.c: a mapping begins and ends. False: no memory. */
bool mapped_add(const file_map *m, bool whole);
void mapped_remove(const file_map *m);

/* From now on a mapping that cannot be read is made of zeros from there on. A SIGBUS that comes from elsewhere goes to whoever handled it before.
 * For programs; a library leaves signals to the program it is in, unless that asks. */
void mapped_guard(void);
/* Whether any mapping has been cut; whether this one has. Cheap. */
bool mapped_any_cut(void);
bool mapped_is_cut(const file_map *m);

/* The process is to keep within so many bytes of resident memory; 0: as at first, no limit. A thread looks after it as soon as something is mapped. */
void mapped_limit(int64_t bytes);
int64_t mapped_limit_now(void);
/* What the process would need at least, in bytes, where the limit is too low for what cannot be given back; else 0. */
int64_t mapped_needs(void);
/* Bytes that will be used soon: the disk may begin. */
void mapped_ahead(const void *at, size_t n);

#endif
