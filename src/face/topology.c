/*
 * Index lists of the 478-point mesh (facts of MediaPipe's face mesh: spec/faces.md §1.4); the triangulation
 * and the mean shape are our own, see scripts/make-face-topology.
 */
#include "face/topology.h"

#include <string.h>

#include "face/topology_tables.h"

/* Rings run over the upper lip from the subject's right corner (left in the picture): clockwise in the
 * picture. */
static const int outer_lip[20] = {61,  185, 40,  39,  37,  0,  267, 269, 270, 409,
                                  291, 375, 321, 405, 314, 17, 84,  181, 91,  146};
static const int inner_lip[20] = {78,  191, 80,  81,  82,  13, 312, 311, 310, 415,
                                  308, 324, 318, 402, 317, 14, 87,  178, 88,  95};
static const int lip_pairs[9][2] = {{13, 14}, {82, 87},   {312, 317}, {81, 178}, {311, 402},
                                    {80, 88}, {310, 318}, {191, 95},  {415, 324}};
static const int oval[36] = {10,  338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288,
                             397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136,
                             172, 58,  132, 93,  234, 127, 162, 21,  54,  103, 67,  109};
static const int rigid[26] = {33,  133, 362, 263, 168, 6,  197, 195, 5,   4,   129, 358, 198,
                              420, 9,   8,   151, 10,  67, 297, 54,  284, 127, 356, 122, 351};

static const struct pz_face_topology mesh = {
    .name = "mediapipe-478",
    .n_points = 478,
    .outer_lip = outer_lip,
    .n_outer_lip = 20,
    .inner_lip = inner_lip,
    .n_inner_lip = 20,
    .lip_pairs = lip_pairs,
    .n_lip_pairs = 9,
    .oval = oval,
    .n_oval = 36,
    .rigid = rigid,
    .n_rigid = 26,
    .eye_outer = {33, 263},
    .eye_inner = {133, 362},
    .nose_tip = 4,
    .chin = 152,
    .mouth_corner = {61, 291},
    .triangles = pz_face_mesh_triangles,
    .n_triangles = sizeof pz_face_mesh_triangles / sizeof pz_face_mesh_triangles[0],
    .mouth_triangles = pz_face_mesh_mouth_triangles,
    .n_mouth_triangles = sizeof pz_face_mesh_mouth_triangles / sizeof pz_face_mesh_mouth_triangles[0],
    .mean = pz_face_mesh_mean,
};

const struct pz_face_topology *pz_face_topology_mesh(void)
{
    return &mesh;
}

const struct pz_face_topology *pz_face_topology_find(const char *name)
{
    return strcmp(name, mesh.name) == 0 ? &mesh : NULL;
}
