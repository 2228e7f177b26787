/* The small files of a published model, which its family's makers have words of their own for (model/publish.h). */
#ifndef MODEL_FAMILY_PUBLISH_H
#define MODEL_FAMILY_PUBLISH_H

#include "model/model.h"
#include "token/tokenizer.h"

/* What its maker calls a family. */
typedef struct publish_maker {
    const char *family, *architecture;
    const char *act_key, *act;
    double base; /* of rotary frequencies where the file does not say */
} publish_maker;

/* NULL: a family that is not published. */
const publish_maker *publish_maker_of(const char *family);
/* config.json of weights of this type. vocab NULL: the file has none. */
CJ_NODISCARD cj_err publish_config(const model *m, const publish_maker *maker, int type, const tokenizer *vocab, buf *out, cj_diag *d);
/* generation_config.json. */
CJ_NODISCARD cj_err publish_generation(const tokenizer *vocab, buf *out, cj_diag *d);
/* The member "rope_scaling" of config.json, with the comma before it; nothing where positions are not scaled. */
CJ_NODISCARD cj_err publish_rope_scaling(const model *m, float base, buf *out, cj_diag *d);

#endif
