/* A file in the making: the bytes that have come, the hash of exactly these, and a note beside it (FILE.part, FILE.note) that
 * says from where they came and how many are safe on the disk. After a crash it goes on from the note. */
#ifndef HUB_PART_H
#define HUB_PART_H

#include "base/grow.h"
#include "base/hash.h"

/* Where bytes come from. Two origins are the same when all of it is the same. */
typedef struct part_origin {
    char address[2048];
    char etag[200], modified[64]; /* "" when the server gave none */
    int64_t total;                /* -1: not known */
} part_origin;

typedef struct part {
    grow_file file;
    hash_sha256 hash; /* of file's bytes */
    part_origin from;
    int64_t steps;    /* whole packages joined so far */
    int64_t safe;     /* bytes that the note speaks for */
    char *note;       /* its path */
} part;

/* Told how many bytes were hashed; anything but CJ_OK ends the work. */
typedef cj_err (*part_progress)(void *user, int64_t bytes, cj_diag *d);

/* Opens path.part with what the note says is good, hashed again; without a good note it starts empty. */
CJ_NODISCARD cj_err part_open(part *p, const char *path, part_progress progress, void *user, cj_diag *d);
/* Forgets all bytes and starts again from this origin. */
CJ_NODISCARD cj_err part_restart(part *p, const part_origin *from, cj_diag *d);
CJ_NODISCARD cj_err part_write(part *p, const void *data, size_t n, cj_diag *d);
/* Makes what has come durable and notes it. */
CJ_NODISCARD cj_err part_note(part *p, cj_diag *d);
/* Gives the hash and moves the file to path; the note goes. Closes p whatever happens. */
CJ_NODISCARD cj_err part_finish(part *p, const char *path, char sha256[65], cj_diag *d);
void part_leave(part *p); /* closes; what is noted stays for another time, and nothing else */
void part_drop(part *p);  /* closes and throws all away */

/* The sha256 of a whole file that is there already. */
CJ_NODISCARD cj_err part_hash_file(const char *path, char sha256[65], part_progress progress, void *user, cj_diag *d);

#endif
