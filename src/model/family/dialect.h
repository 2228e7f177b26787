/* What makers call the settings and tensors of their folders. */
#ifndef MODEL_FAMILY_DIALECT_H
#define MODEL_FAMILY_DIALECT_H

#include "model/source.h"

/* A scaling of rotary positions by its published name: long waves are stretched, short ones left as they are, between the two smoothly. */
#define ROPE_SMOOTH "llama3"

typedef struct source_dialect {
    const char *model_type; /* of config.json */
    const char *arch;       /* what GGUF calls it */
    bool less_one;          /* norms are stored as the difference from 1 */
    bool sandwich;          /* a layer has four norms, called by where they stand */
} source_dialect;

/* NULL: no dialect for this model_type. */
const source_dialect *source_dialect_of(const char *model_type);

/* The maker's name for a setting; NULL: it has none. */
const char *source_key_name(const char *key);
/* Whether a folder has it as an array, a value for each layer. All others are one value. */
bool source_key_by_layer(const char *key);
/* The first that GGUF calls so: what a model is published as. NULL: none. */
const source_dialect *source_dialect_for(const char *arch);
/* The maker's name for a tensor, without what goes in front of "layers.": false when it has none (or is too long). t NULL: names that all have. */
bool source_tensor_name(const source_dialect *t, const char *name, char *out, size_t size);
/* The form in which the tensor of this name (ours) is stored. */
source_form source_tensor_form(const source_dialect *t, const char *name);

#endif
