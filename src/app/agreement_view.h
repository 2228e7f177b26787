/* What juan eval agreement shows: a table, JSON, a picture. */
#ifndef APP_AGREEMENT_VIEW_H
#define APP_AGREEMENT_VIEW_H

#include "app/cli.h"
#include "eval/agreement.h"

typedef struct agreement_view {
    const cli *c;
    const char *model;
    const agreement_options *opt;
    const agreement_depth *depth; /* [opt->n_depths] */
    int64_t entry_keep;           /* of opt->entry: how it was read; 0: exactly */
} agreement_view;

void agreement_print(const agreement_view *v);
void agreement_print_json(const agreement_view *v);
CJ_NODISCARD cj_err agreement_write_svg(const agreement_view *v, const char *path, cj_diag *d);

#endif
