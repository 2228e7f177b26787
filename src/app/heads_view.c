/* Finding heads, shown. */
#include "app/heads_view.h"

#include <stdio.h>
#include <string.h>

const char *heads_view_text(char out[HEADS_VIEW_TEXT], const finder_head *heads, int n)
{
    out[0] = 0;
    for (int i = 0; i < n; i++) {
        char one[64];
        snprintf(one, sizeof one, "%s(%d, %d)", i ? ", " : "", heads[i].layer, heads[i].head);
        if (heads[i].weight < 1) snprintf(one + strlen(one), sizeof one - strlen(one), " × %.4g", (double)heads[i].weight);
        if (strlen(out) + strlen(one) < HEADS_VIEW_TEXT) strcat(out, one);
    }
    return out;
}

json_object *heads_view_json(const finder_head *heads, int n)
{
    json_object *list = json_object_new_array();
    for (int i = 0; i < n; i++) {
        json_object *h = json_object_new_object();
        json_object_object_add(h, "layer", json_object_new_int(heads[i].layer));
        json_object_object_add(h, "head", json_object_new_int(heads[i].head));
        json_object_object_add(h, "weight", cli_json_number((double)heads[i].weight));
        json_object_array_add(list, h);
    }
    return list;
}
