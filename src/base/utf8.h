/* UTF-8: decoding, encoding, checking. Overlong forms, surrogates and values past U+10FFFF are invalid (RFC 3629). */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UTF8_INVALID = 0xFFFFFFFFu };

/* Decodes the character at s (n > 0 bytes left) into *cp, returns its length 1..4. An invalid byte gives UTF8_INVALID, length 1. */
int utf8_decode(const char *s, size_t n, uint32_t *cp);
/* Encodes cp into out[4], returns the length; an invalid cp is written as U+FFFD. */
int utf8_encode(uint32_t cp, char out[4]);
/* Length of the longest valid prefix. Equals n when all is valid. */
size_t utf8_valid_prefix(const char *s, size_t n);
/* Number of code points (each invalid byte counts as one). */
size_t utf8_count(const char *s, size_t n);
/* How many bytes at the end of s are the beginning of a character not yet complete (0..3): for incremental output. */
size_t utf8_incomplete_tail(const char *s, size_t n);
/* Whether a character could steer a terminal rather than be shown: C0, delete, C1. */
bool utf8_is_control(uint32_t cp);
/* Valid, and without control characters. */
bool utf8_is_plain(const char *s, size_t n);
/* Makes it so in place: `instead` stands where a control character or a byte of no character was. Returns the new length, at most n. */
size_t utf8_make_plain(char *s, size_t n, char instead);
/* Columns on a terminal: CJK and full width 2, combining 0. */
int utf8_width(uint32_t cp);

#endif
