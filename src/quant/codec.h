/* The decoders and encoders behind the table of quant.c. n is a multiple of the block; blocks may lie at any even address. */
#ifndef QUANT_CODEC_H
#define QUANT_CODEC_H

#include <stdint.h>

void quant_decode_q4_0(const void *blocks, float *out, int64_t n);
void quant_decode_q4_1(const void *blocks, float *out, int64_t n);
void quant_decode_q5_0(const void *blocks, float *out, int64_t n);
void quant_decode_q5_1(const void *blocks, float *out, int64_t n);
void quant_decode_q8_0(const void *blocks, float *out, int64_t n);
void quant_decode_q4_k(const void *blocks, float *out, int64_t n);
void quant_decode_q5_k(const void *blocks, float *out, int64_t n);
void quant_decode_q6_k(const void *blocks, float *out, int64_t n);

void quant_encode_q4_0(const float *in, void *blocks, int64_t n);
void quant_encode_q4_1(const float *in, void *blocks, int64_t n);
void quant_encode_q5_0(const float *in, void *blocks, int64_t n);
void quant_encode_q5_1(const float *in, void *blocks, int64_t n);
void quant_encode_q8_0(const float *in, void *blocks, int64_t n);
void quant_encode_q4_k(const float *in, void *blocks, int64_t n);
void quant_encode_q5_k(const float *in, void *blocks, int64_t n);
void quant_encode_q6_k(const float *in, void *blocks, int64_t n);

#endif
