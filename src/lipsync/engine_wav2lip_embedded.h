/** The `wav2lip:embedded` engine: our own small network of Wav2Lip's family, whose weights are part of the
 * program. docs/notes/wav2lip.md. */
#ifndef PZ_LIPSYNC_ENGINE_WAV2LIP_EMBEDDED_H
#define PZ_LIPSYNC_ENGINE_WAV2LIP_EMBEDDED_H

#include "lipsync/engine.h"

extern const struct pz_engine_vtable pz_engine_wav2lip_embedded;

#endif
