/* What the files of hub/ know of each other beside the public header. */
#ifndef HUB_INSIDE_H
#define HUB_INSIDE_H

#include "hub/catalogue.h"
#include "hub/store.h"

struct hub {
    catalogue catalogue;
    char *home;
};

/* Keeps other processes away from `name` until folder_unlock. MSG_HUB_BUSY when one is there already. */
CJ_NODISCARD cj_err hub_lock(const hub *h, const char *name, int *fd, cj_diag *d);

#endif
