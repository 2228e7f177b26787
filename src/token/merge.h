/* Byte-pair merging of one piece of text. Private to token/. */
#ifndef TOKEN_MERGE_H
#define TOKEN_MERGE_H

#include "token/vocab.h"

typedef struct merge_result {
    int32_t id;    /* -1: a character, or byte, that is no token */
    uint32_t size; /* bytes of the piece */
} merge_result;

enum { MERGE_SMALL = 64 };

/* Room for merging, kept from piece to piece. */
typedef struct merge_room {
    merge_result few[MERGE_SMALL];
    struct merge_symbol *symbols; /* for pieces of more characters, both of `capacity` */
    uint64_t *heap;
    size_t capacity;
} merge_room;

void merge_room_deinit(merge_room *room);

/* Merges text[0..n), 0 < n <= TOKEN_TEXT_MAX. The results stay in the room until the next call. */
CJ_NODISCARD cj_err merge_piece(const tokenizer *t, merge_room *room, const char *text, size_t n,
                                const merge_result **results, size_t *count, cj_diag *d);

#endif
