/**
 * Speech for talking sequences: many spoken entries in one safetensors file.
 *
 *   wave          i16 [samples]  16 kHz mono, entries one after the other; or
 *   wave_mulaw    u8  [samples]  the same as 8-bit µ-law (G.711)
 *   wave_offset   i64 [n+1]      samples
 *   phone_id      u8  [p]        names in the metadata "phones", separated by blanks
 *   phone_end     f32 [p]        seconds in the entry; a phone begins where the last one ended, the first at
 * 0 phone_energy  f32 [p]        RMS of the phone phone_stress  u8  [p]        1 on vowels of stressed
 * syllables phone_offset  i32 [n+1] word_start, word_end f32 [w]; word_offset i32 [n+1]; text u8 [t],
 * text_offset i32 [n+1]: the sentence voice         u8  [n]        0 kal16 1 awb 2 rms 3 slt;  speaker f32
 * [n,2]: resampling (pitch and formants), stretch of durations
 */
#ifndef PZ_SYN_BANK_H
#define PZ_SYN_BANK_H

#include <stdint.h>

#include "base/log.h"
#include "base/status.h"
#include "speech.h"

enum { PZ_SYN_BANK_RATE = 16000, PZ_SYN_BANK_PHONES = 64 };

struct pz_syn_bank {
    int n;
    int64_t *wave_offset;  /**< [n+1] */
    int32_t *phone_offset; /**< [n+1] */
    uint8_t *phone_id, *phone_stress;
    float *phone_end, *phone_energy;
    char name[PZ_SYN_BANK_PHONES][8];
    int n_name;
};

/** Read what motion needs (no sound). Owner: caller. Errors: INPUT, FORMAT, NOMEM; the file is hostile. */
PZ_NODISCARD enum pz_status pz_syn_bank_open(struct pz_log *log, const char *path, struct pz_syn_bank *b);
void pz_syn_bank_close(struct pz_syn_bank *b);
/** Phones of entry i as a speech without sound (`pcm` NULL, n_samples at 48 kHz set). */
void pz_syn_bank_speech(const struct pz_syn_bank *b, int i, struct pz_syn_speech *s);

/** bank_make.c (needs flite): speak `minutes` of sentences drawn from `seed` and write the file. Errors:
 * USAGE, INTERNAL, NOMEM, WRITE. */
PZ_NODISCARD enum pz_status pz_syn_bank_make(struct pz_log *log, const char *path, double minutes,
                                             uint64_t seed, int mulaw);

#endif
