// What every kernel library of ours begins with: stored elements, as they lie in a checkpoint, decoded to float.
// The block layouts are those of ggml; `weight/decode.rs` is the same in Rust, with the same rounding.

#include <metal_stdlib>
#include <metal_simdgroup>
#include <metal_simdgroup_matrix>
using namespace metal;

// Numbers of the formats: the order in which `WeightDtype` declares them.
#define STORED_F32 0
#define STORED_F16 1
#define STORED_BF16 2
#define STORED_Q4_0 3
#define STORED_Q4_1 4
#define STORED_Q5_0 5
#define STORED_Q8_0 6
#define STORED_Q4_K 7
#define STORED_Q5_K 8
#define STORED_Q6_K 9
#define STORED_NOTHING 255

// One value of a dense row.
inline float stored_dense(ushort format, device const uchar *row, ulong at) {
    if (format == STORED_F32) {
        return ((device const float *)row)[at];
    }
    if (format == STORED_F16) {
        return float(((device const half *)row)[at]);
    }
    return float(((device const bfloat *)row)[at]);
}

// A half at an even address.
inline float stored_half(device const uchar *at) {
    return float(*(device const half *)at);
}

// Eight bytes from an even address, read in pairs.
inline uint2 stored_bytes(device const uchar *at) {
    device const ushort *pairs = (device const ushort *)at;
    return uint2(uint(pairs[0]) | (uint(pairs[1]) << 16), uint(pairs[2]) | (uint(pairs[3]) << 16));
}

// Byte `i` of eight, shifted to the right; only its low bits count.
inline uint stored_byte(uint2 bytes, uint i, uint shift) {
    return (i < 4 ? bytes.x : bytes.y) >> (i % 4 * 8 + shift);
}

// Scale and minimum of a group of 32 in a Q4_K or Q5_K block: six bits each, packed into twelve bytes.
inline void stored_group_scale(device const uchar *packed, uint group, thread float &scale, thread float &minimum) {
    uint s, m;
    if (group < 4) {
        s = packed[group] & 63;
        m = packed[group + 4] & 63;
    } else {
        s = (packed[group + 4] & 15) | ((packed[group - 4] >> 6) << 4);
        m = (packed[group + 4] >> 4) | ((packed[group] >> 6) << 4);
    }
    scale = float(s);
    minimum = float(m);
}

inline void stored_q4_0(device const uchar *row, uint at, thread float *to) {
    device const uchar *block = row + ulong(at / 32) * 18;
    const float scale = stored_half(block);
    const uint first = at % 32;
    const uint shift = first < 16 ? 0 : 4;
    const uint2 quants = stored_bytes(block + 2 + first % 16);
    for (uint i = 0; i < 8; i++) {
        to[i] = (float(stored_byte(quants, i, shift) & 15) - 8.0f) * scale;
    }
}

inline void stored_q4_1(device const uchar *row, uint at, thread float *to) {
    device const uchar *block = row + ulong(at / 32) * 20;
    const float scale = stored_half(block);
    const float minimum = stored_half(block + 2);
    const uint first = at % 32;
    const uint shift = first < 16 ? 0 : 4;
    const uint2 quants = stored_bytes(block + 4 + first % 16);
    for (uint i = 0; i < 8; i++) {
        to[i] = fma(float(stored_byte(quants, i, shift) & 15), scale, minimum);
    }
}

inline void stored_q5_0(device const uchar *row, uint at, thread float *to) {
    device const uchar *block = row + ulong(at / 32) * 22;
    const float scale = stored_half(block);
    const uint first = at % 32;
    const uint shift = first < 16 ? 0 : 4;
    const uint fifth = block[2 + first / 8];
    const uint2 quants = stored_bytes(block + 6 + first % 16);
    for (uint i = 0; i < 8; i++) {
        const uint quant = (stored_byte(quants, i, shift) & 15) | (((fifth >> i) & 1) << 4);
        to[i] = (float(quant) - 16.0f) * scale;
    }
}

inline void stored_q8_0(device const uchar *row, uint at, thread float *to) {
    device const uchar *block = row + ulong(at / 32) * 34;
    const float scale = stored_half(block);
    const uint2 quants = stored_bytes(block + 2 + at % 32);
    for (uint i = 0; i < 8; i++) {
        to[i] = float(char(stored_byte(quants, i, 0) & 255)) * scale;
    }
}

inline void stored_q4_k(device const uchar *row, uint at, thread float *to) {
    device const uchar *block = row + ulong(at / 256) * 144;
    const uint group = at % 256 / 32;
    const uint shift = group % 2 * 4;
    float group_scale, group_minimum;
    stored_group_scale(block + 4, group, group_scale, group_minimum);
    const float scale = stored_half(block) * group_scale;
    const float minimum = -(stored_half(block + 2) * group_minimum);
    const uint2 quants = stored_bytes(block + 16 + group / 2 * 32 + at % 32);
    for (uint i = 0; i < 8; i++) {
        to[i] = fma(float(stored_byte(quants, i, shift) & 15), scale, minimum);
    }
}

inline void stored_q5_k(device const uchar *row, uint at, thread float *to) {
    device const uchar *block = row + ulong(at / 256) * 176;
    const uint group = at % 256 / 32;
    const uint shift = group % 2 * 4;
    float group_scale, group_minimum;
    stored_group_scale(block + 4, group, group_scale, group_minimum);
    const float scale = stored_half(block) * group_scale;
    const float minimum = -(stored_half(block + 2) * group_minimum);
    const uint2 fifth = stored_bytes(block + 16 + at % 32);
    const uint2 quants = stored_bytes(block + 48 + group / 2 * 32 + at % 32);
    for (uint i = 0; i < 8; i++) {
        const uint quant = (stored_byte(quants, i, shift) & 15) | ((stored_byte(fifth, i, group) & 1) << 4);
        to[i] = fma(float(quant), scale, minimum);
    }
}

inline void stored_q6_k(device const uchar *row, uint at, thread float *to) {
    device const uchar *block = row + ulong(at / 256) * 210;
    // Values 128 apart lie in the two halves of the block; a half has four runs of 32, a run two groups of 16.
    const uint group = at % 256 / 16;
    const uint run = group / 2 % 4;
    const uint column = group % 2 * 16 + at % 16;
    const uint2 lower = stored_bytes(block + group / 8 * 64 + run % 2 * 32 + column);
    const uint2 upper = stored_bytes(block + 128 + group / 8 * 32 + column);
    const float scale = stored_half(block + 208) * float(((device const char *)(block + 192))[group]);
    for (uint i = 0; i < 8; i++) {
        const uint quant = (stored_byte(lower, i, run / 2 * 4) & 15) | ((stored_byte(upper, i, run * 2) & 3) << 4);
        to[i] = (float(quant) - 32.0f) * scale;
    }
}

// Eight values of a row from `at`, a multiple of eight; all of them must be there.
inline void stored_eight(ushort format, device const uchar *row, uint at, thread float *to) {
    switch (format) {
    case STORED_Q4_0: stored_q4_0(row, at, to); break;
    case STORED_Q4_1: stored_q4_1(row, at, to); break;
    case STORED_Q5_0: stored_q5_0(row, at, to); break;
    case STORED_Q8_0: stored_q8_0(row, at, to); break;
    case STORED_Q4_K: stored_q4_k(row, at, to); break;
    case STORED_Q5_K: stored_q5_k(row, at, to); break;
    case STORED_Q6_K: stored_q6_k(row, at, to); break;
    default:
        for (uint i = 0; i < 8; i++) {
            to[i] = stored_dense(format, row, at + i);
        }
    }
}

// Eight values of a row of `len`, zeros behind its end.
inline void stored_eight_or_zeros(ushort format, device const uchar *row, uint at, uint len, thread float *to) {
    if (at + 8 <= len) {
        stored_eight(format, row, at, to);
        return;
    }
    for (uint i = 0; i < 8; i++) {
        to[i] = at + i < len ? stored_dense(format, row, at + i) : 0.0f; // only dense rows end inside of eight
    }
}

// Any one value.
inline float stored_value(ushort format, device const uchar *row, uint at) {
    if (format <= STORED_BF16) {
        return stored_dense(format, row, at);
    }
    float eight[8];
    stored_eight(format, row, at / 8 * 8, eight);
    return eight[at % 8];
}
