/* The list of families. */
#include "model/family/family.h"

#include <stdio.h>
#include <string.h>

static const family families[] = {
    {"llama", true, family_llama_load},          {"qwen2", false, family_qwen2_load},   {"qwen3", false, family_qwen3_load},
    {"qwen3moe", false, family_qwen3moe_load},   {"gemma3", false, family_gemma3_load},
    {"qwen3next", false, family_qwen3next_load}, {"qwen35", false, family_qwen35_load}, {"qwen35moe", false, family_qwen35_load},
};
enum { FAMILIES = sizeof families / sizeof *families };

const family *family_find(const char *arch, size_t len)
{
    for (int i = 0; i < FAMILIES; i++)
        if (strlen(families[i].arch) == len && !memcmp(families[i].arch, arch, len)) return &families[i];
    return NULL;
}

void family_names(char *out, size_t size)
{
    size_t at = 0;
    out[0] = 0;
    for (int i = 0; i < FAMILIES && at < size; i++) at += (size_t)snprintf(out + at, size - at, "%s%s", i ? ", " : "", families[i].arch);
}
