/* Models of the catalogue as tables and as JSON. */
#ifndef APP_CATALOGUE_VIEW_H
#define APP_CATALOGUE_VIEW_H

#include "app/cli.h"
#include "hub/hub.h"

/* What is on this machine of it; what cannot be told counts as absent. */
hub_status view_status(const hub *h, const char *name);
json_object *view_json(const hub *h, const hub_model *m);
/* models [n]: name, size, what it can do, whether it is here. */
void view_table(const cli *c, const hub *h, const hub_model *const *models, size_t n);

#endif
