/** The `gaussian_splatting` engine: gs_model.h makes the picture, motion_model.h says how the mouth moves. */
#ifndef PZ_LIPSYNC_ENGINE_GS_H
#define PZ_LIPSYNC_ENGINE_GS_H

#include "lipsync/engine.h"

extern const struct pz_engine_vtable pz_engine_gaussian_splatting;

#endif
