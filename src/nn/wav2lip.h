/**
 * Wav2Lip: the generator (96, 288 and 384 px members of the family), its sync expert and its quality
 * discriminator.
 *
 * Layout   pictures [B,H,W,C] with channels in the order of the published code: blue, green, red; sound
 * [B,80,16,1] (band, time). Parameter names are those of the published files without "module.". Source
 * Prajwal et al. 2020, arXiv:2008.10010; spec/wav2lip.md §6, §8; for other sizes the layer lists of
 *          primepake/wav2lip_288x288 and nghiakvnvsd/wav2lip384.
 */
#ifndef PZ_NN_WAV2LIP_H
#define PZ_NN_WAV2LIP_H

#include "nn/param.h"

#define PZ_WAV2LIP_MAX_BLOCKS 12
#define PZ_WAV2LIP_MAX_AUDIO 24

/** What distinguishes one member of the family from another; all of it is read from the weights' shapes. */
struct pz_wav2lip_config {
    int size;     /**< side of the face picture, px */
    int n_blocks; /**< of the encoder, and as many of the decoder */
    struct {
        int layers, channels;
        int kernel; /**< of the first layer */
        bool valid; /**< a closing block: 3×3 without padding, then 1×1 */
    } face[PZ_WAV2LIP_MAX_BLOCKS];
    struct {
        int layers, channels;
    } decoder[PZ_WAV2LIP_MAX_BLOCKS];
    int n_audio, audio[PZ_WAV2LIP_MAX_AUDIO]; /**< channels after each layer of the sound encoder */
    int n_refine;                             /**< 1×1 layers after it (384 px only) */
    int output_channels;                      /**< of the layer before the last */
    float slope;                              /**< leaky ReLU's, 0 = ReLU */
    bool tanh;                                /**< last activation: tanh (384 px), else sigmoid */
};

/** The published network with all widths divided by `divisor` (1 = as published, 8 = the fact sheet's test).
 */
struct pz_wav2lip_config pz_wav2lip_published(int divisor);

/**
 * Read the configuration from a checkpoint's shapes (names without "module."). The network is convolutional:
 * its picture size is the largest multiple of 96 px that its encoder brings down to one cell.
 *
 * Errors  WEIGHTS (logged: not a generator of this family, and which tensor says so)
 */
PZ_NODISCARD enum pz_status pz_wav2lip_detect(const struct pz_checkpoint *c, const char *file,
                                              struct pz_log *log, struct pz_wav2lip_config *config);

/** Values inside a built generator, for comparing block by block. May be NULL where a pointer is asked for.
 */
struct pz_wav2lip_taps {
    int audio;
    int encoder[PZ_WAV2LIP_MAX_BLOCKS]; /**< after each block */
    int decoder[PZ_WAV2LIP_MAX_BLOCKS]; /**< after each block, before its skip is joined */
};

/** Sound encoder: mel [B,80,16,1] → [B,1,1,C]. */
int pz_wav2lip_audio(struct pz_params *p, const struct pz_wav2lip_config *c, int mel);

/** Encoder and decoder: audio [B,1,1,C] and face [B,S,S,6] (lower half zeroed, then whole) → [B,S,S,3] in
 * [0,1] (sigmoid) or [−1,1] (tanh). */
int pz_wav2lip_face(struct pz_params *p, const struct pz_wav2lip_config *c, int audio, int face,
                    struct pz_wav2lip_taps *taps);

/** Names to ignore (pz_params_options.ignore) when only one half of the generator is built. */
extern const char *const pz_wav2lip_audio_names[], *const pz_wav2lip_face_names[];

/** Sync expert's halves (SyncNet_color): sound [B,80,16,1] and five lower halves [B,48,96,15] → [B,C], not
 * yet normalised. Widths divided by `divisor`. */
int pz_wav2lip_expert_audio(struct pz_params *p, int divisor, int mel);
int pz_wav2lip_expert_face(struct pz_params *p, int divisor, int face);

/** Quality discriminator: lower half [B,48,96,3] → [B,1] in [0,1]. */
int pz_wav2lip_quality(struct pz_params *p, int divisor, int face);

#endif
