/* A hash of short byte strings: the product of two overlapping words, in the manner of wyhash and XXH3. */
#ifndef TOKEN_PIECE_HASH_H
#define TOKEN_PIECE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t piece_load(const char *s, size_t n)
{
    uint64_t word = 0;
    memcpy(&word, s, n);
    return word;
}

static inline uint64_t piece_mix(uint64_t a, uint64_t b)
{
    __uint128_t p = (__uint128_t)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static inline uint64_t piece_hash(const char *s, size_t n)
{
    uint64_t hash = UINT64_C(0x2D358DCCAA6C78A5) ^ n;
    while (n > 16) {
        hash = piece_mix(piece_load(s, 8) ^ UINT64_C(0x8BB84B93962EACC9), piece_load(s + 8, 8) ^ hash);
        s += 16;
        n -= 16;
    }
    uint64_t a, b;
    if (n >= 8) {
        a = piece_load(s, 8);
        b = piece_load(s + n - 8, 8);
    } else if (n >= 4) {
        a = piece_load(s, 4);
        b = piece_load(s + n - 4, 4);
    } else {
        a = n ? (uint64_t)(unsigned char)s[0] << 16 | (uint64_t)(unsigned char)s[n >> 1] << 8 | (unsigned char)s[n - 1] : 0;
        b = 0;
    }
    hash = piece_mix(a ^ UINT64_C(0x8BB84B93962EACC9), b ^ hash);
    return hash ^ hash >> 32; /* the lower bits choose a slot, the upper ones are the tag */
}

#endif
