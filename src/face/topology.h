/** Landmark sets this program knows. */
#ifndef PZ_FACE_TOPOLOGY_H
#define PZ_FACE_TOPOLOGY_H

#include "face/face.h"

/** MediaPipe's mesh with irises, "mediapipe-478". Static. */
const struct pz_face_topology *pz_face_topology_mesh(void);

/** Set by name, NULL when unknown. */
const struct pz_face_topology *pz_face_topology_find(const char *name);

#endif
