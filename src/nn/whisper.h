/**
 * Whisper: the network of Radford et al. 2022 (arXiv:2212.04356), encoder and decoder, as graph builders.
 *
 * Parameters carry the names of OpenAI's own files, or those of Hugging Face's where the checkpoint has them
 * (`dims.hugging_face`). Every builder asks for all parameters of its half, also of what it does not compute,
 * so that each plan checks the whole file and the hash rule ranks the same names everywhere.
 *
 * Shapes  mel [B,1,2·audio_ctx,bands]; audio [B,audio_ctx,audio_state]; text [1,T,text_state]. Source
 * spec/whisper.md §1, §2, §4, §5.
 */
#ifndef PZ_NN_WHISPER_H
#define PZ_NN_WHISPER_H

#include "nn/param.h"

#define PZ_WHISPER_MAX_LAYERS 64

struct pz_whisper_dims {
    int bands, vocab;
    int audio_ctx, audio_state, audio_heads, audio_layers;
    int text_ctx, text_state, text_heads, text_layers;
    bool hugging_face; /**< names of that house, below "model." */
};

/** Read the sizes of a checkpoint: the numbers OpenAI stores beside the tensors, otherwise the tensors'
 * shapes with heads of 64. Errors: WEIGHTS (not a Whisper checkpoint, or sizes nobody has; logged). */
PZ_NODISCARD enum pz_status pz_whisper_dims_read(const struct pz_checkpoint *c, const char *file,
                                                 struct pz_log *log, struct pz_whisper_dims *d);

/** Options of a parameter tree for this checkpoint (NULL: hash rule). */
struct pz_params_options pz_whisper_params(const struct pz_whisper_dims *d, const struct pz_checkpoint *c,
                                           const char *file);

/**
 * Encoder: mel → audio, after the last norm. `mel` PZ_NONE asks for the names only.
 *
 * `hidden` (NULL, or audio_layers + 1 values) gets the inside: [0] convolutions and positions, [i] after
 * block i, none of them normalised (spec §4.1).
 */
int pz_nn_whisper_encoder(struct pz_params *p, const struct pz_whisper_dims *d, int mel, int *hidden);

/** What one decoder layer reads and gives; set what is read, PZ_NONE what is not there. */
struct pz_whisper_layer {
    int k_past, v_past;   /**< in: [1,R,text_state], rows of earlier tokens; PZ_NONE: there are none */
    int k_audio, v_audio; /**< [1,audio_ctx,text_state]: in, or out when `audio` is given */
    int k_new, v_new;     /**< out: [1,T,text_state], rows of these tokens */
    int q_audio;          /**< out: [1,T,text_state], queries of the cross attention, not scaled */
};

/**
 * Decoder: tokens → logits [1,T,vocab].
 *
 * `tokens`, `positions` I32 [1,T]; `mask` [1,1,T,R+T] added to the scores of self attention, columns first of
 * the past, then of these tokens. `tokens` PZ_NONE: nothing but the audio's keys and values. `audio` PZ_NONE:
 * these are inputs. layers [text_layers].
 */
int pz_nn_whisper_decoder(struct pz_params *p, const struct pz_whisper_dims *d, int tokens, int positions,
                          int mask, int audio, struct pz_whisper_layer *layers);

#endif
