/* Reading and writing checkpoints. See checkpoint.h. */
#include "train/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/hash.h"

enum { VERSION = 1, PIECE = 1 << 20 /* bytes that are hashed, written and moved at a time */ };
static const char magic[8] = "CJTRAIN";

typedef struct head {
    char magic[8];
    uint64_t version;
    checkpoint_key key;
    train_state state;
    uint64_t sums[CHECKPOINT_BLOCKS_MAX]; /* of the blocks */
    uint64_t sum;                         /* of all before it */
} head;
_Static_assert(sizeof(head) % 8 == 0 && sizeof(train_state) == 16 * 8 && sizeof(checkpoint_key) == 6 * 8, "written as it lies: no gaps");

static uint64_t head_sum(const head *h) { return hash_xxh3(h, offsetof(head, sum)); }
static size_t first_block(void) { return size_round_up(sizeof(head), MEM_ALIGN); }
static size_t block_bytes(const checkpoint_key *k) { return (size_t)k->size * sizeof(float); }
static size_t block_stride(const checkpoint_key *k) { return size_round_up(block_bytes(k), MEM_ALIGN); }

static uint64_t chain(uint64_t sum, const void *piece, size_t n)
{
    const uint64_t both[] = {sum, hash_xxh3(piece, n)};
    return hash_xxh3(both, sizeof both);
}

uint64_t checkpoint_shape(const trainee *t)
{
    uint64_t sum = 0;
    for (int i = 0; i < t->n_params; i++) {
        const param *p = &t->params[i];
        const int64_t facts[] = {p->at, p->rows, p->cols, p->decay};
        sum = chain(sum, p->name, strlen(p->name));
        sum = chain(sum, facts, sizeof facts);
    }
    const float scale = t->adapter ? t->adapter->scale : 0;
    return chain(sum, &scale, sizeof scale);
}

/* ---- checking ---- */

static uint64_t block_sum(const uint8_t *block, size_t bytes)
{
    uint64_t sum = 0;
    for (size_t at = 0; at < bytes; at += PIECE) sum = chain(sum, block + at, bytes - at < PIECE ? bytes - at : PIECE);
    return sum;
}

/* Numbers that no training can have. */
static bool state_is_sound(const train_state *s)
{
    const optimiser_state *o = &s->optimiser;
    return s->step >= 0 && s->rows >= 0 && s->scored >= 0 && s->scored <= s->rows && o->updates >= 0 && o->skipped >= 0 && o->in_a_row >= 0 &&
           o->updates <= s->step && isfinite(o->usual_norm) && s->checked >= 0 && s->best_step >= 0 && s->worse >= 0 && !isnan(s->best_loss) && isfinite(s->seconds);
}

static cj_err check_key(const checkpoint_key *is, const checkpoint_key *wanted, const char *name, cj_diag *d)
{
    if (is->model != wanted->model) return diag_fail(d, CJ_E_INPUT, MSG_CHECKPOINT_MODEL, "%s", name);
    if (is->shape != wanted->shape || is->size != wanted->size || is->blocks != wanted->blocks) return diag_fail(d, CJ_E_INPUT, MSG_CHECKPOINT_SHAPE, "%s", name);
    if (is->data != wanted->data) return diag_fail(d, CJ_E_INPUT, MSG_CHECKPOINT_DATA, "%s", name);
    if (is->settings != wanted->settings) return diag_fail(d, CJ_E_INPUT, MSG_CHECKPOINT_SETTINGS, "%s", name);
    return CJ_OK;
}

cj_err checkpoint_check(const uint8_t *data, size_t n, const char *name, const checkpoint_key *key, train_state *s, size_t *first, cj_diag *d)
{
    head h;
    if (n < first_block()) return diag_fail(d, CJ_E_INPUT, MSG_CHECKPOINT_DAMAGED, "%s", name);
    memcpy(&h, data, sizeof h);
    if (memcmp(h.magic, magic, sizeof magic)) return diag_fail(d, CJ_E_INPUT, MSG_CHECKPOINT_NONE, "%s", name);
    if (h.version != VERSION) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_CHECKPOINT_VERSION, "%s" ARG "%llu" ARG "%d", name, (unsigned long long)h.version, (int)VERSION);
    if (h.sum != head_sum(&h) || !state_is_sound(&h.state)) return diag_fail(d, CJ_E_INPUT, MSG_CHECKPOINT_DAMAGED, "%s", name);
    TRY(check_key(&h.key, key, name, d));
    if (n != first_block() + (size_t)key->blocks * block_stride(key)) return diag_fail(d, CJ_E_INPUT, MSG_CHECKPOINT_DAMAGED, "%s", name);
    for (int64_t i = 0; i < key->blocks; i++)
        if (block_sum(data + first_block() + (size_t)i * block_stride(key), block_bytes(key)) != h.sums[i])
            return diag_fail(d, CJ_E_INPUT, MSG_CHECKPOINT_DAMAGED, "%s", name);
    *s = h.state;
    *first = first_block();
    return CJ_OK;
}

/* ---- files ---- */

cj_err checkpoint_read(const char *path, kernel_ctx *ctx, const checkpoint_key *key, train_state *s, float *const *blocks, cj_diag *d)
{
    file_map map;
    size_t first = 0;
    TRY(file_map_open(&map, path, d));
    cj_err e = checkpoint_check(map.data, map.size, path, key, s, &first, d);
    for (int64_t i = 0; !e && blocks && i < key->blocks; i++) kernel_upload(ctx, blocks[i], map.data + first + (size_t)i * block_stride(key), block_bytes(key));
    file_map_close(&map);
    return e;
}

static cj_err write_block(file_out *f, kernel_ctx *ctx, const float *block, size_t bytes, uint64_t *sum, char *piece, cj_diag *d)
{
    *sum = 0;
    for (size_t at = 0; at < bytes; at += PIECE) {
        const size_t n = bytes - at < PIECE ? bytes - at : PIECE;
        kernel_download(ctx, piece, block + at / sizeof *block, n);
        *sum = chain(*sum, piece, n);
        TRY(file_out_write(f, piece, n, d));
    }
    return file_out_pad(f, MEM_ALIGN, d);
}

static cj_err write_all(file_out *f, kernel_ctx *ctx, head *h, float *const *blocks, char *piece, cj_diag *d)
{
    TRY(file_out_write(f, h, sizeof *h, d));
    TRY(file_out_pad(f, MEM_ALIGN, d));
    for (int64_t i = 0; i < h->key.blocks; i++) TRY(write_block(f, ctx, blocks[i], block_bytes(&h->key), &h->sums[i], piece, d));
    h->sum = head_sum(h);
    return file_out_rewrite(f, 0, h, sizeof *h, d);
}

/* Under its own name: whole and durable, or not there. */
static cj_err write_new(const char *path, kernel_ctx *ctx, head *h, float *const *blocks, cj_diag *d)
{
    file_out f;
    char *piece = mem_alloc(PIECE);
    if (!piece) return diag_nomem(d, PIECE);
    cj_err e = file_out_open(&f, path, d);
    if (!e) {
        e = write_all(&f, ctx, h, blocks, piece, d);
        if (e) file_out_abort(&f);
        else e = file_out_commit(&f, d);
    }
    mem_free(piece);
    return e;
}

/* What the new one has become on disk is read back before the old one goes. */
static cj_err replace(const char *fresh, const char *path, kernel_ctx *ctx, const checkpoint_key *key, cj_diag *d)
{
    train_state s;
    TRY(checkpoint_read(fresh, ctx, key, &s, NULL, d));
    return folder_move(fresh, path, d);
}

cj_err checkpoint_write(const char *path, kernel_ctx *ctx, const checkpoint_key *key, const train_state *s, float *const *blocks, cj_diag *d)
{
    head h = {.version = VERSION, .key = *key, .state = *s};
    memcpy(h.magic, magic, sizeof magic);
    const size_t n = strlen(path) + sizeof ".new";
    char *fresh = mem_alloc(n);
    if (!fresh) return diag_nomem(d, n);
    snprintf(fresh, n, "%s.new", path);
    cj_err e = write_new(fresh, ctx, &h, blocks, d);
    if (!e) e = replace(fresh, path, ctx, key, d);
    if (e) {
        cj_err removed = folder_remove(fresh, NULL);
        (void)removed; /* what is left there hurts nobody */
    }
    mem_free(fresh);
    return e;
}
