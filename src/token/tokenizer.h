/* Text to token ids and back.
 *
 * A tokenizer is built from a tokenizer_desc: plain arrays that know nothing of the file they came from (model/vocab_gguf.h
 * fills one from GGUF keys, token/tokenizer_json.h from a tokenizer.json). tokenizer_open copies what it keeps. Afterwards a
 * tokenizer does not change: any number of threads may use it.
 *
 * What holds:
 *   1. encode reads any bytes. Every token covers a span [start, end) of them; spans follow one another without gaps from 0 to
 *      the size of the text, tokens that stand for no text (begin, end, the space that some models put first) have empty ones.
 *   2. decode(encode(text)) == text for valid UTF-8 as far as the vocabulary can say it: a SentencePiece vocabulary turns a
 *      literal U+2581 into a space; normalisation, where the model wants it, is left out with TOKEN_VERBATIM.
 *   3. Time is O(n log n) in the worst case, memory O(n).
 */
#ifndef TOKEN_TOKENIZER_H
#define TOKEN_TOKENIZER_H

#include "base/err.h"
#include "base/mem.h"

enum {
    TOKEN_COUNT_MAX = 1 << 22,     /* tokens in a vocabulary */
    TOKEN_MERGES_MAX = 1 << 23,
    TOKEN_BYTES_MAX = 1 << 14,     /* bytes of one token */
    TOKEN_VOCAB_BYTES_MAX = 1 << 28
};
/* The longest text of one call of encode, in bytes. */
#define TOKEN_TEXT_MAX ((size_t)0xFFFFFF00u)

/* ---- description ---- */

typedef enum token_kind {
    TOKEN_SPM,       /* SentencePiece BPE: characters merge where the vocabulary has the result, the best score first */
    TOKEN_BPE_BYTES, /* byte-level BPE: bytes in the GPT-2 alphabet, a pre-tokenizer, a list of merges (without one, the token
                        with the lowest id first: files made from tiktoken ranks) */
    TOKEN_BPE_CHARS, /* characters with a list of merges and byte fallback: SentencePiece models as tokenizer.json has them */
} token_kind;

typedef enum token_type { /* numbered as in GGUF */
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,  /* stands for what the vocabulary cannot say */
    TOKEN_CONTROL = 3,  /* found in text only with TOKEN_PARSE_SPECIAL, shown only with TOKEN_SHOW_SPECIAL */
    TOKEN_USER = 4,     /* literal text, always found before anything is merged */
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6,     /* "<0x41>": one byte of a character without a token */
} token_type;

typedef enum token_strip { /* a special token found in text takes the white space beside it along */
    TOKEN_STRIP_LEFT = 1,
    TOKEN_STRIP_RIGHT = 2,
} token_strip;

typedef struct token_text { /* any bytes, no terminator */
    const char *data;
    size_t size;
} token_text;

typedef struct token_merge {
    token_text left, right;
} token_merge;

typedef enum token_setting { TOKEN_AS_USUAL = -1, TOKEN_NO = 0, TOKEN_YES = 1 } token_setting;

typedef struct tokenizer_desc {
    const char *name;            /* of the source, for messages */
    token_kind kind;
    const char *pre;             /* pre-tokenizer of TOKEN_BPE_BYTES, by the name that GGUF files use; NULL: "default" */
    size_t count;
    const token_text *tokens;    /* an empty one is never found in a text and stands for none */
    const float *scores;         /* TOKEN_SPM; NULL: all the same */
    const uint8_t *types;        /* token_type; NULL: all normal */
    const uint8_t *strips;       /* token_strip of special tokens; NULL: none */
    size_t merge_count;
    const token_merge *merges;   /* the first is merged first */
    int32_t bos, eos, eot, unk, pad; /* -1: none */
    token_setting add_bos, add_eos, add_space_prefix, ignore_merges; /* as usual: what goes with the kind and pre-tokenizer */
    bool nfc;                    /* the text is put into Unicode's form NFC first */
} tokenizer_desc;

/* The kind by the name that GGUF files have for it. false: it is none of these kinds. */
bool token_kind_named(token_text name, token_kind *kind);

/* Splits a merge written as "left right", the form of GGUF and of older tokenizer.json files. false: it has no such form. */
bool token_merge_split(token_text merge, token_merge *out);

/* ---- the tokenizer ---- */

typedef struct tokenizer tokenizer;

typedef struct token_specials {
    int32_t bos, eos, eot, unk, pad; /* -1: none */
    bool add_bos, add_eos;           /* what TOKEN_ADD_SPECIAL does */
} token_specials;

CJ_NODISCARD cj_err tokenizer_open(tokenizer **out, const tokenizer_desc *desc, cj_diag *d);
void tokenizer_close(tokenizer **t); /* NULL inside is allowed */
int32_t tokenizer_size(const tokenizer *t);
const token_specials *tokenizer_specials(const tokenizer *t);
token_text tokenizer_piece(const tokenizer *t, int32_t id); /* the bytes it stands for; empty for an id out of range */
token_type tokenizer_type(const tokenizer *t, int32_t id);  /* TOKEN_UNUSED for an id out of range */
bool tokenizer_is_end(const tokenizer *t, int32_t id);      /* a model that writes it has finished */
/* The token whose piece is exactly these bytes, literal and control tokens first; -1: none. */
int32_t tokenizer_find(const tokenizer *t, const char *text, size_t size);

/* ---- encoding ---- */

typedef struct token_span { /* bytes of the text given to encode */
    size_t start, end;
} token_span;

typedef struct token_list {
    int32_t *ids;
    token_span *spans;
    size_t count, capacity;
} token_list;

void token_list_init(token_list *l);
void token_list_deinit(token_list *l);
CJ_NODISCARD cj_err token_list_push(token_list *l, int32_t id, size_t start, size_t end, cj_diag *d);

enum { /* flags of encode */
    TOKEN_ADD_SPECIAL = 1,   /* the begin and end tokens, as the model wants them */
    TOKEN_PARSE_SPECIAL = 2, /* control tokens written out in the text are meant; never set it for what a user or a file says */
    TOKEN_VERBATIM = 4,      /* no NFC: every byte can be had back */
    TOKEN_CONTINUES = 8,     /* of decode too: this goes on from earlier text, so no space is put, or taken off, in front */
};
/* Appends the tokens of text[0..n) to out. After a failure out may have grown. */
CJ_NODISCARD cj_err tokenizer_encode(const tokenizer *t, const char *text, size_t n, unsigned flags, token_list *out, cj_diag *d);

/* ---- decoding ---- */

enum { TOKEN_SHOW_SPECIAL = 1 }; /* flag of decode and of a stream, beside TOKEN_CONTINUES: control tokens are written out, not left out */
/* Appends exactly the bytes of the tokens, which may be no valid UTF-8. An id out of range is an error. */
CJ_NODISCARD cj_err tokenizer_decode(const tokenizer *t, const int32_t *ids, size_t n, unsigned flags, buf *out, cj_diag *d);

/* Decodes token by token; what it has appended is always whole, valid UTF-8. */
typedef struct token_stream {
    const tokenizer *tokenizer;
    unsigned flags;
    bool at_start;       /* the space that encode puts first is still to be taken off */
    char held[4];        /* the beginning of a character */
    uint8_t held_count;
} token_stream;
void token_stream_init(token_stream *s, const tokenizer *t, unsigned flags);
CJ_NODISCARD cj_err token_stream_push(token_stream *s, int32_t id, buf *out, cj_diag *d); /* bytes that are no UTF-8: U+FFFD */
CJ_NODISCARD cj_err token_stream_end(token_stream *s, buf *out, cj_diag *d);              /* an unfinished character: U+FFFD */

#endif
