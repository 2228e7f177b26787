/* Ids to text, all at once or token by token. */
#include <string.h>

#include "token/vocab.h"

/* The bytes that token id adds after what *at_start says, and what it says to the next one. */
static cj_err piece_after(const tokenizer *t, int32_t id, unsigned flags, bool *at_start, token_text *out, cj_diag *d)
{
    if (id < 0 || id >= t->count) return diag_fail(d, CJ_E_INPUT, MSG_TOKEN_NO_SUCH_ID, "%d" ARG "%d", id, t->count - 1);
    token_type type = tokenizer_type(t, id);
    *out = vocab_piece(t, id);
    if ((type == TOKEN_CONTROL || type == TOKEN_UNKNOWN) && !(flags & TOKEN_SHOW_SPECIAL)) out->size = 0;
    if (type == TOKEN_CONTROL || type == TOKEN_USER) {
        *at_start = true; /* encode put a space before what follows */
        return CJ_OK;
    }
    if (*at_start && t->space_prefix && out->size && *out->data == ' ') {
        out->data++;
        out->size--;
    }
    *at_start = false;
    return CJ_OK;
}

cj_err tokenizer_decode(const tokenizer *t, const int32_t *ids, size_t n, unsigned flags, buf *out, cj_diag *d)
{
    bool at_start = !(flags & TOKEN_CONTINUES);
    for (size_t i = 0; i < n; i++) {
        token_text piece;
        TRY(piece_after(t, ids[i], flags, &at_start, &piece, d));
        TRY(buf_append(out, piece.data, piece.size, d));
    }
    return CJ_OK;
}

void token_stream_init(token_stream *s, const tokenizer *t, unsigned flags)
{
    *s = (token_stream){.tokenizer = t, .flags = flags, .at_start = !(flags & TOKEN_CONTINUES)};
}

/* Writes what of the held bytes is decided: whole characters, and U+FFFD for each byte that cannot begin one. */
static cj_err settle(token_stream *s, bool ended, buf *out, cj_diag *d)
{
    while (s->held_count) {
        uint32_t cp;
        int length = utf8_decode(s->held, s->held_count, &cp);
        if (cp != (uint32_t)UTF8_INVALID) {
            TRY(buf_append(out, s->held, (size_t)length, d));
        } else {
            if (!ended && utf8_incomplete_tail(s->held, s->held_count) == s->held_count) return CJ_OK;
            TRY(buf_append(out, "\xEF\xBF\xBD", 3, d));
        }
        s->held_count = (uint8_t)(s->held_count - length);
        memmove(s->held, s->held + length, s->held_count);
    }
    return CJ_OK;
}

cj_err token_stream_push(token_stream *s, int32_t id, buf *out, cj_diag *d)
{
    token_text piece;
    TRY(piece_after(s->tokenizer, id, s->flags, &s->at_start, &piece, d));
    for (size_t i = 0; i < piece.size;) {
        if (!s->held_count) {
            size_t valid = utf8_valid_prefix(piece.data + i, piece.size - i);
            TRY(buf_append(out, piece.data + i, valid, d));
            i += valid;
            if (i == piece.size) break;
        }
        s->held[s->held_count++] = piece.data[i++]; /* settle leaves at most three */
        TRY(settle(s, false, out, d));
    }
    return CJ_OK;
}

cj_err token_stream_end(token_stream *s, buf *out, cj_diag *d) { return settle(s, true, out, d); }
