/* What `juan tune` learns from: JSON lines, and documents, of which questions are made. */
#ifndef APP_TUNE_DATA_H
#define APP_TUNE_DATA_H

#include "app/cli.h"
#include "data/rows.h"

/* Appends the rows of each path: of a file named .jsonl or .ndjson its lines, of any other file or folder questions made from it. */
CJ_NODISCARD cj_err tune_data_open(training_rows *out, const cli *c, const cli_list *paths, uint64_t seed, cj_diag *d);

#endif
