/* A model file with the weights that were trained in place of its own. */
#ifndef MODEL_TRAINEE_WRITE_H
#define MODEL_TRAINEE_WRITE_H

#include "format/convert.h"
#include "model/trainee.h"

/* Of a trainee of all weights; m is the model that it was made from, a GGUF file, whose keys and vocabulary are taken over. `out` is a GGUF
 * file where it ends so, else a folder (publish.h). Of o the type of the
 * matrices (CONVERT_KEEP: as they are in the file), pool and progress count. */
CJ_NODISCARD cj_err trainee_write(const trainee *t, const model *m, const char *out, const convert_options *o, convert_result *r, cj_diag *d);

#endif
