/* A model file with the weights that were trained in place of its own. */
#include "model/trainee_write.h"

#include <string.h>

#include "model/publish.h"

static const param *param_of(const trainee *t, const char *name)
{
    for (int i = 0; i < t->n_params; i++)
        if (!strcmp(t->params[i].name, name)) return &t->params[i];
    return NULL;
}

static bool is_trained(const void *of, const gguf_tensor *tensor) { return param_of(of, tensor->name); }

static void put_weights(const void *of, const gguf_tensor *tensor, float *x, int64_t at, int64_t n)
{
    const trainee *t = of;
    kernel_download(t->ctx, x, t->w + param_of(t, tensor->name)->at + at, (size_t)n * sizeof *x);
}

cj_err trainee_write(const trainee *t, const model *m, const char *out, const convert_options *o, convert_result *r, cj_diag *d)
{
    const convert_edit edit = {is_trained, put_weights, t};
    convert_options with = *o;
    with.edit = &edit;
    if (!model_file(m)) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_TRAIN_FOLDER, "%s", model_path(m));
    if (publish_is_folder(out)) return model_publish(m, out, &with, r, d);
    return convert_gguf(model_path(m), out, &with, r, d);
}
