/* Files of adapters. Untrusted: after adapter_file_open has succeeded every pair is whole and of one rank, at most ADAPTER_RANK_MAX, of F32, F16 or
 * BF16, and every number is finite; whether a model can take it is adapter_file_fit's to say.
 *
 * A GGUF file as llama.cpp has it: general.type = adapter, adapter.type = lora, adapter.lora.alpha, and for each pair the tensors
 * blk.N.<matrix>.weight.lora_a [rank][columns] and .lora_b [rows][rank]. What only we know is under changjuan.adapter: activated (it acts from the
 * question on), base (fingerprint of the weights it was made with), prompt (the form in which it is asked), heads (that find with it).
 * Or a folder as PEFT writes it (adapter_config.json, adapter_model.safetensors) where the names are those of family/dialect.c.
 */
#ifndef MODEL_ADAPTER_FILE_H
#define MODEL_ADAPTER_FILE_H

#include "model/adapter.h"
#include "model/model.h"

enum { ADAPTER_TEXT_MAX = 127 };

typedef struct adapter_facts {
    char name[ADAPTER_TEXT_MAX + 1];
    char arch[ADAPTER_TEXT_MAX + 1];   /* of the model it is for, by its name in GGUF; "": not said */
    char base[ADAPTER_TEXT_MAX + 1];   /* the model's own name; "": not said */
    char prompt[ADAPTER_TEXT_MAX + 1]; /* "": none in particular */
    char heads[ADAPTER_TEXT_MAX + 1];  /* that it was trained to find with: LAYER.HEAD[*WEIGHT] ...; "": none */
    uint64_t base_print;               /* model_fingerprint; 0: not said */
    bool activated;
} adapter_facts;

typedef struct adapter_file adapter_file;

CJ_NODISCARD cj_err adapter_file_open(adapter_file **out, const char *path, cj_diag *d);
/* The same of the bytes of a GGUF file, aligned to 8, which must outlive it. */
CJ_NODISCARD cj_err adapter_file_open_memory(adapter_file **out, const void *bytes, size_t n, cj_diag *d);
void adapter_file_close(adapter_file **f);
/* Whether path looks like one: a GGUF file by its name, or a folder of PEFT's. */
bool adapter_file_here(const char *path);

const model_adapter *adapter_file_data(const adapter_file *f); /* lives as long as f */
const adapter_facts *adapter_file_facts(const adapter_file *f);
int64_t adapter_file_bytes(const adapter_file *f); /* of its matrices */
/* That it can be laid over this model, whose order of rows its matrices have from then on. */
CJ_NODISCARD cj_err adapter_file_fit(adapter_file *f, const model *m, cj_diag *d);

/* Rows of q and k are in the order in which the model turns them: neighbours or halves. Puts those of an adapter of m into the other order. */
bool adapter_turns_neighbours(const model *m);
CJ_NODISCARD cj_err adapter_turn(model_adapter *a, const model *m, bool to_neighbours, arena *mem, cj_diag *d);

/* A matrix as another type, to be freed with mem_free. What comes back from it is what a reader will believe: numbers that the type cannot hold are an
 * error. */
CJ_NODISCARD cj_err adapter_matrix_as(const kernel_weight *w, const char *name, int type, void **out, cj_diag *d);

/* Writes a GGUF file with matrices of type F32, F16 or BF16; all pairs must have the rank of the adapter, rows the order that the family has in such files. */
CJ_NODISCARD cj_err adapter_file_write(const char *path, const model_adapter *a, const adapter_facts *facts, int type, cj_diag *d);

/* The same as a folder that PEFT loads, which must not be there yet; rows are halves. That it is activated cannot be said there. */
CJ_NODISCARD cj_err adapter_folder_write(const char *folder, const model_adapter *a, const adapter_facts *facts, int type, cj_diag *d);

/* An adapter that fits m as a GGUF file where `out` ends so, else as a folder. type -1: as stored where that is one type, else F32. */
CJ_NODISCARD cj_err adapter_export(const adapter_file *f, const model *m, const char *out, int type, cj_diag *d);

#endif
