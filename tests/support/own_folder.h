/* A folder of a test program's own, for a group of tests or for each: make and remove are setup and teardown. */
#ifndef TESTS_SUPPORT_OWN_FOLDER_H
#define TESTS_SUPPORT_OWN_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/folder.h"

static char own_folder[32];

static inline int own_folder_make(void **state)
{
    (void)state;
    strcpy(own_folder, "/tmp/cj-test-XXXXXX");
    return mkdtemp(own_folder) ? 0 : -1;
}

static inline int own_folder_remove(void **state)
{
    (void)state;
    return folder_remove(own_folder, NULL) ? -1 : 0;
}

/* The path of something in it; stands until the next call. */
static inline const char *in_folder(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", own_folder, name);
    return path;
}

#endif
