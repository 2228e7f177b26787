/* A folder of its own for a fuzz target whose input is a file in one. */
#ifndef FUZZ_FOLDER_FUZZ_H
#define FUZZ_FOLDER_FUZZ_H

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"

static inline const char *fuzz_folder(void)
{
    static char path[64];
    snprintf(path, sizeof path, "%s/cj-fuzz-%ld", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm", (long)getpid());
    return path;
}

static inline void fuzz_file(const char *name, const void *data, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    FILE *f = fopen(path, "wb");
    assert(f && fwrite(data, 1, size, f) == size);
    fclose(f);
}

#endif
