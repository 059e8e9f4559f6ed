/** The `wav2lip` engine: published networks of Wav2Lip's family on the film's own faces.
 * docs/notes/wav2lip.md. */
#ifndef PZ_LIPSYNC_ENGINE_WAV2LIP_H
#define PZ_LIPSYNC_ENGINE_WAV2LIP_H

#include "lipsync/engine.h"

extern const struct pz_engine_vtable pz_engine_wav2lip;

#endif
