/* Tokens taken out of pages, and put together into one page of the same layout, so that kernels for pages work on what was picked out of many. */
#ifndef KERNEL_GATHER_H
#define KERNEL_GATHER_H

#include "kernel/kv_layout.h"

/* One head: token `from` of a page becomes token `to` of another. A group of KV_GROUP is filled from its first token on: this one clears the rest. */
void gather_token(const kv_layout *l, uint8_t *to_head, int to, const uint8_t *from_head, int from);

/* One head: a whole group of KV_GROUP tokens. */
void gather_group(const kv_layout *l, uint8_t *to_head, int to_group, const uint8_t *from_head, int from_group);

/* Brings what gather_token will read of a head nearer. */
void gather_soon(const kv_layout *l, const uint8_t *head, int t);

/* One token of a head as bytes by themselves, gather_bytes of them, and back into a slot: the same bits. Not of q4, which no summary is. */
size_t gather_bytes(const kv_layout *l);
void gather_take(const kv_layout *l, uint8_t *out, const uint8_t *head, int t);
void gather_put(const kv_layout *l, uint8_t *head, int t, const uint8_t *from);

#endif
