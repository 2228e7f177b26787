/* Hashes: SHA-256 (libsodium) for what comes from outside, XXH3-64 for our own pages. */
#ifndef BASE_HASH_H
#define BASE_HASH_H
#include "base/err.h"
typedef struct hash_sha256 { unsigned char state[128]; } hash_sha256; /* opaque, by value */
void hash_sha256_init(hash_sha256 *h);
void hash_sha256_add(hash_sha256 *h, const void *data, size_t n);
void hash_sha256_hex(hash_sha256 *h, char out[65]); /* ends the hash */
void hash_sha256_end(hash_sha256 *h, uint8_t out[32]);
uint64_t hash_xxh3(const void *data, size_t n);
/* Of a sum and what follows. */
uint64_t hash_mix(uint64_t sum, uint64_t more);
#endif
