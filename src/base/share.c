/* The folder of the program's own data. Compiled apart from the rest: it alone knows the prefix (CJ_SHARE_DIR), so that another
 * prefix compiles one file anew. */
#include "base/share.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#ifndef CJ_SHARE_DIR
#error "CJ_SHARE_DIR is the folder that share/ is installed to"
#endif

/* dir/name when the catalogue lies there, else NULL. */
static char *share_at(const char *dir, const char *name)
{
    char *share = file_join(dir, name), *probe = share ? file_join(share, "models.ini") : NULL;
    if (!probe || !file_exists(probe)) {
        mem_free(share);
        share = NULL;
    }
    mem_free(probe);
    return share;
}

char *share_folder(void)
{
    const char *named = getenv("JUAN_SHARE");
    if (named && *named) return mem_strdup(named);
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = 0;
    char *slash = strrchr(program, '/');
    if (slash) {
        *slash = 0;
        char *share = share_at(program, "../share/juan");
        if (!share) share = share_at(program, "../share");
        if (share) return share;
    }
    return mem_strdup(CJ_SHARE_DIR);
}
