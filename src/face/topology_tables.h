/** Tables of the 478-point mesh, made by scripts/make-face-topology; for topology.c only. */
#ifndef PZ_FACE_TOPOLOGY_TABLES_H
#define PZ_FACE_TOPOLOGY_TABLES_H

#include <stdint.h>

extern const uint16_t pz_face_mesh_triangles[874][3]; /**< without the mouth hole */
extern const uint16_t
    pz_face_mesh_mouth_triangles[18][3];      /**< the mouth hole: all corners on the inner lip ring */
extern const float pz_face_mesh_mean[478][3]; /**< head space, lips at rest */

/** The point that becomes point i in the mirrored picture. */
extern const uint16_t pz_face_mesh_mirror[478];

#endif
