/* Adapters of an engine, and which tokens of a session are read with one. Any number may be open over one model, and each session has its own.
 *
 * A session has its adapter from a position on; the tokens before it are the base's, so what was read of a document, its entry on the shelf and its
 * snapshots serve every adapter, and none. What an adapter had a part in is reused only with the same adapter from the same position on.
 */
#ifndef ENGINE_ADAPTER_H
#define ENGINE_ADAPTER_H

#include "engine/engine.h"
#include "model/adapter_file.h"

typedef struct engine_adapter engine_adapter;

/* An adapter from a file or a folder (adapter_file.h), which must have been made for this model, or one of its shape. */
CJ_NODISCARD cj_err engine_adapter_open(engine_adapter **out, engine *e, const char *path, cj_diag *d);
/* One from memory, which is copied. */
CJ_NODISCARD cj_err engine_adapter_of(engine_adapter **out, engine *e, const model_adapter *a, const adapter_facts *facts, cj_diag *d);
/* Not while a session has it, nor after its engine. */
void engine_adapter_close(engine_adapter **a);
const adapter_facts *engine_adapter_facts(const engine_adapter *a);
/* Whether the file says that it was made for these very weights. */
bool engine_adapter_is_at_home(const engine_adapter *a);

/* Tokens from this position on are read with the adapter; NULL: none is. What the session holds that this would have made otherwise is forgotten. */
CJ_NODISCARD cj_err session_set_adapter(session *s, const engine_adapter *a, int64_t from, cj_diag *d);

#endif
