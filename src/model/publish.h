/* A model as its maker publishes it, from a GGUF file: a folder with config.json and model.safetensors in the maker's names and order of rows, and what
 * the file knows of text: tokenizer.json, tokenizer_config.json, chat_template.jinja, generation_config.json. Programs that read such folders load it
 * as they load the maker's own; so does model_open.
 */
#ifndef MODEL_PUBLISH_H
#define MODEL_PUBLISH_H

#include "format/convert.h"
#include "model/model.h"

/* Whether `out` names a folder to publish in rather than a GGUF file. */
bool publish_is_folder(const char *out);

/* `out` must not be there yet. Of o the type of all weights (F32, F16 or BF16; CONVERT_KEEP: the file's where it is one of these, else BF16), an edit
 * and progress count; an edit sees tensors, elements and rows as the file has them. What was written is opened again and compared before it stands.
 * Dense models of the families that family/publish_config.c lists; a sentence for others, and for what config.json has no words for. */
CJ_NODISCARD cj_err model_publish(const model *m, const char *out, const convert_options *o, convert_result *r, cj_diag *d);

#endif
