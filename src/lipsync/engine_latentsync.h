/** Engine `latentsync`: official weights of 1.5 (256 px) or 1.6 (512 px); see engine.h for the interface. */
#ifndef PZ_LIPSYNC_ENGINE_LATENTSYNC_H
#define PZ_LIPSYNC_ENGINE_LATENTSYNC_H

#include "lipsync/engine.h"

extern const struct pz_engine_vtable pz_engine_latentsync;

#endif
