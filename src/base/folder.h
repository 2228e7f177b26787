/* Whole folders: their size, their removal, a lock on one; links, and stamps that tell whether a file has changed. */
#ifndef BASE_FOLDER_H
#define BASE_FOLDER_H

#include "base/err.h"

/* Called with a full path; false ends the walk. */
typedef bool (*folder_visit)(void *user, const char *path, bool is_dir);
/* Visits what lies directly in path, in no order; "." and ".." left out. A link is not followed: it counts as a file. */
CJ_NODISCARD cj_err folder_each(const char *path, folder_visit visit, void *user, cj_diag *d);

bool folder_is_file(const char *path); /* a plain file: no folder, no link, no device */
int64_t folder_size(const char *path);                        /* bytes of the files below path; 0 when there is none */
CJ_NODISCARD cj_err folder_remove(const char *path, cj_diag *d); /* path, a file or a folder with all below it; links are
                                                                  removed, never followed; nothing there is fine */
/* An exclusive lock that ends with close or with the process. *fd is -1 when somebody else holds it. */
CJ_NODISCARD cj_err folder_lock(const char *path, int *fd, cj_diag *d);
/* The same for many holders at once, which keep an exclusive one out. */
CJ_NODISCARD cj_err folder_lock_shared(const char *path, int *fd, cj_diag *d);
void folder_unlock(int fd);

/* Makes the folder parent/prefixPID, of this process alone. Those of the same prefix that processes have left which are gone are removed first.
 * Ends with folder_disown, or with the process. */
CJ_NODISCARD cj_err folder_own(const char *parent, const char *prefix, char **path, int *lock, cj_diag *d);
void folder_disown(char **path, int *lock); /* removes it with all that is in it; *path may be NULL */

/* What tells one state of a file from another without reading it. False: there is no such file. */
typedef struct folder_stamp {
    int64_t size, modified; /* bytes; nanoseconds since 1970 */
} folder_stamp;
bool folder_stamp_of(const char *path, folder_stamp *stamp);

CJ_NODISCARD cj_err folder_move(const char *from, const char *to, cj_diag *d); /* in one step, within a disk; replaces to */
CJ_NODISCARD cj_err folder_link(const char *target, const char *path, cj_diag *d); /* a symbolic link, replacing path */

#endif
