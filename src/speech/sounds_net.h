/**
 * The file sounds_net.bin as the program has it (little-endian): uint32 how many networks; uint32 which of
 * them (bits) are asked for edges, for words, and for noise; each network: uint32 width, uint32 blocks,
 * uint32 outputs, uint32 dilations [blocks], the layers of band_net.c in order, each scales [out] and biases
 * [out] as F32 and weights [out][in] as int8; F32 usual lengths [phones][2] (logarithm of frames of 5 ms;
 * inside speech, before a pause) and F32 log-probabilities [phones] of the sound it was taught with. Made by
 * training/sounds/export.py. Private to src/speech.
 */
#ifndef PZ_SPEECH_SOUNDS_NET_H
#define PZ_SPEECH_SOUNDS_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "speech/phones.h"

extern const unsigned char pz_sounds_data[]; /* the build makes it of the file */
extern const size_t pz_sounds_bytes;

static inline uint32_t pz_sounds_word(int i)
{
    uint32_t v;

    memcpy(&v, pz_sounds_data + sizeof v * (size_t)i, sizeof v);
    return v;
}

static inline int pz_sounds_nets(void)
{
    return (int)pz_sounds_word(0);
}

/** Bit i: network i is asked for what enum pz_band_net_for says. */
static inline uint32_t pz_sounds_asked(int what)
{
    return pz_sounds_word(1 + what);
}

/** The first network. */
static inline const unsigned char *pz_sounds_weights(void)
{
    return pz_sounds_data + 4 * sizeof(uint32_t);
}

/** Float `i` of the tables behind the layers. */
static inline float pz_sounds_table(int i)
{
    float v;

    memcpy(&v, pz_sounds_data + pz_sounds_bytes - sizeof v * (size_t)(3 * PZ_PH_COUNT - i), sizeof v);
    return v;
}

/** Logarithm of the usual length of a phone, frames of 5 ms. */
static inline float pz_sounds_length(int phone, bool before_pause)
{
    return pz_sounds_table(2 * phone + before_pause);
}

/** Logarithm of how often a phone was what was taught. */
static inline float pz_sounds_prior(int phone)
{
    return pz_sounds_table(2 * PZ_PH_COUNT + phone);
}

#endif
