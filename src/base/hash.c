/* SHA-256 by libsodium, XXH3 by xxHash. */
#include "base/hash.h"

#include <sodium.h>
#include <stdio.h>
#include <xxhash.h>

_Static_assert(sizeof(crypto_hash_sha256_state) <= sizeof(hash_sha256), "room for libsodium's state");
#define STATE(h) ((crypto_hash_sha256_state *)(void *)(h)->state)

void hash_sha256_init(hash_sha256 *h) { crypto_hash_sha256_init(STATE(h)); }
void hash_sha256_add(hash_sha256 *h, const void *data, size_t n) { crypto_hash_sha256_update(STATE(h), data, n); }

void hash_sha256_hex(hash_sha256 *h, char out[65])
{
    unsigned char sum[32];
    crypto_hash_sha256_final(STATE(h), sum);
    sodium_bin2hex(out, 65, sum, sizeof sum);
}

void hash_sha256_end(hash_sha256 *h, uint8_t out[32]) { crypto_hash_sha256_final(STATE(h), out); }

uint64_t hash_xxh3(const void *data, size_t n) { return XXH3_64bits(data, n); }

uint64_t hash_mix(uint64_t sum, uint64_t more)
{
    const uint64_t parts[] = {sum, more};
    return hash_xxh3(parts, sizeof parts);
}
