/**
 * Front ends of published networks: what each was trained to hear, number for number.
 *
 * All take mono 16 kHz in [-1,1], give rows of time, [frames][bands], and cost far less than a thousandth of
 * the sound's own time. Features of a sound do not depend on how it is cut into calls, except where a maximum
 * is taken. Threads  a plan belongs to one thread at a time. Source  spec/wav2lip.md §2, §9; spec/whisper.md
 * §3.
 */
#ifndef PZ_AUDIO_FEATURES_H
#define PZ_AUDIO_FEATURES_H

#include "audio/mel.h"

/* Wav2Lip: 80 bands, 80 frames a second, values in [-4,4]. */
#define PZ_WAV2LIP_BANDS 80
#define PZ_WAV2LIP_RATE 80
/** Frames of one network window, 0.2 s. */
#define PZ_WAV2LIP_WINDOW 16

struct pz_wav2lip_mel;

/** `pad`: REFLECT as the pinned librosa 0.7, ZERO as librosa ≥ 0.9; only the first and last two frames
 * differ. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_wav2lip_mel_create(struct pz_log *log, enum pz_mel_pad pad,
                                                  struct pz_wav2lip_mel **m);
void pz_wav2lip_mel_destroy(struct pz_wav2lip_mel **m);

/** Frames of `n` samples: 1 + n/200. Frame t is centred on second t/80. */
int64_t pz_wav2lip_mel_frames(int64_t n);

/** Frames [t0, t0+n_t) of the sound: out [n_t][80]. */
void pz_wav2lip_mel_run(struct pz_wav2lip_mel *m, const float *samples, int64_t n, int64_t t0, int64_t n_t,
                        float *out);

/**
 * First mel frame of the window of `columns` that belongs to a picture shown at `seconds` from the sound's
 * begin and holds `before` frames from before it.
 *
 * The published code takes int(i·80/fps) for picture i, a window of PZ_WAV2LIP_WINDOW that starts with the
 * picture; given i/fps this is the same number. A window that would end beyond the sound is moved back to its
 * end, as the published code does with its last one; a sound shorter than a window gives 0.
 */
int64_t pz_wav2lip_window(double seconds, int columns, int before, int64_t n_frames);

/* SyncNet's evaluation: 13 coefficients, 100 frames a second. */
#define PZ_MFCC_COEFFS 13

struct pz_mfcc;

PZ_NODISCARD enum pz_status pz_mfcc_create(struct pz_log *log, struct pz_mfcc **m);
void pz_mfcc_destroy(struct pz_mfcc **m);

/** Frames of `n` samples: 1 + ceil((n − 400)/160), at least 1. Frame t starts at sample 160 t. */
int64_t pz_mfcc_frames(int64_t n);

/** Coefficients of frames [t0, t0+n_t): out [n_t][13]. Samples in [-1,1] are rounded to 16 bits first (×
 * 32768, as decoders do), because the published code works on raw integers. */
void pz_mfcc_run(struct pz_mfcc *m, const float *samples, int64_t n, int64_t t0, int64_t n_t, float *out);

/* Whisper: 80 or 128 bands, 100 frames a second. */
#define PZ_WHISPER_PIECE 480000 /**< samples of 30 s */
#define PZ_WHISPER_COLUMNS 3000 /**< frames of 30 s */

struct pz_whisper_mel;

/** Errors: USAGE (bands other than 80 or 128; logged), NOMEM. */
PZ_NODISCARD enum pz_status pz_whisper_mel_create(struct pz_log *log, int bands, struct pz_whisper_mel **m);
void pz_whisper_mel_destroy(struct pz_whisper_mel **m);

/** Frames of `n` samples and `n_zero` zeros after them: (n + n_zero)/160. */
int64_t pz_whisper_mel_frames(int64_t n, int64_t n_zero);

/**
 * log-mel of a whole sound: out [pz_whisper_mel_frames()][bands], squeezed below the greatest value of them
 * all.
 *
 * Three habits of padding, chosen by `n_zero` and by what is given as the sound:
 *   OpenAI          the whole file, n_zero = 480000; windows are cut from the result and filled up with 0
 *   Hugging Face    one piece of ≤ 30 s, n_zero = 480000 − n: always 3000 frames (MuseTalk)
 *   bare            the whole file, n_zero = 0; windows are filled up with 0 (LatentSync, first MuseTalk)
 */
void pz_whisper_mel_run(struct pz_whisper_mel *m, const float *samples, int64_t n, int64_t n_zero,
                        float *out);

/** The same in parts, for sounds that are never held whole: the logarithms of frames [t0, t0+n_t) of a
 * stretch, and their greatest value … */
float pz_whisper_mel_part(struct pz_whisper_mel *m, const float *samples, int64_t n, int64_t n_zero,
                          int64_t t0, int64_t n_t, float *out);
/** … and `count` of them squeezed below the greatest value `top` of the whole sound, in place. */
void pz_whisper_mel_squeeze(float *x, int64_t count, float top);

#endif
