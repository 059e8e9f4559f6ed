/** Engine `musetalk`. */
#ifndef PZ_LIPSYNC_ENGINE_MUSETALK_H
#define PZ_LIPSYNC_ENGINE_MUSETALK_H

#include "lipsync/engine.h"

extern const struct pz_engine_vtable pz_engine_musetalk;

#endif
