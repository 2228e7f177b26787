/* Summaries of pages: what stands for a page where its tokens are too many to be looked at one by one.
 *
 * The summary of a page is one token: for each KV head the mean of the keys and the mean of the values of the page. Summaries lie in pages
 * themselves, KV_PAGE of them in one, of q8 where the page is of q8 or q4 and else of bfloat16, so every kernel for pages works on them. Their
 * values are rotated as those of the page, so that one running softmax goes over tokens and summaries.
 *
 * Where pages are too many as well, the summary of a group of SUMMARY_GROUP pages, the means of theirs, stands for all of them. It is made from their
 * summaries as these are stored, and lies in pages of the same layout.
 */
#ifndef KERNEL_SUMMARY_H
#define KERNEL_SUMMARY_H

#include "kernel/kv_layout.h"

enum { SUMMARY_GROUP = KV_GROUP };

/* Of the pages that hold the summaries of pages of layout l. */
static inline kv_layout summary_layout(const kv_layout *l) { return (kv_layout){kv_coded(l->type) ? KV_Q8 : KV_BF16, l->heads, l->dk, l->dv}; }
/* Bytes of one summary taken by itself: for each head what gather_take gives. */
size_t summary_bytes(const kv_layout *l);

/* Writes the summary of a full page into slot `index` of the summary pages. */
void summary_make(const kv_layout *l, const uint8_t *page, uint8_t *summaries, int64_t index);
/* The same of a group, once the summaries of all its pages are there. */
void summary_make_group(const kv_layout *l, const uint8_t *summaries, uint8_t *groups, int64_t index);
/* One summary out of its slot, and into it. */
void summary_get(const kv_layout *l, const uint8_t *summaries, int64_t index, uint8_t *out);
void summary_put(const kv_layout *l, uint8_t *summaries, int64_t index, const uint8_t *from);

#endif
